"""Logs as JSON lines on stdout. Callers pass no inputs, outputs or keys; there is no field for them."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime


def now() -> str:
    """The time as RFC 3339 in UTC, with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def log(message: str, *, level: str = "info", **fields: str | float | None) -> None:
    """Writes one line; a closed stdout is not a reason to stop serving."""
    line = json.dumps({"time": now(), "level": level, "message": message, **fields})
    try:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
    except (OSError, ValueError):
        return
