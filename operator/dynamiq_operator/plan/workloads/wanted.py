"""Which workloads an App is to have.

Under strategy Rolling one, `<app>`. Under strategy Switch one for each set of pins: the target's, the one that serves, the live row's, and
the one that served before, kept warm. An App that changes between the strategies has its live pins in both kinds for a while, and goes
on by the way of the one that serves: a row that arrives meanwhile goes before the change.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil

from dynamiq_operator.desired import inputs
from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import ChildKey, is_ending
from dynamiq_operator.desired.pins import PLAIN, Pins
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.workloads import Workloads

NO_ROOM = "exceeded quota"
"""What the API server says in the words of every ResourceQuota that is used up."""


AT_ONCE, SURGE = 2, 0.25
"""Pods that start at once beside those that serve: so many, or that share of all."""


@dataclass(frozen=True)
class WantedWorkload:
    """`label`: of its pins, empty for that of strategy Rolling. `pins`: None where nobody knows them, so that it stays as it is."""

    label: str
    pins: Pins | None
    observed: Manifest | None


def wanted_workloads(context: Context) -> tuple[WantedWorkload, ...]:
    """The target's first; none for an App that runs nothing."""
    pins = context.target_pins
    if pins is None:
        return ()
    found: dict[str, Pins | None] = {context.label: pins}
    if context.switches:
        live = context.live_pins
        if live is not None and (live.label in context.workloads.by_label or context.serving == live.label):
            found.setdefault(live.label, live)
        if context.serving and context.serving not in found:
            found[context.serving] = noted_pins(context, context.serving)
        if (kept := standby(context)) is not None:
            found[kept] = noted_pins(context, kept) or _good_pins(context)
    if (other := conversion(context)) is not None:
        found.setdefault(other, pins)
    return tuple(WantedWorkload(label, each, context.workloads.get(label)) for label, each in found.items())


def conversion(context: Context) -> str | None:
    """The label of the workload of the other kind that the live pins are being brought into; None where the strategy stays."""
    live, rollout = context.live_pins, context.app.spec.rollout
    if live is None or context.serving is None or context.history.candidate is not None or context.switches is rollout.switches:
        return None
    if rollout.switches:
        return live.label
    return PLAIN if context.serving == live.label else None  # it goes back to the live pins first


def standby(context: Context) -> str | None:
    """Returns the label of the workload that is kept warm: that of the last good row, so never one that was rolled back or reverted.

    It neither serves nor is the target's or the live row's. While it is not known which row that is, it is the one that served last.
    """
    if not context.switches or not context.app.spec.rollout.switches or not _stays_warm(context) or gives_up_standby(context):
        return None
    live, good = context.live_pins, context.app.status.last_good
    taken = (context.label, context.serving, live.label if live is not None else None)
    if good is None or context.history.live is None or good.live != context.history.live.sequence:
        return context.workloads.newest_served(but=taken)
    for label in context.workloads.of_pins:
        pins = noted_pins(context, label) if label not in taken else None
        if pins is not None and pins.pair == good.pair and not is_ending(context.workloads.by_label[label]):
            return label
    # Its pods were ended for those of a version that was left since: they are started anew, and not while others are.
    pins = _good_pins(context) if context.history.candidate is None else None
    return pins.label if pins is not None and pins.label not in taken else None


def to_be_warmed(app: App, children: Mapping[ChildKey, Manifest], now: datetime) -> str | None:
    """Returns the name of the last good row where it is to be read, since it is kept warm and no workload runs it; else None."""
    good, warm, found = app.status.last_good, app.spec.rollout.warm, Workloads.of(app, children)
    if good is None or good.row is None or warm.replicas == 0 or not app.spec.rollout.switches:
        return None
    since = found.served_since(found.selected or PLAIN)
    if warm.seconds is not None and since is not None and now >= since + timedelta(seconds=warm.seconds):
        return None
    noted = (workloads.noted_pins(raw) for raw in found.by_label.values())
    return None if any(pins is not None and pins.pair == good.pair for pins in noted) else good.row


def _good_pins(context: Context) -> Pins | None:
    """What a rollback to the last good row would run: its flow and its runtime, with the compute of the live row."""
    good, live = context.app.status.last_good, context.live_pins
    row = next((row for row in context.history.rows if good is not None and row.name == good.row), None)
    return (
        replace(Pins.of(row.pinned), resources=live.resources) if row is not None and row.pinned is not None and live is not None else None
    )


def _stays_warm(context: Context) -> bool:
    left = seconds_warm(context)
    return context.app.spec.rollout.warm.replicas != 0 and (left is None or left > 0)


def seconds_warm(context: Context) -> float | None:
    """Seconds for which what was left last stays warm; None without an end. It was left when the Service came to what serves now."""
    seconds, serving = context.app.spec.rollout.warm.seconds, context.serving
    since = context.workloads.served_since(serving) if serving is not None else None
    if seconds is None or since is None:
        return None
    return (since + timedelta(seconds=seconds) - context.now).total_seconds()


def gives_up_standby(context: Context) -> bool:
    """Whether a quota has no room for the target's pods beside those that serve and those that are warm."""
    return context.history.candidate is not None and context.label != context.serving and bool(lacks_room(context))


def lacks_room(context: Context) -> str:
    """What the API server says of a quota that keeps the target's pods from being made; empty where none does."""
    state = WorkloadState.of(context.workload) if context.workload is not None else None
    return state.failure if state is not None and state.failure is not None and NO_ROOM in state.failure else ""


def room_note(context: Context, label: str) -> str | None:
    """What the target's workload notes while pods that are ending make room for its own; each number less has the controllers try again.

    They do so by themselves, too, but each time after twice as long, and pods may finish long runs before they end.
    """
    observed, row = context.workload, context.history.candidate
    if label != context.label or observed is None or row is None or not context.switches:
        return None
    noted: str = (observed["metadata"].get("annotations") or {}).get(names.ROOM_ANNOTATION, "")
    noted = noted if noted.startswith(f"{row.sequence} ") else ""
    leaving = sum(pod.deleting and pod.pins != label for pod in context.snapshot.pods)
    return f"{row.sequence} {leaving}" if lacks_room(context) and (noted or leaving) else noted or None


def needed_replicas(context: Context) -> int:
    """As many pods as the target's workload has to have before it serves."""
    serving = context.workloads.get(context.serving)
    return inputs.needed_replicas(context.pinned, serving["spec"].get("replicas", 1) if serving is not None else None)


def replicas_now(context: Context, observed: Manifest | None) -> int:
    """As many of them as are to start by now. Beside what serves they start a few at a time, as in a rollout by strategy Rolling.

    A node on which many start at once leaves those that serve too little to answer their probes.
    """
    needed = needed_replicas(context)
    if context.workloads.get(context.serving) is None:
        return needed
    available = WorkloadState.of(observed).available if observed is not None else 0
    return min(needed, available + max(AT_ONCE, ceil(needed * SURGE)))


def are_others_gone(context: Context) -> bool:
    """Whether no workload of other pins than those that serve is there, nor a pod that is not ending: Service `{app}` would select it."""
    others = [label for label in context.workloads.of_pins if label != context.serving]
    return not others and all(pod.deleting or pod.pins in (PLAIN, context.serving) for pod in context.snapshot.pods)


def has_pods_of_pins(context: Context) -> bool:
    """Whether there is a workload of strategy Switch, or a pod of one that is not ending: what selects `{app}` counts it."""
    made = any(not is_ending(context.workloads.by_label[label]) for label in context.workloads.of_pins)
    return made or any(pod.pins != PLAIN and not pod.deleting for pod in context.snapshot.pods)


def noted_pins(context: Context, label: str) -> Pins | None:
    """Those that a workload itself notes; None where the note is not what we wrote."""
    observed = context.workloads.get(label)
    found = workloads.noted_pins(observed) if observed is not None else None
    return found if found is not None and found.label == label else None
