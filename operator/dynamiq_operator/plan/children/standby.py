"""Workloads beside the target's: what stays warm, and what goes.

Nothing goes while a caller may end up at it: its Service has left it, and so have the EndpointSlices, or what serves in its place is
complete and in them. What cannot be told from them stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from dynamiq_operator.desired.base import is_ending, is_owned
from dynamiq_operator.desired.pins import PLAIN
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model import names
from dynamiq_operator.plan import events
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.operations import AnnotatePod, DeleteChild, Operation, ScaleWorkload
from dynamiq_operator.plan.workloads import endpoints
from dynamiq_operator.plan.workloads.wanted import (
    conversion,
    gives_up_standby,
    lacks_room,
    replicas_now,
    standby,
    wanted_workloads,
)

TRUE = "true"
HEARD_WITHIN = timedelta(seconds=15)
"""From when the Service left a pod until that says so: a kubelet looks at a pod's annotations at once, and a runtime at its file each second."""


def scale_target(context: Context) -> Iterator[ScaleWorkload]:
    """What the Service is to come to, before it does: up to as many pods as serve now."""
    label = context.label if context.label != context.serving else conversion(context)
    observed = context.workloads.get(label)
    if observed is None or is_ending(observed):
        return
    if observed["spec"].get("replicas", 1) < (wanted := replicas_now(context, observed)):
        yield ScaleWorkload(observed, wanted)


def scale_standby(context: Context) -> Iterator[ScaleWorkload]:
    """What is kept warm, to as many pods as are to be."""
    label = standby(context)
    observed, serving = context.workloads.get(label), context.workloads.get(context.serving)
    if label is None or observed is None or serving is None:
        return
    asked, serve = context.app.spec.rollout.warm.replicas, serving["spec"].get("replicas", 1)
    wanted = min(asked, serve) if isinstance(asked, int) and serve == 0 else asked if isinstance(asked, int) else serve
    if observed["spec"].get("replicas", 1) != wanted:
        yield ScaleWorkload(observed, wanted)


def delete_left(context: Context) -> Iterator[Operation]:
    """Workloads that are wanted no more, once nobody ends up at their pods."""
    wanted = {each.label for each in wanted_workloads(context)}
    for label, observed in context.workloads.by_label.items():
        if label in wanted or is_ending(observed) or not is_owned(observed, context.app) or not _may_go(context, label):
            continue
        if gives_up_standby(context) and label == context.workloads.newest_served(but=wanted):
            yield events.standby_given_up(context.app, observed, lacks_room(context))
        yield DeleteChild(observed)


def _may_go(context: Context, label: str) -> bool:
    if context.target is None or context.serving in (None, label):
        return context.target is None or not _is_selected(context, label)
    if _is_selected(context, label):
        serving = context.workloads.get(context.serving)
        state = WorkloadState.of(serving) if serving is not None else None
        enough = state is not None and state.available >= state.replicas > 0
        return enough and endpoints.lead_to_all(context, context.serving or PLAIN, state.replicas if state is not None else 1)
    return endpoints.lead_away_from(context, label)


def _is_selected(context: Context, label: str) -> bool:
    return context.workloads.selected in (PLAIN, label)


def tell_pods(context: Context) -> Iterator[AnnotatePod]:
    """Tells pods that the Service has left them, so that they close what callers keep open, and those that it comes back to, that it does.

    Pods that never served have nothing to close, and those of a workload that is gone end as they are.
    """
    selected = context.workloads.selected
    for pod in context.snapshot.pods:
        if pod.deleting or pod.pins == PLAIN or pod.pins not in context.workloads.by_label:
            continue
        left = bool(selected) and pod.pins not in (selected, context.label) and context.workloads.served(pod.pins) > 0
        if pod.standby is not left:
            yield AnnotatePod(context.app, pod.name, pod.uid, pod.version, names.STANDBY_ANNOTATION, TRUE if left else None)


def readings_due(context: Context) -> Mapping[str, datetime]:
    """By uid, the pods that are to say whether they know that the Service has left them, and when: once, and none that says nothing."""
    return {
        pod.uid: moment
        for pod, moment in _left_pods(context)
        if pod.uid not in context.snapshot.silent
        and ((said := context.snapshot.activity.get(pod.uid)) is None or (said.at < moment and not said.standby))
    }


def unaware_pods(context: Context) -> tuple[Pod, ...]:
    """Pods of a runtime that knows no standby: connections that callers keep open stay at them."""
    return tuple(pod for pod, moment in _left_pods(context) if _is_unaware(context, pod, moment))


def _is_unaware(context: Context, pod: Pod, moment: datetime) -> bool:
    said = context.snapshot.activity.get(pod.uid)
    return pod.uid in context.snapshot.silent or (said is not None and said.at >= moment and not said.standby)


def _left_pods(context: Context) -> Iterator[tuple[Pod, datetime]]:
    """Pods that were told, and from when on each has to know it."""
    since = context.workloads.served_since(context.serving) if context.serving is not None else None
    if since is not None:
        yield from ((pod, since + HEARD_WITHIN) for pod in context.snapshot.pods if pod.standby and pod.ready and not pod.deleting)
