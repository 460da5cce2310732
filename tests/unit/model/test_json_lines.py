"""Lines of a log as JSON."""

from __future__ import annotations

import json
import logging

from dynamiq_operator.model.json_lines import FIELDS, JsonLines


def test_a_line_has_time_level_logger_message_and_its_own_fields() -> None:
    record = logging.LogRecord("dynamiq.gate", logging.WARNING, __file__, 1, "%s does not answer", ("chat",), None)
    record.created = 1_764_500_000.5
    setattr(record, FIELDS, {"app": "chat"})
    assert json.loads(JsonLines().format(record)) == {
        "time": "2025-11-30T10:53:20.500+00:00",
        "level": "WARNING",
        "logger": "dynamiq.gate",
        "message": "chat does not answer",
        "app": "chat",
    }
