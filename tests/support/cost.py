"""Prints the cost of each suite and each file of tests in the last run, or by $COST: core-seconds by program. `python -m
tests.support.cost`.

It reads the files of `accounting.py`. It names a suite over its budget, but does not fail it: machines differ.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.support import accounting
from tests.support.accounting import KINDS, TICKS

FOLDER = Path("build", "tests", "cost")
MACHINE = Path("/proc/stat")
BUDGETS = {"api": 1000, "console": 500, "unit": 420, "node": 350, "system": 200, "sdk": 150}
"""Core-seconds of each suite in `make test`."""

Rows = Mapping[str, Counter[str]]
"""Ticks by kind of each file of tests."""


def by_suite(folder: Path = FOLDER) -> Mapping[str, Rows]:
    """Returns the rows of each suite, of all of its processes together."""
    suites: dict[str, dict[str, Counter[str]]] = {}
    for path in sorted(folder.glob("*.json")):
        rows = suites.setdefault(path.stem.rpartition("-")[0], {})
        for name, used in json.loads(path.read_text()).items():
            rows.setdefault(name, Counter()).update(used)
    return suites


def seconds(rows: Rows) -> float:
    """Returns the core-seconds of a suite."""
    return _total(rows).total() / TICKS


def against_budget(name: str, took: float) -> str:
    """Returns core-seconds with the suite's budget, if it has one: `1200 core-s of 1000, over`."""
    if name not in BUDGETS:
        return f"{took:.0f} core-s"
    return f"{took:.0f} core-s of {BUDGETS[name]}{', over' if took > BUDGETS[name] else ''}"


def of_machine() -> float:
    """Returns the core-seconds of the machine since its start; 0 if its kernel does not count them."""
    if not MACHINE.exists():
        return 0.0
    user, nice, system, _idle, _waiting, interrupts, soft_interrupts, *_ = map(int, MACHINE.read_text().splitlines()[0].split()[1:])
    return (user + nice + system + interrupts + soft_interrupts) / TICKS


def table(suites: Mapping[str, Rows]) -> list[str]:
    """Returns the lines of a table: the suites, then the files of each, the most expensive first."""
    lines = ["core-seconds by suite", "", _header()]
    lines += [_line(name, _total(rows), against_budget(name, seconds(rows))) for name, rows in _sorted(suites)]
    for name, rows in _sorted(suites):
        lines += ["", f"{name}, by file of tests", "", _header()]
        lines += [_line(file, used) for file, used in sorted(rows.items(), key=lambda each: -each[1].total())]
    return lines


def write(folder: Path = FOLDER) -> None:
    """Writes `cost.txt` beside the folder."""
    folder.with_suffix(".txt").write_text("\n".join([*table(by_suite(folder)), ""]))


def _sorted(suites: Mapping[str, Rows]) -> list[tuple[str, Rows]]:
    return sorted(suites.items(), key=lambda each: -seconds(each[1]))


def _total(rows: Rows) -> Counter[str]:
    return sum(rows.values(), Counter())


def _header() -> str:
    return "".join(f"{kind:>12}" for kind in ("all", *KINDS))


def _line(name: str, used: Counter[str], more: str = "") -> str:
    figures = "".join(f"{ticks / TICKS:12.1f}" for ticks in (used.total(), *(used[kind] for kind in KINDS)))
    return f"{figures}  {name}{f': {more}' if more else ''}"


if __name__ == "__main__":
    print("\n".join(table(by_suite(Path(os.environ.get(accounting.FOLDER, FOLDER))))))
