"""Simulated pods that say how their runs went: a server at an address of the loopback, which the pods of an App are given.

Nothing runs in a simulated pod, so the test says what it reports; the operator asks it at the port of every pod's metrics.
"""

from __future__ import annotations

import http.server
import itertools
import json
import os
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from dynamiq_operator.controller.activity import PATH
from dynamiq_operator.desired.exposure import METRICS_PORT
from tests.support.stage import Stage
from tests.support.waiting import eventually

_NUMBERS = itertools.count(1)


class SimulatedRuns:
    """What the pods of one App report, each of them the same. Use it as a context manager."""

    def __init__(self) -> None:
        number, process = next(_NUMBERS), os.getpid()
        self.address = f"127.{process >> 8 & 0xFF}.{process & 0xFF}.{number % 254 + 1}"
        self.runs: Mapping[str, int] = {"succeeded": 0, "failed": 0, "refused": 0}
        self.asked = 0
        self._server = http.server.ThreadingHTTPServer((self.address, METRICS_PORT), self._handler())

    def __enter__(self) -> SimulatedRuns:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def report(self, *, succeeded: int = 0, failed: int = 0, refused: int = 0) -> None:
        """So many runs have ended since each pod began."""
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

    def _handler(self) -> type[http.server.BaseHTTPRequestHandler]:
        outer = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.asked += 1
                said: dict[str, Any] = {"ready_seconds": 60.0, "idle_seconds": 0.0, "in_flight": 0, "standby": False, "runs": outer.runs}
                body = json.dumps(said).encode() if self.path == PATH else b""
                self.send_response(200 if body else 404)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        return Handler
