"""The clock of a rollout: since when it runs, and when it stands still.

A deploy has a deadline for what its own pods do. While it waits for somebody else to act, for the cluster's controllers to come to
its workload or for the scheduler to look at its pods, or while the API server answers nobody, the clock stands still: a
controller-manager with a thousand workloads before it, or one that is down, fails no deploy. Then the clock begins with what they
did last, by the times that they write themselves, so that every operator that starts anew reads the same of it.
"""

from __future__ import annotations

from datetime import datetime

from dynamiq_operator.desired.base import ENDPOINT_SLICE
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.objects import parse_time
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.plan.children import manifests, selection
from dynamiq_operator.plan.context import Context


def running_since(context: Context, pinned: Pinned, state: WorkloadState | None) -> datetime:
    """From when the rollout's time counts; `state` is that of a workload that has the target's template, None where none has yet."""
    return max(_moments(context, pinned, state))


def standstill(context: Context, state: WorkloadState | None) -> str:
    """For whom the rollout waits while its clock stands still, as a sentence; empty where it runs."""
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
    """What a rollout waits for whose pods are all ready."""
    problems = "; ".join(sorted(problem.message for problem in manifests.child_problems(context).values()))
    if problems or not context.switches or selection.has_arrived(context):
        return f"its pods are ready, and not all else that it needs is in place{f': {problems}' if problems else ''}"
    denied = context.snapshot.denied.get(ENDPOINT_SLICE.kind)
    why = f": the operator cannot list EndpointSlices: {denied}" if denied is not None else ""
    return f"the pods of Deployment {name} are ready, and it is not known yet that callers reach them alone{why}"


def _moments(context: Context, pinned: Pinned, state: WorkloadState | None) -> list[datetime]:
    """What the clock cannot have begun before; a row that was in flight when it was backed up has old pins."""
    found = [parse_time(pinned.created_at), context.in_flight_since]
    if context.target is not None and context.target.spec.released is not None:
        found.append(parse_time(context.target.spec.released.at))
    if state is not None and state.progressed_at is not None:
        found.append(state.progressed_at)
    # Of pods that are replaced on and on, the first one's.
    scheduled = [pod.scheduled_at for pod in context.pods if pod.scheduled_at is not None]
    return [*found, *([min(scheduled)] if scheduled else [])]
