"""Writes YAML with marked places: the parts of a template that its manifest does not have.

An edit puts a mark in the place of a value, or where lines are added. `write` prints the objects as YAML and replaces the marks by the
template's own text. The YAML printer therefore never sees Go's template language.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

WIDTH = 140
FOLDED_FROM = 100
"""Letters from which a text of one line is written over several."""
_BLOCK = re.compile(r"^( *)(- )?(MARK-\d+-BLOCK)(: null)?$")
_VALUE = re.compile(r"MARK-\d+-VALUE")
_DEEPER = re.compile(r"\bnindent \+(\d+)")


class Marks:
    """The marks of one template, and the texts that replace them."""

    def __init__(self) -> None:
        self._texts: dict[str, str] = {}

    def value(self, expression: str) -> str:
        """Returns a mark for a scalar: `{{ expression }}`."""
        return self._mark(f"{{{{ {expression} }}}}", "VALUE")

    def block(self, text: str) -> str:
        """Returns a mark for lines: a key of a mapping with None as its value, or an item of a list.

        The lines get the mark's indentation; `nindent +2` in them is 2 deeper than that.
        """
        return self._mark(text.strip("\n"), "BLOCK")

    def _mark(self, text: str, kind: str) -> str:
        mark = f"MARK-{len(self._texts)}-{kind}"
        self._texts[mark] = text
        return mark

    def write(self, objects: Iterable[Any]) -> str:
        """Returns the objects as YAML documents, with the texts in place of the marks; an object's own `{{` is escaped."""
        text = yaml.dump_all(objects, Dumper=_Dumper, sort_keys=False, width=WIDTH, allow_unicode=True)
        lines = [line for each in text.replace("{{", '{{ "{{" }}').splitlines() for line in self._lines(each)]
        return "\n".join(lines) + "\n"

    def _lines(self, line: str) -> list[str]:
        if (block := _BLOCK.match(line)) is None:
            return [_VALUE.sub(lambda mark: self._texts[mark[0]], line)]
        indent = block[1]
        text = _DEEPER.sub(lambda deeper: f"nindent {len(indent) + int(deeper[1])}", self._texts[block[3]])
        return [indent + each if each else each for each in text.splitlines()]


class _Dumper(yaml.SafeDumper):
    """Writes each object out in full, and long texts over several lines."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - PyYAML's signature
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else ">" if len(text) > FOLDED_FROM else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
