"""Serializes JSON as bytes. It parses nothing."""

from __future__ import annotations

import json
from typing import Any

import orjson


def dumps(content: Any) -> bytes:
    """Serializes a value as compact JSON. A lone surrogate, which UTF-8 cannot encode, is escaped."""
    try:
        return orjson.dumps(content)
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        return json.dumps(content, separators=(",", ":")).encode()
