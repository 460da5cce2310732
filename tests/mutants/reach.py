"""Finds the tests that reach a line, by coverage with a context for each test, also in the processes that tests start."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from coverage import CoverageData

from tests.mutants.trees import FAILED, PASSED, Tree
from tests.support import results

PACKAGE = "operator/dynamiq_operator"
SETTINGS = """\
[run]
source_pkgs = dynamiq_operator
relative_files = true
parallel = true
data_file = {data}
"""
OF_PROCESSES = """\
patch = subprocess
sigterm = true
context = ${PYTEST_CURRENT_TEST-}
"""
"""Settings for processes of tests. Unit tests reach the same lines without the few processes that they start."""
OPTIONS = {
    "unit": tuple(f"--ignore=tests/unit/{name}" for name in ("local", "recorder", "repository", "runtime")),
}
"""Options by suite. Unit tests of other packages reach the operator's modules only for their values."""


@dataclass(frozen=True)
class Reach:
    """A suite's coverage, seconds by test function, and the tests that fail without any mutant."""

    data: CoverageData
    seconds: Mapping[str, float]
    failing: frozenset[str]

    def tests(self, file: str, line: int, seconds: float) -> list[str]:
        """Returns the tests that reach a line: those of its layer first, then the quick ones, as many as fit into these seconds."""
        layer = file.removeprefix(f"{PACKAGE}/").partition("/")[0]
        reaching = self._tests(file).get(line, set()) - self.failing
        chosen: list[str] = []
        total = 0.0
        for test in sorted(reaching, key=lambda test: (f"/{layer}/" not in test, self.seconds.get(test, 0.0), test)):
            total += self.seconds.get(test, 0.0)
            if chosen and total > seconds:
                break
            chosen.append(test)
        return chosen

    def _tests(self, file: str) -> dict[int, set[str]]:
        by_line = self.data.contexts_by_lineno(file)
        return {line: {function_of(context) for context in contexts if "::" in context} for line, contexts in by_line.items()}


def function_of(context: str) -> str:
    """Returns the test function of a context: `a.py::test_b[1] (call)`, or `a.py::test_b[1]|run`."""
    path, _, name = context.partition("::")
    return f"{path}::{name.partition('[')[0].partition('|')[0].partition(' (')[0]}"


def reach(tree: Tree, suite: str) -> Reach:
    """Reads the coverage of a suite, after one run with coverage."""
    data, times = tree.file(suite, "coverage"), tree.file(suite, "xml")
    if not times.exists():
        _cover(tree, suite, data, times)
    coverage_data = CoverageData(str(data))
    coverage_data.read()
    whole = results.read(times)
    seconds: dict[str, float] = {}
    for test, took in whole.seconds.items():
        seconds[function_of(test)] = seconds.get(function_of(test), 0.0) + took
    return Reach(coverage_data, seconds, frozenset(function_of(failure.test) for failure in whole.failures))


def _cover(tree: Tree, suite: str, data: Path, times: Path) -> None:
    settings = tree.file(suite, "coveragerc")
    settings.write_text(SETTINGS.replace("{data}", str(data)) + (OF_PROCESSES if suite != "unit" else ""))
    print(f"mutants: runs tests/{suite} of {tree.commit} once, to see which tests reach a line", flush=True)
    options = ("--cov", f"--cov-config={settings}", "--cov-context=test", "--cov-report=", "-m", "not long", *OPTIONS.get(suite, ()))
    code = tree.pytest(f"tests/{suite}", "--quiet", f"--junitxml={times}", *options)
    if code not in (PASSED, FAILED):
        times.unlink(missing_ok=True)
        raise RuntimeError(f"tests/{suite} did not come to its end: see {tree.log}")
