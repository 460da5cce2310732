"""Tables as files that other programs open: CSV of which a spreadsheet runs nothing, and Markdown in which text of users stays text."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from dynamiq_operator.model.text import on_one_line

Cell = str | int | float | bool | None

_RISKY = re.compile(r'((?:^|[;,|\t\r\n"]) *)(?=[=+\-@\t\r＝＋－＠])')
"""Behind it a cell begins that is a formula, or a command, to a spreadsheet, which reads over blanks before it; so does one after a separator, in
one that takes another separator."""
_MARKUP = re.compile(r"[\\`*_\[\]<>&|~$@^#!]|:(?=//)|(?<=mailto):|(?<=xmpp):|(?<=www)\.", re.IGNORECASE)
"""Letters that are markup in a cell of some Markdown, or that make a link of what stands around them."""
_ENTITIES = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}


def csv_lines(rows: Iterable[Sequence[Cell]]) -> str:
    """The rows as RFC 4180 has them. Text that would be a formula has an apostrophe before it; control characters are escaped."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows([_cell(value) for value in row] for row in rows)
    return written.getvalue()


def markdown_table(header: Sequence[str], rows: Iterable[Sequence[Cell]]) -> list[str]:
    """The lines of a table. The header is taken as it is."""
    lines = [header, ["---"] * len(header), *([escaped(value) for value in row] for row in rows)]
    return [f"| {' | '.join(line)} |" for line in lines]


def escaped(value: Cell) -> str:
    """Text for a line of Markdown, of whatever kind, in which nothing of it is markup, HTML or a link; empty for None."""
    if value is None:
        return ""
    return _MARKUP.sub(lambda found: _ENTITIES.get(found[0], f"\\{found[0]}"), on_one_line(str(value)))


def _cell(value: Cell) -> Cell:
    if isinstance(value, bool):
        return str(value).lower()
    return _RISKY.sub(r"\1'", on_one_line(value)) if isinstance(value, str) else value
