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
"""Shapes whose text is kept: the runs of an App have few, and waiting records share it."""
_TYPES: Mapping[type, str] = {
    str: "string",
    bool: "boolean",
    int: "number",
    float: "number",
    list: "array",
    dict: "object",
    type(None): "null",
}


def shape_of(given: Mapping[str, Any]) -> str:
    """Returns the shape of an input: a JSON object with the type of each name."""
    names, types = tuple(islice(given, NAMES_MOST)), tuple(map(type, islice(given.values(), NAMES_MOST)))
    if max(map(len, names), default=0) > NAME_MOST:
        names = tuple(name if len(name) <= NAME_MOST else name[: NAME_MOST - 1] + MORE for name in names)
    return _text(names, types, len(given) > NAMES_MOST)


@lru_cache(maxsize=KEPT)
def _text(names: tuple[str, ...], types: tuple[type, ...], has_more: bool) -> str:
    fields = {name: _TYPES.get(kind, "object") for name, kind in zip(names, types, strict=True)}
    return json.dumps({**fields, MORE: ""} if has_more else fields, separators=(",", ":"))
