"""A log of JSON objects, one a line, in which what users wrote is escaped."""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from typing import Any

FIELDS = "fields"
"""Key of `extra` under which a message has fields of its own: `log.info("woken", extra={FIELDS: {"app": name}})`."""


class JsonLines(logging.Formatter):
    """Formats a record as one line of JSON."""

    def context(self) -> dict[str, Any]:
        """What every line of this moment has beside its own fields."""
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
