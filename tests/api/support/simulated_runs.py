"""Serves the run figures of simulated pods, at an address of the loopback that the pods of an App are given.

Nothing runs in a simulated pod, so the test sets the figures. The operator reads them at the metrics port of every pod.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Mapping

from dynamiq_operator.controller.background.activity import PATH
from dynamiq_operator.desired.exposure import METRICS_PORT
from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.stage import Stage
from tests.support.waiting import eventually

_NUMBERS = itertools.count(1)


class SimulatedRuns:
    """The figures that every pod of one App reports. Use it as a context manager."""

    def __init__(self) -> None:
        number, process = next(_NUMBERS), os.getpid()
        self.address = f"127.{process >> 8 & 0xFF}.{process & 0xFF}.{number % 254 + 1}"
        self.runs: Mapping[str, int] = {"succeeded": 0, "failed": 0, "refused": 0}
        self.asked = 0
        self._server = HttpServer(self._answer, self.address, METRICS_PORT)

    def __enter__(self) -> SimulatedRuns:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def report(self, *, succeeded: int = 0, failed: int = 0, refused: int = 0) -> None:
        """Sets how many runs have ended since each pod started."""
        self.runs = {"succeeded": succeeded, "failed": failed, "refused": refused}

    def of(self, stage: Stage, app: str) -> None:
        """Gives every pod of the App this address."""

        def given() -> bool:
            pods = stage.pods(app)
            for pod in pods:
                status = {"podIP": self.address, "podIPs": [{"ip": self.address}]}
                changed = stage.api.merge(stage.named("Pod", pod["metadata"]["name"]), {"status": status}, subresource="/status")
                assert changed.ok or changed.status == 404, changed.message
            return bool(pods) and all(pod["status"].get("podIP") == self.address for pod in stage.pods(app))

        eventually(f"the pods of App {app} have the address {self.address}", given)

    def _answer(self, sent: Sent) -> Reply:
        self.asked += 1
        activity = {"ready_seconds": 60.0, "idle_seconds": 0.0, "in_flight": 0, "standby": False, "runs": self.runs}
        return Reply(body=activity) if sent.path == PATH else Reply(404, b"")
