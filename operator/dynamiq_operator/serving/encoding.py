"""Serializes JSON as bytes and as responses. It parses nothing."""

from __future__ import annotations

import json
import operator
from typing import Any

import orjson
from starlette.responses import Response

_MEMBERS = operator.methodcaller("members")


def dumps(content: Any) -> bytes:
    """Serializes a value as compact JSON, an object in it by its `members`. A lone surrogate, which UTF-8 cannot encode, is escaped."""
    try:
        return orjson.dumps(content, default=_MEMBERS)
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        return json.dumps(content, separators=(",", ":"), default=_MEMBERS).encode()


class Json(Response):
    """A JSON response that no model validates. Bytes are JSON already."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return content if isinstance(content, bytes) else dumps(content)
