"""Reads JUnit XML of pytest or vitest: how many tests passed and failed, which, why, and how long each took."""

from __future__ import annotations

import contextlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

LINES_SHOWN = 60
REASON_SHOWN = 300  # characters
SLOWEST = 10


@dataclass(frozen=True)
class Failure:
    """A test that failed, or whose set-up or end did; pytest's line with the reason, and its whole text."""

    test: str
    reason: str
    text: str


@dataclass
class Results:
    """The results of one run or several: their counts, and seconds by test."""

    tests: int = 0
    failed: int = 0
    errors: int = 0
    skipped: int = 0
    seconds: dict[str, float] = field(default_factory=dict)
    failures: list[Failure] = field(default_factory=list)
    flaky: list[Failure] = field(default_factory=list)
    """Failures of tests that passed in a second run: these count as passed."""

    @property
    def passed(self) -> int:
        return self.tests - self.failed - self.errors - self.skipped

    def counts(self) -> str:
        """Returns the counts like pytest: `2 failed, 31 passed, 1 error`."""
        named = ((self.failed, "failed"), (self.passed, "passed"), (self.skipped, "skipped"), (self.errors, "errors"))
        return ", ".join(f"{count} {name}" for count, name in named if count or name == "passed")

    def slowest(self, count: int = SLOWEST) -> list[tuple[str, float]]:
        """Returns the slowest tests, set-up and end included, the slowest first."""
        return sorted(self.seconds.items(), key=lambda entry: -entry[1])[:count]


def reasons(failures: Iterable[Failure]) -> dict[str, list[str]]:
    """Returns the failed tests, by their reason."""
    tests: dict[str, list[str]] = {}
    for failure in failures:
        tests.setdefault(failure.reason, []).append(failure.test)
    return tests


def read(*files: Path, flaky: Collection[str] = ()) -> Results:
    """Reads all these files together. A run that ended before it wrote all of its file counts for nothing.

    `flaky` names tests that have passed since.
    """
    whole = Results()
    for file in files:
        with contextlib.suppress(FileNotFoundError, ElementTree.ParseError):
            _add(whole, ElementTree.parse(file).getroot().iter("testsuite"), flaky)  # noqa: S314 - pytest wrote it
    return whole


def _add(whole: Results, suites: Iterable[ElementTree.Element], flaky: Collection[str]) -> None:
    for suite in suites:
        whole.tests += int(suite.get("tests", 0))
        whole.failed += int(suite.get("failures", 0))
        whole.errors += int(suite.get("errors", 0))
        whole.skipped += int(suite.get("skipped", 0))
        for case in suite.iter("testcase"):
            place = case.get("classname", "")
            test = f"{place if '/' in place else place.replace('.', '/') + '.py'}::{case.get('name')}"
            whole.seconds[test] = whole.seconds.get(test, 0.0) + float(case.get("time", 0))
            failures, errors = list(case.iter("failure")), list(case.iter("error"))
            if test in flaky:
                whole.failed -= len(failures)
                whole.errors -= len(errors)
            (whole.flaky if test in flaky else whole.failures).extend(_failure(test, element) for element in (*failures, *errors))


def _failure(test: str, element: ElementTree.Element) -> Failure:
    message = element.get("message") or ""
    return Failure(test, next(iter(message.splitlines()), "")[:REASON_SHOWN], end_of(element.text or message))


def end_of(text: str) -> str:
    """Returns the last lines of a text, and the number of lines before them."""
    lines = text.rstrip().splitlines()
    left_out = len(lines) - LINES_SHOWN
    return "\n".join([f"… {left_out} lines before", *lines[left_out:]] if left_out > 0 else lines)
