"""Finds the values at a path of the subset that verifications allow. It has no filters or recursion, so no value is visited twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_STEP = re.compile(r"\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\['(?P<quoted>[^']*)'\]|\[(?P<index>[0-9]{1,6})\]|(?P<all>\.\*|\[\*\])")

_ALL = object()


def values_at(path: str, value: Any) -> Iterator[Any]:
    """Yields the values in document order, one at a time.

    Raises ValueError for an invalid path.
    """
    steps = _steps(path)
    open_steps: list[Iterator[Any]] = [iter([value])]  # as deep as the path is long
    while open_steps:
        item = next(open_steps[-1], _ALL)
        if item is _ALL:
            open_steps.pop()
        elif len(open_steps) > len(steps):
            yield item
        else:
            open_steps.append(_step(steps[len(open_steps) - 1], item))


def _step(step: Any, value: Any) -> Iterator[Any]:
    if step is _ALL:
        return iter(value.values()) if isinstance(value, dict) else iter(value) if isinstance(value, list) else iter(())
    if isinstance(step, int):
        return iter(value[step : step + 1]) if isinstance(value, list) else iter(())
    return iter([value[step]]) if isinstance(value, dict) and step in value else iter(())


@lru_cache(maxsize=256)
def _steps(path: str) -> tuple[Any, ...]:
    if not path.startswith("$"):
        raise ValueError(path)
    steps: list[Any] = []
    place = 1
    while place < len(path):
        match = _STEP.match(path, place)
        if match is None:
            raise ValueError(path)
        index, place = match["index"], match.end()
        steps.append(_ALL if match["all"] else int(index) if index is not None else match["name"] or match["quoted"])
    return tuple(steps)
