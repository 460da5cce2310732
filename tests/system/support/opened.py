"""Runs `make console` as a process, from its instructions until Ctrl-C."""

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
"""The first start builds what is missing."""


@dataclass
class Opened:
    """One run of it: the process, and its output."""

    process: subprocess.Popen[bytes]
    log: Path

    @property
    def said(self) -> str:
        return self.log.read_text()

    def origin(self) -> str:
        urls: list[str] = re.findall(r"^open: +(https?://localhost:\d+)/console/$", self.said, re.MULTILINE)
        return urls[0]

    def token(self, user: str) -> str:
        """Returns the output of the command that it prints for this user, run unchanged."""
        (line,) = (each for each in self.said.splitlines() if f"create token {user} " in each)
        return subprocess.run(line, shell=True, capture_output=True, text=True, check=True).stdout.strip()  # noqa: S602 - as its reader would

    def end(self) -> int:
        """Ends it like Ctrl-C on a terminal; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(ENDS_WITHIN)


@contextlib.contextmanager
def opened(name: str, log: Path, *options: str) -> Iterator[Opened]:
    """Runs the console on the cluster of this name; it starts the cluster with the demo, if they are missing."""
    command = [sys.executable, "-m", "local.console", "--name", name, "--port", str(free_port()), *options]
    environment = {key: value for key, value in os.environ.items() if key not in ("CLUSTER", "PROFILE")}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=console_build.REPOSITORY, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    console = Opened(process, log)
    try:
        eventually("it says how to open it", lambda: "\nstop: " in console.said or process.poll() is not None, STARTS_WITHIN)
        assert process.poll() is None, (
            f"it ended with exit code {process.returncode}: {''.join(console.said.splitlines()[-1:])}\n{console.said}"
        )
        yield console
    finally:
        if process.poll() is None:
            console.end()
