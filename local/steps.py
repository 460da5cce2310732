"""Runs the steps of a long command, some beside others, and tells in one line what runs, for how long, and what comes next.

A lane is a sequence of steps that run one after the other; lanes run side by side, one that compiles beside one that downloads.
The first step that fails ends the others.
"""

from __future__ import annotations

import contextlib
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.progress import LINE, REFRESH, STEP_REPEAT, Line

ENDS_WITHIN = 10.0  # seconds for a command that was interrupted
TAIL = 4000  # characters of a failed command's errors that are shown


class CommandError(Exception):
    """A command of a step failed; the message is the end of what it wrote to its standard error."""


class InterruptedStepError(Exception):
    """The step was ended because another one failed."""


@dataclass
class Commands:
    """Runs the commands of steps, and can end all that run."""

    _running: set[subprocess.Popen[str]] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _ended: bool = False

    def run(self, command: Sequence[str | Path], *, cwd: Path | None = None, env: Mapping[str, str] | None = None) -> None:
        """Runs one command until it ends. Raises CommandError, or InterruptedStepError after `end` was called."""
        with self._lock:
            if self._ended:
                raise InterruptedStepError
            process = subprocess.Popen(
                list(map(str, command)),
                cwd=cwd,
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
            self._running.add(process)
        try:
            _, errors = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        if self._ended:
            raise InterruptedStepError
        if process.returncode:
            raise CommandError(errors.strip()[-TAIL:])

    def end(self) -> None:
        """Interrupts what runs, which lets Go remove its temporary files, and kills what goes on. No command starts any more."""
        with self._lock:
            self._ended = True
            running = list(self._running)
        for process in running:
            process.send_signal(signal.SIGINT)
        for process in running:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(ENDS_WITHIN)
            if process.poll() is None:
                process.kill()


@dataclass(frozen=True)
class Step:
    """One step: `run` does it and returns what the reader is told about the result, such as its size."""

    title: str
    run: Callable[[Commands], str]


@dataclass
class _Board:
    """What runs and what is left, shared by the lanes."""

    left: list[list[Step]]
    line: Line
    total: int = 0
    started: dict[str, float] = field(default_factory=dict)
    number: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)
    error: BaseException | None = None

    def take(self, lane: list[Step]) -> tuple[Step, int] | None:
        """The next step of a lane and its number; None when there is none, or another lane has failed."""
        with self.lock:
            if self.error is not None or not lane:
                return None
            step = lane.pop(0)
            self.number += 1
            self.started[step.title] = time.monotonic()
            return step, self.number

    def finish(self, step: Step, number: int, result: str) -> None:
        with self.lock:
            seconds = time.monotonic() - self.started.pop(step.title)
            self.line.say(f"[{number}/{self.total}] {step.title}: done in {seconds:.0f} s{result and f', {result}'}")

    def fail(self, error: BaseException) -> None:
        with self.lock:
            self.error = self.error or error

    def show(self) -> None:
        with self.lock:
            if not self.started or self.error is not None:
                return
            now = time.monotonic()
            running = ", ".join(f"{title}: {now - since:.0f} s" for title, since in self.started.items())
            following = " and ".join(lane[0].title for lane in self.left if lane)
            self.line.still(f"[{self.number}/{self.total}] {running} … {following and f'next: {following}'}".rstrip(), STEP_REPEAT)


def run(*lanes: Sequence[Step], line: Line = LINE) -> None:
    """Runs the lanes side by side until all steps are done. Raises the error of the first step that failed."""
    board = _Board([list(lane) for lane in lanes], line, total=sum(map(len, lanes)))
    commands = Commands()
    threads = [threading.Thread(target=_run_lane, args=(board, lane, commands)) for lane in board.left if lane]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads) and board.error is None:
            board.show()
            for thread in threads:
                thread.join(REFRESH / len(threads))
    finally:
        if any(thread.is_alive() for thread in threads):
            board.fail(InterruptedStepError())
            commands.end()
            for thread in threads:
                thread.join()
        line.clear()
    if board.error is not None:
        raise board.error


def _run_lane(board: _Board, lane: list[Step], commands: Commands) -> None:
    while taken := board.take(lane):
        step, number = taken
        try:
            result = step.run(commands)
        except BaseException as error:  # raised again by the thread that waits
            board.fail(error)
            return
        board.finish(step, number, result)
