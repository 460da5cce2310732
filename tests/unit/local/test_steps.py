"""Running the steps of a long command, and their output on a terminal and in a log."""

from __future__ import annotations

import io
import re
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from local import steps
from local.progress import CLEAR, Line
from local.steps import CommandError, Step, Task
from tests.support.waiting import IN_TIME


class Output(io.StringIO):
    """The output, on a terminal or in a log. `wait_for` lets a step wait until a text was printed."""

    def __init__(self, *, terminal: bool) -> None:
        super().__init__()
        self._terminal = terminal
        self._printed = threading.Condition()

    def isatty(self) -> bool:
        return self._terminal

    def write(self, text: str) -> int:
        with self._printed:
            self._printed.notify_all()
            return super().write(text)

    def wait_for(self, text: str) -> None:
        with self._printed:
            assert self._printed.wait_for(lambda: text in self.said, IN_TIME), f"{text!r} is not in {self.said!r}"

    @property
    def said(self) -> str:
        """Returns the output, as on a machine on which nothing takes a second."""
        return re.sub(r"\b\d+ s\b", "0 s", self.getvalue())

    @property
    def left(self) -> str:
        """Returns the text that a reader sees at the end, without lines that were cleared."""
        return "\n".join(line.rpartition(CLEAR)[2] for line in self.said.split("\n"))


def a_step(title: str, run: Callable[[Task], object] = lambda _: None, result: str = "") -> Step:
    def do(task: Task) -> str:
        run(task)
        return result

    return Step(title, do)


def test_a_terminal_has_one_line_of_the_running_step_its_progress_and_the_next_step() -> None:
    output = Output(terminal=True)

    def compile_(task: Task) -> None:
        task.detail = "7 of 9 packages"
        output.wait_for("[1/2] kubernetes 1.2.3: 0 s, 7 of 9 packages … next: containerd")

    steps.run([a_step("kubernetes 1.2.3", compile_, "155 MB"), a_step("containerd")], line=Line(lambda: output))
    assert output.left == "[1/2] kubernetes 1.2.3: done in 0 s, 155 MB\n[2/2] containerd: done in 0 s\n"


def test_a_log_has_plain_lines() -> None:
    output = Output(terminal=False)
    steps.run([a_step("etcd", lambda _: output.wait_for("[1/1] etcd: 0 s …\n"))], line=Line(lambda: output))
    assert output.said == "[1/1] etcd: 0 s …\n[1/1] etcd: done in 0 s\n"


def test_a_log_is_not_flooded() -> None:
    output = Output(terminal=False)
    line = Line(lambda: output)
    for seconds in range(3):
        line.still(f"{seconds} s", repeat=60)
    assert output.getvalue() == "0 s\n"


def test_a_line_that_moves_stays_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "10")
    output = Output(terminal=True)
    line = Line(lambda: output)
    line.still("waiting for the API server")
    line.say("ready")
    assert "waiting f" in output.getvalue()
    assert "waiting fo" not in output.getvalue()
    assert output.left == "ready\n"


def test_lanes_run_side_by_side_and_the_steps_of_each_in_order() -> None:
    order: list[str] = []
    second_lane = threading.Event()

    def meet(_: Task) -> None:
        assert second_lane.wait(IN_TIME)
        order.append("a")

    first = [a_step("a", meet), a_step("b", lambda _: order.append("b"))]
    steps.run(first, [a_step("c", lambda _: second_lane.set())], line=Line(lambda: Output(terminal=False)))
    assert order == ["a", "b"]


def test_both_lanes_are_in_the_line() -> None:
    output = Output(terminal=True)
    expected = ["kubernetes: 0 s and image: 0 s … next: containerd", "image: 0 s and kubernetes: 0 s … next: containerd"]
    shown = threading.Event()

    def wait(_: Task) -> None:
        deadline = time.monotonic() + IN_TIME
        while not shown.is_set() and time.monotonic() < deadline:
            if any(text in output.said for text in expected):
                shown.set()
        assert shown.is_set(), output.getvalue()

    steps.run([a_step("kubernetes", wait), a_step("containerd")], [a_step("image", wait)], line=Line(lambda: output))


def test_a_failing_task_ends_the_running_ones_and_no_other_starts() -> None:
    started = threading.Event()
    done: list[str] = []

    def fail(_: Task) -> None:
        assert started.wait(IN_TIME)
        raise RuntimeError("no disk")

    def last(task: Task) -> None:
        started.set()
        task.run(["sleep", "600"])

    began = time.monotonic()
    with pytest.raises(RuntimeError, match="no disk"):
        steps.run(
            [a_step("fails", fail), a_step("never", lambda _: done.append("never"))],
            [a_step("long", last), a_step("never", lambda _: done.append("never"))],
            line=Line(lambda: Output(terminal=False)),
        )
    assert time.monotonic() - began < IN_TIME
    assert done == []


def test_a_failing_command_shows_its_error_without_its_progress() -> None:
    command = ["sh", "-c", "echo package >&2; echo 'disk full' >&2; exit 3"]
    step = a_step("build", lambda task: task.run(command, on_line=lambda line: line == "package"))
    with pytest.raises(CommandError) as failed:
        steps.run([step], line=Line(lambda: Output(terminal=False)))
    assert str(failed.value) == "disk full"


def test_no_tasks_print_nothing() -> None:
    output = Output(terminal=True)
    steps.run([], [], line=Line(lambda: output))
    assert output.getvalue() == ""


def test_an_uninterruptible_command_runs_to_its_end(tmp_path: Path) -> None:
    started, finished = tmp_path / "started", tmp_path / "finished"
    installation = ["sh", "-c", f"touch {started}; sleep 1; touch {finished}"]

    def fail(_: Task) -> None:
        deadline = time.monotonic() + IN_TIME
        while not started.exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        raise RuntimeError("no disk")

    with pytest.raises(RuntimeError, match="no disk"):
        steps.run(
            [a_step("fails", fail)],
            [a_step("install", lambda task: task.run(installation, interruptible=False))],
            line=Line(lambda: Output(terminal=False)),
        )
    assert finished.exists()
