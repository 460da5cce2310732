"""Tests that failed are run once more, each alone, after all else; one that passes then is flaky.

A few flaky tests leave a run green, each of them once: docs/measured/flaky.txt has those of earlier runs. It never runs a test a third time.
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
"""Where more fail there is one cause for all of them, and none is run again."""
RED_FROM = 4
TESTS_FAILED = 1
"""Exit code of pytest; any other one of a suite is no test's fault."""


def flaky(ended: Sequence[Ended], lanes: Lanes) -> frozenset[str]:
    """Runs the tests that failed once more and returns those that pass now. Raises Interrupted."""
    failed = dict.fromkeys(failure.test for each in ended if _is_pytest(each) for failure in _read(each).failures)
    if len(failed) > AT_MOST:
        return frozenset()
    lanes.run([_alone(number, test, ended[0].command.log.parent) for number, test in enumerate(failed, start=1)])
    return frozenset(test for test, again in zip(failed, lanes.ended, strict=True) if again.ok)


def _is_pytest(one: Ended) -> bool:
    return one.code == TESTS_FAILED and "pytest" in one.command.arguments and one.command.results is not None


def _read(one: Ended, flaky: Collection[str] = ()) -> results.Results:
    return results.read(*([one.command.results] if one.command.results is not None else []), flaky=flaky)


def _alone(number: int, test: str, folder: Path) -> Command:
    name = f"again-{number}"
    found = folder / f"{name}.xml"
    return Command(name, (sys.executable, "-m", "pytest", test, "--verbose", f"--junitxml={found}"), folder / f"{name}.log", found)


def is_green(ended: Sequence[Ended], flaky: Collection[str]) -> bool:
    """Returns True if nothing failed but flaky tests."""
    return all(each.ok or (_is_pytest(each) and (found := _read(each, flaky)).flaky and not found.failures) for each in ended)


def objections(flaky: Collection[str], known: Path = KNOWN) -> list[str]:
    """Returns why flaky tests make a run red: too many of them, or one that was flaky before."""
    earlier = {line.split("\t")[2] for line in known.read_text().splitlines() if line.count("\t") == 3}
    repeated = [f"{test} was flaky before: mend it" for test in sorted(flaky) if test in earlier]
    return [*repeated, *([f"{len(flaky)} tests are flaky: {RED_FROM - 1} at most may be"] if len(flaky) >= RED_FROM else [])]


def keep(found: Sequence[results.Failure], commit: str, known: Path = KNOWN) -> None:
    """Adds a line for each: date, commit, test and the first line of its message, between tabs."""
    reasons: dict[str, str] = {}
    for failure in found:  # a test may fail, and its end after it
        reasons.setdefault(failure.test, failure.reason)
    with known.open("a") as log:
        log.writelines(f"{time.strftime('%Y-%m-%d')}\t{commit}\t{test}\t{reason}\n" for test, reason in reasons.items())
