"""Suites in parallel: failures are reported, an interrupt lets each suite end its clusters, and a layer below its coverage is named."""

from __future__ import annotations

import io
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests import run
from tests.support import again, layer_coverage, longer, results
from tests.support.cluster import REPOSITORY
from tests.support.lanes import Command, Ended, Interrupted, Lanes
from tests.support.summary import NAMED, Outcome, report, summary
from tests.support.waiting import eventually

SUITE = """
import signal, sys, time
def end(*_):
    print("its cluster is gone", flush=True)
    sys.exit(2)
signal.signal(signal.SIGINT, end)
print("it runs", flush=True)
while True:
    time.sleep(1)
"""
PASSES = """import pytest\n@pytest.mark.parametrize("what", ["-ERROR-"])\ndef test_passes(what):\n    pass\n"""
FAILS = "def test_fails():\n    assert 1 + 1 == 3, 'a sum'\n"


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """Disables plugins for a pytest within pytest, which needs none and starts faster without them."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")


def command(folder: Path, name: str, code: str, *, tests: bool = False) -> Command:
    return Command(name, (sys.executable, "-c", code), folder / f"{name}.log", folder / f"{name}.xml" if tests else None)


def suite(folder: Path, name: str, text: str) -> Command:
    """Returns a suite of one file of tests."""
    (folder / f"test_{name}.py").write_text(text)
    found = folder / f"{name}.xml"
    arguments = (sys.executable, "-m", "pytest", f"--rootdir={folder}", "-v", f"--junitxml={found}", str(folder / f"test_{name}.py"))
    return Command(name, arguments, folder / f"{name}.log", found)


def test_lanes_run_side_by_side_and_the_commands_of_a_lane_one_after_another(tmp_path: Path) -> None:
    wait = "import pathlib, time\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)"
    touch = "import pathlib; pathlib.Path({!r}).touch()"
    first, second = str(tmp_path / "first"), str(tmp_path / "second")
    lanes = Lanes(io.StringIO())
    one = (command(tmp_path, "waits", wait.format(second)), command(tmp_path, "last", touch.format(first)))
    other = (command(tmp_path, "makes", touch.format(second)), command(tmp_path, "ends", wait.format(first)))
    assert lanes.run(one, other)
    assert sorted(each.command.name for each in lanes.ended) == ["ends", "last", "makes", "waits"]


def test_a_shared_step_is_run_by_the_first_free_lane(tmp_path: Path) -> None:
    """The first lane waits for what is run after the second one: otherwise nothing would end."""
    wait = f"import pathlib, time\nwhile not pathlib.Path({str(tmp_path / 'made')!r}).exists(): time.sleep(0.01)"
    then = (
        command(tmp_path, "passes", ""),
        command(tmp_path, "makes", f"import pathlib; pathlib.Path({str(tmp_path / 'made')!r}).touch()"),
    )
    lanes = Lanes(io.StringIO())
    assert lanes.run((command(tmp_path, "waits", wait),), (command(tmp_path, "is short", ""),), then=then)
    assert sorted(each.command.name for each in lanes.ended) == ["is short", "makes", "passes", "waits"]


def test_a_step_beside_the_lanes_takes_no_shared_step(tmp_path: Path) -> None:
    """It starts with the lanes. The remaining test fails if it starts within half a second after that command's end."""
    began, over = tmp_path / "began", tmp_path / "over"
    wait = "import pathlib, time\nwhile not pathlib.Path({!r}).exists(): time.sleep(0.01)"
    lane = (command(tmp_path, "waits", f"{wait.format(str(began))}\ntime.sleep(0.5)\npathlib.Path({str(over)!r}).touch()"),)
    beside = (command(tmp_path, "is short", f"import pathlib; pathlib.Path({str(began)!r}).touch()"),)
    then = (command(tmp_path, "is left", f"import pathlib; assert pathlib.Path({str(over)!r}).exists()"),)
    lanes = Lanes(io.StringIO())
    assert lanes.run(lane, then=then, beside=beside)
    assert [each.command.name for each in lanes.ended] == ["is short", "waits", "is left"]


def test_a_failed_suite_is_reported_and_the_next_of_its_lane_runs(tmp_path: Path) -> None:
    out = io.StringIO()
    lanes = Lanes(out)
    assert not lanes.run((suite(tmp_path, "fails", FAILS), suite(tmp_path, "passes", PASSES)))
    assert [each.code for each in lanes.ended] == [1, 0]
    assert "test_fails.py::test_fails FAILED" in out.getvalue()
    assert "test_passes" not in out.getvalue()
    lines = report(Outcome(lanes.ended, 3.0))
    assert any("a sum" in line for line in lines)
    assert "a sum" in lines[lines.index("test_fails.py::test_fails") + 1]
    assert lines[-1].strip("= ") == "1 failed, 1 passed in 3.00s"


NO_CLUSTER = """
import pytest
@pytest.fixture(scope="session")
def cluster(): raise OSError("waited in vain")
@pytest.mark.parametrize("number", range(7))
def test_needs(cluster, number): pass
"""


def test_failures_of_one_cause_are_grouped_and_come_last(tmp_path: Path) -> None:
    """A log that is cut keeps its last lines."""
    lanes = Lanes(io.StringIO())
    assert not lanes.run((suite(tmp_path, "needs", NO_CLUSTER), suite(tmp_path, "fails", FAILS)))
    lines = summary(Outcome(lanes.ended, 3.0, 5.0, {"needs": 2.0}))
    at = next(number for number, line in enumerate(lines) if "time of each step" in line)
    first, second, machine, failed = lines[at + 1 : at + 5]
    assert "needs" in first
    assert "7 errors" in first
    assert "2 core-s" in first
    assert "fails" in second
    assert machine.split() == ["3.0", "s", "5", "core-s", "of", "the", "whole", "machine"]
    assert failed.strip("= ") == "failed"
    assert lines[-1].strip("= ") == "1 failed, 0 passed, 7 errors in 3.00s"
    text = "\n".join(lines)
    assert text.count("waited in vain") == 1
    assert f"and {7 - NAMED} more\n" in text
    assert "a sum" in text


def test_a_suite_without_tests_or_results_is_a_failure_and_its_log_is_shown(tmp_path: Path) -> None:
    lanes = Lanes(io.StringIO())
    assert not lanes.run((suite(tmp_path, "empty", ""), command(tmp_path, "broken", "raise SystemExit('no such option')", tests=True)))
    assert [str(each) for each in lanes.ended] == ["no test was found", "failed, exit code 1"]
    assert "no such option" in "\n".join(report(Outcome(lanes.ended, 1.0)))


FLAKY = """
import pathlib, pytest
@pytest.mark.parametrize("number", range({flaky}))
def test_is_flaky(number):
    seen = pathlib.Path({folder!r}, f"{{number}}.seen")
    fails = not seen.exists()
    seen.touch()
    assert not fails, "it waited in vain"
"""
BAD = "def test_is_bad():\n    assert 1 + 1 == 3, 'it never does'\n"


def run_flaky(folder: Path, monkeypatch: pytest.MonkeyPatch, *, flaky: int, bad: str = "") -> tuple[int, Outcome, str]:
    """Runs a suite whose flaky tests pass in a second run. Returns the exit code, the outcome, and the new lines about flaky tests."""
    (folder / "flaky.txt").write_text("date, commit, test, message\n")
    monkeypatch.chdir(folder)
    file = suite(folder, "flaky", FLAKY.format(flaky=flaky, folder=str(folder)) + bad)
    code, outcome = run.run(run.Plan(((file,),), again=True), "abc123", folder / "flaky.txt")
    return code, outcome, (folder / "flaky.txt").read_text().partition("\n")[2]


def test_a_test_that_passes_when_it_is_run_once_more_is_flaky_and_counts_as_passed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, outcome, kept = run_flaky(tmp_path, monkeypatch, flaky=2)
    lines = summary(outcome)
    assert code == 0
    assert lines[-1].strip("= ").startswith("2 passed in ")
    assert any("2 passed, 2 of them flaky" in line for line in lines)
    assert lines[-2].strip() == "AssertionError: it waited in vain"
    assert any("it waited in vain" in line for line in lines)
    assert [line.split("\t")[1:3] for line in kept.splitlines()] == [
        ["abc123", f"test_flaky.py::test_is_flaky[{number}]"] for number in range(2)
    ]
    assert "it waited in vain" in kept


def test_one_that_fails_again_makes_the_run_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, outcome, kept = run_flaky(tmp_path, monkeypatch, flaky=1, bad=BAD)
    assert code == 1
    assert summary(outcome)[-1].strip("= ").startswith("1 failed, 1 passed in ")
    assert "test_is_flaky" in kept
    assert "test_is_bad" not in kept


def test_the_fourth_flaky_test_makes_the_run_red(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, outcome, _ = run_flaky(tmp_path, monkeypatch, flaky=again.RED_FROM)
    assert code == 1
    assert "4 tests are flaky: 3 at most may be" in summary(outcome)


def test_one_that_was_flaky_before_is_objected_to(tmp_path: Path) -> None:
    test = "test_flaky.py::test_is_flaky[0]"
    (tmp_path / "flaky.txt").write_text(f"date, commit, test, message\n2026-11-29\tabc122\t{test}\tit waited in vain\n")
    assert again.objections({test}, tmp_path / "flaky.txt") == [f"{test} was flaky before: mend it"]


def test_more_than_ten_failures_are_not_run_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    code, outcome, kept = run_flaky(tmp_path, monkeypatch, flaky=again.AT_MOST + 1)
    assert (code, kept, len(outcome.results().failures)) == (1, "", again.AT_MOST + 1)


def test_a_step_that_fails_without_a_failed_test_is_never_flaky(tmp_path: Path) -> None:
    ends = Ended(command(tmp_path, "crashes", "", tests=True), code=3)
    assert not again.is_green([ends], {"test_flaky.py::test_is_flaky"})


def test_an_interrupt_lets_a_suite_end_what_it_started_and_begins_nothing_more(tmp_path: Path) -> None:
    runs = command(tmp_path, "runs", SUITE, tests=True)
    lanes = Lanes(io.StringIO())

    def press() -> None:
        eventually("it runs", lambda: runs.log.exists() and "it runs" in runs.log.read_text())
        os.kill(os.getpid(), signal.SIGINT)

    interrupt = threading.Thread(target=press)
    interrupt.start()
    with pytest.raises(Interrupted):
        lanes.run((runs, command(tmp_path, "next", "")))
    interrupt.join()
    assert runs.log.read_text().splitlines() == ["it runs", "its cluster is gone"]
    assert [(each.command.name, each.code) for each in lanes.ended] == [("runs", 2), ("next", None)]


def test_a_terminal_that_closes_is_an_interrupt(tmp_path: Path) -> None:
    runs = command(tmp_path, "runs", SUITE, tests=True)

    def close() -> None:
        eventually("it runs", lambda: runs.log.exists() and "it runs" in runs.log.read_text())
        os.kill(os.getpid(), signal.SIGHUP)

    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # nohup may have started these tests
    try:
        closing = threading.Thread(target=close)
        closing.start()
        with pytest.raises(Interrupted):
            Lanes(io.StringIO()).run((runs,))
        closing.join()
    finally:
        signal.signal(signal.SIGHUP, before)
    assert runs.log.read_text().splitlines() == ["it runs", "its cluster is gone"]


class ClosedTerminal(io.StringIO):
    """A terminal that accepts no lines once the suite runs."""

    def __init__(self, runs: Command) -> None:
        super().__init__()
        self._log = runs.log

    def isatty(self) -> bool:
        return True

    def write(self, text: str, /) -> int:
        if self._log.exists() and "it runs" in self._log.read_text():
            raise OSError("the terminal is closed")
        return super().write(text)


def test_a_step_does_not_outlive_an_error_of_the_runner(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    runs = command(tmp_path, "runs", SUITE, tests=True)
    with pytest.raises(OSError, match="the terminal is closed"):
        Lanes(ClosedTerminal(runs)).run((runs,))
    eventually("it has ended what it started", lambda: "its cluster is gone" in runs.log.read_text())


def test_a_step_can_be_interrupted_though_its_parent_ignores_interrupts(tmp_path: Path) -> None:
    """A shell's background job ignores SIGINT, and its children inherit that."""
    code = f"""
import signal, sys
sys.path[:0] = [{str(REPOSITORY)!r}]
signal.signal(signal.SIGINT, signal.SIG_IGN)
from pathlib import Path
from tests.support.lanes import Command, Lanes
shows = "import signal; raise SystemExit(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
Lanes().run((Command("shows", (sys.executable, "-c", shows), Path({str(tmp_path / "log")!r})),)) or sys.exit(1)
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, timeout=60)


def test_the_slowest_tests_come_first_and_a_long_failure_is_cut(tmp_path: Path) -> None:
    whole = results.Results(seconds={"a": 1.0, "b": 3.0, "c": 2.0})
    assert whole.slowest(2) == [("b", 3.0), ("c", 2.0)]
    shown = results.end_of("\n".join(map(str, range(100)))).splitlines()
    assert (shown[0], shown[-1], len(shown)) == ("… 40 lines before", "99", results.LINES_SHOWN + 1)


def test_a_layer_that_falls_short_is_named_with_the_files_that_lack_most() -> None:
    def file(lines: int, missing: int) -> dict[str, dict[str, int]]:
        return {"summary": {"num_statements": lines, "missing_lines": missing}}

    package = layer_coverage.PACKAGE
    files = {
        str(package / "plan" / "a.py"): file(100, 0),
        str(package / "rest" / "b.py"): file(50, 12),
        str(package / "rest" / "c.py"): file(50, 9),
    }
    found = {layer.name: layer for layer in layer_coverage.layers(files)}
    assert [name for name, layer in found.items() if layer.falls_short] == ["rest"]
    (line,) = [line for line in layer_coverage.table(list(found.values())) if line.startswith("rest")]
    assert line.split() == [
        "rest",
        "100",
        "79.0",
        "%",
        "80",
        "%",
        "falls",
        "short:",
        "rest/b.py",
        "lacks",
        "12,",
        "rest/c.py",
        "lacks",
        "9",
    ]


def test_a_command_that_never_began_is_neither_well_nor_failed(tmp_path: Path) -> None:
    never = Ended(command(tmp_path, "never", ""))
    assert (never.ok, str(never)) == (False, "not begun")


def test_make_soak_runs_every_test_whose_count_it_raises() -> None:
    raised = re.compile(r"(?:(?<!\.)\bcounted|\b(?:stops|in_full))\((?!cluster|stage)|environ\.get\(\"SOAK\"\)")
    names = ("unit", "api", "console", "node", "load", "sdk")
    suites = [path for name in names for path in sorted((REPOSITORY / "tests" / name).rglob("test_*.py")) if path != Path(__file__)]
    forgotten = [path.name for path in suites if raised.search(text := path.read_text()) and "mark.full_count" not in text]
    assert not forgotten, "mark what does more with SOAK=1 as full_count"


def test_every_suite_is_run_in_two_lanes_or_beside_them() -> None:
    plan = run.test()
    lanes = [[step.name for step in lane] for lane in (*plan.lanes, plan.beside, plan.then)]
    suites = {path.parent.name for path in (REPOSITORY / "tests").glob("*/conftest.py")} - {"bench", "load", "soak"}
    assert {name for lane in lanes for name in lane} == suites | {"unit", "browser", "prometheus", "vitest"}
    assert len(plan.lanes) == 2
    assert [step.name for step in run.ci().then] == lanes[-1]
    assert [step.name for step in run.ci().beside] == ["lint", "docs", "sdk", "system"]
    assert [step.name for step in run.console().lanes[0]] == ["browser", "vitest", "console"]


MARKS = re.compile(rf"mark\.{run.LONG}\b(\(\s*(?:\"[^\"]{{20,}}\"|'[^']{{20,}}'))?")


def test_tests_outside_make_test_are_in_make_test_all_with_their_reason() -> None:
    """A suite that no plan runs in full has only long tests."""
    plan = run.test_all()
    steps = {step.name for lane in (*plan.lanes, plan.then) for step in lane}
    marked = {path: path.read_text() for path in (REPOSITORY / "tests").rglob("test_*.py") if MARKS.search(path.read_text())}
    assert {path.relative_to(REPOSITORY / "tests").parts[0] for path in marked} == steps
    assert [path.name for path, text in marked.items() if not all(MARKS.findall(text))] == []
    assert [path.name for path in (REPOSITORY / "tests" / "load").glob("test_*.py") if "pytestmark" not in path.read_text()] == []


def test_results_of_vitest_count_like_those_of_pytest(tmp_path: Path) -> None:
    found = tmp_path / "vitest.xml"
    case = '<testcase classname="src/pure/time.test.ts" name="ago" time="0.5"/>'
    found.write_text(f'<testsuites><testsuite name="a" tests="1" failures="0" errors="0" skipped="0">{case}</testsuite></testsuites>')
    whole = results.read(found)
    assert (whole.counts(), whole.seconds) == ("1 passed", {"src/pure/time.test.ts::ago": 0.5})


def test_an_incomplete_file_of_results_does_not_count(tmp_path: Path) -> None:
    begun = tmp_path / "unit.xml"
    begun.touch()
    assert results.read(begun, tmp_path / "none.xml").counts() == "0 passed"


def test_files_that_make_check_omits_exist() -> None:
    """Pytest silently ignores a missing file: a test that was moved would again take part of the minute."""
    assert [file for file in longer.FILES if not (REPOSITORY / file).is_file()] == []
