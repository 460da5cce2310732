"""Describes the inputs of runs by the names and JSON types of their top-level fields. It reads no value."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
from itertools import islice
from typing import Any

NAMES_MOST, NAME_MOST = 64, 64
"""Most names of a shape, and most characters of each."""
MORE = "…"
"""The end of a name that was cut. Alone, with the type "", it marks an input that has more fields."""
KEPT = 64
"""Shapes whose text is kept: the runs of an App have few."""
_TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


Shape = tuple[tuple[str, ...], tuple[type, ...], bool]
"""The names and types of an input's fields, and whether it has more."""


def shape_of(given: Mapping[str, Any]) -> Shape:
    """Returns the shape of an input. Each caller waits for it, so `text_of` does the rest later."""
    if len(given) > NAMES_MOST or max(map(len, given), default=0) > NAME_MOST:
        names = (name if len(name) <= NAME_MOST else name[: NAME_MOST - 1] + MORE for name in islice(given, NAMES_MOST))
        return tuple(names), tuple(map(type, islice(given.values(), NAMES_MOST))), len(given) > NAMES_MOST
    return tuple(given), tuple(map(type, given.values())), False


@lru_cache(maxsize=KEPT)
def text_of(shape: Shape) -> str:
    """Returns a shape as a JSON object with the type of each name."""
    names, types, has_more = shape
    fields = {name: _TYPES.get(kind, "object") for name, kind in zip(names, types, strict=True)}
    return json.dumps({**fields, MORE: ""} if has_more else fields, separators=(",", ":"))
