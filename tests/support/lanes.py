"""Commands side by side: each lane runs its steps one after another, each step's output goes to a file of its own, and one line says how far all are.

An interrupt (Ctrl-C) is passed on to every step that runs, once, so that each ends its clusters; the next interrupt ends them at once.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import TextIO

PERCENT = re.compile(rb"\[ *(\d+)%\]")
TROUBLE = re.compile(r"^(?=.*\[ *\d+%\]).*\b(?:FAILED|ERROR)\b")
LOOK_EVERY = 0.2  # seconds
SAY_EVERY = 30.0
NO_TESTS = 5
"""Exit code of pytest where it found no test: nothing was shown, so it counts as a failure."""


@dataclass(frozen=True)
class Step:
    """One command. `results` is the JUnit file that it writes, None where it runs no tests; what is `shown` is worth a look although it ended well."""

    name: str
    command: Sequence[str]
    log: Path
    results: Path | None = None
    shown: bool = False


@dataclass
class Ran:
    """A step that has ended: its exit code, and the seconds that it took. A step that was never begun has no code."""

    step: Step
    code: int | None = None
    seconds: float = 0.0

    @property
    def ok(self) -> bool:
        return self.code == 0


@dataclass
class _Running:
    ran: Ran
    process: subprocess.Popen[bytes]
    output: TextIO
    began: float
    read: int = 0

    def progress(self) -> str:
        """How far it is, as pytest says in its log; nothing where it says no such thing."""
        found = PERCENT.findall(_tail(self.ran.step.log))
        return f"{self.ran.step.name} {found[-1].decode()} %" if found else self.ran.step.name

    def troubles(self) -> Iterator[str]:
        """Lines of failed tests since it was asked last."""
        with self.ran.step.log.open("rb") as log:
            log.seek(self.read)
            new = log.read()
        whole = new[: new.rfind(b"\n") + 1]
        self.read += len(whole)
        for line in whole.decode(errors="replace").splitlines():
            if TROUBLE.match(line):
                yield line


class Interrupted(Exception):  # noqa: N818 - it is wanted
    """Ctrl-C was pressed, and all that ran has ended."""


class Lanes:
    """Runs lanes, says on `out` what happens, and keeps what has ended."""

    def __init__(self, out: TextIO = sys.stdout) -> None:
        self.ran: list[Ran] = []
        self._out, self._began, self._said = out, time.monotonic(), 0.0
        self._interrupts = self._passed_on = 0
        self._moving = out.isatty()

    def run(self, *lanes: Sequence[Step], stop_at_failure: bool = False) -> bool:
        """Runs the lanes side by side; true where every step ended well. With `stop_at_failure` a lane's steps after a failed one are left out.

        Raises Interrupted.
        """
        waiting = [list(lane) for lane in lanes]
        running: list[_Running | None] = [None] * len(waiting)
        ended: list[Ran] = []
        with self._interruptible():
            while any(running) or (any(waiting) and not self._interrupts):
                for lane, steps in enumerate(waiting):
                    if running[lane] is None and steps and not self._interrupts:
                        running[lane] = self._begin(steps.pop(0))
                self._look(running, ended)
                self._pass_on([one for one in running if one is not None])
                if stop_at_failure and not all(each.ok for each in ended):
                    waiting = [[] for _ in waiting]
        self.ran += [*ended, *(Ran(step) for steps in waiting for step in steps)]
        if self._interrupts:
            raise Interrupted
        return all(each.ok for each in ended)

    def say(self, line: str) -> None:
        """One line of its own."""
        print(f"\r\x1b[K{line}" if self._moving else line, file=self._out, flush=True)

    def _begin(self, step: Step) -> _Running:
        step.log.parent.mkdir(parents=True, exist_ok=True)
        output = step.log.open("w")
        # A session of its own: the terminal's Ctrl-C comes to us alone, and from us to each of them once.
        process = subprocess.Popen(
            step.command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        return _Running(Ran(step), process, output, time.monotonic())

    def _look(self, running: list[_Running | None], ended: list[Ran]) -> None:
        """One look at what runs: what has ended leaves its lane, and what there is to say is said."""
        time.sleep(LOOK_EVERY)
        for lane, one in enumerate(running):
            if one is None:
                continue
            code = one.process.poll()
            for line in one.troubles():
                self.say(line)
            if code is not None:
                one.output.close()
                one.ran.code, one.ran.seconds = code, time.monotonic() - one.began
                ended.append(one.ran)
                running[lane] = None
                self.say(f"{self._seconds()} {one.ran.step.name}: {_end(one.ran)}")
        self._say_how_far([one for one in running if one is not None])

    def _pass_on(self, running: Sequence[_Running]) -> None:
        """The first interrupt lets each step end what it started, by its own means; one after that ends it with all that it started."""
        if self._passed_on == self._interrupts:
            return
        self._passed_on = self._interrupts
        self.say(
            f"{self._seconds()} interrupted: " + ("what runs is ended, and its clusters with it" if self._interrupts == 1 else "at once")
        )
        for one in running:
            with contextlib.suppress(ProcessLookupError):
                if self._interrupts > 1:
                    os.killpg(one.process.pid, signal.SIGKILL)
                elif one.ran.step.results is not None:
                    one.process.send_signal(signal.SIGINT)  # pytest ends what its tests have started
                else:
                    os.killpg(one.process.pid, signal.SIGINT)

    def _say_how_far(self, running: Sequence[_Running]) -> None:
        now = time.monotonic()
        if not running or (now - self._said < SAY_EVERY and not self._moving):
            return
        line = f"{self._seconds()} {', '.join(one.progress() for one in running)}"
        if self._moving:
            print(f"\r\x1b[K{line}", end="", file=self._out, flush=True)
        else:
            self.say(line)
        self._said = now

    def _seconds(self) -> str:
        return f"{time.monotonic() - self._began:5.0f} s"

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        def interrupt(_number: int, _frame: FrameType | None) -> None:
            self._interrupts += 1

        before = {number: signal.signal(number, interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _tail(path: Path, size: int = 4096) -> bytes:
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - size))
        return file.read()


def _end(ran: Ran) -> str:
    match ran.code:
        case 0:
            said = "done"
        case code if code == NO_TESTS and ran.step.results is not None:
            said = "no test was found"
        case code:
            said = f"failed, exit code {code}"
    return f"{said} after {ran.seconds:.0f} s"
