"""Runs tests many times under each condition of `conditions.py`, each time alone: `python -m tests.flaky TEST… --times N`, as `make flaky`
does.

The log of each failed time is in `build/tests/flaky/`. Under `half` a test has half a processor.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from tests.support import conditions

OUT = Path("build", "tests", "flaky")
CORES = 0.5
NOTHING_RAN = (4, 5)
"""Exit codes of pytest for a missing test."""


def tried(tests: Sequence[str], condition: str, number: int) -> int:
    """Runs once; returns the exit code, and keeps the log of a failure."""
    log, began = OUT / f"{condition}-{number}.log", time.monotonic()
    with log.open("w") as output:
        code = conditions.run(condition, (sys.executable, "-m", "pytest", "--verbose", *tests), CORES, output)
    print(f"{condition} {number}: {f'failed, see {log}' if code else 'passed'} after {time.monotonic() - began:.0f} s", flush=True)
    if code in NOTHING_RAN:
        sys.exit(log.read_text())
    if not code:
        log.unlink()
    return code


def table(failed: Counter[str], times: int) -> list[str]:
    """Returns passes and failures by condition."""
    rows = (f"| {condition} | {times - failed[condition]} | {failed[condition]} |" for condition in conditions.CONDITIONS)
    return ["| condition | passed | failed |", "|---|---|---|", *rows]


def main(arguments: Sequence[str] | None = None) -> int:
    """Returns 1 if a test failed once, 130 after an interrupt."""
    parser = argparse.ArgumentParser(prog="python -m tests.flaky", description="Runs tests many times on a machine that answers late.")
    parser.add_argument("tests", nargs="+")
    parser.add_argument("--times", type=int, default=10, help="times under each condition (10)")
    options = parser.parse_args(arguments)
    shutil.rmtree(OUT, ignore_errors=True)
    OUT.mkdir(parents=True)
    failed: Counter[str] = Counter()
    for number in range(1, options.times + 1):
        for condition in conditions.CONDITIONS:
            failed[condition] += bool(tried(options.tests, condition, number))
    print("\n".join(table(failed, options.times)))
    return 1 if failed.total() else 0


if __name__ == "__main__":
    sys.exit(conditions.interruptible(main))
