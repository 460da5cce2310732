"""Makes mutants with mutmut's operators. It runs in an environment that has mutmut (`MUTMUT`), and reads and answers JSON.

Run as a program: `{"root": …, "lines": {file: [line, …]}, "seed": …, "count": …}` in, a list of mutants out.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import libcst
from libcst.metadata import MetadataWrapper, PositionProvider
from mutmut.mutation.mutators import mutation_operators

from tests.mutants.picking import Place, hunk, pick

LEFT_ALONE = (libcst.Annotation, libcst.Decorator, libcst.Import, libcst.ImportFrom)
"""Types are not looked at when a program runs; decorators and imports fail before any test."""


@dataclass(frozen=True)
class Candidate:
    """A node of a module, and what one of mutmut's operators makes of it."""

    module: libcst.Module
    node: libcst.CSTNode
    operator: str
    mutated: libcst.CSTNode

    def mutant(self, file: str) -> dict[str, Any]:
        line, old, new = hunk(self.module.code, self.module.deep_replace(self.node, self.mutated).code)
        return {"file": file, "line": line, "operator": self.operator, "old": old, "new": new}


def candidates(root: Path, lines: Mapping[str, Collection[int]]) -> Iterator[tuple[Place, Candidate]]:
    """Yields every mutant of these lines."""
    for file, wanted in sorted(lines.items()):
        wrapper = MetadataWrapper(libcst.parse_module((root / file).read_text()))
        positions = wrapper.resolve(PositionProvider)
        for node in _nodes(wrapper.module):
            if node not in positions or positions[node].start.line not in wanted:
                continue
            for kind, operator in mutation_operators:
                for mutated in operator(node) if isinstance(node, kind) else ():
                    if not _lacks_an_argument(node, mutated):
                        yield (file, positions[node].start.line), Candidate(wrapper.module, node, operator.__name__, mutated)


def _lacks_an_argument(before: libcst.CSTNode, after: libcst.CSTNode) -> bool:
    """Returns whether a call has fewer arguments without names, which Python refuses for any function."""
    calls = (before, after)
    plain = [[each for each in call.args if each.keyword is None] for call in calls if isinstance(call, libcst.Call)]
    return len(plain) == len(calls) and len(plain[1]) < len(plain[0])


def _nodes(node: libcst.CSTNode) -> Iterator[libcst.CSTNode]:
    if not isinstance(node, LEFT_ALONE):
        yield node
        for child in node.children:
            yield from _nodes(child)


def main() -> None:
    """Answers what standard input asks for."""
    asked = json.load(sys.stdin)
    wanted = {file: set(lines) for file, lines in asked["lines"].items()}
    picked = pick(candidates(Path(asked["root"]), wanted), asked["seed"], asked["count"])
    json.dump([candidate.mutant(file) for (file, _), candidate in picked], sys.stdout)


if __name__ == "__main__":
    main()
