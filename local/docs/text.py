"""Markdown of what models and parsers say in plain words."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SPECIAL = re.compile(r"([\\*_>\[\]{}#])")
_CODE = re.compile(r"(`[^`]+`)")


def plain(text: str) -> str:
    """A sentence on one line. What stands in backticks is code; no other sign of it means anything in Markdown."""
    parts = _CODE.split(" ".join(text.split()))
    return "".join(part if at % 2 else _SPECIAL.sub(r"\\\1", part).replace("<", "&lt;") for at, part in enumerate(parts))


def paragraphs(text: str) -> str:
    """Sentences with empty lines between paragraphs."""
    return "\n\n".join(plain(part) for part in re.split(r"\n\s*\n", text.strip()))


def code(text: str) -> str:
    """A name, a path or a value."""
    return f"`` {text} ``" if "`" in text else f"`{text}`"


def block(text: str, language: str = "text") -> str:
    """A block of code, whatever stands in it."""
    longest = max((len(found) for found in re.findall("`{3,}", text)), default=2)
    fence = "`" * (longest + 1)
    return f"{fence}{language}\n{text.rstrip()}\n{fence}\n"


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table, of cells that are Markdown already; empty where there is no row."""
    lines = ["| " + " | ".join(_cell(cell) for cell in row) + " |" for row in rows]
    if not lines:
        return ""
    return "\n".join(["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|", *lines, ""])


def _cell(text: str) -> str:
    """A pipe ends a cell, also in code, but for one that is escaped."""
    return re.sub(r"(?<!\\)\|", r"\|", " ".join(text.split()))


def page(*parts: str) -> str:
    """Parts of a page, with empty lines between them."""
    return "\n\n".join(part.strip("\n") for part in parts if part.strip()) + "\n"
