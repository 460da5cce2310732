"""The whole history of an App as summaries, closed rows included, which are not watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Record
from dynamiq_operator.model.record import Result, Source

ASKED_IN_APP = ("workflowVersion", "runtime", "config", "message")
"""What `App.spec.deploy` and the row that is made of it have in common."""


@dataclass(frozen=True)
class LedgerRow:
    """The summary of a row. `asked`: what it asked, as far as `App.spec.deploy` can ask it."""

    name: str
    uid: str
    sequence: int
    asked: Mapping[str, Any]
    restores: str | None = None
    result: Result | None = None
    flow_hash: str | None = None
    digest: str | None = None
    from_app: bool = False

    @classmethod
    def of(cls, record: Record) -> LedgerRow:
        pinned, outcome = record.pinned, record.outcome
        asked = record.spec.as_json()
        return cls(
            name=record.name,
            uid=record.meta.uid,
            sequence=record.sequence,
            asked={name: asked[name] for name in ASKED_IN_APP if name in asked},
            restores=record.spec.restores,
            result=outcome.result if outcome else None,
            flow_hash=pinned.workflow_hash if pinned else None,
            digest=pinned.digest if pinned else None,
            from_app=pinned is not None and pinned.source is Source.APP,
        )


@dataclass(frozen=True)
class Ledger:
    """The rows by name. `known` is False where the history has not been read, since nothing asked for it."""

    rows: Mapping[str, LedgerRow] = field(default_factory=lambda: MappingProxyType({}))
    known: bool = False

    def having(self, records: Iterable[Record]) -> Ledger:
        """This ledger with these rows as they are now."""
        return Ledger({**self.rows, **{record.name: LedgerRow.of(record) for record in records}}, self.known)

    def without(self, name: str) -> Ledger:
        return Ledger({key: row for key, row in self.rows.items() if key != name}, self.known)

    @cached_property
    def in_order(self) -> tuple[LedgerRow, ...]:
        """Rows that have a sequence, oldest first."""
        return tuple(sorted((row for row in self.rows.values() if row.sequence), key=lambda row: row.sequence))

    @property
    def highest(self) -> int:
        """The highest sequence, 0 where there is none."""
        return self.in_order[-1].sequence if self.in_order else 0

    @property
    def last_digest(self) -> str | None:
        """Digest of the newest pinned row."""
        return next((row.digest for row in reversed(self.in_order) if row.digest), None)

    def of_deploy_spec(self, app: str) -> tuple[LedgerRow, ...]:
        """The rows that were made of `App.spec.deploy`, oldest first.

        A row that failed before it was pinned has no source yet; it is known by its name, which only such a row has.
        """
        found: list[LedgerRow] = []
        for row in self.in_order:
            if row.from_app or _has_name_of_deploy_spec(row, app, found[-1] if found else None):
                found.append(row)
        return tuple(found)


def _has_name_of_deploy_spec(row: LedgerRow, app: str, last: LedgerRow | None) -> bool:
    """The name's form is compared first: a hash for each row of a long history would cost more than the rest of a plan."""
    return names.may_be_declared(app, row.name) and row.name == names.declared_row(app, row.asked, last.sequence if last else 0)
