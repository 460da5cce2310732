"""What changed of an App's settings, among its rows: the values of AppChanges, read as they are stored, without validating them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model.history_columns import HistoryColumn
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.views.columns import DIGEST_SHOWN
from dynamiq_operator.views.history import HistoryRow

SETTINGS = "Settings"
"""What stands in the place of a row's status."""


@dataclass(frozen=True)
class ChangeRow:
    """One AppChange. `after`: the sequence of the row that was the newest then. A value that it lacks is None."""

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
        """The change of an AppChange as it is stored."""
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
    """The changes of one App, newest first."""
    return sorted(map(ChangeRow.of, changes), key=lambda each: each.sequence, reverse=True)


def among(rows: Iterable[HistoryRow], changes: Sequence[ChangeRow]) -> list[Entry]:
    """Rows and changes together, newest first as each of them is: a change stands right above the row that was the newest when it was seen."""
    found: list[Entry] = []
    left = list(reversed(changes))
    for row in rows:
        while left and row.sequence is not None and (left[-1].after or 0) >= row.sequence:
            found.append(left.pop())
        found.append(row)
    return [*found, *reversed(left)]


def cell(change: ChangeRow, column: HistoryColumn) -> str:
    """What a change has for a column of rows, empty where it has nothing. What users wrote is not escaped yet."""
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
    """A change's values by their names in camelCase, in a fixed order; what is not there is None."""
    return {
        "name": change.name,
        "uid": change.uid,
        "app": change.app,
        "sequence": change.sequence,
        "reason": change.reason,
        "date": change.date,
        "after": change.after,
        "by": change.by,
        "byVerified": change.by_verified,
        "generation": {"from": change.generation.get("from"), "to": change.generation.get("to")},
        "changes": [{key: each.get(key) for key in ("field", "name", "change", "from", "to")} for each in change.changes],
        "summary": change.summary,
        "digest": change.digest,
    }
