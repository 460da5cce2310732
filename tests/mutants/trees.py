"""Makes copies of the repository in build/mutants, a git worktree for each commit: mutants run in them, so the checkout stays unchanged."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.table import Row
from tests.support import results

REPOSITORY = Path(__file__).parents[2]
BUILD = REPOSITORY / "build" / "mutants"
PASSED, FAILED = 0, 1


@dataclass(frozen=True)
class Tree:
    """The checkout of a commit."""

    commit: str

    @property
    def folder(self) -> Path:
        return BUILD / self.commit

    def file(self, suite: str, ending: str) -> Path:
        """Returns the file with the coverage or the times of a suite."""
        return BUILD / f"{self.commit}.{suite}.{ending}"

    @contextlib.contextmanager
    def mutated(self, row: Row) -> Iterator[None]:
        """Applies a mutant to its file while the block runs."""
        path = self.folder / row.file
        text = path.read_text()
        path.write_text(row.mutated(text))
        try:
            yield
        finally:
            path.write_text(text)

    def first_failure(self, tests: Sequence[str], limit: float) -> tuple[str | None, float]:
        """Runs tests up to the first failure; returns it, None if all pass, and the seconds. A run beyond its limit fails, too."""
        listed, results_file = self.folder / "build" / "mutant-tests.txt", self.folder / "build" / "mutant.xml"
        listed.parent.mkdir(exist_ok=True)
        listed.write_text("\n".join(tests))
        results_file.unlink(missing_ok=True)
        began = time.monotonic()
        code = self.pytest("-x", "--quiet", f"--junitxml={results_file}", f"@{listed}", limit=limit)
        took = time.monotonic() - began
        if code == PASSED:
            return None, took
        failures = results.read(results_file).failures
        if code is None or failures:
            return failures[0].test.removeprefix(".py::") if failures else f"no end within {limit:.0f} s", took
        raise RuntimeError(f"pytest ended with {code} and named no test: see {self.log}")

    @property
    def log(self) -> Path:
        return BUILD / f"{self.commit}.log"

    def pytest(self, *arguments: str, limit: float | None = None) -> int | None:
        """Runs pytest on this tree's own modules, also in processes that tests start; None if it did not end in time."""
        path = os.pathsep.join([str(self.folder / "operator"), str(self.folder)])
        command = [sys.executable, "-m", "pytest", *arguments]
        with self.log.open("w") as log:
            process = subprocess.Popen(
                command, cwd=self.folder, env={**os.environ, "PYTHONPATH": path}, stdout=log, stderr=log, start_new_session=True
            )
            try:
                return process.wait(limit)
            except subprocess.TimeoutExpired:
                return None
            finally:
                if process.poll() is None:
                    _end(process)


def _end(process: subprocess.Popen[bytes], patience: float = 60) -> None:
    """Ends a run as Ctrl-C does, so that it stops its clusters, and kills it if that takes long."""
    for number in (signal.SIGINT, signal.SIGKILL):
        os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
            return


def check_out(reference: str) -> Tree:
    """Makes the worktree of a commit, unless it exists."""
    commit = _git("rev-parse", "--short=8", f"{reference}^{{commit}}")
    tree = Tree(commit)
    if not tree.folder.exists():
        _git("worktree", "prune")
        _git("worktree", "add", "--detach", str(tree.folder), commit)
    _git("-C", str(tree.folder), "checkout", "--quiet", "--", ".")  # removes the mutant of an interrupted run
    return tree


def _git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout.strip()
