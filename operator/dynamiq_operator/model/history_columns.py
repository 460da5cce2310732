"""Lists the columns of an App's history for all surfaces: `kubectl get ddep`, the plugin, its JSON, and the REST API.

A new column is one entry of `COLUMNS`. A computed value, such as a duration, is a field of `views.history.HistoryRow` with the same key.
It imports no pydantic: the plugin prints a history without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from dynamiq_operator.model.text import in_camel_case


class Format(StrEnum):
    """The format of a value in a table (`views.columns` implements it). Data has the raw value."""

    PLAIN = "plain"
    CONFIG = "config"
    DURATION = "duration"
    DIGEST = "digest"


@dataclass(frozen=True)
class HistoryColumn:
    """One column. `key`: its name in `HistoryRow` and, in camelCase, in the plugin's JSON.

    `title`: its heading; a value without one is data only.
    `path`: the JSON path of the value in the row; without one `kubectl get` lacks the column.
    `type`, `description`: those of the CustomResourceDefinition. `wide`: True to show it under `-o wide` only.
    `in_plugin`: True if the plugin's table has it. `note`: the text in brackets in its help.
    `spoken`: the name of a wide column in its help. `rest`: the field of REST's row with the raw value; empty if REST has
    none, or transforms it.
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
        """Returns the schema of the value in an OpenAPI document: its type, or null."""
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
        description="How it ended, if the status does not show it: Rejected, Withdrawn, Overtaken or Reverted.",
        in_plugin=False,
        note="Rejected, Withdrawn, Overtaken or Reverted, if status does not show it",
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
    HistoryColumn("bypass_reason", path=".spec.bypass.reason", note="why guards were bypassed", rest="bypass_reason"),
    HistoryColumn("digest", "DIGEST", wide=True, format=Format.DIGEST, spoken="digest", rest="digest"),
    HistoryColumn("reason", rest="reason"),
    HistoryColumn(
        "source",
        "SOURCE",
        ".spec.pinned.source",
        description="App: by spec.deploy of the App. Revert: the operator reverted a bad version. Record: somebody created the row.",
        wide=True,
        in_plugin=False,
        note="App, Revert or Record",
        rest="source",
    ),
)
"""The order is that of the plugin's JSON and the tables. Exception: the name is first in `kubectl get` and last in the plugin."""


def of_kubectl() -> Iterator[HistoryColumn]:
    """Yields the printer columns of `kubectl get ddep`, plain and wide."""
    return (column for column in COLUMNS if column.title and column.path)


def of_plugin(*, wide: bool) -> tuple[HistoryColumn, ...]:
    """Returns the columns of the plugin's table."""
    shown = [column for column in COLUMNS if column.title and column.in_plugin and (wide or not column.wide)]
    return tuple(sorted(shown, key=lambda column: column.key == "name"))


def of_rest() -> Iterator[HistoryColumn]:
    """Yields the columns whose raw values REST's row has."""
    return (column for column in COLUMNS if column.rest)


def path_of(key: str) -> str:
    """Returns the JSON path of a column."""
    return next(column.path for column in COLUMNS if column.key == key)
