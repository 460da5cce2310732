"""Picks mutants by seed, and knows the shortest lines that a change replaces. It makes no mutants."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TypeVar

Candidate = TypeVar("Candidate")
Place = tuple[str, int]
"""File and line."""


def pick(candidates: Iterable[tuple[Place, Candidate]], seed: int, count: int) -> list[tuple[Place, Candidate]]:
    """Returns at most one candidate for each line, `count` in all; a larger count begins with those of a smaller one."""
    by_place: dict[Place, list[Candidate]] = {}
    for place, candidate in candidates:
        by_place.setdefault(place, []).append(candidate)
    places = sorted(by_place)
    random.Random(seed).shuffle(places)  # noqa: S311
    return [(place, random.Random(f"{seed} {place}").choice(by_place[place])) for place in places[:count]]  # noqa: S311


def hunk(before: str, after: str) -> tuple[int, str, str]:
    """Returns the first line that differs, counted from 1, and the lines that differ, of the text before and of the one after."""
    old, new = before.splitlines(), after.splitlines()
    shorter = min(len(old), len(new))
    first = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    last = next((place for place in range(shorter - first) if old[-1 - place] != new[-1 - place]), shorter - first)
    return first + 1, "\n".join(old[first : len(old) - last]), "\n".join(new[first : len(new) - last])
