"""Picks mutants by seed, and finds the shortest lines that a change replaces. It makes no mutants."""

from __future__ import annotations

import ast
import itertools
import random
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

Candidate = TypeVar("Candidate")
Place = tuple[str, int]
"""File and line."""


def pick(
    places: Iterable[Place], seed: int, count: int, candidates: Callable[[Place], Sequence[Candidate]]
) -> list[tuple[Place, Candidate]]:
    """Returns one candidate for each of `count` lines that have any; a larger count begins with those of a smaller one."""
    ordered = sorted(places)
    random.Random(seed).shuffle(ordered)  # noqa: S311
    with_candidates = ((place, options) for place in ordered if (options := candidates(place)))
    return [(place, random.Random(f"{seed} {place}").choice(options)) for place, options in itertools.islice(with_candidates, count)]  # noqa: S311


def lines_of_functions(source: str) -> set[int]:
    """Returns the first lines of all parts of functions' bodies."""
    functions = (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return {
        node.lineno for function in functions for part in function.body for node in ast.walk(part) if isinstance(node, ast.expr | ast.stmt)
    }


def hunk(before: str, after: str) -> tuple[int, str, str]:
    """Returns the first line that differs, counted from 1, and the lines that differ, of the text before and of the one after."""
    old, new = before.splitlines(), after.splitlines()
    shorter = min(len(old), len(new))
    first = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    last = next((place for place in range(shorter - first) if old[-1 - place] != new[-1 - place]), shorter - first)
    return first + 1, "\n".join(old[first : len(old) - last]), "\n".join(new[first : len(new) - last])
