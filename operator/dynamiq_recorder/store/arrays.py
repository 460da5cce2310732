"""Converts lines of a table to arrays of PostgreSQL, one for each column: many lines go in one statement. It sends none."""

from __future__ import annotations

from collections.abc import Sequence

from dynamiq_recorder.store.database import Cell

_TEXT = frozenset(
    (
        *("source", "status", "reason", "trigger_name", "session_id", "user_id", "tags", "models", "pins", "workflow_version"),
        *("workflow_hash", "trace_id", "span_id", "parent_id", "node_id", "name", "type", "model", "provider", "error_type", "cost_source"),
        *("error", "input", "output", "extra", "kind", "value", "folded", "by_whom", "comment", "uid", "digest"),
        *("app_uid", "namespace", "app", "key_name", "idempotency_key", "request_hash", "headers", "state", "holder", "cancel_by", "node"),
        *("hold_reason", "answer_by", "url", "token", "replica", "pod", "field_counts"),
    )
)
_KINDS = {
    "id": "uuid",
    "sketch": "bytea",
    "data": "bytea",
    "content": "bytea",
    "answer": "bytea",
    "metadata": "bytea",
    "cost_sketch": "bytea",
    "token_sketch": "bytea",
    "tokens_squared": "double precision",
    "priced_cost_squared": "double precision",
}
_OF_TABLES = {
    "scores": {"value": "double precision"},
    "part": {"state": "bytea"},
    "question": {"id": "text"},
    "callback": {"status": "bigint"},
    "meta": {"value": "bigint"},
}


def kinds(table: str, columns: Sequence[str]) -> list[str]:
    """Returns the columns' types. A whole number is read as bigint and stored as the column has it."""
    special = _KINDS | _OF_TABLES.get(table, {})
    return [special.get(column) or ("text" if column in _TEXT else "bigint") for column in columns]


def literals(types: Sequence[str], lines: Sequence[Cell]) -> list[str]:
    """Returns the text of an array for each column."""
    arrays = []
    for kind, values in zip(types, zip(*lines, strict=True) if lines else ((),) * len(types), strict=True):
        if kind in ("text", "bytea"):
            quoted = (_quoted(value) if kind == "text" else f'"\\\\x{value.hex()}"' if value is not None else "NULL" for value in values)
        else:
            quoted = ("NULL" if value is None else str(value) for value in values)
        arrays.append(f"{{{','.join(quoted)}}}")
    return arrays


def _quoted(text: str | None) -> str:
    if text is None:
        return "NULL"
    if "\\" in text or '"' in text:
        text = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{text}"'
