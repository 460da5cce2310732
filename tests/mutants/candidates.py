"""Makes mutants with mutmut's operators. It runs in an environment that has mutmut (`MUTMUT`), and reads and writes JSON.

Run as a program: `{"root": …, "files": […], "seed": …, "count": …}` in, a list of mutants out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

from tests.mutants.picking import Place, hunk, lines_of_functions, pick

LEFT_ALONE = (libcst.Annotation, libcst.Decorator, libcst.Import, libcst.ImportFrom)
"""Nodes without mutants: types have no effect when a program runs; decorators and imports fail before any test."""


@dataclass(frozen=True)
class Candidate:
    """A node of a module, and its replacement by one of mutmut's operators."""

    module: libcst.Module
    node: libcst.CSTNode
    operator: str
    mutated: libcst.CSTNode

    def mutant(self, file: str) -> dict[str, Any]:
        line, old, new = hunk(self.module.code, self.module.deep_replace(self.node, self.mutated).code)
        return {"file": file, "line": line, "operator": self.operator, "old": old, "new": new}


@lru_cache
def _nodes(path: Path) -> tuple[libcst.Module, dict[int, list[libcst.CSTNode]]]:
    """Returns a module and its nodes by the line at which they begin."""
    wrapper = MetadataWrapper(libcst.parse_module(path.read_text()))
    positions = wrapper.resolve(PositionProvider)
    by_line: dict[int, list[libcst.CSTNode]] = {}
    for node in _below(wrapper.module):
        by_line.setdefault(positions[node].start.line, []).append(node)
    return wrapper.module, by_line


def _below(node: libcst.CSTNode) -> Iterator[libcst.CSTNode]:
    if not isinstance(node, LEFT_ALONE):
        yield node
        for child in node.children:
            yield from _below(child)


def candidates(root: Path, place: Place) -> list[Candidate]:
    """Returns every mutant of a line."""
    file, line = place
    module, nodes = _nodes(root / file)
    return [
        Candidate(module, node, operator.__name__, mutated)
        for node in nodes.get(line, [])
        for kind, operator in mutation_operators
        if isinstance(node, kind)
        for mutated in operator(node)
        if not _lacks_an_argument(node, mutated)
    ]


def _lacks_an_argument(before: libcst.CSTNode, after: libcst.CSTNode) -> bool:
    """Returns True if a call has fewer positional arguments, which Python refuses for any function."""
    calls = (before, after)
    plain = [[each for each in call.args if each.keyword is None] for call in calls if isinstance(call, libcst.Call)]
    return len(plain) == len(calls) and len(plain[1]) < len(plain[0])


def main() -> None:
    """Answers the request on standard input."""
    request = json.load(sys.stdin)
    root = Path(request["root"])
    places = [(file, line) for file in request["files"] for line in lines_of_functions((root / file).read_text())]
    picked = pick(places, request["seed"], request["count"], lambda place: candidates(root, place))
    json.dump([candidate.mutant(file) for (file, _), candidate in picked], sys.stdout)


if __name__ == "__main__":
    main()
