"""Scales and deletes workloads beside the target's: the standby, those of conversations or that finish runs, and those not needed.

No workload is deleted while a caller may reach it. Its Service and the EndpointSlices have left it, or the serving workload is complete and
in the slices. While the slices are unknown it stays.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

from dynamiq_operator.desired.base import is_ending, is_owned
from dynamiq_operator.desired.pin_labels import PLAIN
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model import names
from dynamiq_operator.plan.children.workload_inputs import is_awaited
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.pods import ObservedPod, ObservedPods
from dynamiq_operator.plan.observed.workloads import ObservedWorkloads
from dynamiq_operator.plan.operations import AnnotatePod, DeleteChild, Operation, ScaleWorkload
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.workloads import conversing_pods, endpoints
from dynamiq_operator.plan.workloads.conversations import holds_conversations
from dynamiq_operator.plan.workloads.finishing import holds_workload, scaling, unneeded
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
"""The time that a pod has to report that the Service left it. A kubelet reads a pod's annotations at once, and a runtime its file each
second.
"""


def scale_target(context: Context) -> Iterator[ScaleWorkload]:
    """Yields the scaling of the next serving workload, before the Service selects it: up to the number of serving pods."""
    label = context.label if context.label != context.serving else conversion(context)
    observed = context.workloads.get(label)
    if observed is None or is_ending(observed):
        return
    if observed["spec"].get("replicas", 1) < (replicas := replicas_now(context, observed)):
        yield ScaleWorkload(observed, replicas)


def scale_standby(context: Context) -> Iterator[ScaleWorkload]:
    """Yields the scaling of the standby to its desired number of pods."""
    label = standby(context)
    observed, serving = context.workloads.get(label), context.workloads.get(context.serving)
    if label is None or observed is None or serving is None:
        return
    setting, serving_replicas = context.app.spec.rollout.warm.replicas, serving["spec"].get("replicas", 1)
    own = setting if isinstance(setting, int) and serving_replicas else serving_replicas
    replicas = conversing_pods.standby_replicas(context, label, own)
    if observed["spec"].get("replicas", 1) != replicas:
        yield ScaleWorkload(observed, replicas)


def delete_unneeded(context: Context) -> Iterator[Operation]:
    """Yields the deletion of workloads that are no longer needed, once no caller can reach their pods."""
    labels = {each.label for each in wanted_workloads(context)}
    for label, observed in context.workloads.by_label.items():
        if label in labels or is_ending(observed) or not is_owned(observed, context.app) or not _may_go(context, label):
            continue
        if gives_up_standby(context) and label == context.workloads.newest_served(but=labels):
            yield events.standby_given_up(context.app, observed, lacks_room(context.workload))
        yield DeleteChild(observed)
    yield from (DeleteChild(observed) for observed in unneeded(context) if is_owned(observed, context.app))


def scale_finishing(context: Context) -> Iterator[ScaleWorkload]:
    """Yields the scaling of workloads that only finish background runs."""
    yield from (ScaleWorkload(observed, number) for observed, number in scaling(context))


def scale_conversing(context: Context) -> Iterator[ScaleWorkload]:
    """Yields the scaling of workloads that are there for conversations."""
    yield from (ScaleWorkload(observed, number) for observed, number in conversing_pods.scaling(context))


def _has_runs(context: Context, label: str) -> bool:
    """Returns True if a workload stays for its background runs: its pins have no other one yet, or the journal is away."""
    holding = holds_workload(context, label)
    return holding if isinstance(holding, bool) else is_awaited(context, holding)


def _may_go(context: Context, label: str) -> bool:
    if _has_runs(context, label) or holds_conversations(context, label):
        return False
    if context.history.target is None or context.serving in (None, label):
        return context.history.target is None or not _is_selected(context.workloads, label)
    if _is_selected(context.workloads, label):
        serving = context.workloads.get(context.serving)
        state = WorkloadState.of(serving) if serving is not None else None
        enough = state is not None and state.available >= state.replicas > 0
        return enough and endpoints.lead_to_all(context, context.serving or PLAIN, state.replicas if state is not None else 1)
    return endpoints.lead_away_from(context, label)


def _is_selected(workloads: ObservedWorkloads, label: str) -> bool:
    return workloads.selected in (PLAIN, label)


def standby_annotations(context: Context) -> Iterator[AnnotatePod]:
    """Yields the annotations of pods that the Service left, so that they close open connections, and of pods that it selects again."""
    selected = context.workloads.selected
    for pod in context.snapshot.pods.observed:
        # Pods that never served have no connection to close. Pods of a deleted workload terminate as they are.
        if pod.deleting or pod.pins == PLAIN or pod.pins not in context.workloads.by_label:
            continue
        was_left = bool(selected) and pod.pins not in (selected, context.label) and context.workloads.served(pod.pins) > 0
        if pod.standby is not was_left:
            yield AnnotatePod(context.app, pod.name, pod.uid, pod.version, names.STANDBY_ANNOTATION, TRUE if was_left else None)


def readings_due(context: Context) -> Mapping[str, datetime]:
    """Returns when to read each pod that has to know that the Service left it, by uid: once, and never a silent pod."""
    return {
        pod.uid: moment
        for pod, moment in _left_pods(context)
        if pod.uid not in context.snapshot.pods.silent
        and ((activity := context.snapshot.pods.activity.get(pod.uid)) is None or (activity.at < moment and not activity.standby))
    }


def unaware_pods(context: Context) -> tuple[ObservedPod, ...]:
    """Returns the pods of a runtime without standby: callers' open connections stay at them."""
    return tuple(pod for pod, moment in _left_pods(context) if _is_unaware(context.snapshot.pods, pod, moment))


def _is_unaware(pods: ObservedPods, pod: ObservedPod, moment: datetime) -> bool:
    activity = pods.activity.get(pod.uid)
    return pod.uid in pods.silent or (activity is not None and activity.at >= moment and not activity.standby)


def _left_pods(context: Context) -> Iterator[tuple[ObservedPod, datetime]]:
    """Yields the annotated pods, each with the time from which it has to know that."""
    since = context.workloads.served_since(context.serving) if context.serving is not None else None
    if since is not None:
        yield from ((pod, since + HEARD_WITHIN) for pod in context.snapshot.pods.observed if pod.standby and pod.ready and not pod.deleting)
