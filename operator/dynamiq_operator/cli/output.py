"""Formats text for a terminal or a pipe: tables, colours, the dot before a status. It escapes control characters in values."""

from __future__ import annotations

import io
import os
import re
import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, TextIO

from dynamiq_operator.model.manifests import GROUP, Phase, parse_time
from dynamiq_operator.model.recorder import RunStatus, Verdict
from dynamiq_operator.model.text import on_one_line

GAP = "   "
DOT = "●"
COLOURS = {"green": "32", "red": "31", "yellow": "33", "cyan": "36", "grey": "90", "bold": "1"}
STATUS_COLOURS: dict[str, str] = {
    Phase.LIVE: "green",
    Phase.SUPERSEDED: "grey",
    Phase.FAILED: "red",
    Phase.PROGRESSING: "yellow",
    Phase.PENDING: "yellow",
    RunStatus.SUCCEEDED: "green",
    RunStatus.FAILED: "red",
    RunStatus.TIMED_OUT: "red",
    RunStatus.CUT_OFF: "red",
    RunStatus.REFUSED: "yellow",
    Verdict.REGRESSED: "red",
    Verdict.IMPROVED: "green",
}
"""Colours of rows, of runs and their nodes, and of comparisons; grey for any other status."""
UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))
DIFF_COLOURS = {"+": "green", "-": "red", "@": "cyan"}
_NOT_PLAIN = re.compile(r"[^\t\x20-\x7e]+")


def safe(text: object, keep: str = "") -> str:
    """Returns a value with its control and format characters escaped, except those in `keep`."""
    return on_one_line(str(text), keep)


def age(since: str, now: datetime) -> str:
    """Returns how long ago an RFC 3339 time is, in its largest unit: `3d`, `5m`."""
    seconds = max((now - parse_time(since)).total_seconds(), 0)
    unit, size = next((each for each in UNITS if seconds >= each[1]), UNITS[-1])
    return f"{int(seconds // size)}{unit}"


class Screen:
    """One output stream. It has no colours with NO_COLOR or TERM=dumb, and none unless it is a terminal."""

    def __init__(self, stream: TextIO) -> None:
        # A deploy that was done must not end as a failure to print that, so what the stream's encoding lacks is escaped.
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
        self._stream = stream
        self.is_terminal = stream.isatty()
        self.has_colours = self.is_terminal and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"

    @property
    def width(self) -> int | None:
        """Columns of the terminal; None for a pipe or a file."""
        if not self.is_terminal:
            return None
        try:
            return int(os.environ.get("COLUMNS", "")) or None
        except ValueError:
            pass
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or None
        except OSError:
            return None

    def write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()

    def lines(self, lines: Iterable[str]) -> None:
        self.write("".join(f"{line}\n" for line in lines))

    def paint(self, colour: str, text: str) -> str:
        return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m" if self.has_colours else text

    def status(self, status: str, width: int = 0) -> str:
        """Returns a status, padded; with its dot if the stream has colours, without a dot if the status is empty."""
        dot = f"{self.paint(STATUS_COLOURS.get(status, 'grey'), DOT if status else ' ')} " if self.has_colours else ""
        return dot + status.ljust(width)

    def preview(self, lines: Iterable[str]) -> None:
        """Prints a preview: escaped, with the lines of its diff in colours."""
        is_diff = False
        for line in lines:
            is_diff = is_diff or line == ""
            text = safe(line, keep="\t")
            colour = DIFF_COLOURS.get(line[:1]) if is_diff else None
            self.lines([self.paint(colour, text) if colour else text])


class Table:
    """A table whose columns are as wide as their widest cell. Rows that are added later keep these widths."""

    def __init__(self, header: Sequence[str], rows: Sequence[Sequence[str]], screen: Screen, *, cut: str = "", status: str = "") -> None:
        self._screen = screen
        self._rows = rows
        self._header = list(header)
        self._status = header.index(status) if status in header else -1
        self._widths = [max([display_width(name), *(display_width(row[at]) for row in rows)]) for at, name in enumerate(header)]
        self._cut = header.index(cut) if cut in header else -1
        self._fit()

    def lines(self) -> list[str]:
        """Returns the header and the first rows."""
        return [self.header(), *map(self.row, self._rows)]

    def header(self) -> str:
        padded = [_pad(name, width) for name, width in zip(self._header, self._widths, strict=True)]
        if self._status >= 0 and self._screen.has_colours:
            padded[self._status] = f"  {padded[self._status]}"
        return GAP.join(padded).rstrip()

    def row(self, row: Sequence[str]) -> str:
        cells = enumerate(zip(row, self._widths, strict=True))
        padded = [_pad(truncate(cell, width) if at == self._cut else cell, width) for at, (cell, width) in cells]
        if self._status >= 0:
            padded[self._status] = self._screen.status(row[self._status], self._widths[self._status])
        return GAP.join(padded).rstrip()

    def _fit(self) -> None:
        """Shortens one column if lines are too long for the terminal."""
        if self._cut < 0 or self._screen.width is None:
            return
        dot = 2 if self._screen.has_colours and self._status >= 0 else 0
        over = sum(self._widths) + len(GAP) * (len(self._widths) - 1) + dot - self._screen.width
        if over > 0:
            self._widths[self._cut] = max(self._widths[self._cut] - over, len(self._header[self._cut]))


def display_width(text: str) -> int:
    """Returns how many terminal columns a text occupies."""
    if text.isascii():
        return len(text)
    return sum(0 if unicodedata.combining(letter) else 2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _pad(text: str, width: int) -> str:
    return text + " " * max(width - display_width(text), 0)


def truncate(text: str, width: int) -> str:
    """Returns a text, shortened with `…` to at most `width` terminal columns."""
    if display_width(text) <= width:
        return text
    kept = ""
    for letter in text:
        if display_width(kept + letter) >= width:
            break
        kept += letter
    return f"{kept}…"


def as_json(data: Any, *, compact: bool = False) -> str:
    """Returns JSON in ASCII, so that no value can control a terminal."""
    import json

    return json.dumps(data, indent=None if compact else 2)


def in_ascii(line: str) -> str:
    """Returns a line of JSON with control and non-ASCII characters as JSON's escapes: the same data, but it cannot control a terminal."""
    import json

    return _NOT_PLAIN.sub(lambda match: json.dumps(match[0])[1:-1].replace("\x7f", "\\u007f"), line)


def indented(value: Any) -> str:
    """Returns a text, or other data as JSON, for a terminal, each line indented."""
    import json

    text = value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)
    return "\n".join(f"  {line}" for line in safe(text, keep="\n\t").split("\n"))


def as_yaml(data: Any) -> str:
    """Returns YAML in ASCII."""
    import yaml

    return yaml.safe_dump(data, sort_keys=False, allow_unicode=False).rstrip("\n")


def as_manifests(objects: Iterable[Any], heading: Iterable[str]) -> str:
    """Returns objects as YAML for kubectl, after a comment with the lines of `heading`.

    Texts of several lines stay readable for reviewers.
    """
    import yaml

    class Dumper(yaml.SafeDumper):
        def ignore_aliases(self, _: Any) -> bool:
            return True

    def text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
        # Everything but plain words is quoted: YAML 1.1 and 1.2 disagree about numbers, times and truth values.
        style = "|" if "\n" in value else None if _PLAIN_WORD.fullmatch(value) and value.lower() not in _NO_WORDS else '"'
        return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)

    Dumper.add_representer(str, text)
    comment = "".join(f"# {safe(line)}\n" for line in heading)
    return comment + "".join(
        f"---\n{yaml.dump(each, Dumper=Dumper, sort_keys=False, allow_unicode=False, width=10**9)}" for each in objects
    )


_PLAIN_WORD = re.compile(r"[A-Za-z][\w./-]+")
_NO_WORDS = frozenset(("true", "false", "yes", "no", "on", "off", "null"))

JSONPATH = "jsonpath="
DATA = ("json", "yaml", f"{JSONPATH}TEMPLATE")


def is_data(how: str | None) -> bool:
    """Returns True if `-o` asks for data of any form, not for a table."""
    return how in DATA or (how or "").startswith(JSONPATH)


def formatted(data: Any, how: str) -> str:
    """Returns data as `json`, as `yaml`, or by the template of `jsonpath=…`."""
    if not how.startswith(JSONPATH):
        return as_yaml(data) if how == "yaml" else as_json(data)
    from dynamiq_operator.cli.jsonpath import rendered

    return safe(rendered(how.removeprefix(JSONPATH), data), keep="\n\t")


def named(kind: str, name: str) -> str:
    """Returns an object as `-o name` prints it, and as kubectl takes it: `app.dynamiq.getdynamiq.ai/support`."""
    return safe(f"{kind.lower()}.{GROUP}/{name}")
