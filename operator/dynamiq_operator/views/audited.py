"""Renders a row as an auditor reads it: what ran, who deployed and approved it, how it ended, and how long it was live."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from dynamiq_operator.model import names
from dynamiq_operator.model.endings import Ending
from dynamiq_operator.model.manifests import Manifest, parse_time
from dynamiq_operator.model.text import in_camel_case
from dynamiq_operator.views.history import HistoryRow, compute_in_words, config_in_words

if TYPE_CHECKING:
    from dynamiq_operator.views.sheets import Cell

SUCCEEDED = "Succeeded"


class WentLive(NamedTuple):
    """The time at which a row went live. `at`: as it is stored; `moment`: parsed."""

    sequence: int
    moment: datetime
    at: str

    @classmethod
    def of(cls, raw: Manifest) -> WentLive | None:
        """Returns None for a row that never went live."""
        outcome = raw["spec"].get("outcome") or {}
        if outcome.get("result") != SUCCEEDED:
            return None
        return cls(raw["spec"].get("sequence") or 0, parse_time(outcome["at"]), outcome["at"])


def live_until(went_live: Iterable[WentLive]) -> dict[int, str | None]:
    """Returns when a newer row went live, by sequence of each row that went live; None if it is still live."""
    ends: dict[int, str | None] = {}
    next_: WentLive | None = None
    for event in sorted(went_live, reverse=True):
        ends[event.sequence] = next_.at if next_ is not None else None
        next_ = event if next_ is None or event.moment < next_.moment else next_
    return ends


@dataclass(frozen=True)
class AuditedRow:
    """One row. Times are RFC 3339; missing values are None.

    `result`: Succeeded, Failed or Overtaken; None if the row has not ended. `waited_for`: the guards among its pins. `author_verified`:
    True if the API server stamped its author; None before it is pinned. `misfit`: why it does not verify.
    """

    namespace: str
    row: HistoryRow
    result: str | None
    ended: str | None
    image: str | None
    flow_hash: str | None
    waited_for: tuple[str, ...]
    author_verified: bool | None
    live_from: str | None = None
    live_until: str | None = None
    misfit: str | None = None

    @classmethod
    def of(cls, raw: Manifest) -> AuditedRow:
        """Returns the row as stored. `within` adds what its history decides: `live_until`, a revert, and `misfit`."""
        spec = raw["spec"]
        pinned, outcome = spec.get("pinned") or {}, spec.get("outcome") or {}
        result = outcome.get("result")
        return cls(
            namespace=raw["metadata"]["namespace"],
            row=HistoryRow.of(raw),
            result=result,
            ended=outcome.get("at"),
            image=(pinned.get("runtime") or {}).get("image"),
            flow_hash=pinned.get("workflowHash"),
            waited_for=tuple(dict.fromkeys(str(guard.get("reason")) for guard in pinned.get("guards") or ())),
            author_verified=bool(pinned.get("createdByVerified")) if pinned else None,
            live_from=outcome.get("at") if result == SUCCEEDED else None,
        )

    def within(self, until: Mapping[int, str | None], misfit: str | None = None, reverts: Container[str] = ()) -> AuditedRow:
        """Returns the row with what its history decides.

        `until`: from `live_until`; `misfit`: why it does not verify; `reverts`: from `live_reverts`.
        """
        if self.live_from is None:
            return replace(self, misfit=misfit)
        row = replace(self.row, ending=Ending.REVERTED) if names.revert_row(self.row.app, self.row.name) in reverts else self.row
        return replace(self, row=row, live_until=until.get(self.row.sequence or 0), misfit=misfit)


@dataclass(frozen=True)
class AuditColumn:
    """One value of a row.

    `key`: its name in CSV and in REST's JSON. `title`: its heading in a table; without one it is data only. `text`: formats the value if
    `str` is not enough.
    """

    key: str
    value: Callable[[AuditedRow], Any]
    title: str = ""
    text: Callable[[Any], Cell] | None = None

    def cell(self, row: AuditedRow) -> Cell:
        """Returns the value for a sheet; None if there is none."""
        value = self.value(row)
        return self.text(value) if self.text is not None and value is not None else value


def _config(config: Mapping[str, Any]) -> str:
    return "; ".join(filter(None, (config_in_words(config), compute_in_words(config))))


def _shown_result(row: AuditedRow) -> str:
    return row.row.ending or row.result or row.row.status


COLUMNS: tuple[AuditColumn, ...] = (
    AuditColumn("namespace", lambda each: each.namespace, "NAMESPACE"),
    AuditColumn("app", lambda each: each.row.app, "APP"),
    AuditColumn("sequence", lambda each: each.row.sequence, "SEQ"),
    AuditColumn("name", lambda each: each.row.name),
    AuditColumn("began", lambda each: each.row.date, "BEGAN"),
    AuditColumn("version", lambda each: each.row.version, "VERSION"),
    AuditColumn("description", lambda each: each.row.description),
    AuditColumn("result", lambda each: each.result or each.row.status, "RESULT"),
    AuditColumn("ending", lambda each: each.row.ending),
    AuditColumn("reason", lambda each: each.row.reason),
    AuditColumn("ended", lambda each: each.ended),
    AuditColumn("live_from", lambda each: each.live_from),
    AuditColumn("live_until", lambda each: each.live_until),
    AuditColumn("created_by", lambda each: each.row.created_by, "CREATED BY"),
    AuditColumn("author_verified", lambda each: each.author_verified),
    AuditColumn("approved_by", lambda each: each.row.approved_by, "APPROVED BY"),
    AuditColumn("waited_for", lambda each: list(each.waited_for), text=", ".join),
    AuditColumn("bypass_reason", lambda each: each.row.more["bypass_reason"]),
    AuditColumn("provenance", lambda each: each.row.provenance, "FROM"),
    AuditColumn("source", lambda each: each.row.more["source"]),
    AuditColumn("message", lambda each: each.row.message, "MESSAGE"),
    AuditColumn("runtime", lambda each: each.row.runtime),
    AuditColumn("image", lambda each: each.image),
    AuditColumn("config", lambda each: each.row.config, text=_config),
    AuditColumn("flow_hash", lambda each: each.flow_hash),
    AuditColumn("digest", lambda each: each.row.digest),
    AuditColumn("fits", lambda each: each.misfit is None),
    AuditColumn("misfit", lambda each: each.misfit),
)
"""All values, in the order of every form. `result` of a row that has not ended is its status."""
TABLE = tuple(replace(column, value=_shown_result) if column.key == "result" else column for column in COLUMNS if column.title)
"""The columns of a table. It has room for one word, where data has `result` and `ending`."""


def as_data(row: AuditedRow) -> dict[str, Any]:
    """Returns the values by their names in camelCase; missing values are None."""
    return {in_camel_case(column.key): column.value(row) for column in COLUMNS}
