"""JSON out: bytes that were prepared by hand, or data, as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import orjson
from starlette.responses import Response


class Json(Response):
    """JSON that was prepared by hand: no model looks at it again."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status, headers)

    def render(self, content: Any) -> bytes:
        """Bytes go as they are."""
        return content if isinstance(content, bytes) else dumps(content)


def dumps(content: Any) -> bytes:
    """Compact JSON. A lone surrogate, which is no UTF-8, goes as its escape."""
    try:
        return orjson.dumps(content)
    except TypeError:  # a lone surrogate, or a number of more than 64 bits
        return json.dumps(content, separators=(",", ":")).encode()
