"""Formats the columns of a history as text and as data."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from dynamiq_operator.model.history_columns import COLUMNS, Format, HistoryColumn
from dynamiq_operator.views.history import HistoryRow, config_in_words, duration_in_words

DIGEST_SHOWN = len("sha256:") + 12

_TEXT: dict[Format, Callable[[Any], str]] = {
    Format.PLAIN: str,
    Format.CONFIG: config_in_words,
    Format.DURATION: duration_in_words,
    Format.DIGEST: lambda digest: str(digest)[:DIGEST_SHOWN],
}


def value(row: HistoryRow, column: HistoryColumn) -> Any:
    """Returns a row's value of a column; None if it has none."""
    return row.more[column.key] if column.key in row.more else getattr(row, column.key)


def cell(row: HistoryRow, column: HistoryColumn) -> str:
    """Returns the value as a table shows it; empty if there is none. Users' text is not escaped yet.

    The status is the row's ending if its phase does not show that.
    """
    shown = row.ending or row.status if column.key == "status" else value(row, column)
    return "" if shown is None else _TEXT[column.format](shown)


def as_data(row: HistoryRow) -> dict[str, Any]:
    """Returns a row's values by their camelCase names, in a fixed order; missing values are None."""
    return {column.json_name: value(row, column) for column in COLUMNS}
