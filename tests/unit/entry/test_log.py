"""The operator's log: texts of others stay within their own line."""

from __future__ import annotations

import logging
import sys

from dynamiq_operator.__main__ import OneLine

FORGED = "x\n2026-11-26 01:00:00,000 INFO dynamiq_operator leading as nobody\r\x1b[31m"


def _fail() -> None:
    raise ValueError(FORGED)


def test_text_of_users_begins_no_line_of_the_log() -> None:
    try:
        _fail()
    except ValueError:
        record = logging.LogRecord("dynamiq_operator", logging.ERROR, __file__, 1, "failed: %s", (FORGED,), sys.exc_info())
    first, *trace = OneLine("%(asctime)s %(levelname)s %(message)s").format(record).split("\n")
    assert first.endswith("leading as nobody\\r\\x1b[31m")
    assert any("ValueError" in line for line in trace)
    assert all(line.startswith("  ") for line in trace)
    assert all(letter.isprintable() for line in (first, *trace) for letter in line)
