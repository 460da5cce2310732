"""Creates the Jobs of triggers that run once, and annotates running pods.

An annotation lets a pod know of new Access Keys, or that its Service has left it.
"""

from __future__ import annotations

from dynamiq_operator.controller.execute.execution import Execution
from dynamiq_operator.controller.execute.refused_writes import report_taken, reporting
from dynamiq_operator.desired.base import is_ours
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import JOBS, PODS
from dynamiq_operator.plan import operations


async def run_once(execution: Execution, operation: operations.RunOnce) -> None:
    """Creates the Job. An existing one of the trigger was created before; any other one is a problem."""
    meta = operation.manifest["metadata"]
    with reporting(execution, operation.manifest, operation.digest) as resolve:
        try:
            job = await execution.client.create(JOBS, operation.manifest)
        except errors.AlreadyExists:
            job = await execution.client.get(JOBS, meta["namespace"], meta["name"])
            if not is_ours(job, operation.app) or not meta["labels"].items() <= (job["metadata"].get("labels") or {}).items():
                report_taken(execution, operation.manifest, job)
                return
        execution.cache.update(JOBS, job)
        resolve()


async def annotate_pod(execution: Execution, operation: operations.AnnotatePod) -> None:
    """Annotates a running pod, as it was observed. If it was written since, it is observed again first."""
    observed = {"uid": operation.uid, "resourceVersion": operation.observed}
    patch = {"metadata": {**observed, "annotations": {operation.annotation: operation.value}}}
    try:
        execution.cache.update(PODS, await execution.client.patch(PODS, operation.app.meta.namespace, operation.pod, patch))
    except (errors.NotFound, errors.Conflict):
        return
