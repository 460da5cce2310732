"""The whole history of an App as summaries, closed rows included, which are not watched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import MappingProxyType
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.guards import GuardReason
from dynamiq_operator.model.last_good import Ran, pair_of
from dynamiq_operator.model.objects import Record
from dynamiq_operator.model.record import Result, Source

ASKED_IN_APP = ("workflowVersion", "runtime", "config", "message")
"""What `App.spec.deploy` and the row that is made of it have in common."""


@dataclass(frozen=True)
class LedgerRow:
    """The summary of a row. `asked`: what it asked, as far as `App.spec.deploy` can ask it.

    `source`: None of one that is not pinned. `pair`: a digest of its flow and its runtime. `restored`: the sequence of the row that it brought back. `unreleased`: whether it waited, or waits, and was never
    rolled out; `held`: whether for what Git asked for after a rollback; `holds`: whether Git waits while this row is live.
    """

    name: str
    uid: str
    sequence: int
    asked: Mapping[str, Any]
    restores: str | None = None
    result: Result | None = None
    flow_hash: str | None = None
    digest: str | None = None
    source: Source | None = None
    pair: str | None = None
    restored: int | None = None
    unreleased: bool = False
    held: bool = False
    holds: bool = False
    author: str | None = None

    @property
    def from_app(self) -> bool:
        """Whether it was made of `App.spec.deploy`, as its pins say."""
        return self.source is Source.APP

    @classmethod
    def of(cls, record: Record) -> LedgerRow:
        return cls._of(record.name, record.meta.uid, record.raw_spec)

    @classmethod
    def of_raw(cls, raw: Mapping[str, Any]) -> LedgerRow:
        """The same of a row as it is stored. What this version cannot read of it, such as the result of a newer one, is no end."""
        return cls._of(raw["metadata"]["name"], raw["metadata"].get("uid", ""), raw["spec"])

    @classmethod
    def _of(cls, name: str, uid: str, spec: Mapping[str, Any]) -> LedgerRow:
        pinned, outcome = spec.get("pinned") or {}, spec.get("outcome") or {}
        result, source = outcome.get("result"), pinned.get("source")
        return cls(
            name=name,
            uid=uid,
            sequence=spec.get("sequence") or 0,
            asked={key: spec[key] for key in ASKED_IN_APP if key in spec},
            restores=spec.get("restores"),
            result=Result(result) if result in set(Result) else None,
            flow_hash=pinned.get("workflowHash"),
            digest=pinned.get("digest"),
            source=Source(source) if source in set(Source) else None,
            pair=pair_of(pinned) if pinned else None,
            restored=(pinned.get("restores") or {}).get("sequence"),
            unreleased=bool(pinned.get("guards")) and "released" not in spec,
            author=spec.get("createdBy"),
            holds=bool(pinned.get("holds")) or source == Source.REVERT,
            held=any(guard.get("reason") == GuardReason.HELD for guard in pinned.get("guards") or ()),
        )


@dataclass(frozen=True)
class _Index:
    """What a whole history is asked for, by name and in order; made once for many changes that follow."""

    rows: Mapping[str, LedgerRow]

    @cached_property
    def in_order(self) -> tuple[LedgerRow, ...]:
        return _ordered(self.rows.values())

    @cached_property
    def flows(self) -> Counter[str]:
        """By hash of a flow, the rows that name it."""
        return Counter(row.flow_hash for row in self.rows.values() if row.flow_hash)

    @cached_property
    def authors(self) -> frozenset[str]:
        return frozenset(row.author for row in self.rows.values() if row.author)

    @cached_property
    def highest(self) -> int:
        return self.in_order[-1].sequence if self.in_order else 0

    @cached_property
    def last_pinned(self) -> LedgerRow | None:
        return next((row for row in reversed(self.in_order) if row.digest), None)

    @cached_property
    def newest(self) -> dict[Source, LedgerRow]:
        """By source, the newest row that has not failed."""
        return {row.source: row for row in self.in_order if row.source is not None and row.result is not Result.FAILED}

    @cached_property
    def deploy_rows(self) -> dict[str, tuple[LedgerRow, ...]]:
        """What `of_deploy_spec` found, by App."""
        return {}


_CHANGES_MOST = 64


@dataclass(frozen=True)
class Ledger:
    """The rows of a history: those of an index, and `changed` since, None for one that was deleted.

    `known` is False where the history has not been read, since nothing asked for it. What a change costs, and what is asked at each
    plan, does not depend on how long the history is.
    """

    index: _Index = _Index(MappingProxyType({}))
    changed: Mapping[str, LedgerRow | None] = field(default_factory=lambda: MappingProxyType({}))
    known: bool = False

    @classmethod
    def of(cls, rows: Iterable[LedgerRow]) -> Ledger:
        """The ledger of a history that has been read."""
        return cls(_Index({row.name: row for row in rows}), known=True)

    def having(self, records: Iterable[Record]) -> Ledger:
        """This ledger with these rows as they are now."""
        rows = (LedgerRow.of(record) for record in records)
        return self._with({row.name: row for row in rows if self.get(row.name) != row})

    def without(self, name: str) -> Ledger:
        return self._with({name: None}) if self.get(name) is not None else self

    def get(self, name: str) -> LedgerRow | None:
        """The row of this name."""
        return self.changed[name] if name in self.changed else self.index.rows.get(name)

    def all(self) -> Iterator[LedgerRow]:
        """Every row, those without a sequence included."""
        yield from (row for name, row in self.index.rows.items() if name not in self.changed)
        yield from self._added

    @cached_property
    def in_order(self) -> tuple[LedgerRow, ...]:
        """Rows that have a sequence, oldest first."""
        return _ordered(self.all()) if self.changed else self.index.in_order

    @property
    def highest(self) -> int:
        """The highest sequence that was seen, 0 where there is none."""
        return max((self.index.highest, *(row.sequence for row in self._added)))

    @property
    def last_pinned(self) -> tuple[int, str] | None:
        """Sequence and digest of the newest pinned row."""
        before = self.index.last_pinned
        if before is not None and self.get(before.name) is None:
            pinned = list(self.in_order)
        else:
            pinned = [row for row in (before, *self._added) if row is not None]
        return max(((row.sequence, row.digest) for row in pinned if row.digest), default=None)

    @property
    def count(self) -> int:
        """How many rows there are, at most: those without a sequence are counted, too."""
        return len(self.index.rows) + sum(1 for name in self.changed if name not in self.index.rows)

    @property
    def authors(self) -> frozenset[str]:
        """Who asked for its rows; of rows that were deleted, too."""
        return self.index.authors | {row.author for row in self._added if row.author}

    def names_flow(self, flow_hash: str) -> bool:
        """Whether a row names this flow."""
        gone = sum(before.flow_hash == flow_hash for name in self.changed if (before := self.index.rows.get(name)) is not None)
        return self.index.flows[flow_hash] > gone or any(row.flow_hash == flow_hash for row in self._added)

    def newest(self, source: Source) -> LedgerRow | None:
        """The newest pinned row of this source that has not failed."""
        before = self.index.newest.get(source)
        if before is not None and self.get(before.name) != before:
            rows: Iterable[LedgerRow] = self.in_order  # it has been deleted, or has ended
        else:
            rows = (row for row in (before, *self._added) if row is not None)
        found = (row for row in rows if row.source is source and row.result is not Result.FAILED)
        return max(found, key=lambda row: row.sequence, default=None)

    @property
    def ran(self) -> tuple[Ran, ...]:
        """The pinned rows, newest first, but for those that were never rolled out."""
        rolled_out = (row for row in reversed(self.in_order) if not row.unreleased)
        return tuple(Ran(row.name, row.sequence, row.pair, row.restored, row.result) for row in rolled_out if row.pair is not None)

    def of_deploy_spec(self, app: str) -> tuple[LedgerRow, ...]:
        """The rows that were made of `App.spec.deploy`, oldest first.

        A row that failed before it was pinned has no source yet; it is known by its name, which only such a row has.
        """
        if app not in self.index.deploy_rows:
            self.index.deploy_rows[app] = _of_deploy_spec(self.index.in_order, app, ())
        before = self.index.deploy_rows[app]
        numbered = [row for row in self._added if row.sequence]
        if None in self.changed.values() or any(row.sequence <= self.index.highest for row in numbered):
            return _of_deploy_spec(self.in_order, app, ())  # not only rows that came after all others
        return _of_deploy_spec(_ordered(numbered), app, before)

    @property
    def _added(self) -> Iterator[LedgerRow]:
        return (row for row in self.changed.values() if row is not None)

    def _with(self, changes: Mapping[str, LedgerRow | None]) -> Ledger:
        """A new index is made once for as many changes as pay for it."""
        if not changes:
            return self
        changed = {**self.changed, **changes}
        if len(changed) <= max(_CHANGES_MOST, len(self.index.rows) // 8):
            return Ledger(self.index, changed, self.known)
        rows = {**self.index.rows, **changed}
        return Ledger(_Index({name: row for name, row in rows.items() if row is not None}), known=self.known)


def _ordered(rows: Iterable[LedgerRow]) -> tuple[LedgerRow, ...]:
    return tuple(sorted((row for row in rows if row.sequence), key=lambda row: row.sequence))


def _of_deploy_spec(rows: Iterable[LedgerRow], app: str, before: tuple[LedgerRow, ...]) -> tuple[LedgerRow, ...]:
    found = list(before)
    for row in rows:
        if row.from_app or _has_name_of_deploy_spec(row, app, found[-1] if found else None):
            found.append(row)
    return tuple(found)


def _has_name_of_deploy_spec(row: LedgerRow, app: str, last: LedgerRow | None) -> bool:
    """The name's form is compared first: a hash for each row of a long history would cost more than the rest of a plan."""
    return names.may_be_declared(app, row.name) and row.name == names.declared_row(app, row.asked, last.sequence if last else 0)
