"""Evaluates if a row can be rolled back to now. If not, it explains why, in the sentences with which its rollback would end.

Anything that the caller may not read is unknown: neither present nor missing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.model.completion import complete_config, is_by_digest, missing_flow, why_no_image, why_not_restorable
from dynamiq_operator.model.guard_objects import Rejection
from dynamiq_operator.model.guards import RowKind, StandingGuard
from dynamiq_operator.model.objects import App, Row
from dynamiq_operator.model.row import Config, ConfigType, Pinned
from dynamiq_operator.plan.children.variables import missing_keys, references
from dynamiq_operator.plan.guards.hold import runs_alike
from dynamiq_operator.plan.guards.requirements import rejection_sentence

YES, NO, UNKNOWN, WARM = "yes", "no", "unknown", "warm"


@dataclass(frozen=True)
class Stock:
    """The objects that decide if rows of an App can be rolled back to. None: the caller may not read them.

    `live`: what the App serves; None before the first deploy. `flows`: hashes of the flows that are kept. `rejected`: the valid Rejection
    of each flow, by hash. `named`: the keys of each Secret and ConfigMap
    that variables name, None if it does not exist; without those that the caller may not read. `deprecated`: names of Runtimes.
    """

    app: App
    live: Row | None
    flows: frozenset[str] | None
    rejected: Mapping[str, Rejection] | None
    named: Mapping[ChildKey, frozenset[str] | None]
    deprecated: frozenset[str] = frozenset()

    @property
    def pins(self) -> Pinned | None:
        """The pins of the live row."""
        return self.live.pinned if self.live is not None else None


@dataclass(frozen=True)
class Deployable:
    """The evaluation of one row.

    `ok`: None if unknown. `reasons`: why it cannot be rolled back to, or what is unknown. `waits`: the guards that would block its
    rollback. `notes`: further facts. `warm`: True if its pods are Ready, so that calls move at once; None if unknown.
    """

    ok: bool | None
    reasons: tuple[str, ...] = ()
    waits: tuple[StandingGuard, ...] = ()
    notes: tuple[str, ...] = ()
    warm: bool | None = None

    def as_json(self) -> dict[str, Any]:
        """Returns all of it as data."""
        return {
            "ok": self.ok,
            "reasons": list(self.reasons),
            "waits": [guard.message for guard in self.waits],
            "notes": list(self.notes),
            "warm": self.warm,
        }

    @property
    def in_words(self) -> str:
        """The text of a table's cell: `yes, warm`, `yes, waits: AwaitingApproval; Runtime 1.0 is deprecated`, `no: row support-x7k2p
        failed: …`.
        """
        if self.ok is not True:
            return f"{NO if self.ok is False else UNKNOWN}: {'; '.join((*self.reasons, *self.notes))}"
        waits = ", ".join(dict.fromkeys(guard.reason for guard in self.waits))
        text = ", ".join([YES, *([WARM] if self.warm else []), *([f"waits: {waits}"] if waits else [])])
        return "; ".join((text, *self.notes))


IN_ARCHIVE = Deployable(None, ("it is archived: a preview says if you can roll back to it now",))
"""The evaluation of a row that left the cluster: a list does not read for each if its flow is in the archive, too."""


def deployable(row: Row, stock: Stock, warm: bool | None = None) -> Deployable:
    """Evaluates a row of the App. `warm`: True if the pods that it would run are Ready; None if unknown."""
    pinned = row.pinned
    if (why_not := why_not_restorable(row)) is not None or pinned is None:
        return Deployable(False, (why_not or f"row {row.name} has no pins",))
    runs = stock.pins is not None and _same(pinned, stock.pins)
    obstacles = tuple(_obstacles(row.name, pinned, stock, runs))
    doubts = tuple(_doubts(stock, runs, warm))
    waits = tuple(guard for guard in stock.app.status.guards if RowKind.ROLLBACK in guard.applies_to)
    ok = False if obstacles else None if doubts else True
    return Deployable(ok, obstacles + doubts, waits, tuple(_notes(pinned, stock)), warm)


def rollback_pins(row: Pinned, live: Pinned | None) -> Pinned:
    """Returns the pins of a rollback to a row: its flow on its runtime, scaled as the live row."""
    config = complete_config(None, live.config if live is not None else None, row.runtime)
    return row.model_copy(update={"config": config}) if isinstance(config, Config) else row


def _same(row: Pinned, live: Pinned) -> bool:
    """Returns True if a rollback to the row would run on the pods that serve, without starting new ones."""
    return Pins.of(rollback_pins(row, live)).label == Pins.of(live).label


def _obstacles(name: str, pinned: Pinned, stock: Stock, runs: bool) -> Iterator[str]:
    if stock.flows is not None and pinned.workflow_hash not in stock.flows:
        yield missing_flow(name, pinned)
    live = stock.pins
    rejected = stock.rejected.get(pinned.workflow_hash) if stock.rejected is not None else None
    if rejected is not None and (live is None or not runs_alike(live, pinned)):
        yield rejection_sentence(pinned.workflow_version, rejected)
    if (why_not := why_no_image(pinned.runtime, stock.app.status.image_policy, live.runtime if live is not None else None)) is not None:
        yield why_not
    if not runs:
        yield from missing_keys(stock.app, stock.named)


def _doubts(stock: Stock, runs: bool, warm: bool | None) -> Iterator[str]:
    if stock.flows is None:
        yield "you may not read whether its flow is kept"
    if runs:
        return
    if stock.rejected is None:
        yield "you may not read Rejections"
    unread = dict.fromkeys(reference.of for reference in references(stock.app) if reference.of not in stock.named)
    if unread and not warm:
        yield f"you may not read {' and '.join(f'{kind} {name}' for kind, name in unread)}, which variables name"


def _notes(pinned: Pinned, stock: Stock) -> Iterator[str]:
    runtime = pinned.runtime
    if runtime.name in stock.deprecated:
        yield f"Runtime {runtime.name} is deprecated"
    if not is_by_digest(runtime):
        yield f"Runtime {runtime.name} names its image by a tag ({runtime.image}), which may be another image now"
    live = stock.pins
    if pinned.config.type is ConfigType.SERVERLESS and live is not None and live.config.type is not ConfigType.SERVERLESS:
        yield "it was serverless: with its own config (--with-config) it sleeps behind dynamiq-gate, which has to be installed"
