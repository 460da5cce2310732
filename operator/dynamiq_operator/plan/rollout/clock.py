"""Measures the time of a rollout: since when it runs, and when it is stopped. It ends no rollout.

The deadline covers what a deploy's own pods do. The clock stops while the deploy waits for others: a person, the cluster's controllers, the
scheduler, or an API server that does not answer. A slow or stopped controller-manager therefore fails no deploy.

The clock then starts from the last action of the controllers, by the times that they write. Every new operator reads the same times.
"""

from __future__ import annotations

from datetime import datetime

from dynamiq_operator.desired.base import ENDPOINT_SLICE
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.objects import parse_time
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.plan.children import manifests, selection
from dynamiq_operator.plan.context import Context


def running_since(context: Context, pinned: Pinned, state: WorkloadState | None) -> datetime:
    """Returns since when the rollout's time counts. `state`: of a workload with the target's template; None if there is none yet."""
    return max(_moments(context, pinned, state))


def standstill(context: Context, state: WorkloadState | None) -> str:
    """Returns what the rollout waits for while its clock is stopped, as a sentence; empty if the clock runs."""
    if state is None:
        return "its workload has not been written yet"
    name = context.workload["metadata"]["name"] if context.workload is not None else ""
    if state.progressed_at is None:
        return f"the cluster's controllers have not come to Deployment {name} yet: kube-controller-manager is busy, or down"
    if state.failure is not None:
        return ""
    if not state.updated:
        return f"the cluster's controllers have made no pod of Deployment {name} yet: kube-controller-manager is busy, or down"
    if state.complete:
        return _waits_for_others(context, name)
    pods = context.pods
    if pods and all(pod.scheduled_at is None and pod.container is None for pod in pods):
        return f"the scheduler has not looked at pod {pods[0].name} yet: it is busy, or down"
    if sum(pod.ready and not pod.deleting for pod in pods) > state.available:
        return f"pods are ready that Deployment {name} does not count yet: kube-controller-manager is busy, or down"
    return ""


def _waits_for_others(context: Context, name: str) -> str:
    """Returns what a rollout waits for although all of its pods are ready."""
    problems = "; ".join(sorted(problem.message for problem in manifests.child_problems(context).values()))
    if problems or not context.switches or selection.has_arrived(context):
        return f"its pods are ready, and not all else that it needs is in place{f': {problems}' if problems else ''}"
    denied = context.snapshot.children.denied.get(ENDPOINT_SLICE.kind)
    why = f": the operator cannot list EndpointSlices: {denied}" if denied is not None else ""
    return f"the pods of Deployment {name} are ready, and it is not known yet that callers reach them alone{why}"


def _moments(context: Context, pinned: Pinned, state: WorkloadState | None) -> list[datetime]:
    """Returns the times before which the clock cannot have started."""
    # A restored row that was in flight has old pins, so its creation alone is not enough.
    moments = [parse_time(pinned.created_at), context.in_flight_since]
    if context.history.target is not None and context.history.target.spec.released is not None:
        moments.append(parse_time(context.history.target.spec.released.at))
    if state is not None and state.progressed_at is not None:
        moments.append(state.progressed_at)
    # If pods are replaced repeatedly, the first one counts.
    scheduled = [pod.scheduled_at for pod in context.pods if pod.scheduled_at is not None]
    return [*moments, *([min(scheduled)] if scheduled else [])]
