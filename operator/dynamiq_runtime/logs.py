"""Logs as JSON lines on stdout. Callers pass no inputs, outputs or keys; there is no field for them."""

from __future__ import annotations

import json
import logging
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


def take_over() -> None:
    """Makes lines of what libraries log: warnings of those that never see a run's content; of others, and of Python's own, nothing."""
    logging.captureWarnings(capture=True)
    logging.basicConfig(handlers=[_Lines()], level=logging.WARNING, force=True)


class _Lines(logging.Handler):
    """Keeps to the message: a traceback quotes what the code was about."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".", 1)[0] in _TRUSTED:
            log(record.getMessage(), level=record.levelname.lower(), logger=record.name)


_TRUSTED = ("aiohttp", "asyncio", "opentelemetry")
