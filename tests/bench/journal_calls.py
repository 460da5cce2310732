"""Starts a journal and a pod as processes, and sends background runs at a steady rate, without waiting for earlier answers."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import local

from tests.support.background import KEY, pod
from tests.support.journal_program import POD, Process
from tests.support.recorder_stage import HOST, RecorderStage
from tests.support.runtime import ECHO, Served

CALLERS = 8
INPUT = {"question": "x" * 1000}
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}


class Calls:
    """Callers of a pod with an Access Key, each with a kept connection: runs that are waited for."""

    path, status = "/", 200

    def __init__(self, port: int) -> None:
        self._port, self._own = port, local()

    def body(self, number: int) -> str:
        return json.dumps({"input": {"n": number}})

    def __call__(self, number: int) -> float:
        """Returns the seconds until the whole answer, which must be good."""
        if not hasattr(self._own, "connection"):
            self._own.connection = http.client.HTTPConnection(HOST, self._port, timeout=60)
        connection: http.client.HTTPConnection = self._own.connection
        body = self.body(number)
        began = time.perf_counter()
        connection.request("POST", self.path, body, HEADERS)
        answer = connection.getresponse()
        content = answer.read()
        took = time.perf_counter() - began
        assert answer.status == self.status, content
        return took


class Accepts(Calls):
    """The same for runs in the background."""

    path, status = "/v1/runs", 202

    def body(self, number: int) -> str:
        return json.dumps({"input": INPUT, "background": True})


def paced(rate: float, count: int, call: Callable[[int], float]) -> list[float]:
    """Calls so often a second, whatever the earlier calls take. Returns the seconds of each."""
    began = time.perf_counter()
    with ThreadPoolExecutor(CALLERS) as pool:
        futures = []
        for number in range(count):
            time.sleep(max(began + number / rate - time.perf_counter(), 0))
            futures.append(pool.submit(call, number))
        return [each.result() for each in futures]


@contextmanager
def journal_and_pod(folder: Path, stage: RecorderStage, **variables: str) -> Iterator[tuple[Process, Served]]:
    """Runs a journal, whose store is in `folder`, and a pod that executes what it accepts."""
    with Process(stage, folder).running() as journal, pod(folder / "pod", ECHO, journal, token=POD, **variables) as served:
        yield journal, served


def at(took: Sequence[float], share: float) -> float:
    ordered = sorted(took)
    return ordered[int(share * (len(ordered) - 1))]


def shown(took: Sequence[float]) -> str:
    return f"p50 {statistics.median(took) * 1000:.2f} ms, p95 {at(took, 0.95) * 1000:.2f} ms"


def processor_seconds(pid: int) -> float:
    """Returns the seconds of a processor that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def mebibytes(pid: int, name: str = "VmRSS") -> float:
    """Returns a process's memory: resident now, or the most of it by `VmHWM`."""
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) / 1024
