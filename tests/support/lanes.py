"""Commands side by side: each lane runs its commands one after another, each with a log of its own, and one line says how far all are.

An interrupt (Ctrl-C, or a terminal that closes) is passed on to every command that runs, once, so that each ends its clusters; the next one ends them at once.
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
"""A failed test as pytest says it, with workers and without."""

TAIL = 4096  # bytes of a log in which what it said last is looked for
LOOK_EVERY = 0.2  # seconds
SAY_EVERY = 30.0  # seconds between two lines where there is no terminal that could rewrite one
NO_TESTS = 5
"""Exit code of pytest where it found no test: nothing was shown, so it counts as a failure."""


@dataclass(frozen=True)
class Command:
    """`results` is the JUnit file that it writes, None where it runs no tests; the log of one that is `shown` is read although it ended well."""

    name: str
    arguments: Sequence[str]
    log: Path
    results: Path | None = None
    shown: bool = False


@dataclass
class Ended:
    """A command that has ended: its exit code, None where it was never begun, and what it took.

    `core_seconds` are those of its own and of each program below it whose end was waited for.
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
    """An interrupt came, and all that ran has ended."""


class _Running:
    """A command that runs, in a session of its own: the terminal's Ctrl-C comes to us alone, and from us to each command once."""

    def __init__(self, command: Command) -> None:
        self.command = command
        self._began = time.monotonic()
        self._read = 0
        command.log.parent.mkdir(parents=True, exist_ok=True)
        with command.log.open("w") as log:
            self._process = subprocess.Popen(command.arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)

    def ended(self) -> Ended | None:
        """None while it runs."""
        pid, status, used = os.wait4(self._process.pid, os.WNOHANG)
        if pid == 0:
            return None
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return Ended(self.command, self._process.returncode, time.monotonic() - self._began, used.ru_utime + used.ru_stime)

    def interrupt(self) -> None:
        """Lets it end what it started: pytest does so for its tests, other commands and what they started are told alike."""
        with contextlib.suppress(ProcessLookupError):
            (os.kill if self.command.results is not None else os.killpg)(self._process.pid, signal.SIGINT)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def progress(self) -> str:
        """How far it is: for tests what pytest says, for other commands what they said last."""
        with self.command.log.open("rb") as log:
            log.seek(max(0, self.command.log.stat().st_size - TAIL))
            said = log.read().decode(errors="replace")
        if self.command.results is not None:
            found = PERCENT.findall(said)
            return f"{self.command.name} {found[-1]} %" if found else self.command.name
        return ": ".join([self.command.name, *said.strip().splitlines()[-1:]])

    def troubles(self) -> Iterator[str]:
        """Lines of failed tests since it was asked last."""
        with self.command.log.open("rb") as log:
            log.seek(self._read)
            whole = _up_to_the_last_line(log)
        self._read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if self.command.results is not None and TROUBLE.search(line):
                yield line


class Lanes:
    """Runs lanes, says on `out` what happens, and keeps what has ended."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.ended: list[Ended] = []
        self._line, self._began = Line(lambda: out), time.monotonic()
        self._interrupts = self._passed_on = 0

    def run(self, *lanes: Sequence[Command], then: Sequence[Command] = (), beside: Sequence[Command] = ()) -> bool:
        """Runs the lanes side by side; true where every command ended well. Raises Interrupted.

        `then`: each of these is begun, in this order, by the first lane that has nothing left of its own. `beside` is one lane more, which takes
        none of them: it fills what the others leave of the machine at first.
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
                for lane, one in list(running.items()):
                    if found := self._look_at(one):
                        ended.append(found)
                        del running[lane]
                self._pass_on(running.values())
                self._say_how_far(running.values())
        self._line.clear()
        self.ended += [*ended, *(Ended(command) for commands in (*waiting, shared) for command in commands)]
        if self._interrupts:
            raise Interrupted
        return all(each.ok for each in ended)

    def _look_at(self, one: _Running) -> Ended | None:
        found = one.ended()
        for line in one.troubles():
            self._line.say(line)
        if found is not None:
            self._line.say(f"{self._seconds()} {one.command.name}: {found} after {found.seconds:.0f} s")
        return found

    def _pass_on(self, running: Collection[_Running]) -> None:
        if self._passed_on == self._interrupts:
            return
        first, self._passed_on = self._passed_on == 0 and self._interrupts == 1, self._interrupts
        for one in running:
            if first:
                one.interrupt()
            else:
                one.kill()
        # Not before: a terminal that has closed takes no line.
        self._line.say(
            f"{self._seconds()} interrupted: " + ("what runs ends, and its clusters with it" if first else "what runs is killed")
        )

    def _say_how_far(self, running: Collection[_Running]) -> None:
        if running:
            self._line.still(f"{self._seconds()} {', '.join(one.progress() for one in running)}", SAY_EVERY)

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:5.0f} s"

    @contextlib.contextmanager
    def _left_to_nobody(self, running: Mapping[int, _Running]) -> Iterator[None]:
        """What runs has a session of its own, so it would outlive an error of ours: it is interrupted, unless it was."""
        try:
            yield
        finally:
            if not self._passed_on:
                for one in running.values():
                    one.interrupt()

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """A handler of ours also where interrupts were ignored, as in a background job of a shell: what we start inherits no such thing."""

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
    """What is left of a log, but for a line that is not whole yet."""
    left = log.read()
    return left[: left.rfind(b"\n") + 1]
