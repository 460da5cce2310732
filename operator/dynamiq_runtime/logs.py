"""Writes logs as JSON lines to stdout. Inputs, outputs and keys are never logged; there is no field for them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime


def now() -> str:
    """Returns the time as RFC 3339 in UTC, with milliseconds."""
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
    """Formats libraries' warnings as lines if those libraries never see a run's content. Drops other logs, Python's own included."""
    logging.captureWarnings(capture=True)
    logging.basicConfig(handlers=[_Lines()], level=logging.WARNING, force=True)


class _Lines(logging.Handler):
    """A handler that logs the message only: a traceback quotes data of the code."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.split(".", 1)[0] in _TRUSTED:
            log(record.getMessage(), level=record.levelname.lower(), logger=record.name)


_TRUSTED = ("aiohttp", "asyncio", "opentelemetry")
