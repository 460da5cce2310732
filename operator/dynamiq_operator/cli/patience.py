"""Reports on standard error what the command waits for, after two seconds without output."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from dynamiq_operator.cli.output import Screen

FIRST, THEN = 2.0, 10.0
"""Seconds until the first report, and between later ones."""
WAITING = "waiting for the API server"


class Patience:
    """A context around each request. It counts from when the command began to wait, over several requests. `doing`: what it reports."""

    def __init__(self, screen: Screen) -> None:
        self.doing = WAITING
        self._screen = screen
        self._began: float | None = None
        self._next = FIRST
        self._timer: threading.Timer | None = None
        self._is_waiting = False

    def heard(self) -> None:
        """Restarts the count: something was printed, or would have been if it had changed."""
        self._began, self._next = None, FIRST

    def __enter__(self) -> Patience:
        if self._began is None:
            self._began = time.monotonic()
        self._is_waiting = True
        self._arm()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._is_waiting = False
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        began = self._began or time.monotonic()
        self._timer = threading.Timer(max(began + self._next - time.monotonic(), 0.01), self._report, (began,))
        self._timer.daemon = True
        self._timer.start()

    def _report(self, began: float) -> None:
        if not self._is_waiting or self._began != began:
            return
        self._screen.lines([f"{self.doing}, {round(time.monotonic() - began)} s so far"])
        self._next += THEN
        self._arm()
