"""Evaluates the paths of `input_transformer` and `output_transformer`: the part of JSONPath that names one place.

A path is `$` and then `.name`, `.'name'`, `['name']`, `[0]`, `[*]` or `.*`; the `$` may be left out. Several matches return a list.
Recursive descent, filters, slices and unions are refused when the flow is loaded; they are never read as something else.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MISSING: Final = object()
COALESCE = "||"
ROOTED = re.compile(r"[$@](?=$|[.\[])")
STEP = re.compile(
    r"""\.(?P<name>[A-Za-z_][A-Za-z0-9_@-]*) | \.(?P<star>\*) | \.?\[\s*(?:(?P<index>\d{1,9}) | (?P<each>\*))\s*\]
      | \.?(?P<open>\[)?\s*(?P<quote>['"])(?P<quoted>(?:(?!(?P=quote)).)*)(?P=quote)\s*(?(open)\]|)""",
    re.VERBOSE,
)


class PathError(ValueError):
    """The path is not one that this engine reads; the message names it."""


@dataclass(frozen=True)
class JsonPath:
    """A compiled path. `steps`: field names (str), list positions (int), `*` over an object's values or a list (Callable)."""

    steps: tuple[str | int | Callable[[Any], list[Any]], ...]

    def find(self, data: object) -> list[Any]:
        """Returns every value at this path, in order; empty if there is none."""
        values: list[Any] = [data]
        for step in self.steps:
            values = [value for parent in values for value in _children(parent, step)]
        return values


def parse(text: str) -> JsonPath:
    """Compiles `text`. Raises PathError."""
    rest = text.strip()
    if rest.startswith("$"):
        rest = rest[1:]
    elif rest and rest[0] not in ".[":
        rest = "." + rest
    steps: list[str | int | Callable[[Any], list[Any]]] = []
    while rest:
        match = STEP.match(rest)
        if match is None:
            raise PathError(f"the path {text!r} is not supported (supported are $.a.b, $['a'], $.a[0], $.a[*], $.a.*)")
        steps.append(_step(match))
        rest = rest[match.end() :]
    return JsonPath(tuple(steps))


def selection(text: str) -> Callable[[Any], Any]:
    """Returns a reader of one value of a selector: a path, alternatives `a || b`, or else the text itself.

    Raises PathError for text that starts like a path and is none.
    """
    candidates = [part.strip() for part in text.split(COALESCE) if part.strip()] if COALESCE in text else []
    if any(ROOTED.match(candidate) for candidate in candidates):
        readers = [selection(candidate) if ROOTED.match(candidate) else _literal(candidate) for candidate in candidates]
        return lambda data: next((value for value in (reader(data) for reader in readers) if not _is_empty(value)), None)
    if ROOTED.match(text):
        path = parse(text)
        return lambda data: _single_or_list(path.find(data), None)
    try:
        path = parse(text)
    except PathError:
        return _literal(text)
    fallback = None if text.startswith(("$", "@")) else text
    return lambda data: _single_or_list(path.find(data), fallback)


def apply(data: Any, path: JsonPath | None, selector: Mapping[str, Callable[[Any], Any]]) -> Any:
    """Narrows `data` to `path`, then builds a new object by `selector`. Raises TypeError if a selector is applied to a plain value."""
    if path is not None:
        data = _single_or_list(path.find(data), None)
    if not selector:
        return data
    if not isinstance(data, (dict, list)):
        raise TypeError(f"a selector needs an object or a list, and its path gave {type(data).__name__}")
    return {key: read(data) for key, read in selector.items()}


def _step(match: re.Match[str]) -> str | int | Callable[[Any], list[Any]]:
    if match["star"]:
        return _values
    if match["each"]:
        return _items
    if match["index"] is not None:
        return int(match["index"])
    return match["name"] if match["name"] is not None else match["quoted"]


def _children(parent: Any, step: str | int | Callable[[Any], list[Any]]) -> list[Any]:
    if callable(step):
        return step(parent)
    if isinstance(step, str):
        return [parent[step]] if isinstance(parent, dict) and step in parent else []
    return [parent[step]] if isinstance(parent, (list, tuple)) and step < len(parent) else []


def _values(parent: Any) -> list[Any]:
    return list(parent.values()) if isinstance(parent, dict) else []


def _items(parent: Any) -> list[Any]:
    return list(parent) if isinstance(parent, (list, tuple)) else [] if parent is None else [parent]


def _literal(text: str) -> Callable[[Any], Any]:
    return lambda _data: text


def _single_or_list(values: list[Any], otherwise: Any) -> Any:
    return otherwise if not values else values[0] if len(values) == 1 else values


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, list) and bool(value) and all(item is None for item in value))
