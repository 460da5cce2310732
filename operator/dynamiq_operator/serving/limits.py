"""Limits and the form of errors that all HTTP servers share. It loads no web framework, since the gate has another one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEAD_WITHIN = 10.0
"""Seconds in which a caller sends a head."""
HEADERS_MAX = 128
"""Headers of a head. Each costs memory: a short one thirty times its bytes."""
TAKEN_WITHIN = 30.0
"""Seconds in which a caller takes a part of an answer."""
RUNS_MAX = 8 * 1024 * 1024
"""Bytes of a body of runs."""
RUNS_RATE = 64 * 1024
"""Fewest bytes a second of a body of runs."""


def error_body(code: str, message: str, details: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the body of an error. `code` is for programs, the message tells callers what to do."""
    return {"error": {"code": code, "message": message, "details": details}}
