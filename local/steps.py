"""Runs the steps of a long command, some in parallel, and prints in one line what runs, how far it is, and what is next.

A lane is a sequence of steps that run one after the other; lanes run side by side, one that compiles beside one that downloads. The first
step that fails ends the others.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.progress import LINE, REFRESH, STEP_REPEAT, Line

ENDS_WITHIN = 10.0  # seconds for a command that was interrupted
TAIL = 4000  # characters of a failed command's errors that are shown


class CommandError(Exception):
    """A failed command of a step; the message is the end of its standard error."""


class AbandonedError(Exception):
    """A step that was ended because another one failed."""


@dataclass(frozen=True)
class Step:
    """One step: `run` does it and returns the result to print, such as its size."""

    title: str
    run: Callable[[Task], str]


@dataclass
class Task:
    """A running step. `detail` is shown beside its duration so far; `run` runs a command of it."""

    title: str
    number: int
    commands: Commands
    started: float = field(default_factory=time.monotonic)
    detail: str = ""

    @property
    def seconds(self) -> float:
        return time.monotonic() - self.started

    def run(
        self,
        command: Sequence[str | Path],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        on_line: Callable[[str], bool] = lambda _: False,
        interruptible: bool = True,
    ) -> None:
        """Runs one command until it ends.

        `on_line` is called with each line of its standard error, and returns True for progress, False for an error. A command that is not
        `interruptible` runs to its end after another step has failed. Raises CommandError, or AbandonedError after another step has failed.
        """
        with self.commands.started(command, cwd, env, interruptible) as process:
            assert process.stderr is not None  # noqa: S101 - for the type checker: it is a pipe
            errors = "".join(line for line in process.stderr if not on_line(line.rstrip()))
        if process.returncode:
            raise CommandError(errors.strip()[-TAIL:])

    def __str__(self) -> str:
        return f"{self.title}: {self.seconds:.0f} s{self.detail and f', {self.detail}'}"


class Commands:
    """The running commands of all steps; it can end them."""

    def __init__(self) -> None:
        self._interruptible: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = False

    @contextlib.contextmanager
    def started(
        self, command: Sequence[str | Path], cwd: Path | None, env: Mapping[str, str] | None, interruptible: bool
    ) -> Iterator[subprocess.Popen[str]]:
        """Runs a command while the block runs, and waits for its end. Raises AbandonedError after `end`."""
        quiet = subprocess.DEVNULL
        with self._lock:
            if self._ended:
                raise AbandonedError
            process = subprocess.Popen(
                list(map(str, command)), cwd=cwd, env=env, text=True, stdin=quiet, stdout=quiet, stderr=subprocess.PIPE
            )
            if interruptible:
                self._interruptible.add(process)
        with process:
            yield process
            process.wait()
        with self._lock:
            self._interruptible.discard(process)
            if self._ended:
                raise AbandonedError

    def end(self) -> None:
        """Interrupts what may be interrupted, which lets Go remove its temporary files, and kills processes that do not end.

        No command can start afterwards.
        """
        with self._lock:
            self._ended = True
            running = list(self._interruptible)
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDS_WITHIN)
            if process.poll() is None:
                process.kill()


class _Board:
    """The running steps and the waiting ones, shared by the lanes."""

    def __init__(self, lanes: Sequence[Sequence[Step]], line: Line) -> None:
        self.lanes = [list(lane) for lane in lanes if lane]
        self.error: BaseException | None = None
        self._line = line
        self._total = sum(map(len, lanes))
        self._number = 0
        self._running: list[Task] = []
        self._lock = threading.Lock()

    def start_next(self, lane: list[Step], commands: Commands) -> tuple[Step, Task] | None:
        """Starts the next step of a lane; None if the lane is empty, or another lane has failed."""
        with self._lock:
            if self.error is not None or not lane:
                return None
            step = lane.pop(0)
            self._number += 1
            task = Task(step.title, self._number, commands)
            self._running.append(task)
            return step, task

    def finish(self, task: Task, result: str) -> None:
        with self._lock:
            self._running.remove(task)
            self._line.say(f"[{task.number}/{self._total}] {task.title}: done in {task.seconds:.0f} s{result and f', {result}'}")

    def fail(self, error: BaseException) -> None:
        with self._lock:
            self.error = self.error or error

    def show(self) -> None:
        """Prints what runs and what is next."""
        with self._lock:
            if self._running and self.error is None:
                running = " and ".join(map(str, self._running))
                following = " and ".join(lane[0].title for lane in self.lanes if lane)
                next_ = f" … next: {following}" if following else " …"
                self._line.still(f"[{self._number}/{self._total}] {running}{next_}", STEP_REPEAT)


def run(*lanes: Sequence[Step], line: Line = LINE) -> None:
    """Runs the lanes side by side until all steps are done. Raises the error of the first step that failed."""
    board, commands = _Board(lanes, line), Commands()
    threads = [threading.Thread(target=_run_lane, args=(board, lane, commands)) for lane in board.lanes]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and board.error is None:
            board.show()
            for thread in threads:
                thread.join(REFRESH / len(threads))
    finally:
        if any(thread.is_alive() for thread in threads):
            board.fail(AbandonedError())
            commands.end()
            for thread in threads:
                thread.join()
        line.clear()
    if board.error is not None:
        raise board.error


def _run_lane(board: _Board, lane: list[Step], commands: Commands) -> None:
    while started := board.start_next(lane, commands):
        step, task = started
        try:
            result = step.run(task)
        except BaseException as error:  # raised again by the thread that waits
            board.fail(error)
            return
        board.finish(task, result)
