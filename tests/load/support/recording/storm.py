"""Runs pods that record while they are rolled and killed, and while the recorder, its disk and its database fail, by a schedule in runs.

The test provides a function for each failure; this module decides when, and counts.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.load.support.recording.accounts import Told

PROGRAM = Path(__file__).with_name("pod.py")
LINE = 37  # bytes of an id and its end
LOOK = 0.1  # seconds
ENDS_WITHIN = 60.0
ENDED = (0, -signal.SIGTERM)
"""Exit codes: by itself, or before it had begun."""
EVER = 10**9  # runs: until it is stopped


@dataclass
class Process:
    """One process of a pod, and the log of its callers' runs."""

    log: Path
    popen: subprocess.Popen[bytes]


@dataclass
class Pods:
    """Parallel processes, which together end `rate` runs a second; `variables` are a pod's, one mapping for each place."""

    folder: Path
    variables: Sequence[Mapping[str, str]]
    rate: float
    running: list[Process] = field(default_factory=list)
    logs: list[Path] = field(default_factory=list)

    def __enter__(self) -> Pods:
        self.running = [self._start(place) for place in range(len(self.variables))]
        return self

    def __exit__(self, *_: object) -> None:
        for process in self.running:
            process.popen.kill()
            process.popen.wait()

    @property
    def given(self) -> int:
        """Returns the number of runs acknowledged to callers, to within one for each process."""
        return sum(log.stat().st_size for log in self.logs if log.exists()) // LINE

    def roll(self, place: int) -> None:
        """Ends one as Kubernetes does, while its replacement runs."""
        old, self.running[place] = self.running[place], self._start(place)
        old.popen.send_signal(signal.SIGTERM)
        old.popen.wait(ENDS_WITHIN)

    def kill(self, place: int) -> None:
        self.running[place].popen.kill()
        self.running[place].popen.wait()
        self.running[place] = self._start(place)

    def stop(self) -> list[Told]:
        """Ends all; returns the runs that each process acknowledged to its callers."""
        for process in self.running:
            process.popen.send_signal(signal.SIGTERM)
        for process in self.running:
            ended = process.popen.wait(ENDS_WITHIN)
            assert ended in ENDED, f"a pod ended with {ended}: {process.log.with_suffix('.err').read_text()[-2000:]}"
        logs_read = [Told.of(log) for log in self.logs if log.exists()]
        return [each for each in logs_read if each is not None]

    def _start(self, place: int) -> Process:
        log = self.folder / f"pod-{len(self.logs)}.log"
        self.logs.append(log)
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": os.environ.get("PYTHONPATH", ""), **self.variables[place]}
        command = [sys.executable, str(PROGRAM), str(log), str(self.rate / len(self.variables)), str(EVER)]
        with log.with_suffix(".err").open("wb") as errors:
            return Process(log, subprocess.Popen(command, env=variables, stdout=errors, stderr=errors))


@dataclass(frozen=True)
class Failure:
    """A failure that occurs so many times during the runs, at equal distances."""

    what: str
    times: int
    do: Callable[[int], None]


def storm(pods: Pods, runs: int, failures: Sequence[Failure]) -> tuple[dict[str, int], float]:
    """Runs until `runs` runs have ended; returns how often each failure occurred, and the rate of runs a second."""
    due = [(runs * (number + 0.5) / failure.times, number, failure) for failure in failures for number in range(failure.times)]
    done: dict[str, int] = {}
    began = time.monotonic()
    for at, number, failure in sorted(due, key=lambda each: each[0]):
        _until(pods, at)
        failure.do(number)
        done[failure.what] = done.get(failure.what, 0) + 1
    _until(pods, runs)
    return done, pods.given / (time.monotonic() - began)


def _until(pods: Pods, runs: float) -> None:
    while pods.given < runs:
        for process in pods.running:
            assert process.popen.poll() is None, f"a pod failed: {process.log.with_suffix('.err').read_text()[-2000:]}"
        time.sleep(LOOK)
