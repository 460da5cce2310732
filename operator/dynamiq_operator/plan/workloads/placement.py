"""Decides what the journal has to know of where an App's conversations belong. It calls nothing.

Pins that are rejected or reverted have no conversation any more, unless they are live or the target. While Rejections or the journal's
counts are unknown nothing is decided.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from dynamiq_operator.desired.base import SERVICE
from dynamiq_operator.desired.pin_labels import PLAIN, SHORT
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model import names
from dynamiq_operator.model.app_status import FinishingVersion
from dynamiq_operator.model.endings import Ending, ending, is_live_revert
from dynamiq_operator.model.journal import placement_digest
from dynamiq_operator.model.objects import App, Row
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.moved import MovedSessions
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.workloads.finishing import pins_of, version_of

TAKEN = "it was deployed with --take-sessions"


@dataclass(frozen=True)
class Placing:
    """The placement of an App's conversations. `body`: as the journal gets it.

    `titles`: versions by pins. `closed_by`: why pins have no conversation any more.
    """

    body: Mapping[str, Any]
    titles: Mapping[str, str]
    closed_by: Mapping[str, str]

    @cached_property
    def digest(self) -> str:
        return placement_digest(self.body)

    def moved(self, counts: Mapping[str, int], key: str) -> tuple[MovedSessions, ...]:
        """Returns what the journal has moved, by its answer. `key`: tells this answer from others."""
        to = self.titles.get(self.body["live"] or "", "")
        return tuple(
            MovedSessions(count, self.titles.get(pins, ""), to, self.closed_by.get(pins, TAKEN), f"{key}/{pins}")
            for pins, count in sorted(counts.items())
            if count > 0
        )


def placing(snapshot: Snapshot, app: App) -> Placing | None:
    """Returns the placement of an App's conversations; None if it has none, or if something that decides it is unknown."""
    if app.spec.sessions is None or app.meta.deleting or names.RESTORING_ANNOTATION in app.meta.annotations:
        return None
    if snapshot.unreadable or snapshot.guards.unknown or not snapshot.open_runs.is_known:
        return None
    return _placing(Context.of(snapshot, app))


def _placing(context: Context) -> Placing:
    versions = {each.pins: each for label in _labels(context) if (each := version_of(context, label)) is not None}
    live = context.live_pins
    closed = dict(_closed(context, versions))
    body = {
        "live": live.digest if live is not None else None,
        "rows": {pins: _row(context, each) for pins, each in versions.items()},
        "closed": sorted(closed),
        "taken": _taken(context.history.live, live),
    }
    return Placing(body, {pins: each.title for pins, each in versions.items()}, closed)


def _labels(context: Context) -> Iterator[str]:
    """Yields the labels of all pins that an object at hand names."""
    rows = (*context.history.rows, *context.snapshot.open_runs.rows.values())
    labels = [Pins.of(row.pinned).label for row in rows if row.pinned is not None and row.sequence]
    labels += [*context.workloads.of_pins, *context.workloads.finishing]
    labels += [each.pins[:SHORT] for each in context.app.status.finishing]
    yield from dict.fromkeys(label for label in labels if label != PLAIN)


def _row(context: Context, version: FinishingVersion) -> dict[str, Any]:
    label = version.pins[:SHORT]
    pins, service = pins_of(context, label), names.turns(context.app.meta.name, label)
    return {
        "sequence": version.sequence,
        # A turn sent to a Service that is not there would be lost.
        "service": service if SERVICE.key(service) in context.snapshot.children.observed else None,
        "workflow_hash": pins.flow if pins is not None else None,
    }


def _closed(context: Context, versions: Mapping[str, FinishingVersion]) -> Iterator[tuple[str, str]]:
    """Yields the pins that have no conversation any more, each with why."""
    served = {pins.digest for pins in (context.live_pins, context.target_pins) if pins is not None}
    labels = {pins: pins[:SHORT] for pins in versions}
    labels |= {pins.digest: label for label in _labels(context) if (pins := pins_of(context, label)) is not None}
    for digest, label in labels.items():
        flow, version = pins_of(context, label), versions.get(digest)
        title = version.title if version is not None else "it"
        if digest in served:
            continue
        if flow is not None and flow.flow in context.snapshot.guards.rejections:
            yield digest, f"{_short(title)} was rejected"
        elif version is not None and _is_reverted(context, version):
            yield digest, f"{_short(title)} was reverted"


def _short(title: str) -> str:
    return title.partition(" ")[0]


def _is_reverted(context: Context, version: FinishingVersion) -> bool:
    live = context.history.live
    reverts = {live.name} if live is not None and is_live_revert(live.raw_spec) else set[str]()
    rows = (*context.history.rows, *context.snapshot.open_runs.rows.values())
    row = next((each for each in rows if each.name == version.row), None)
    if row is None:  # only the App's status names it
        return names.revert_row(context.app.meta.name, version.row) in reverts
    return ending(row.name, row.raw_spec, reverts, row.status.ending) == Ending.REVERTED


def _taken(live: Row | None, pins: Pins | None) -> dict[str, Any] | None:
    if live is None or pins is None or live.outcome is None or not live.spec.take_sessions:
        return None
    return {"pins": pins.digest, "before": live.outcome.at}
