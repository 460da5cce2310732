"""Decides which earlier pins keep their workload for their conversations, or get it again. It makes none.

A conversation is answered by pods of the pins that it began on. Under strategy Switch each set of pins has its own workload. It stays
beside the target's and the standby while a conversation is open, and for a minute after the last one.

While the journal is away its last counts stand: nothing is deleted or scaled.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.pin_labels import PLAIN
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model.objects import Row
from dynamiq_operator.plan.context import Context

MOST = 20
"""Workloads of one App that are there for conversations only. Turns on further pins find no pod."""
KEPT = timedelta(seconds=60)
"""How long a workload is kept that no conversation needs, and how long more pods than they need."""
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


def keeps_conversations(context: Context) -> bool:
    """Returns True if conversations stay on the version that they began on."""
    is_set = context.app.spec.sessions is not None and context.app.spec.is_private
    return is_set and context.switches and context.snapshot.settings.journal is not None


def conversing(context: Context) -> Mapping[str, Pins | None]:
    """Returns the pins, by label, that have a workload for their conversations, those with the newest turns first.

    The standby's may be among them; the target's, the serving and the live ones are not.
    """
    if not context.snapshot.open_runs.talks or not keeps_conversations(context):
        return {}  # most Apps, at no cost
    others = (context.label, context.serving, context.live_pins.label if context.live_pins is not None else None)
    found = {label: pins_of(context, label) for label in _in_order(context) if label not in others and _is_open(context, label)}
    kept = [label for label, pins in found.items() if _can_be(context, label, pins) and not is_closed(context, pins)]
    return {label: found[label] for label in kept[:MOST]}


def holds_conversations(context: Context, label: str) -> bool:
    """Returns True if a workload that nothing needs may have conversations that are not counted yet."""
    if not keeps_conversations(context) or label == PLAIN or is_closed(context, pins_of(context, label)):
        return False
    if not context.snapshot.open_runs.is_known:
        return True
    if not context.workloads.served(label) or context.serving is None:
        return False
    left = context.workloads.served_since(context.serving)
    return left is None or context.snapshot.now - left < KEPT  # it is noted a moment after the switch


def is_closed(context: Context, pins: Pins | None) -> bool:
    """Returns True if pins may have no conversation: their flow is rejected, and they are neither live nor the target's."""
    served = {each.digest for each in (context.live_pins, context.target_pins) if each is not None}
    return pins is not None and pins.digest not in served and pins.flow in context.snapshot.guards.rejections


def open_talks(context: Context) -> tuple[str, ...]:
    """Returns the labels of the pins with open conversations, by the last counts, whatever has a workload."""
    return tuple(label for label, each in context.snapshot.open_runs.talks.items() if each.is_open)


def pins_of(context: Context, label: str) -> Pins | None:
    """Returns the pins of a label: as their workload notes them, else from their row; None if neither is at hand."""
    observed = context.workloads.get(label)
    pins = workloads.noted_pins(observed) if observed is not None else None
    if pins is not None and pins.label == label:
        return pins
    row = row_of(context, label)
    return Pins.of(row.pinned) if row is not None and row.pinned is not None else None


def row_of(context: Context, label: str) -> Row | None:
    """Returns the newest row of pins that is at hand."""
    rows = (*context.history.rows, *context.snapshot.open_runs.rows.values())
    own = [row for row in rows if row.pinned is not None and Pins.of(row.pinned).label == label]
    return max(own, key=lambda row: row.sequence, default=None)


def _in_order(context: Context) -> list[str]:
    talks = context.snapshot.open_runs.talks
    return sorted(talks, key=lambda label: (talks[label].turns_wait, talks[label].last_turn or _LONG_AGO, label), reverse=True)


def _is_open(context: Context, label: str) -> bool:
    each = context.snapshot.open_runs.talks_of(label)
    if each.is_open or context.workloads.get(label) is None:
        return each.is_open  # after the last one it stays for a minute, and is not made again
    return not context.snapshot.open_runs.is_known or (each.ended is not None and context.snapshot.now - each.ended < KEPT)


def _can_be(context: Context, label: str, pins: Pins | None) -> bool:
    return pins is not None or context.workloads.get(label) is not None
