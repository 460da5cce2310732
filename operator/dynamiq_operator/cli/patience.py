"""Says on standard error what is waited for, where nothing has been printed for two seconds: nobody has to guess whether it hangs."""

from __future__ import annotations

import threading
import time
from types import TracebackType

from dynamiq_operator.cli.output import Screen

FIRST, THEN = 2.0, 10.0
"""Seconds until it is said for the first time, and from then on."""
WAITING = "waiting for the API server"


class Patience:
    """Around each request: it counts from when the command began to wait, over as many requests as it takes. `doing`: what it says."""

    def __init__(self, screen: Screen) -> None:
        self.doing = WAITING
        self._screen = screen
        self._began: float | None = None
        self._next = FIRST
        self._timer: threading.Timer | None = None
        self._is_waiting = False

    def heard(self) -> None:
        """Something was printed, or would have been had it changed: it counts anew."""
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
        self._timer = threading.Timer(max(began + self._next - time.monotonic(), 0.01), self._say, (began,))
        self._timer.daemon = True
        self._timer.start()

    def _say(self, began: float) -> None:
        if not self._is_waiting or self._began != began:
            return
        self._screen.lines([f"{self.doing}, {round(time.monotonic() - began)} s so far"])
        self._next += THEN
        self._arm()
