"""Encodes JSON responses without a response model, from data or from bytes that are JSON already."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from starlette.responses import Response

from dynamiq_operator.serving.encoding import dumps


class Json(Response):
    """A JSON response that no model validates."""

    media_type = "application/json"

    def __init__(self, content: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(content, status, headers)

    def render(self, content: Any) -> bytes:
        """Returns the encoded content; bytes stay unchanged."""
        return content if isinstance(content, bytes) else dumps(content)
