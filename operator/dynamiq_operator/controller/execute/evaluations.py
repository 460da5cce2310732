"""Lets a Job evaluate new pods: creates the Secret of its key, and starts it."""

from __future__ import annotations

import base64

from dynamiq_operator.controller.execute.apply import version_of
from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.desired.evaluation import KEY, evaluation_key
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import JOBS, SECRETS
from dynamiq_operator.plan import operations


async def create_evaluation_key(execution: Execution, operation: operations.CreateEvaluationKey) -> None:
    """Creates the Secret with a key of ours. Another key under that name is known to whoever made it, so pods never accept it."""
    verification = execution.state.verification
    verification.offered = verification.offered or execution.make_key()
    manifest, problem = evaluation_key(operation.app, operation.job, operation.uid, verification.offered), ""
    try:
        await execution.client.create(SECRETS, manifest)
    except errors.AlreadyExists:
        existing = await execution.client.get(SECRETS, manifest["metadata"]["namespace"], operation.job)
        if (existing.get("data") or {}).get(KEY) != base64.b64encode(verification.offered.encode()).decode():
            problem = f"delete Secret {operation.job}: its key is not the operator's"
    verification.note_key(problem)


async def start_evaluation(execution: Execution, operation: operations.StartEvaluation) -> None:
    """Starts the suspended Job. If it was written since, it is observed again first."""
    meta = operation.observed["metadata"]
    patch = {"metadata": version_of(meta), "spec": {"suspend": False}}
    try:
        execution.cache.update(JOBS, await execution.client.patch(JOBS, meta["namespace"], meta["name"], patch))
    except (errors.NotFound, errors.Conflict):
        return
