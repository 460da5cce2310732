"""What lets a Job evaluate new pods: the Secret of its key, and that it begins."""

from __future__ import annotations

import contextlib
from dataclasses import replace

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.desired.evaluation import evaluation_key
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import JOBS, SECRETS
from dynamiq_operator.plan import operations


async def create_evaluation_key(execution: Execution, operation: operations.CreateEvaluationKey) -> None:
    """Creates the Secret with a new key. One of that name is left as it is: it is this Job's, or the Job never gets a key that pods take."""
    manifest = evaluation_key(operation.app, operation.job, operation.uid, execution.make_key())
    with contextlib.suppress(errors.AlreadyExists):
        await execution.client.create(SECRETS, manifest)
    found = execution.state.verification
    if found.reading is not None:
        found.reading = replace(found.reading, lacks_key=False)  # until it has been read again


async def start_evaluation(execution: Execution, operation: operations.StartEvaluation) -> None:
    """Ends that the Job is suspended; one that was written since is looked at again first."""
    meta = operation.observed["metadata"]
    patch = {"metadata": {"uid": meta["uid"], "resourceVersion": meta["resourceVersion"]}, "spec": {"suspend": False}}
    try:
        execution.cache.update(JOBS, await execution.client.patch(JOBS, meta["namespace"], meta["name"], patch))
    except (errors.NotFound, errors.Conflict):
        return
