"""Runs commands in parallel lanes: each lane runs its commands in sequence, each with its own log, and one line shows their progress.

An interrupt (Ctrl-C, or a terminal that closes) is passed on to every running command, once, so that each ends its clusters. The next
interrupt kills them at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, TextIO

from local.progress import Line

PERCENT = re.compile(r"\[ *(\d+)%\]")
TROUBLE = re.compile(r"^\[gw\d+\] \[ *\d+%\] (?:FAILED|ERROR) |\b(?:FAILED|ERROR) +\[ *\d+%\]$")
"""pytest's line for a failed test, with workers and without."""

TAIL = 4096  # bytes at the end of a log, which contain its last line
LOOK_EVERY = 0.2  # seconds
SAY_EVERY = 30.0  # seconds between two lines where there is no terminal that could rewrite one
NO_TESTS = 5
"""Exit code of pytest without any test: it proves nothing, so it counts as a failure."""


@dataclass(frozen=True)
class Command:
    """A command. `results`: its JUnit file, or None if it runs no tests. A `shown` log is printed even after success."""

    name: str
    arguments: Sequence[str]
    log: Path
    results: Path | None = None
    shown: bool = False


@dataclass
class Ended:
    """A command that has ended: its exit code, or None if it never began, and its duration.

    `core_seconds`: of its own and of each program below it whose end was waited for.
    """

    command: Command
    code: int | None = None
    seconds: float = 0.0
    core_seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.code == 0

    def __str__(self) -> str:
        if self.ok:
            return "done"
        if self.code is None:
            return "not begun"
        if self.code == NO_TESTS and self.command.results is not None:
            return "no test was found"
        return f"failed, exit code {self.code}"


class Interrupted(Exception):  # noqa: N818 - it is wanted
    """The end of all commands after an interrupt."""


class _Running:
    """A running command, in a session of its own: only we receive the terminal's Ctrl-C, and pass it to each command once."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._began = time.monotonic()
        self._read = 0
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("w") as log:
            self._process = subprocess.Popen(command.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def ended(self) -> Ended | None:
        """Returns its end; None while it runs."""
        pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return Ended(self.command, self._process.returncode, time.monotonic() - self._began, used.ru_utime + used.ru_stime)

    def interrupt(self) -> None:
        """Lets it end its processes. pytest does so for its tests; for other commands, their whole process group gets the signal."""
        with contextlib.suppress(ProcessLookupError):
            (os.kill if self.command.results is not None else os.killpg)(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def progress(self) -> str:
        """Returns its progress: pytest's percentage, or the last line of another command."""
        with self.command.log.open("rb") as log:
            log.seek(max(0, self.command.log.stat().st_size - TAIL))
            end = log.read().decode(errors="replace")
        if self.command.results is not None:
            percents = PERCENT.findall(end)
            return f"{self.command.name} {percents[-1]} %" if percents else self.command.name
        return ": ".join([self.command.name, *end.strip().splitlines()[-1:]])

    def troubles(self) -> Iterator[str]:
        """Yields new lines of failed tests."""
        with self.command.log.open("rb") as log:
            log.seek(self._read)
            whole = _up_to_the_last_line(log)
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if self.command.results is not None and TROUBLE.search(line):
                yield line


class Lanes:
    """Runs lanes, prints their progress on `out`, and keeps the ended commands."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.ended: list[Ended] = []
        self._line, self._began = Line(lambda: out), time.monotonic()
        self._interrupts = self._passed_on = 0

    def run(self, *lanes: Sequence[Command], then: Sequence[Command] = (), beside: Sequence[Command] = ()) -> bool:
        """Runs the lanes in parallel; returns True if every command succeeded. Raises Interrupted.

        `then`: commands that idle lanes start, in this order. `beside`: one more lane that takes none of them; it uses the machine's spare
        capacity at first.
        """
        waiting, shared = [list(lane) for lane in (*lanes, beside)], list(then)
        running: dict[int, _Running] = {}
        ended: list[Ended] = []
        with self._interruptible(), self._left_to_nobody(running):
            while running or ((any(waiting) or shared) and not self._interrupts):
                for lane, own in enumerate(waiting):
                    commands = own if own or lane == len(lanes) else shared
                    if commands and lane not in running and not self._interrupts:
                        running[lane] = _Running(commands.pop(0))
                time.sleep(LOOK_EVERY)
                for lane, active in list(running.items()):
                    if finished := self._look_at(active):
                        ended.append(finished)
                        del running[lane]
                self._pass_on(running.values())
                self._say_how_far(running.values())
        self._line.clear()
        self.ended += [*ended, *(Ended(command) for commands in (*waiting, shared) for command in commands)]
        if self._interrupts:
            raise Interrupted
        return all(each.ok for each in ended)

    def _look_at(self, running: _Running) -> Ended | None:
        finished = running.ended()
        for line in running.troubles():
            self._line.say(line)
        if finished is not None:
            self._line.say(f"{self._seconds()} {running.command.name}: {finished} after {finished.seconds:.0f} s")
        return finished

    def _pass_on(self, running: Collection[_Running]) -> None:
        if self._passed_on == self._interrupts:
            return
        first, self._passed_on = self._passed_on == 0 and self._interrupts == 1, self._interrupts
        for command in running:
            if first:
                command.interrupt()
            else:
                command.kill()
        # Not before: a closed terminal accepts no line.
        self._line.say(
            f"{self._seconds()} interrupted: " + ("what runs ends, and its clusters with it" if first else "what runs is killed")
        )

    def _say_how_far(self, running: Collection[_Running]) -> None:
        if running:
            self._line.still(f"{self._seconds()} {', '.join(command.progress() for command in running)}", SAY_EVERY)

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:5.0f} s"

    @contextlib.contextmanager
    def _left_to_nobody(self, running: Mapping[int, _Running]) -> Iterator[None]:
        """Interrupts the commands if the block fails: each has a session of its own, and would outlive our error."""
        try:
            yield
        finally:
            if not self._passed_on:
                for command in running.values():
                    command.interrupt()

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """Handles signals, even ignored ones, as in a background job of a shell: our commands must not inherit that."""

        def interrupt(_number: int, _frame: FrameType | None) -> None:
            self._interrupts += 1

        heeded = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup, which is to outlive its terminal
            heeded.append(signal.SIGHUP)
        before = {number: signal.signal(number, interrupt) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _up_to_the_last_line(log: IO[bytes]) -> bytes:
    """Returns the unread part of a log, without an incomplete last line."""
    unread = log.read()
    return unread[: unread.rfind(b"\n") + 1]
