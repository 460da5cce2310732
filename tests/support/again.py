"""Runs failed tests once more, each alone, after all else; a test that passes then is flaky.

A few flaky tests leave a run green, each of them once: docs/measured/flaky.txt lists those of earlier runs. It never runs a test a third
time.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Collection, Sequence
from pathlib import Path

from tests.support import results
from tests.support.lanes import Command, Ended, Lanes
from tests.support.measured import MEASURED

KNOWN = MEASURED / "flaky.txt"
AT_MOST = 10
"""If more tests fail, they have one common cause, and none is run again."""
RED_FROM = 4
TESTS_FAILED = 1
"""Exit code of pytest; any other exit code is not caused by a test."""


def flaky(ended: Sequence[Ended], lanes: Lanes) -> frozenset[str]:
    """Runs the tests that failed once more and returns those that pass now. Raises Interrupted."""
    failed = dict.fromkeys(failure.test for each in ended if _is_pytest(each) for failure in _read(each).failures)
    if len(failed) > AT_MOST:
        return frozenset()
    lanes.run([_alone(number, test, ended[0].command.log.parent) for number, test in enumerate(failed, start=1)])
    return frozenset(test for test, again in zip(failed, lanes.ended, strict=True) if again.ok)


def _is_pytest(suite: Ended) -> bool:
    return suite.code == TESTS_FAILED and "pytest" in suite.command.arguments and suite.command.results is not None


def _read(suite: Ended, flaky: Collection[str] = ()) -> results.Results:
    return results.read(*([suite.command.results] if suite.command.results is not None else []), flaky=flaky)


def _alone(number: int, test: str, folder: Path) -> Command:
    name = f"again-{number}"
    report = folder / f"{name}.xml"
    return Command(name, (sys.executable, "-m", "pytest", test, "--verbose", f"--junitxml={report}"), folder / f"{name}.log", report)


def is_green(ended: Sequence[Ended], flaky: Collection[str]) -> bool:
    """Returns True if nothing failed but flaky tests."""
    return all(each.ok or (_is_pytest(each) and (outcome := _read(each, flaky)).flaky and not outcome.failures) for each in ended)


def objections(flaky: Collection[str], known: Path = KNOWN) -> list[str]:
    """Returns the reasons why flaky tests make a run red: too many of them, or one that was flaky before."""
    earlier = {line.split("\t")[2] for line in known.read_text().splitlines() if line.count("\t") == 3}
    repeated = [f"{test} was flaky before: mend it" for test in sorted(flaky) if test in earlier]
    return [*repeated, *([f"{len(flaky)} tests are flaky: {RED_FROM - 1} at most may be"] if len(flaky) >= RED_FROM else [])]


def keep(failures: Sequence[results.Failure], commit: str, known: Path = KNOWN) -> None:
    """Adds a line for each: date, commit, test and the first line of its message, between tabs."""
    reasons: dict[str, str] = {}
    for failure in failures:  # a test may fail, and its end after it
        reasons.setdefault(failure.test, failure.reason)
    with known.open("a") as log:
        log.writelines(f"{time.strftime('%Y-%m-%d')}\t{commit}\t{test}\t{reason}\n" for test, reason in reasons.items())
