"""Runs a journal as a process that can be killed, for pods that a file identifies: no API server is needed.

Its clock runs faster than time, so that the lease of a killed pod's runs is over sooner. It is the same clock after each start, and for all
replicas that start from one time.
"""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import requests

from dynamiq_recorder.journal.model import LEASE, MICROSECONDS, Place
from tests.support import programs
from tests.support.journal import HOST
from tests.support.ports import free_port
from tests.support.waiting import eventually

BEFORE = 86_400.0
"""Seconds by which the clock begins before the time of now: it never comes to a time that has not been."""


class Setup(msgspec.Struct, frozen=True):
    """The contents of the process's file. `pods`: their places by token. `began`, `speed`: of its clock; None for the database's."""

    address: str
    port: int
    health_port: int
    metrics_port: int
    pods: Mapping[str, Place]
    began: float
    speed: float | None

    def clock(self) -> int:
        """Returns microseconds."""
        assert self.speed is not None
        return int((self.began - BEFORE + (time.time() - self.began) * self.speed) * MICROSECONDS)


class JournalProcess:
    """A journal in `folder`, as a process. `lease`: seconds until a killed pod's runs are interrupted; None for a usual lease.

    `address`: of its store, if that is no file in the folder. `began`: when its clock began.
    """

    def __init__(
        self, folder: Path, pods: Mapping[str, Place], lease: float | None, *, address: str | None = None, began: float | None = None
    ) -> None:
        self.database, self._log, self._file = folder / "journal.db", folder / "journal.log", folder / "setup.json"
        port, self._health_port, metrics_port = free_port(), free_port(), free_port()
        self.url = f"http://{HOST}:{port}"
        speed = LEASE / lease if lease is not None else None
        address = address or f"sqlite://{self.database}"
        setup = Setup(address, port, self._health_port, metrics_port, pods, began or time.time(), speed)
        self._file.write_text(json.dumps(msgspec.to_builtins(setup)))
        self._process: programs.Process | None = None

    def start(self) -> None:
        """Starts it, also after `kill`, and waits until it serves."""
        process = self._process = programs.fork("tests.support.journal_process", str(self._file), log=self._log)

        def is_ready() -> bool:
            assert process.poll() is None, self._log.read_text()
            return self._is_ready()

        eventually("the journal serves", is_ready)

    def kill(self) -> None:
        """Kills it, and waits for its end."""
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"http://{HOST}:{self._health_port}/readyz", timeout=5).status_code == 200
        except (requests.ConnectionError, requests.Timeout):
            return False
