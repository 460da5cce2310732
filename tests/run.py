"""Runs the suites side by side: `python -m tests.run check|coverage|console|test|test-all|ci|soak|versions`.

`make check`, `make coverage`, `make console-test`, `make test`, `make test-all`, `.ci/run`, `make soak` and `make test-versions` run it.
Each step's output is in `build/tests/`. At the end it prints failures, the time of each step and the slowest tests. The last line is like
pytest's for all of them together.
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
"""Unit tests sometimes wait for their own processes: more workers than cores. Each worker uses seven core-seconds to collect all tests."""
BY_TWO = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
"""Tests with simulated pods wait half of the time, for rollouts, pages and times: two run at once, for tests/api each on its own cluster.

Files keep their order: those under the admission policies come last.
"""

SIMULATED = ("api", "console")
"""Suites whose pods are simulated."""

COVERED = ("--cov", "--cov-report=")
SOAK = "soak"
LONG = "long"
"""The marker of tests that `make test` leaves to `make test-all`; its argument is the reason."""

VERSIONS = "versions"
VERSION_FILES: dict[str, tuple[str, ...]] = {
    "ledger": (
        *(f"tests/api/test_{name}.py" for name in ("schema", "immutability", "endings", "admission", "versions")),
        "tests/api/test_guards_attacks.py::test_without_stamps_an_approval_names_its_own_author_or_is_refused",
    ),
    "rollouts": tuple(f"tests/node/test_{name}.py" for name in ("rollouts", "deploys")),
    "surfaces": tuple(f"tests/api/test_{name}.py" for name in ("kubectl", "plugin", "rest_story")),
    "console": ("tests/console/test_sign_in.py",),
}
"""The files that `make test-versions` runs on each Kubernetes, by purpose."""

SOAK_LOG = Path("docs", "measured", "soak.txt")
BORROWED = ("CLUSTER", "CLUSTER_NAME")
"""Variables that name an existing cluster: all suites share it, so they run one after another."""


@dataclass(frozen=True)
class Plan:
    """The steps of a run: groups of `first`, each in parallel, up to the first failure; then the parallel lanes; then `last` one by one.

    The lane that ends first runs the next step of `then`: which one that is differs from machine to machine. `beside` is a lane that takes
    none of these.
    """

    lanes: tuple[tuple[Command, ...], ...]
    first: tuple[tuple[Command, ...], ...] = ()
    then: tuple[Command, ...] = ()
    beside: tuple[Command, ...] = ()
    last: tuple[Command, ...] = ()
    again: bool = False
    """True if failed tests run once more at the end."""


def python(name: str, module: str, *arguments: str, shown: bool = False) -> Command:
    """Returns a step that runs a module."""
    return Command(name, (sys.executable, "-m", module, *arguments), OUT / f"{name}.log", shown=shown)


def make(target: str, name: str) -> Command:
    """Returns a step that runs a target of the Makefile."""
    return Command(name, ("make", "--no-print-directory", target), OUT / f"{name}.log")


def suite(name: str, *arguments: str) -> Command:
    """Returns a step that runs tests/`name`."""
    xml = OUT / f"{name}.xml"
    command = (sys.executable, "-m", "pytest", f"tests/{name}", "--verbose", f"--junitxml={xml}", *arguments)
    return Command(name, command, OUT / f"{name}.log", xml)


def check() -> Plan:
    """Returns lint beside the quick unit tests: all unit tests take minutes."""
    return Plan(((make("lint", "lint"),), (suite("unit", *PARALLEL, *(f"--ignore={file}" for file in longer.FILES)),)))


def coverage() -> Plan:
    """Returns all unit tests, with their coverage of each layer."""
    return Plan(((suite("unit", *PARALLEL, *COVERED), python("coverage", "tests.support.layer_coverage", shown=True)),))


def vitest() -> Command:
    """Returns the unit tests of the console's own functions."""
    xml = OUT / "vitest.xml"
    return Command("vitest", (sys.executable, "-m", "tests.support.browser.vitest", str(xml)), OUT / "vitest.log", xml)


def console() -> Plan:
    """Returns the console's steps: Chromium if it is missing, unit tests, then style, types and all screens in a browser."""
    return Plan(((browser(), *of_console()),))


def of_console() -> tuple[Command, ...]:
    """Returns its unit tests, and those that need the browser."""
    return vitest(), once("console", by_two)


def by_two(name: str, *arguments: str) -> Command:
    """Returns a suite on two clusters; on one if it is borrowed, where two operators would wait for each other's lease."""
    return suite(name, *(() if borrows() else BY_TWO), *arguments)


def once(name: str, how: Callable[..., Command] = suite, *arguments: str) -> Command:
    """Returns a suite without its long tests."""
    return how(name, *arguments, "-m", f"not {LONG}")


def has_long(name: str) -> bool:
    """Returns True if a file of tests/`name` marks tests as long."""
    return any(f"mark.{LONG}(" in path.read_text() for path in Path("tests", name).rglob("test_*.py"))


def prometheus() -> Command:
    """Returns the step for Prometheus, if it is missing."""
    return python("prometheus", "tests.support.prometheus", shown=True)


def browser() -> Command:
    """Returns the step for Chromium, if it is missing."""
    return python("browser", "tests.support.browser.chromium", shown=True)


def test() -> Plan:
    """Returns every behaviour once: suites with simulated pods beside those with real ones; the next free lane takes the rest.

    Two workers share the cluster with real pods, which waits most of the time. The SDK's tests and `system` run beside the lanes: alone at
    the end, one process would leave a processor idle. Unit tests, which fill the processors, come last; the longest, `api`, begins at once.
    At the end it checks that all of them together used every right of our programs.
    """
    simulated = prometheus(), once("api", by_two)
    pods = browser(), once("node", suite, *BY_TWO)
    # A foreign cluster has no audit log, and others use it.
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
    """Returns the long tests alone, which `make test` leaves out: the marker of each has the reason, and a quicker test of the behaviour."""
    lanes = [
        tuple(suite(name, *(BY_TWO if name in SIMULATED and not borrows() else ()), "-m", LONG) for name in names if has_long(name))
        for names in (("unit", *SIMULATED), ("load", "node"))
    ]
    then = tuple(suite(name, "-m", LONG) for name in ("system", "sdk") if has_long(name))
    return Plan(tuple(lanes), first=((python("build", "local", "build"), browser(), prometheus()),), then=then)


def ci() -> Plan:
    """Returns all that must pass: `make test`, and beside it lint and the documentation, since neither can fill the processors."""
    plan = test()
    return replace(plan, beside=(make("lint", "lint"), make("docs", "docs"), *plan.beside))


def soak() -> Plan:
    """Returns the full counts: long runs, and the tests of other suites that do more with them. Measures of milliseconds run alone."""
    in_full = ("-m", "full_count", "--capture=no")
    elsewhere = (f"--ignore=tests/soak/{folder}" for folder in ("pods", "quiet", "hour"))
    simulated = (suite("soak", *elsewhere, "--capture=no"), suite("soak/hour", "--capture=no"))
    others = (*(suite(name, *in_full) for name in ("unit", "node", "load", "api", "console", "sdk")), suite("soak/pods", "--capture=no"))
    return Plan((simulated, others), first=((python("build", "local", "build"),),), last=(suite("soak/quiet", "--capture=no"),))


def of_version(minor: str, purpose: str) -> Command:
    """Returns the files of a purpose, on a Kubernetes of this minor version."""
    name = f"{minor}-{purpose}"
    xml = OUT / f"{name}.xml"
    command = ("env", f"KUBERNETES={minor}", sys.executable, "-m", "pytest", *VERSION_FILES[purpose], "--verbose", f"--junitxml={xml}")
    return Command(name, command, OUT / f"{name}.log", xml)


def versions() -> Plan:
    """Returns history, rollouts and surfaces on every Kubernetes that is built here, oldest first; each is built before the first test."""
    builds = tuple(
        Command(f"{minor}-build", ("env", f"KUBERNETES={minor}", sys.executable, "-m", "local", "build"), OUT / f"{minor}-build.log")
        for minor in KUBERNETES_OF
    )
    simulated = tuple(of_version(minor, purpose) for minor in KUBERNETES_OF for purpose in ("ledger", "surfaces", "console"))
    pods = tuple(of_version(minor, "rollouts") for minor in KUBERNETES_OF)
    return Plan((simulated, pods), first=(*((each,) for each in builds), (browser(),)))


def by_version(ended: Sequence[Ended]) -> list[str]:
    """Returns a table of the results of each version, and below it the whole output of the first failed command."""
    by_name = {each.command.name: each for each in ended}
    lines = [f"| Kubernetes | {' | '.join(VERSION_FILES)} |", f"|{'---|' * (len(VERSION_FILES) + 1)}"]
    for minor, component in KUBERNETES_OF.items():
        cells = [_came_to(by_name.get(f"{minor}-{purpose}")) for purpose in VERSION_FILES]
        lines.append(f"| {component.version} | {' | '.join(cells)} |")
    bad = next((each for each in ended if each.code), None)
    return [*lines, *([title(bad.command.name), *bad.command.log.read_text().splitlines()] if bad else [])]


def _came_to(step: Ended | None) -> str:
    """Returns the result of a step's tests; features that its version lacks, by docs/versions.md, are counted separately."""
    if step is None or step.code is None or step.command.results is None:
        return "not begun"
    read_results = results.read(step.command.results)
    return read_results.counts().replace("skipped", "lacking") if read_results.tests else str(step)


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
    """Returns True if all suites share one existing cluster."""
    return any(os.environ.get(name) for name in BORROWED)


def execute(plan: Plan, lanes: Lanes) -> frozenset[str]:
    """Runs a plan; returns the tests that failed, and passed in a second run. Raises Interrupted."""
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
    """Returns the checked-out commit, marked if files differ from it."""
    return subprocess.run(("git", "describe", "--always", "--dirty"), capture_output=True, text=True, check=True).stdout.strip()


def run(plan: Plan, commit: str, known: Path = again.KNOWN) -> tuple[int, Outcome]:
    """Runs a plan; returns the exit status, and the outcome. `known` has the flaky tests of earlier runs."""
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
    """Runs a plan and returns the exit status: 0 if nothing failed, 130 after an interrupt, else 1."""
    parser = argparse.ArgumentParser(prog="python -m tests.run", description="Runs the suites side by side.")
    parser.add_argument("plan", choices=PLANS)
    name = parser.parse_args(arguments).plan
    plan = PLANS[name]()
    if name == SOAK:
        os.environ["SOAK"] = "1"
    commit = _commit()
    for leftover in (*OUT.rglob("*.xml"), *(OUT / "rights").glob("*.json"), *cost.FOLDER.glob("*.json")):
        leftover.unlink()
    if cost.MACHINE.exists():
        os.environ[accounting.FOLDER] = str(cost.FOLDER.resolve())
    code, outcome = run(plan, commit)
    print("\n".join(report(outcome)), flush=True)
    cost.write()
    if name == VERSIONS:
        print("\n".join(by_version(outcome.ended)), flush=True)
    if name == SOAK:  # without paths of this machine
        SOAK_LOG.write_text("\n".join([f"make soak at {commit}, {os.cpu_count()} cores", "", *summary(outcome), ""]))
    return code


if __name__ == "__main__":
    sys.exit(main())
