"""`make console` as a process, from when it says how it is opened until Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from local import console_build
from tests.support.ports import free_port
from tests.support.waiting import IN_TIME, eventually

ENDS_WITHIN = IN_TIME
STARTS_WITHIN = 600.0
"""The first one builds what is missing."""


@dataclass
class Opened:
    """One run of it: the process, and where what it says goes."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def origin(self) -> str:
        found: list[str] = re.findall(r"^open: +(https?://localhost:\d+)/console/$", self.said, re.MULTILINE)
        return found[0]

    def token(self, user: str) -> str:
        """What the line that it prints for this user gives, run as it is."""
        (line,) = (each for each in self.said.splitlines() if f"create token {user} " in each)
        return subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S602 - as its reader would

    def end(self) -> int:
        """As Ctrl-C on a terminal does."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(ENDS_WITHIN)


@contextlib.contextmanager
def opened(name: str, log: Path, *options: str) -> Iterator[Opened]:
    """The console on the cluster of this name, which is started, with the demo on it, where it is not there."""
    command = [sys.executable, "-m", "local.console", "--name", name, "--port", str(free_port()), *options]
    environment = {key: value for key, value in os.environ.items() if key not in ("CLUSTER", "PROFILE")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=console_build.REPOSITORY, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    made = Opened(process, log)
    try:
        eventually("it says how to open it", lambda: "\nstop: " in made.said or process.poll() is not None, STARTS_WITHIN)
        assert process.poll() is None, f"it ended with exit code {process.returncode}: {''.join(made.said.splitlines()[-1:])}\n{made.said}"
        yield made
    finally:
        if process.poll() is None:
            made.end()
