"""Decides which open background runs the journal has to hold, since their version was rejected, and which it lets go on. It calls nothing.

Runs of the live version and of the target are never held: a Rejection stops no pod. While the counts or the Rejections are unknown nothing
is decided.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from dynamiq_operator.model.objects import App
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.open_runs import OpenCount
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.workloads.finishing import pins_of


@dataclass(frozen=True)
class Holding:
    """A change of the open runs of these pins, a digest, by the journal.

    `holds`: True to hold them, False to let those go on that were held for a Rejection. `cancels`: True to cancel them instead.
    `held`: runs of the pins that are held now. If that stays after the call, they are held for another reason.
    """

    pins: str
    holds: bool
    cancels: bool = False
    held: int = 0


def holdings(snapshot: Snapshot, app: App) -> tuple[Holding, ...]:
    """Returns what the journal has to do for an App; empty for most."""
    open_runs = snapshot.open_runs
    if not open_runs.counts or not open_runs.is_known or snapshot.guards.unknown or app.meta.deleting:
        return ()
    return tuple(_holdings(Context.of(snapshot, app)))


def held_as_rejected(context: Context) -> tuple[str, ...]:
    """Returns the labels of rejected pins with held runs."""
    rejected = context.snapshot.guards.rejections
    held = (label for label, count in context.snapshot.open_runs.counts.items() if count.held) if rejected else ()
    return tuple(sorted(label for label in held if _is_rejected(context, label)))


def _holdings(context: Context) -> Iterator[Holding]:
    open_runs, runs = context.snapshot.open_runs, context.app.spec.runs
    cancels, served = runs is not None and runs.cancels_rejected, {context.live_pins, context.target_pins}
    for label, count in open_runs.counts.items():
        rejected = _is_rejected(context, label)
        if rejected is False and count.held:
            yield Holding(open_runs.digests[label], holds=False, held=count.held)
        elif rejected and label not in {pins.label for pins in served if pins is not None} and _may_be_held(count, cancels=cancels):
            yield Holding(open_runs.digests[label], holds=True, cancels=cancels, held=count.held)


def _may_be_held(count: OpenCount, *, cancels: bool) -> bool:
    return bool(count.active or count.waiting or (cancels and count.held))


def _is_rejected(context: Context, label: str) -> bool | None:
    """Returns True if the flow of these pins is rejected; None if it is unknown which flow it is."""
    pins = pins_of(context, label)
    return pins.flow in context.snapshot.guards.rejections if pins is not None else None
