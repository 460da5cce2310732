"""Writes Markdown from the plain words of models and parsers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\*_>\[\]{}#])")
_CODE = re.compile(r"(`[^`]+`)")


def plain(text: str) -> str:
    """Returns a sentence on one line. Text in backticks becomes code; all other signs of Markdown are escaped."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if at % 2 else _SPECIAL.sub(r"\\\1", part).replace("<", "&lt;") for at, part in enumerate(parts))


def paragraphs(text: str) -> str:
    """Returns sentences with empty lines between paragraphs."""
    return "\n\n".join(plain(part) for part in re.split(r"\n\s*\n", text.strip()))


def code(text: str) -> str:
    """Returns a name, a path or a value as code."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def block(text: str, language: str = "text") -> str:
    """Returns a block of code, whatever its content is."""
    longest = max((len(run) for run in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Returns a table of cells that are Markdown already; empty if there is no row."""
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *lines, ""])


def _cell(text: str) -> str:
    """Escapes pipes: a pipe ends a cell, even in code."""
    return re.sub(r"(?<!\\)\|", r"\|", " ".join(text.split()))


def page(*parts: str) -> str:
    """Joins the parts of a page, with empty lines between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
