"""Picks mutants by seed and runs the tests that reach them, suite after suite, up to the first failure: `python -m tests.mutants`.

docs/measured/mutants.tsv has the result of each; the next run continues from there. It never touches the checkout: all runs in
build/mutants.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.mutants import table
from tests.mutants.reach import PACKAGE, reach
from tests.mutants.table import OLD, Row
from tests.mutants.trees import REPOSITORY, Tree, check_out

TABLE = REPOSITORY / "docs" / "measured" / "mutants.tsv"
MUTMUT = "mutmut==3.8.1"
FOLDERS = ("actions", "cli", "controller", "kube", "model", "plan", "rest", "views")
"""Folders that merged and deleted tests of REST, plugin, console and operator reach."""
SUITES = ("unit", "api", "console", "node")
SECONDS = {"unit": 120.0}
"""The time for a suite's tests on one mutant, by their times without it; the quickest of the tests that reach it are run."""
OTHERWISE = 600.0
PATIENCE = 3
"""The factor on this time, plus a minute, after which a run counts as endless."""


def made(tree: Tree, seed: int, count: int) -> list[Row]:
    """Makes the mutants of a seed, by mutmut in an environment of its own."""
    files = [str(path.relative_to(tree.folder)) for folder in FOLDERS for path in (tree.folder / PACKAGE / folder).rglob("*.py")]
    request = json.dumps({"root": str(tree.folder), "files": files, "seed": seed, "count": count})
    uv = Path(sys.executable).with_name("uv")
    command = [str(uv), "run", "--quiet", "--no-project", "--isolated", "--with", MUTMUT, "python", "-m", "tests.mutants.candidates"]
    answered = subprocess.run(command, cwd=REPOSITORY, input=request, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [Row(seed, number, **mutant) for number, mutant in enumerate(json.loads(answered), 1)]


def run(tree: Tree, suite: str, name: str, rows: list[Row], first: int) -> None:
    """Runs a suite on each row that it may kill, up to that number, and saves the table after each."""
    due = [row for row in rows if row.is_due(name) and row.number <= first]
    reached = reach(tree, suite) if due else None
    for row in due:
        assert reached is not None
        seconds = SECONDS.get(suite, OTHERWISE)
        tests = reached.tests(row.file, row.line, seconds)
        test, took = None, 0.0
        if tests:
            with tree.mutated(row):
                test, took = tree.first_failure(tests, PATIENCE * seconds + 60)
        rows[rows.index(row)] = row.ran(name, tree.commit, test, took)
        table.write(TABLE, rows)
        print(f"{row.seed}/{row.number} {row.file}:{row.line} {name}: {test or f'survived {len(tests)} tests'} {took:.0f} s", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Picks mutants that the table lacks, runs the due ones, and prints the counts."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--ref", default="HEAD", help="commit whose suites run")
    parser.add_argument("--old", metavar="REF", help="then run what survives against the suites of this commit")
    parser.add_argument("--suites", default="unit", help=f"separated by commas, of {', '.join(SUITES)}; unit alone where it is left out")
    parser.add_argument("--first", type=int, default=sys.maxsize, help="run so many of them only")
    parser.add_argument("--again", action="store_true", help="run the survivors anew")
    chosen = parser.parse_args(arguments)
    suites = chosen.suites.split(",")
    rows = table.read(TABLE)
    if chosen.again:
        rows = [row if row.is_killed and not row.killed_by.startswith(OLD) else row.again() for row in rows]
    tree = check_out(chosen.ref)
    if not any(row.seed == chosen.seed for row in rows):
        rows += made(tree, chosen.seed, chosen.count)
        table.write(TABLE, rows)
    for suite in suites:
        run(tree, suite, suite, rows, chosen.first)
    if chosen.old:
        before = check_out(chosen.old)
        for suite in suites:
            run(before, suite, OLD + suite, rows, chosen.first)
    print(table.summary(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
