"""Runs what the journal is measured beside, as a separate process until SIGTERM, and then prints what it did.

`commit FILE RATE BYTES` commits a row of so many bytes so often a second, to an SQLite file with WAL and FULL. It prints the seconds of each.
"""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.cluster import REPOSITORY
from tests.support.runtime import OPERATOR


@dataclass
class Printed:
    """The lines that a process printed at its end."""

    what: list[Any] = field(default_factory=list)


@contextmanager
def beside(*arguments: object) -> Iterator[Printed]:
    """Runs one while the block runs; its lines are there after the block."""
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{OPERATOR}:{REPOSITORY}"}
    command = [sys.executable, "-m", "tests.bench.beside", *map(str, arguments)]
    process, printed = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True), Printed()
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "begun\n"
        yield printed
        process.terminate()
        printed.what = [json.loads(line) for line in process.stdout]
    finally:
        process.kill()
        process.wait()


class _EndedError(Exception):
    """The end of the process."""


def _paced(rate: float, work: Callable[[], None]) -> None:
    """Does the work so often a second until SIGTERM."""

    def end(*_: object) -> None:
        raise _EndedError

    signal.signal(signal.SIGTERM, end)
    print("begun", flush=True)
    due = time.monotonic()
    while True:
        work()
        due += 1 / rate
        time.sleep(max(due - time.monotonic(), 0))


def _commit(path: str, rate: float, size: int) -> None:
    raw = sqlite3.connect(path, isolation_level=None)
    for pragma in ("journal_mode = WAL", "synchronous = FULL"):
        raw.execute(f"PRAGMA {pragma}").fetchall()
    raw.execute("CREATE TABLE IF NOT EXISTS bare (key INTEGER PRIMARY KEY, data BLOB NOT NULL)")
    took: list[float] = []

    def work() -> None:
        data = os.urandom(size)
        began = time.perf_counter()
        raw.execute("BEGIN IMMEDIATE")
        raw.execute("INSERT INTO bare (data) VALUES (?)", (data,))
        raw.execute("COMMIT")
        took.append(time.perf_counter() - began)

    try:
        _paced(rate, work)
    except _EndedError:
        print(json.dumps(took), flush=True)


if __name__ == "__main__":
    _, path, rate, size = sys.argv[1:]
    _commit(path, float(rate), int(size))
