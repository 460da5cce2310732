"""The whole history of an App as summaries. It includes closed rows, which are not watched. It reads nothing itself."""

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
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.row import Result, Source

DEPLOY_FIELDS = ("workflowVersion", "runtime", "config", "message")
"""The fields that `App.spec.deploy` and a row made from it share."""


@dataclass(frozen=True)
class LedgerRow:
    """The summary of a row.

    - `content`: its fields, as far as `App.spec.deploy` has these fields.
    - `source`: None for an unpinned row.
    - `pair`: a digest of its flow and its runtime.
    - `restored`: the sequence of the row to which it rolled back.
    - `unreleased`: True if it waits, or waited, and was never rolled out.
    - `held`: True if it waits, or waited, because of a hold.
    - `holds`: True if Git's changes wait while this row is live.
    """

    name: str
    uid: str
    sequence: int
    content: Mapping[str, Any]
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
        """True if its pins show that it was made from `App.spec.deploy`."""
        return self.source is Source.APP

    @classmethod
    def of(cls, row: Row) -> LedgerRow:
        return cls._of(row.name, row.meta.uid, row.raw_spec)

    @classmethod
    def of_raw(cls, raw: Mapping[str, Any]) -> LedgerRow:
        """Returns the summary of a row as it is stored. An unknown value, such as the result of a newer version, counts as none."""
        return cls._of(raw["metadata"]["name"], raw["metadata"].get("uid", ""), raw["spec"])

    @classmethod
    def _of(cls, name: str, uid: str, spec: Mapping[str, Any]) -> LedgerRow:
        pinned, outcome = spec.get("pinned") or {}, spec.get("outcome") or {}
        result, source = outcome.get("result"), pinned.get("source")
        return cls(
            name=name,
            uid=uid,
            sequence=spec.get("sequence") or 0,
            content={key: spec[key] for key in DEPLOY_FIELDS if key in spec},
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
    """The lookups of a whole history, by name and in order. They are made once and serve many later changes."""

    rows: Mapping[str, LedgerRow]

    @cached_property
    def in_order(self) -> tuple[LedgerRow, ...]:
        return _ordered(self.rows.values())

    @cached_property
    def flows(self) -> Counter[str]:
        """The number of rows that name a flow, by its hash."""
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
        """The newest row that has not failed, by source."""
        return {row.source: row for row in self.in_order if row.source is not None and row.result is not Result.FAILED}

    @cached_property
    def deploy_rows(self) -> dict[str, tuple[LedgerRow, ...]]:
        """The cached results of `of_deploy_spec`, by App."""
        return {}


_CHANGES_MOST = 64


@dataclass(frozen=True)
class Ledger:
    """The rows of a history: those of an index, and `changed` since; None marks a deleted row.

    `known` is False while the history has not been read, since no decision needed it. The costs of a change, and of the lookups in each
    plan, do not depend on the length of the history.
    """

    index: _Index = _Index(MappingProxyType({}))
    changed: Mapping[str, LedgerRow | None] = field(default_factory=lambda: MappingProxyType({}))
    known: bool = False

    @classmethod
    def of(cls, rows: Iterable[LedgerRow]) -> Ledger:
        """Returns the ledger of a history that has been read."""
        return cls(_Index({row.name: row for row in rows}), known=True)

    def having(self, records: Iterable[Row]) -> Ledger:
        """Returns this ledger with the present state of these rows."""
        rows = (LedgerRow.of(record) for record in records)
        return self._with({row.name: row for row in rows if self.get(row.name) != row})

    def without(self, name: str) -> Ledger:
        return self._with({name: None}) if self.get(name) is not None else self

    def get(self, name: str) -> LedgerRow | None:
        """Returns the row of this name; None if there is none."""
        return self.changed[name] if name in self.changed else self.index.rows.get(name)

    def all(self) -> Iterator[LedgerRow]:
        """Yields every row, including those without a sequence."""
        yield from (row for name, row in self.index.rows.items() if name not in self.changed)
        yield from self._added

    @cached_property
    def in_order(self) -> tuple[LedgerRow, ...]:
        """The rows with a sequence, oldest first."""
        return _ordered(self.all()) if self.changed else self.index.in_order

    @property
    def highest(self) -> int:
        """The highest sequence of all rows; 0 if there is none."""
        return max((self.index.highest, *(row.sequence for row in self._added)))

    @property
    def last_pinned(self) -> tuple[int, str] | None:
        """The sequence and digest of the newest pinned row; None if there is none."""
        before = self.index.last_pinned
        if before is not None and self.get(before.name) is None:
            pinned = list(self.in_order)
        else:
            pinned = [row for row in (before, *self._added) if row is not None]
        return max(((row.sequence, row.digest) for row in pinned if row.digest), default=None)

    @property
    def count(self) -> int:
        """The number of rows at most: rows without a sequence count, too, and so do deleted ones of the index."""
        return len(self.index.rows) + sum(1 for name in self.changed if name not in self.index.rows)

    @property
    def authors(self) -> frozenset[str]:
        """The authors of its rows, including deleted rows of the index."""
        return self.index.authors | {row.author for row in self._added if row.author}

    def names_flow(self, flow_hash: str) -> bool:
        """Returns True if a row names this flow."""
        replaced = sum(before.flow_hash == flow_hash for name in self.changed if (before := self.index.rows.get(name)) is not None)
        return self.index.flows[flow_hash] > replaced or any(row.flow_hash == flow_hash for row in self._added)

    def newest(self, source: Source) -> LedgerRow | None:
        """Returns the newest pinned row of this source that has not failed; None if there is none."""
        before = self.index.newest.get(source)
        if before is not None and self.get(before.name) != before:
            rows: Iterable[LedgerRow] = self.in_order  # it has been deleted, or has ended
        else:
            rows = (row for row in (before, *self._added) if row is not None)
        candidates = (row for row in rows if row.source is source and row.result is not Result.FAILED)
        return max(candidates, key=lambda row: row.sequence, default=None)

    @property
    def ran(self) -> tuple[Ran, ...]:
        """The pinned rows, newest first, without those that were never rolled out."""
        rolled_out = (row for row in reversed(self.in_order) if not row.unreleased)
        return tuple(Ran(row.name, row.sequence, row.pair, row.restored, row.result) for row in rolled_out if row.pair is not None)

    def of_deploy_spec(self, app: str) -> tuple[LedgerRow, ...]:
        """Returns the rows made from `App.spec.deploy`, oldest first.

        A row that failed before it was pinned has no source. It is known by its name, which only such a row has.
        """
        if app not in self.index.deploy_rows:
            self.index.deploy_rows[app] = _of_deploy_spec(self.index.in_order, app, ())
        before = self.index.deploy_rows[app]
        numbered = [row for row in self._added if row.sequence]
        if None in self.changed.values() or any(row.sequence <= self.index.highest for row in numbered):
            return _of_deploy_spec(self.in_order, app, ())  # a row is older than the newest of the index, or was deleted
        return _of_deploy_spec(_ordered(numbered), app, before)

    @property
    def _added(self) -> Iterator[LedgerRow]:
        return (row for row in self.changed.values() if row is not None)

    def _with(self, changes: Mapping[str, LedgerRow | None]) -> Ledger:
        """Returns the ledger with these changes. It rebuilds the index only after many changes, so that its cost is shared."""
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
    matching = list(before)
    for row in rows:
        if row.from_app or _has_name_of_deploy_spec(row, app, matching[-1] if matching else None):
            matching.append(row)
    return tuple(matching)


def _has_name_of_deploy_spec(row: LedgerRow, app: str, last: LedgerRow | None) -> bool:
    # The form of the name is compared first: a hash for each row of a long history would cost more than the rest of a plan.
    return names.may_be_declared(app, row.name) and row.name == names.declared_row(app, row.content, last.sequence if last else 0)
