"""`python -m tests.run check|coverage|console|test|test-all|ci|soak|versions`: the suites side by side, as `make check`, `make coverage`,
`make console-test`, `make test`, `make test-all`, `.ci/run`, `make soak` and `make test-versions` want them.

Each step's output is in `build/tests/`. What failed is printed at the end, with the time of each step and the slowest tests; the last line is
what pytest would say of all of them together.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from local.components import KUBERNETES_OF
from tests.support import accounting, again, cost, longer, results
from tests.support.lanes import Command, Ended, Interrupted, Lanes
from tests.support.summary import Outcome, report, summary, title

OUT = Path("build", "tests")
PARALLEL = ("-n", "3", "--dist", "loadfile")
"""Unit tests wait for processes of their own now and then: more workers than cores. Each worker takes seven core-seconds until it has found all tests."""
BY_TWO = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
"""Tests with simulated pods wait for rollouts, pages and times half of the time: two at once, of tests/api each on a cluster of its own. Files keep
their order: those under the admission policies come last."""

SIMULATED = ("api", "console")
"""Suites whose pods are simulated."""

COVERED = ("--cov", "--cov-report=")
SOAK = "soak"
LONG = "long"
"""The marker of tests that `make test` leaves to `make test-all`; its argument says why."""

VERSIONS = "versions"
VERSION_FILES: dict[str, tuple[str, ...]] = {
    "ledger": (
        *(f"tests/api/test_{name}.py" for name in ("schema", "immutability", "endings", "admission", "versions")),
        "tests/api/test_guards_attacks.py::test_without_stamps_a_word_names_its_own_author_or_is_refused",
    ),
    "rollouts": tuple(f"tests/node/test_{name}.py" for name in ("rollouts", "deploys")),
    "surfaces": tuple(f"tests/api/test_{name}.py" for name in ("kubectl", "plugin", "rest_story")),
    "console": ("tests/console/test_sign_in.py",),
}
"""What `make test-versions` runs on each Kubernetes, by purpose."""

SOAK_LOG = Path("docs", "measured", "soak.txt")
BORROWED = ("CLUSTER", "CLUSTER_NAME")
"""Variables that name a cluster that is there already: all suites get the same, so they run one after another."""


@dataclass(frozen=True)
class Plan:
    """What is run: steps of `first` side by side, group after group, up to one that fails; the lanes side by side; and `last` one by one.

    Each of `then` is run by the lane that comes first to its end: which one that is differs from machine to machine. `beside` is a lane that takes
    none of these.
    """

    lanes: tuple[tuple[Command, ...], ...]
    first: tuple[tuple[Command, ...], ...] = ()
    then: tuple[Command, ...] = ()
    beside: tuple[Command, ...] = ()
    last: tuple[Command, ...] = ()
    again: bool = False
    """Tests that fail are run once more at the end."""


def python(name: str, module: str, *arguments: str, shown: bool = False) -> Command:
    """A step that runs a module."""
    return Command(name, (sys.executable, "-m", module, *arguments), OUT / f"{name}.log", shown=shown)


def make(target: str, name: str) -> Command:
    """A step that runs a target of the Makefile."""
    return Command(name, ("make", "--no-print-directory", target), OUT / f"{name}.log")


def suite(name: str, *arguments: str) -> Command:
    """A step that runs tests/`name`."""
    found = OUT / f"{name}.xml"
    command = (sys.executable, "-m", "pytest", f"tests/{name}", "--verbose", f"--junitxml={found}", *arguments)
    return Command(name, command, OUT / f"{name}.log", found)


def check() -> Plan:
    """Lint beside the unit tests that take no time: all of them take minutes."""
    return Plan(((make("lint", "lint"),), (suite("unit", *PARALLEL, *(f"--ignore={file}" for file in longer.FILES)),)))


def coverage() -> Plan:
    """All unit tests, and what they reach of each layer."""
    return Plan(((suite("unit", *PARALLEL, *COVERED), python("coverage", "tests.support.layer_coverage", shown=True)),))


def vitest() -> Command:
    """The unit tests of the console's own functions."""
    found = OUT / "vitest.xml"
    return Command("vitest", (sys.executable, "-m", "tests.support.browser.vitest", str(found)), OUT / "vitest.log", found)


def console() -> Plan:
    """The console: Chromium where it is missing, its unit tests, then style, types and all that its screens do in a browser."""
    return Plan(((browser(), *of_console()),))


def of_console() -> tuple[Command, ...]:
    """Its unit tests, and those that need the browser."""
    return vitest(), once("console", by_two)


def by_two(name: str, *arguments: str) -> Command:
    """A suite on two clusters. Two operators on one borrowed cluster would wait for one another's lease."""
    return suite(name, *(() if borrows() else BY_TWO), *arguments)


def once(name: str, how: Callable[..., Command] = suite, *arguments: str) -> Command:
    """A suite without its long tests."""
    return how(name, *arguments, "-m", f"not {LONG}")


def has_long(name: str) -> bool:
    """Returns True if a file of tests/`name` marks tests as long."""
    return any(f"mark.{LONG}(" in path.read_text() for path in Path("tests", name).rglob("test_*.py"))


def prometheus() -> Command:
    """Prometheus, where it is missing."""
    return python("prometheus", "tests.support.prometheus", shown=True)


def browser() -> Command:
    """Chromium, where it is missing."""
    return python("browser", "tests.support.browser.chromium", shown=True)


def test() -> Plan:
    """Every behaviour once: suites with simulated pods beside those with real ones, and what is left by the lane that is free.

    Two workers share the cluster with real pods, which waits most of the time. The SDK's tests and `system` run beside the lanes: alone at the end,
    one process would leave a processor idle. Unit tests, which fill the processors, come last; what is longest, `api`, begins at once. At last, whether
    all of them together used every right that our programs have.
    """
    simulated = prometheus(), once("api", by_two)
    pods = browser(), once("node", suite, *BY_TWO)
    # A cluster of somebody else has no audit log, and others use it.
    last = () if borrows() else (python("rights", "tests.rights", shown=True),)
    first = ((python("build", "local", "build"), make(".venv-sdk/.ready", "install-sdk")),)
    return Plan(
        (simulated, pods),
        first=first,
        then=(*of_console(), once("unit", suite, *PARALLEL)),
        beside=(once("sdk"), once("system")),
        last=last,
        again=True,
    )


def test_all() -> Plan:
    """The long tests alone, which `make test` leaves out: each says by its marker why it is long, and which test shows the behaviour sooner."""
    lanes = [
        tuple(suite(name, *(BY_TWO if name in SIMULATED and not borrows() else ()), "-m", LONG) for name in names if has_long(name))
        for names in (("unit", *SIMULATED), ("load", "node"))
    ]
    then = tuple(suite(name, "-m", LONG) for name in ("system", "sdk") if has_long(name))
    return Plan(tuple(lanes), first=((python("build", "local", "build"), browser(), prometheus()),), then=then)


def ci() -> Plan:
    """All that has to pass: `make test`, and beside it lint and the documentation, since neither can fill the processors."""
    plan = test()
    return replace(plan, beside=(make("lint", "lint"), make("docs", "docs"), *plan.beside))


def soak() -> Plan:
    """The full counts: long runs, and of the other suites the tests that do more with them. What takes times of milliseconds runs alone."""
    in_full = ("-m", "full_count", "--capture=no")
    elsewhere = (f"--ignore=tests/soak/{folder}" for folder in ("pods", "quiet", "hour"))
    simulated = (suite("soak", *elsewhere, "--capture=no"), suite("soak/hour", "--capture=no"))
    others = (*(suite(name, *in_full) for name in ("unit", "node", "load", "api", "console", "sdk")), suite("soak/pods", "--capture=no"))
    return Plan((simulated, others), first=((python("build", "local", "build"),),), last=(suite("soak/quiet", "--capture=no"),))


def of_version(minor: str, purpose: str) -> Command:
    """The files of a purpose, on a Kubernetes of this minor version."""
    name = f"{minor}-{purpose}"
    found = OUT / f"{name}.xml"
    command = ("env", f"KUBERNETES={minor}", sys.executable, "-m", "pytest", *VERSION_FILES[purpose], "--verbose", f"--junitxml={found}")
    return Command(name, command, OUT / f"{name}.log", found)


def versions() -> Plan:
    """Ledger, rollouts and surfaces on every Kubernetes that is built here, oldest first; each is built before the first test."""
    builds = tuple(
        Command(f"{minor}-build", ("env", f"KUBERNETES={minor}", sys.executable, "-m", "local", "build"), OUT / f"{minor}-build.log")
        for minor in KUBERNETES_OF
    )
    simulated = tuple(of_version(minor, purpose) for minor in KUBERNETES_OF for purpose in ("ledger", "surfaces", "console"))
    pods = tuple(of_version(minor, "rollouts") for minor in KUBERNETES_OF)
    return Plan((simulated, pods), first=(*((each,) for each in builds), (browser(),)))


def by_version(ended: Sequence[Ended]) -> list[str]:
    """A table of what came of each version, and below it all that the first command said that failed."""
    found = {each.command.name: each for each in ended}
    lines = [f"| Kubernetes | {' | '.join(VERSION_FILES)} |", f"|{'---|' * (len(VERSION_FILES) + 1)}"]
    for minor, component in KUBERNETES_OF.items():
        cells = [_came_to(found.get(f"{minor}-{purpose}")) for purpose in VERSION_FILES]
        lines.append(f"| {component.version} | {' | '.join(cells)} |")
    bad = next((each for each in ended if each.code), None)
    return [*lines, *([title(bad.command.name), *bad.command.log.read_text().splitlines()] if bad else [])]


def _came_to(one: Ended | None) -> str:
    """What a step's tests came to; what its version lacks, as docs/versions.md has it, is told apart."""
    if one is None or one.code is None or one.command.results is None:
        return "not begun"
    found = results.read(one.command.results)
    return found.counts().replace("skipped", "lacking") if found.tests else str(one)


PLANS: dict[str, Callable[[], Plan]] = {
    "check": check,
    "coverage": coverage,
    "console": console,
    "test": test,
    "test-all": test_all,
    "ci": ci,
    SOAK: soak,
    VERSIONS: versions,
}


def borrows() -> bool:
    """Whether all suites get one cluster that is there already."""
    return any(os.environ.get(name) for name in BORROWED)


def execute(plan: Plan, lanes: Lanes) -> frozenset[str]:
    """Runs a plan; returns the tests that failed, and passed when they were run once more. Raises Interrupted."""
    for group in plan.first:
        if not lanes.run(*((step,) for step in group)):
            return frozenset()
    if borrows():
        lanes.run([step for lane in (*plan.lanes, plan.then, plan.beside) for step in lane])
    else:
        lanes.run(*plan.lanes, then=plan.then, beside=plan.beside)
    flaky = again.flaky(lanes.ended, Lanes()) if plan.again else frozenset[str]()
    lanes.run(plan.last)
    return flaky


def _commit() -> str:
    """The commit that is checked out, marked where files differ from it."""
    return subprocess.run(("git", "describe", "--always", "--dirty"), capture_output=True, text=True, check=True).stdout.strip()


def run(plan: Plan, commit: str, known: Path = again.KNOWN) -> tuple[int, Outcome]:
    """Runs a plan; returns the exit status, and what came of it. `known` has the flaky tests of earlier runs."""
    began, used, lanes, flaky, interrupted = time.monotonic(), cost.of_machine(), Lanes(), frozenset[str](), False
    try:
        flaky = execute(plan, lanes)
    except Interrupted:
        interrupted = True
    objections = again.objections(flaky, known)
    costs = {name: cost.seconds(rows) for name, rows in cost.by_suite().items()}
    outcome = Outcome(lanes.ended, time.monotonic() - began, cost.of_machine() - used, costs, flaky, objections)
    again.keep(outcome.results().flaky, commit, known)
    if interrupted:
        return 130, outcome
    return 0 if again.is_green(lanes.ended, flaky) and not objections else 1, outcome


def main(arguments: list[str] | None = None) -> int:
    """Runs a plan and returns the exit status: 0 where all is well, 130 after an interrupt, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.run", description="Runs the suites side by side.")
    parser.add_argument("plan", choices=PLANS)
    name = parser.parse_args(arguments).plan
    plan = PLANS[name]()
    if name == SOAK:
        os.environ["SOAK"] = "1"
    commit = _commit()
    for left in (*OUT.rglob("*.xml"), *(OUT / "rights").glob("*.json"), *cost.FOLDER.glob("*.json")):
        left.unlink()
    if cost.MACHINE.exists():
        os.environ[accounting.FOLDER] = str(cost.FOLDER.resolve())
    code, outcome = run(plan, commit)
    print("\n".join(report(outcome)), flush=True)
    cost.write()
    if name == VERSIONS:
        print("\n".join(by_version(outcome.ended)), flush=True)
    if name == SOAK:  # without what names places of this machine
        SOAK_LOG.write_text("\n".join([f"make soak at {commit}, {os.cpu_count()} cores", "", *summary(outcome), ""]))
    return code


if __name__ == "__main__":
    sys.exit(main())
