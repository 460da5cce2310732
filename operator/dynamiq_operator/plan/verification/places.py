"""The values at a path of the kind that a verification may name: places alone, so that a walk looks at no value twice."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

_STEP = re.compile(r"\.(?P<name>[A-Za-z_][A-Za-z0-9_]*)|\['(?P<quoted>[^']*)'\]|\[(?P<index>[0-9]{1,6})\]|(?P<all>\.\*|\[\*\])")

_ALL = object()


def values_at(path: str, value: Any) -> Iterator[Any]:
    """In the order in which they stand there, one at a time. Raises ValueError for a path that is none."""
    steps = _steps(path)
    left: list[Iterator[Any]] = [iter([value])]  # as deep as the path is long
    while left:
        found = next(left[-1], _ALL)
        if found is _ALL:
            left.pop()
        elif len(left) > len(steps):
            yield found
        else:
            left.append(_step(steps[len(left) - 1], found))


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
        found = _STEP.match(path, place)
        if found is None:
            raise ValueError(path)
        index, place = found["index"], found.end()
        steps.append(_ALL if found["all"] else int(index) if index is not None else found["name"] or found["quoted"])
    return tuple(steps)
