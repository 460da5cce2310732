"""Builds the inputs of the makers for each workload of an App."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import AUTOSCALER, NETWORK_POLICY, WORKLOAD, ChildKey, key_of
from dynamiq_operator.desired.drift import drift
from dynamiq_operator.desired.inputs import Inputs, TemplateChoice, WorkloadInputs
from dynamiq_operator.desired.network_policy import network_policy
from dynamiq_operator.desired.pin_labels import PLAIN
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.plan.children import access_keys, callback_key, variables
from dynamiq_operator.plan.children.given_up import noting_given_up
from dynamiq_operator.plan.children.recording import renews_template
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.sleep.state import keeps_template
from dynamiq_operator.plan.workloads.conversations import conversing
from dynamiq_operator.plan.workloads.conversing_pods import replicas
from dynamiq_operator.plan.workloads.finishing import holds_roll, wanted_finishing
from dynamiq_operator.plan.workloads.finishing_pods import Finishing, first_replicas
from dynamiq_operator.plan.workloads.verified import needs_switch, verifies
from dynamiq_operator.plan.workloads.wanted import WantedWorkload, are_others_deleted, conversion, replicas_now, room_note, standby


def workload_inputs(context: Context, workload: WantedWorkload) -> WorkloadInputs:
    return WorkloadInputs(
        workload.label,
        workload.pins,
        choice=_template_choice(context, workload),
        observed=workload.observed,
        key_note=access_keys.key_note(context, workload.observed),
        served_note=served_note(context, workload.label),
        room_note=room_note(context, workload.label),
        row_note=_row_note(context, workload.pins, workload.observed),
        app=context.app_for(workload.pins, workload.observed) if workload.pins is not None else None,
        replicas=_first_replicas(context, workload),
        recorder=context.snapshot.settings.recorder,
        journal=context.snapshot.settings.journal,
        callbacks=callback_key.is_mounted(context),
        renewed=workload.observed is not None and renews_template(context, workload.observed),
    )


def _first_replicas(context: Context, workload: WantedWorkload) -> int:
    """Returns how many pods a new workload begins with."""
    if workload.label in conversing(context) and workload.label != standby(context):
        return replicas(context, workload.label, workload.pins)
    return replicas_now(context, None)


def finishing_inputs(context: Context) -> tuple[WorkloadInputs, ...]:
    """Returns the inputs of the workloads that only finish background runs."""
    return tuple(_finishing_inputs(context, each) for each in wanted_finishing(context))


def finishing_keys(context: Context) -> frozenset[ChildKey]:
    """Returns the keys of those workloads, made or not, and of their NetworkPolicy."""
    app = context.app.meta.name
    made = {(WORKLOAD.kind, names.finishing(app, label)) for label in (*context.workloads.finishing, *context.snapshot.open_runs.counts)}
    return frozenset({*made, (NETWORK_POLICY.kind, names.finishing_policy(app))})


def _finishing_inputs(context: Context, each: Finishing) -> WorkloadInputs:
    pins, observed = each.pins, each.observed
    return WorkloadInputs(
        each.label,
        pins,
        choice=_finishing_choice(context, pins, observed),
        observed=observed,
        row_note=_row_note(context, pins, observed),
        app=context.app_for(pins, observed) if pins is not None else None,
        replicas=first_replicas(context, each),
        recorder=context.snapshot.settings.recorder,
        journal=context.snapshot.settings.journal,
        callbacks=callback_key.is_mounted(context),
        finishes=True,
    )


def _finishing_choice(context: Context, pins: Pins | None, observed: Manifest | None) -> TemplateChoice:
    if pins is None or _is_hindered(context, pins, observed) or awaits_policy(context, finishing=True):
        return TemplateChoice.OBSERVED
    if observed is None and access_keys.are_awaited(context):
        return TemplateChoice.OBSERVED
    return TemplateChoice.APPLIED if context.keeps_environment(pins, observed) else TemplateChoice.PINNED


def _is_hindered(context: Context, pins: Pins | None, observed: Manifest | None) -> bool:
    """Returns True if no pod that finishes runs of these pins can be made, for a reason that does not pass by itself."""
    if pins is None or not variables.has_flow(context, pins) or access_keys.are_foreign(context):
        return True
    return not context.keeps_environment(pins, observed) and context.app_for(pins, observed) is None


def is_awaited(context: Context, awaited: Iterable[Finishing]) -> bool:
    """Returns True if one of these workloads is about to be made: until then the pods that have its runs stay."""
    # A deploy never waits for one that cannot be made.
    children, policy = context.snapshot.children, (NETWORK_POLICY.kind, names.finishing_policy(context.app.meta.name))
    if {WORKLOAD.kind, NETWORK_POLICY.kind} & children.denied.keys() or policy in children.problems:
        return False
    own = ((each, (WORKLOAD.kind, names.finishing(context.app.meta.name, each.label))) for each in awaited)
    return any(key not in children.problems and not _is_hindered(context, each.pins, each.observed) for each, key in own)


def workload_manifest(context: Context, workload: WantedWorkload) -> Manifest | None:
    """Returns the workload's desired manifest; None if it is not to be made now."""
    made = workloads.workload_manifest(context.app, workload_inputs(context, workload))
    return noting_given_up(made, workload.observed, context.given_up) if made is not None else None


def _row_note(context: Context, pins: Pins | None, observed: Manifest | None) -> str | None:
    """Returns the row of a workload's template, while variables take effect only with rows; else None."""
    if not context.holds_variables or context.history.target is None:
        return None
    noted = workloads.template_row(observed) if observed is not None else None
    keeps = noted is not None and (pins is None or context.keeps_environment(pins, observed))
    return str(noted if keeps else context.history.target.sequence)


def served_note(context: Context, label: str) -> str | None:
    """Returns the workload's note of when it served. The live row's workload is noted as the newest once the Service selects it."""
    # It is written before the Service leaves the workload: even if the operator stops, the next one knows which workload becomes the
    # standby.
    if not is_noted(context, label):
        return f"{context.workloads.last_served + 1} {format_time(context.snapshot.now)}"
    observed = context.workloads.get(label)
    noted: str | None = ((observed or {}).get("metadata", {}).get("annotations") or {}).get(names.SERVED_ANNOTATION)
    return noted if context.workloads.served(label) else None


def is_noted(context: Context, label: str) -> bool:
    """Returns True if a workload's note of when it served is complete."""
    observed, live = context.workloads, context.live_pins
    if observed.selected != label or label not in observed.of_pins or live is None or live.label != label:
        return True
    return observed.served(label) > 0 and all(
        observed.served(other) < observed.served(label) for other in observed.by_label if other != label
    )


def awaits_policy(context: Context, *, finishing: bool = False) -> bool:
    """Returns True if the App's NetworkPolicy is missing or not as desired: until then no pod that relies on it may start.

    `finishing`: True for that of the pods that only finish background runs.
    """
    made = network_policy(Inputs(context.app, context.snapshot.settings, verifies=verifies(context), finishes=finishing))
    desired = [each for each in made if (each["metadata"]["name"] == names.finishing_policy(context.app.meta.name)) is finishing]
    # A NetworkPolicy that may not be listed any more counts as missing, though it was seen before.
    if desired and NETWORK_POLICY.kind in context.snapshot.children.denied:
        return True
    observed = context.snapshot.children.observed
    return any(key_of(each) not in observed or drift(each, observed[key_of(each)]) is not None for each in desired)


def _template_choice(context: Context, workload: WantedWorkload) -> TemplateChoice:
    """Returns the template of the pins, unless its pods could not start, or must not mount something."""
    pins, observed = workload.pins, workload.observed
    if workload.label == context.label and (needs_switch(context) or is_awaited(context, holds_roll(context))):
        return TemplateChoice.OBSERVED
    if pins is None or not variables.has_flow(context, pins) or access_keys.are_foreign(context) or awaits_policy(context):
        return TemplateChoice.OBSERVED
    awaits_key = access_keys.are_awaited(context) or callback_key.is_awaited(context)
    if observed is None and (awaits_key or _awaits_others(context, workload.label)):
        return TemplateChoice.OBSERVED
    if observed is not None and keeps_template(context, observed, pins):
        return TemplateChoice.OBSERVED
    if context.keeps_environment(pins, observed):
        return TemplateChoice.APPLIED
    if context.app_for(pins, observed) is None:
        return TemplateChoice.OBSERVED
    if not variables.lacking(context, pins, observed):
        return TemplateChoice.PINNED
    if observed is None:
        return TemplateChoice.OBSERVED
    return TemplateChoice.APPLIED if workloads.has_pins(observed, pins) else TemplateChoice.PINNED


def _awaits_others(context: Context, label: str) -> bool:
    """Returns True if the new workload of a change of strategy waits until others have made room."""
    if label != conversion(context):
        return False
    # The Service of strategy Rolling selects every pod of the App, also standby pods: these end first.
    if label == PLAIN:
        return not are_others_deleted(context)
    if AUTOSCALER.kind in context.snapshot.children.denied:
        return True  # what it scales now is not known
    # The workload of strategy Rolling selects every pod of the App: the autoscaler has to leave it first.
    autoscaler = context.snapshot.children.observed.get(AUTOSCALER.key(context.app.meta.name))
    return autoscaler is not None and autoscaler["spec"].get("scaleTargetRef", {}).get("name") == names.workload(context.app.meta.name)
