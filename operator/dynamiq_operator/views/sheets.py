"""Writes tables for other programs: CSV in which a spreadsheet runs nothing, and Markdown in which users' text stays text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from dynamiq_operator.model.text import on_one_line

Cell = str | int | float | bool | None

_RISKY = re.compile(r'((?:^|[;,|\t\r\n"]) *)(?=[=+\-@\t\r＝＋－＠])')
"""The begin of a cell that a spreadsheet runs as a formula or command.

Blanks may come first. Other separators than the comma begin a cell in some spreadsheets.
"""
_MARKUP = re.compile(r"[\\`*_\[\]<>&|~$@^#!]|:(?=//)|(?<=mailto):|(?<=xmpp):|(?<=www)\.", re.IGNORECASE)
"""Letters that are markup in some Markdown, or that make a link of the text around them."""
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def csv_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """Returns rows as CSV (RFC 4180). Text that would be a formula gets an apostrophe before it; control characters are escaped."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue()


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """Returns the lines of a table. The header is not escaped."""
    lines = [header, ["---"] * len(header), *([escaped(value) for value in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def escaped(value: Cell) -> str:
    """Returns text for one line of any Markdown, in which nothing is markup, HTML or a link; empty for None."""
    if value is None:
        return ""
    return _MARKUP.sub(lambda match: _ENTITIES.get(match[0], f"\\{match[0]}"), on_one_line(str(value)))


def _cell(value: Cell) -> Cell:
    if isinstance(value, bool):
        return str(value).lower()
    return _RISKY.sub(r"\1'", on_one_line(value)) if isinstance(value, str) else value
