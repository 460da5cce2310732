"""Merges the changes of an App's settings with its rows. It reads AppChanges as they are stored, without validating them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model.history_columns import HistoryColumn
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.text import in_camel_case
from dynamiq_operator.views.columns import DIGEST_SHOWN
from dynamiq_operator.views.history import HistoryRow

SETTINGS = "Settings"
"""The value in the column of a row's status."""


@dataclass(frozen=True)
class ChangeRow:
    """One AppChange. `after`: the sequence of the row that was the newest then. Missing values are None."""

    name: str
    uid: str
    app: str
    sequence: int
    reason: str
    date: str
    after: int | None
    by: str | None
    by_verified: bool
    generation: Mapping[str, Any]
    changes: Sequence[Mapping[str, Any]]
    summary: str
    digest: str

    @classmethod
    def of(cls, raw: Manifest) -> ChangeRow:
        """Returns the change of a stored AppChange."""
        meta, spec = raw["metadata"], raw["spec"]
        return cls(
            name=meta["name"],
            uid=meta.get("uid", ""),
            app=spec["app"],
            sequence=spec["sequence"],
            reason=spec["reason"],
            date=spec["at"],
            after=spec.get("after"),
            by=spec.get("by"),
            by_verified=bool(spec.get("byVerified")),
            generation=spec["generation"],
            changes=tuple(spec.get("changes") or ()),
            summary=spec["summary"],
            digest=spec["digest"],
        )


Entry = HistoryRow | ChangeRow


def newest_first(changes: Iterable[Manifest]) -> list[ChangeRow]:
    """Returns the changes of one App, newest first."""
    return sorted(map(ChangeRow.of, changes), key=lambda each: each.sequence, reverse=True)


def among(rows: Iterable[HistoryRow], changes: Sequence[ChangeRow]) -> list[Entry]:
    """Merges rows and changes, both newest first. A change is right above the row that was the newest when it was seen."""
    entries: list[Entry] = []
    remaining = list(reversed(changes))
    for row in rows:
        while remaining and row.sequence is not None and (remaining[-1].after or 0) >= row.sequence:
            entries.append(remaining.pop())
        entries.append(row)
    return [*entries, *reversed(remaining)]


def cell(change: ChangeRow, column: HistoryColumn) -> str:
    """Returns the text of a change for a column of rows; empty if it has none. Users' text is not escaped yet."""
    values = {
        "description": change.summary,
        "status": SETTINGS,
        "created_by": change.by,
        "date": change.date,
        "digest": change.digest[:DIGEST_SHOWN],
        "name": change.name,
    }
    return values.get(column.key) or ""


def as_data(change: ChangeRow) -> dict[str, Any]:
    """Returns the change's values by their camelCase names, in a fixed order; missing values are None."""
    return {in_camel_case(name): value for name, value in vars(change).items()} | {
        "generation": {"from": change.generation.get("from"), "to": change.generation.get("to")},
        "changes": [{key: each.get(key) for key in ("field", "name", "change", "from", "to")} for each in change.changes],
    }
