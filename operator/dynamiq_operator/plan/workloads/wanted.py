"""Decides which workloads an App has to have. It makes none.

Under strategy Rolling there is one, `<app>`. Under strategy Switch there is one for each set of pins: the target's, the serving one's, the
live row's, and the standby's. Earlier pins with conversations have one, too.

During a change of strategy the live pins have workloads of both kinds. The strategy of the serving workload still counts: a row that
arrives meanwhile is rolled out before the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from dynamiq_operator.desired import inputs
from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import ChildKey, is_ending
from dynamiq_operator.desired.pin_labels import PLAIN
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.pods import ObservedPods
from dynamiq_operator.plan.observed.workloads import ObservedWorkloads
from dynamiq_operator.plan.workloads.conversations import conversing

NO_ROOM = "exceeded quota"
"""A part of the API server's message for every ResourceQuota that is used up."""


AT_ONCE, SURGE = 2, 0.25
"""The pods that start at once beside the serving ones: this number, or this share of all if that is more."""


@dataclass(frozen=True)
class WantedWorkload:
    """A workload that the App has to have. `label`: of its pins, empty under strategy Rolling. `pins`: None if unknown, so that it stays as
    it is.
    """

    label: str
    pins: Pins | None
    observed: Manifest | None


def wanted_workloads(context: Context) -> tuple[WantedWorkload, ...]:
    """Returns the wanted workloads, the target's first; none for an App that runs nothing."""
    pins = context.target_pins
    if pins is None:
        return ()
    by_label: dict[str, Pins | None] = {context.label: pins}
    if context.switches:
        live = context.live_pins
        if live is not None and (live.label in context.workloads.by_label or context.serving == live.label):
            by_label.setdefault(live.label, live)
        if context.serving and context.serving not in by_label:
            by_label[context.serving] = noted_pins(context.workloads, context.serving)
        if (kept := standby(context)) is not None:
            by_label[kept] = noted_pins(context.workloads, kept) or _good_pins(context)
        for label, own in conversing(context).items():
            by_label.setdefault(label, own)
    if (other := conversion(context)) is not None:
        by_label.setdefault(other, pins)
    return tuple(WantedWorkload(label, each, context.workloads.get(label)) for label, each in by_label.items())


def conversion(context: Context) -> str | None:
    """Returns the label of the live pins' new workload during a change of strategy; None if the strategy stays."""
    live, rollout = context.live_pins, context.app.spec.rollout
    if live is None or context.serving is None or context.history.candidate is not None or context.switches is rollout.switches:
        return None
    if rollout.switches:
        return live.label
    return PLAIN if context.serving == live.label else None  # first the Service selects the live pins again


def standby(context: Context) -> str | None:
    """Returns the label of the standby: the workload of the last good row, so never of one that was rolled back or reverted.

    It is neither the serving nor the target's nor the live row's workload. While the last good row is unknown, it is the one that served
    last.
    """
    if not context.switches or not context.app.spec.rollout.switches or not _keeps_standby(context) or gives_up_standby(context):
        return None
    live, good = context.live_pins, context.app.status.last_good
    excluded = (context.label, context.serving, live.label if live is not None else None)
    if good is None or context.history.live is None or good.live != context.history.live.sequence:
        return context.workloads.newest_served(but=excluded)
    for label in context.workloads.of_pins:
        pins = noted_pins(context.workloads, label) if label not in excluded else None
        if pins is not None and pins.pair == good.pair and not is_ending(context.workloads.by_label[label]):
            return label
    # Its pods ended in favour of a later standby: they start again, but not during a deploy.
    pins = _good_pins(context) if context.history.candidate is None else None
    return pins.label if pins is not None and pins.label not in excluded else None


def standby_to_make(app: App, children: Mapping[ChildKey, Manifest], now: datetime) -> str | None:
    """Returns the name of the last good row if its pins have to be read: its workload is the standby and does not exist yet. Else None."""
    good, warm, observed = app.status.last_good, app.spec.rollout.warm, ObservedWorkloads.of(app, children)
    if good is None or good.row is None or warm.replicas == 0 or not app.spec.rollout.switches:
        return None
    since = observed.served_since(observed.selected or PLAIN)
    if warm.seconds is not None and since is not None and now >= since + timedelta(seconds=warm.seconds):
        return None
    noted = (workloads.noted_pins(raw) for raw in observed.by_label.values())
    return None if any(pins is not None and pins.pair == good.pair for pins in noted) else good.row


def _good_pins(context: Context) -> Pins | None:
    """Returns the pins of a rollback to the last good row: its flow and its runtime, with the compute of the live row."""
    good, live = context.app.status.last_good, context.live_pins
    row = next((row for row in context.history.rows if good is not None and row.name == good.row), None)
    return (
        replace(Pins.of(row.pinned), resources=live.resources) if row is not None and row.pinned is not None and live is not None else None
    )


def _keeps_standby(context: Context) -> bool:
    seconds = standby_seconds(context)
    return context.app.spec.rollout.warm.replicas != 0 and (seconds is None or seconds > 0)


def standby_seconds(context: Context) -> float | None:
    """Returns the seconds for which the standby stays; None without an end. They count from when the Service left it."""
    seconds, serving = context.app.spec.rollout.warm.seconds, context.serving
    since = context.workloads.served_since(serving) if serving is not None else None
    if seconds is None or since is None:
        return None
    return (since + timedelta(seconds=seconds) - context.snapshot.now).total_seconds()


def gives_up_standby(context: Context) -> bool:
    """Returns True if a quota has no room for the target's pods beside the serving and the standby ones."""
    return context.history.candidate is not None and context.label != context.serving and bool(lacks_room(context.workload))


def lacks_room(workload: Manifest | None) -> str:
    """Returns the API server's message about a quota that prevents the target's pods; empty if there is none."""
    state = WorkloadState.of(workload) if workload is not None else None
    return state.failure if state is not None and state.failure is not None and NO_ROOM in state.failure else ""


def room_note(context: Context, label: str) -> str | None:
    """Returns the target workload's note of how many terminating pods will make room for its own."""
    # Each change of the note makes the controllers try again. They retry by themselves, but each time after twice as long, and pods may
    # finish long runs.
    observed, row = context.workload, context.history.candidate
    if label != context.label or observed is None or row is None or not context.switches:
        return None
    noted: str = (observed["metadata"].get("annotations") or {}).get(names.ROOM_ANNOTATION, "")
    noted = noted if noted.startswith(f"{row.sequence} ") else ""
    leaving = sum(pod.deleting and pod.pins != label for pod in context.snapshot.pods.observed)
    return f"{row.sequence} {leaving}" if lacks_room(context.workload) and (noted or leaving) else noted or None


def needed_replicas(context: Context) -> int:
    """Returns how many pods the target's workload needs before it serves."""
    serving = context.workloads.get(context.serving)
    return inputs.needed_replicas(context.pinned, serving["spec"].get("replicas", 1) if serving is not None else None)


def replicas_now(context: Context, observed: Manifest | None) -> int:
    """Returns how many of them may have started by now. Beside serving pods, they start a few at a time, as in a rollout under strategy
    Rolling.
    """
    # Many pods that start at once on a node leave serving pods too little CPU to answer their probes.
    needed = needed_replicas(context)
    if context.workloads.get(context.serving) is None:
        return needed
    available = WorkloadState.of(observed).available if observed is not None else 0
    return min(needed, available + max(AT_ONCE, ceil(needed * SURGE)))


def are_others_deleted(context: Context) -> bool:
    """Returns True if only pods of the serving workload exist or are terminating: Service `{app}` would select all others."""
    others = [label for label in context.workloads.of_pins if label != context.serving]
    return not others and all(pod.deleting or pod.pins in (PLAIN, context.serving) for pod in context.snapshot.pods.observed)


def has_pods_of_pins(workloads: ObservedWorkloads, pods: ObservedPods) -> bool:
    """Returns True if a workload of strategy Switch, or a pod of one, exists and is not terminating: the selector `{app}` counts these
    pods.
    """
    made = any(not is_ending(workloads.by_label[label]) for label in workloads.of_pins)
    return made or any(pod.pins != PLAIN and not pod.deleting for pod in pods.observed)


def noted_pins(made: ObservedWorkloads, label: str) -> Pins | None:
    """Returns the pins in a workload's own note; None if the note was not written by the operator."""
    observed = made.get(label)
    pins = workloads.noted_pins(observed) if observed is not None else None
    return pins if pins is not None and pins.label == label else None
