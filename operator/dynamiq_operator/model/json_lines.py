"""Formats logs as JSON objects, one a line, with users' text escaped."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

FIELDS = "fields"
"""Key of `extra` for a message's own fields: `log.info("woken", extra={FIELDS: {"app": name}})`."""


class JsonLines(logging.Formatter):
    """A formatter that writes each log record as one line of JSON."""

    def context(self) -> dict[str, Any]:
        """Returns the fields that every line has at this moment, beside its own."""
        return {}

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= self.context() | getattr(record, FIELDS, {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line)
