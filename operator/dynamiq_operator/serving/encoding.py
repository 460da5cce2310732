"""Serializes JSON as bytes. It parses nothing."""

from __future__ import annotations

import json
import operator
from typing import Any

import orjson

_AS_JSON = operator.methodcaller("as_json")


def dumps(content: Any) -> bytes:
    """Serializes a value as compact JSON, an object in it by its `as_json`. A lone surrogate, which UTF-8 cannot encode, is escaped."""
    try:
        return orjson.dumps(content, default=_AS_JSON)
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        return json.dumps(content, separators=(",", ":"), default=_AS_JSON).encode()
