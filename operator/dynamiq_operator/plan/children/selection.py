"""Decides which pods the Service selects, which is the switch of strategy Switch, and which workload the autoscaler scales."""

from __future__ import annotations

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import AUTOSCALER, WORKLOAD, is_ending
from dynamiq_operator.desired.drift import drift
from dynamiq_operator.desired.pin_labels import PLAIN
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model import names
from dynamiq_operator.model.row import ConfigType
from dynamiq_operator.plan.children import turns
from dynamiq_operator.plan.children.workload_inputs import is_noted, workload_manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.pods import ObservedPods
from dynamiq_operator.plan.workloads import endpoints
from dynamiq_operator.plan.workloads.verified import may_be_reached
from dynamiq_operator.plan.workloads.wanted import (
    are_others_deleted,
    conversion,
    has_pods_of_pins,
    needed_replicas,
    wanted_workloads,
)


def selected_label(context: Context) -> str:
    """Returns the pins label that the Service has to select, empty for any pods.

    It never changes to a workload whose pods are not all available in this snapshot. If the only pods are unverified, or failed their
    verification, it is a label that no pod has.
    """
    chosen = _chosen(context)
    reaches_all = chosen == PLAIN and context.workloads.selected == names.UNVERIFIED
    return (
        names.UNVERIFIED
        if reaches_all and (context.history.target is None or has_pods_of_pins(context.workloads, context.snapshot.pods))
        else chosen
    )


def _chosen(context: Context) -> str:
    serving, target = context.serving, context.label
    if serving is None:
        return target if may_be_reached(context) else names.UNVERIFIED
    if context.pinned is None:
        return serving
    if not is_noted(context, serving):
        return serving
    if serving == target:
        return _converted(context, serving)
    if target == PLAIN:  # nothing is live: the workload of a failed first row may keep serving beside the next one
        return PLAIN
    return target if is_ready(context, target) and may_be_reached(context) and turns.are_made(context, serving, target) else serving


def _converted(context: Context, serving: str) -> str:
    """Returns the label to select if the target already serves.

    It changes for a change of strategy, and for a candidate that left its callers without a pod.
    """
    other, live = conversion(context), context.live_pins
    if other == PLAIN:
        return PLAIN if are_others_deleted(context) and is_ready(context, PLAIN) else serving
    if other is not None:
        # Its pods are selected already: narrowing the Service to them moves no caller to other pods.
        reached = endpoints.lead_to_all(context, other, needed_replicas(context))
        return other if reached and is_ready(context, other) else serving
    if context.history.candidate is not None and live is not None and live.label != serving and serving != PLAIN:
        return live.label if not _ready_pods(context.snapshot.pods, serving) and is_ready(context, live.label) else serving
    return serving


def has_arrived(context: Context) -> bool:
    """Returns True if callers reach only the target's pods. Under strategy Rolling only a change of strategy has others."""
    if context.switches:
        return context.workloads.selected == context.label and endpoints.lead_only_to(context, context.label)
    if context.workloads.selected == names.UNVERIFIED:
        return False
    return not any(not is_ending(context.workloads.by_label[label]) for label in context.workloads.of_pins)


def scaled_label(context: Context) -> str:
    """Returns the pins label of the workload that the autoscaler scales."""
    # The autoscaler never scales the workload of strategy Rolling while pods of pins exist: that workload selects every pod of the App.
    if context.switches:
        serving = context.serving if context.workloads.get(context.serving) is not None else None
        return serving if serving and context.history.live is not None else context.label
    other = conversion(context)
    if other is not None and (
        other in context.workloads.by_label or WORKLOAD.key(context.app.meta.name, other) not in context.snapshot.children.problems
    ):
        return other
    return _scaled_now(context) if has_pods_of_pins(context.workloads, context.snapshot.pods) else PLAIN


def guarded_label(context: Context) -> str:
    """Returns the pins label of the pods that the disruption budget counts: those that serve."""
    return (context.serving or context.label) if context.switches else PLAIN


def watches_endpoints(context: Context) -> bool:
    """Returns True if the Service's slices have to be watched: its selector is, or may become, the switch, or calls may reach the gate."""
    observed, live = context.workloads, context.history.live
    rows = (context.pinned, live.pinned if live is not None else None)
    sleeps = any(pinned is not None and pinned.config.type is ConfigType.SERVERLESS for pinned in rows)
    if sleeps or any(each.is_gates for each in context.snapshot.endpoints.slices):
        return True
    return context.app.spec.rollout.switches or context.switches or bool(observed.of_pins) or bool(observed.selected)


def _scaled_now(context: Context) -> str:
    """Returns the label of the workload of pins that the autoscaler scales now. After its deletion it is any other one of pins."""
    autoscaler = context.snapshot.children.observed.get(AUTOSCALER.key(context.app.meta.name))
    name = autoscaler["spec"].get("scaleTargetRef", {}).get("name", "") if autoscaler is not None else ""
    labels = {pod.pins for pod in context.snapshot.pods.observed} | set(context.workloads.of_pins)
    on = [label for label in labels if label and names.workload(context.app.meta.name, label) == name]
    return on[0] if on else next(iter(context.workloads.of_pins), PLAIN)


def is_ready(context: Context, label: str) -> bool:
    """Returns True if a workload is as desired, with as many pods as needed, each of them ready."""
    desired = next((each for each in wanted_workloads(context) if each.label == label), None)
    if desired is None or desired.pins is None or desired.observed is None or is_ending(desired.observed):
        return False
    observed, state = desired.observed, WorkloadState.of(desired.observed)
    digest = context.digest_of(desired.pins, observed)
    if not state.complete or state.replicas < needed_replicas(context) or not workloads.runs(observed, digest):
        return False
    if _ready_pods(context.snapshot.pods, label, digest) < state.replicas:
        return False
    manifest = workload_manifest(context, desired)
    return manifest is observed or (manifest is not None and drift(manifest, observed) is None)


def _ready_pods(pods: ObservedPods, label: str, digest: str | None = None) -> int:
    return sum(pod.ready and not pod.deleting and pod.pins == label and digest in (None, pod.template_digest) for pod in pods.observed)
