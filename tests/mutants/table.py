"""Reads and writes the table of mutants: the change of each, the suites that it survived, and the test that killed it."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

HEADER = """\
# Mutants of the code that merged or deleted tests reach: make mutants SEED=1 COUNT=200, which goes on where this table ends; tests/DETAILS.md says more.
# A row: seed, number, the commit whose suite ran, file:line, mutmut's operator, the lines before and after (⏎ ends a line),
# the suites that let it pass, the suite and the test that killed it, seconds of all of its runs.
"""
NEWLINE = "⏎"
OLD = "old-"
"""The prefix of suites of an older commit."""


@dataclass(frozen=True)
class Row:
    """One mutant; `survived` names the suites that did not kill it."""

    seed: int
    number: int
    file: str
    line: int
    operator: str
    old: str
    new: str
    commit: str = ""
    survived: tuple[str, ...] = ()
    killed_by: str = ""
    test: str = ""
    seconds: float = 0.0

    @property
    def is_killed(self) -> bool:
        return bool(self.killed_by)

    def is_due(self, suite: str) -> bool:
        """Returns True if the suite has still to be run: it may kill the mutant, and has not missed it yet."""
        return not self.is_killed and suite not in self.survived

    def mutated(self, text: str) -> str:
        """Returns a module's text with the change; raises ValueError if the original lines are missing from their place."""
        lines, before = text.splitlines(), self.old.splitlines()
        start = self.line - 1
        if lines[start : start + len(before)] != before:
            raise ValueError(f"{self.file}:{self.line} is not what mutant {self.seed}/{self.number} changes")
        return "\n".join([*lines[:start], *self.new.splitlines(), *lines[start + len(before) :], ""])

    def ran(self, suite: str, commit: str, test: str | None, seconds: float) -> Row:
        """Returns the row after a run of a suite; `test` killed it, if any did."""
        killed = {"killed_by": suite, "test": test} if test is not None else {"survived": (*self.survived, suite)}
        return dataclasses.replace(self, **killed, commit=commit, seconds=round(self.seconds + seconds, 1))

    def again(self) -> Row:
        """Returns the row without the results of any suite."""
        return dataclasses.replace(self, commit="", survived=(), killed_by="", test="", seconds=0.0)


def read(path: Path) -> list[Row]:
    """Reads the table; empty if there is none."""
    lines = path.read_text().splitlines() if path.exists() else []
    return [_parsed(line.split("\t")) for line in lines if line and not line.startswith("#")]


def write(path: Path, rows: Sequence[Row]) -> None:
    """Writes the table in the order of seeds and numbers."""
    ordered = sorted(rows, key=lambda row: (row.seed, row.number))
    path.write_text(HEADER + "".join("\t".join(_cells(row)) + "\n" for row in ordered))


def _cells(row: Row) -> list[str]:
    texts = [text.replace("\t", "    ").replace("\n", NEWLINE) for text in (row.old, row.new)]
    place = f"{row.file}:{row.line}"
    return [
        *(str(row.seed), str(row.number), row.commit or "-", place, row.operator, *texts),
        *(",".join(row.survived) or "-", row.killed_by or "-", row.test or "-", f"{row.seconds:.1f}"),
    ]


def _parsed(cells: list[str]) -> Row:
    seed, number, commit, place, operator, old, new, survived, killed_by, test, seconds = cells
    file, _, line = place.rpartition(":")
    old, new = (text.replace(NEWLINE, "\n") for text in (old, new))
    commit, survived, killed_by, test = ("" if cell == "-" else cell for cell in (commit, survived, killed_by, test))
    passed = tuple(survived.split(",")) if survived else ()
    return Row(int(seed), int(number), file, int(line), operator, old, new, commit, passed, killed_by, test, float(seconds))


def summary(rows: Sequence[Row]) -> str:
    """Counts the killers of mutants, and how many of the old suite's killed mutants the new one kills."""
    killers = Counter(row.killed_by for row in rows if row.is_killed)
    new = sum(count for suite, count in killers.items() if not suite.startswith(OLD))
    killed = killers.total()
    parts = [f"{len(rows)} mutants", *(f"{count} killed by {suite}" for suite, count in killers.most_common())]
    survivors = Counter(",".join(row.survived) for row in rows if not row.is_killed and row.survived)
    parts += [f"{count} survived {suites}" for suites, count in survivors.most_common()]
    waiting = sum(not row.is_killed and not row.survived for row in rows)
    share = f"; of {killed} that a suite kills the new one kills {100 * new / killed:.1f} %" if killed else ""
    return ", ".join([*parts, f"{waiting} not run"]) + share
