"""A row as an auditor reads it: what ran, who asked for it, who agreed, how and when it ended, and for how long it was live."""

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
    """That a row went live. `at`: when, as it is stored; `moment`: the same as a time."""

    sequence: int
    moment: datetime
    at: str

    @classmethod
    def of(cls, raw: Manifest) -> WentLive | None:
        """None of a row that did not."""
        outcome = raw["spec"].get("outcome") or {}
        if outcome.get("result") != SUCCEEDED:
            return None
        return cls(raw["spec"].get("sequence") or 0, parse_time(outcome["at"]), outcome["at"])


def live_until(went_live: Iterable[WentLive]) -> dict[int, str | None]:
    """By sequence of each row of a history that went live, when a newer one did; None where it is live still."""
    found: dict[int, str | None] = {}
    next_: WentLive | None = None
    for each in sorted(went_live, reverse=True):
        found[each.sequence] = next_.at if next_ is not None else None
        next_ = each if next_ is None or each.moment < next_.moment else next_
    return found


@dataclass(frozen=True)
class AuditedRow:
    """One row. Times are RFC 3339; a value that a row lacks is None.

    `result`: Succeeded, Failed or Overtaken, None of one that has not ended. `waited_for`: the guards that its pins note.
    `author_verified`: whether the API server stamped who created it; None before it was pinned. `misfit`: why it does not verify.
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
        """The row as it is stored. When it ceased to be live, whether it was reverted, and whether it verifies, its history says."""
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
        """The row in its history. `until`: what `live_until` says of it; `misfit`: why it does not verify; `reverts`: what `live_reverts` finds."""
        if self.live_from is None:
            return replace(self, misfit=misfit)
        row = replace(self.row, ending=Ending.REVERTED) if names.revert_row(self.row.app, self.row.name) in reverts else self.row
        return replace(self, row=row, live_until=until.get(self.row.sequence or 0), misfit=misfit)


@dataclass(frozen=True)
class AuditColumn:
    """One value of a row. `key`: its name in CSV and in REST's JSON. `title`: what stands above it in a table; without one it is data only.

    `text`: the value as text, where it is more than that of `str`.
    """

    key: str
    value: Callable[[AuditedRow], Any]
    title: str = ""
    text: Callable[[Any], Cell] | None = None

    def cell(self, row: AuditedRow) -> Cell:
        """The value in a sheet; None where there is none."""
        found = self.value(row)
        return self.text(found) if self.text is not None and found is not None else found


def _config(config: Mapping[str, Any]) -> str:
    return "; ".join(filter(None, (config_in_words(config), compute_in_words(config))))


def _in_a_word(row: AuditedRow) -> str:
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
"""In the order of every form. `result` of a row that has not ended is its status."""
TABLE = tuple(replace(column, value=_in_a_word) if column.key == "result" else column for column in COLUMNS if column.title)
"""A table has room for one word, where data has `result` and `ending`."""


def as_data(row: AuditedRow, spelled: Callable[[str], str] = in_camel_case) -> dict[str, Any]:
    """The values by their names, as the plugin spells them, or as `spelled` does; what is not there is None."""
    return {spelled(column.key): column.value(row) for column in COLUMNS}
