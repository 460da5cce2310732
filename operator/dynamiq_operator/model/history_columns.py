"""The columns of an App's history, once for every surface: `kubectl get ddep`, the plugin, its JSON, and the REST API.

A new column is one entry of `COLUMNS`. A value that is computed, such as a duration, is a field of
`views.history.HistoryRow` with the same key. This module imports no pydantic: the plugin prints a history without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dynamiq_operator.model.text import in_camel_case


class Format(StrEnum):
    """How a value becomes text in a table (`views.columns` does it); data has the value as it is."""

    PLAIN = "plain"
    CONFIG = "config"
    DURATION = "duration"
    DIGEST = "digest"


@dataclass(frozen=True)
class HistoryColumn:
    """One column. `key`: its name in `HistoryRow` and, in camelCase, in the plugin's JSON.

    `title`: what stands above it; a value without one is data only.
    `path`: where the value is in the record, as a JSON path of names; without one `kubectl get` has no such column.
    `type`, `description`: as the CustomResourceDefinition has them. `wide`: shown under `-o wide` only.
    `in_plugin`: whether the plugin's table has it. `note`: what its help says of the value in brackets.
    `spoken`: how its help names a wide column. `rest`: the field of REST's row that is the value as it is; empty where REST
    has none, or makes more of it.
    """

    key: str
    title: str = ""
    path: str = ""
    type: str = "string"
    description: str = ""
    wide: bool = False
    in_plugin: bool = True
    format: Format = Format.PLAIN
    note: str = ""
    spoken: str = ""
    rest: str = ""

    @property
    def json_name(self) -> str:
        """The key in camelCase: `created_by` is `createdBy`."""
        return in_camel_case(self.key)

    def json_schema(self) -> dict[str, Any]:
        """The schema of the value in an OpenAPI document: of its type, or null."""
        is_date = self.type == "date"
        named: dict[str, Any] = {"type": "string", "format": "date-time"} if is_date else {"type": self.type}
        return {"anyOf": [named, {"type": "null"}], "title": self.title, **({"description": self.description} if self.description else {})}


COLUMNS: tuple[HistoryColumn, ...] = (
    HistoryColumn("name", "ROW", wide=True, spoken="name", rest="name"),
    HistoryColumn("uid", rest="id"),
    HistoryColumn("app", "APP", ".spec.app", in_plugin=False),
    HistoryColumn("version", "VERSION", ".spec.pinned.workflowVersion"),
    HistoryColumn("description", "DESCRIPTION", ".spec.pinned.description"),
    HistoryColumn("status", "STATUS", ".status.phase", rest="status"),
    HistoryColumn(
        "ending",
        "ENDING",
        ".status.ending",
        description="How it ended, where the status does not tell: Rejected, Withdrawn, Overtaken or Reverted.",
        in_plugin=False,
        note="Rejected, Withdrawn, Overtaken or Reverted, where status does not tell",
        rest="ending",
    ),
    HistoryColumn("created_by", "CREATED BY", ".spec.createdBy"),
    HistoryColumn("runtime", "RUNTIME", ".spec.pinned.runtime.version"),
    HistoryColumn(
        "date",
        "DATE",
        ".spec.pinned.createdAt",
        description="When the deploy began.",
        note="RFC 3339, when the deploy began",
        rest="created_at",
    ),
    HistoryColumn("sequence", "SEQ", ".spec.sequence", "integer", wide=True, spoken="sequence", rest="sequence"),
    HistoryColumn("config", "CONFIG", ".spec.pinned.config", wide=True, format=Format.CONFIG, spoken="config"),
    HistoryColumn("message", "MESSAGE", ".spec.message", wide=True, spoken="message", rest="message"),
    HistoryColumn("provenance", "FROM", wide=True, spoken="where a row came from", rest="provenance"),
    HistoryColumn(
        "duration",
        "DURATION",
        type="number",
        wide=True,
        format=Format.DURATION,
        note="seconds",
        spoken="how long it took",
        rest="duration_seconds",
    ),
    HistoryColumn(
        "waits",
        "WAITS",
        ".status.waits.message",
        description="What the row waits for.",
        wide=True,
        note="what it waits for",
        spoken="what it waits for",
    ),
    HistoryColumn("approved_by", "APPROVED BY", wide=True, note="who approved or resumed it", spoken="who approved it"),
    HistoryColumn("bypass_reason", path=".spec.bypass.reason", note="why rules were gone past", rest="bypass_reason"),
    HistoryColumn("digest", "DIGEST", wide=True, format=Format.DIGEST, spoken="digest", rest="digest"),
    HistoryColumn("reason", rest="reason"),
    HistoryColumn(
        "source",
        "SOURCE",
        ".spec.pinned.source",
        description="App: by spec.deploy of the App. Revert: the operator took a bad version back. Record: somebody created the row.",
        wide=True,
        in_plugin=False,
        note="App, Revert or Record",
        rest="source",
    ),
)
"""In the order of the plugin's JSON and of the tables, but for the name: `kubectl get` begins with it by itself, the plugin ends with it."""


def of_kubectl() -> Iterator[HistoryColumn]:
    """The printer columns of `kubectl get ddep`, plain and wide."""
    return (column for column in COLUMNS if column.title and column.path)


def of_plugin(*, wide: bool) -> tuple[HistoryColumn, ...]:
    """The columns of the plugin's table."""
    shown = [column for column in COLUMNS if column.title and column.in_plugin and (wide or not column.wide)]
    return tuple(sorted(shown, key=lambda column: column.key == "name"))


def of_rest() -> Iterator[HistoryColumn]:
    """The values that REST's row has as they are."""
    return (column for column in COLUMNS if column.rest)


def path_of(key: str) -> str:
    """The JSON path of a column."""
    return next(column.path for column in COLUMNS if column.key == key)
