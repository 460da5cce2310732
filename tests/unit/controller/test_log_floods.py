"""The log stays readable while something keeps failing."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from dynamiq_operator.controller.telemetry.log_floods import KINDS_MAX, WINDOW, FloodFilter
from tests.support.controller import Clock


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self.setFormatter(logging.Formatter("%(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(self.format(record))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(clock: Clock) -> Lines:
    made = Lines()
    made.addFilter(FloodFilter(clock))
    return made


@pytest.fixture
def log(lines: Lines) -> Iterator[logging.Logger]:
    made = logging.getLogger("test.floods")
    made.propagate = False
    made.setLevel("INFO")
    made.addHandler(lines)
    yield made
    made.removeHandler(lines)


def test_a_repeated_line_is_logged_once_and_counted_once_a_minute(log: logging.Logger, lines: Lines, clock: Clock) -> None:
    for _ in range(200):
        log.warning("%s cannot be watched: %s", "pods", "refused")
        clock.later(1)
    assert lines.said == ["pods cannot be watched: refused", *["pods cannot be watched: refused (60 times in 60 s)"] * 3]


def test_a_changed_line_is_logged_at_once(log: logging.Logger, lines: Lines) -> None:
    for message in ("refused", "refused", "forbidden", "refused", "forbidden"):
        log.warning("pods cannot be watched: %s", message)
    assert lines.said == ["pods cannot be watched: refused", "pods cannot be watched: forbidden"]


def test_stack_trace_is_shown_once(log: logging.Logger, lines: Lines, clock: Clock) -> None:
    for _ in range(3):
        try:
            int("x")
        except ValueError:
            log.exception("it could not be reconciled")
        clock.later(WINDOW)
    assert [line.count("Traceback") for line in lines.said] == [1, 0, 0]


def test_a_line_about_each_of_a_thousand_apps_is_logged_for_a_few(log: logging.Logger, lines: Lines, clock: Clock) -> None:
    for number in range(1000):
        log.warning("App %s: no answer", number)
    assert len(lines.said) == KINDS_MAX
    clock.later(WINDOW)
    log.warning("App %s: no answer", 1000)
    assert lines.said[-1] == f"App 1000: no answer (and {1000 - KINDS_MAX} more such lines before, not shown)"


def test_a_line_below_a_warning_is_logged_each_time(log: logging.Logger, lines: Lines) -> None:
    for _ in range(3):
        log.info("leading")
    assert lines.said == ["leading"] * 3
