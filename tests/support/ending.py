"""Ends pytest in order: SIGTERM interrupts it like Ctrl-C, and with workers it waits until each has ended its processes.

It does nothing about SIGKILL: the next session removes the leftovers.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from types import FrameType
from typing import Any

import pytest

ENDS_WITHIN = 90.0
"""Seconds for the end of a session's clusters and programs. xdist kills a worker after 10 s, and a worker ends itself after 15."""


class Ending:
    """A plugin of pytest that `tests/conftest.py` registers, in the controller and in each worker."""

    def __init__(self, *, is_worker: bool) -> None:
        self._workers: list[Any] = []
        self._interrupted_at = -ENDS_WITHIN
        # Ctrl-C in a terminal reaches a worker twice, from the terminal and from the controller.
        for number in (signal.SIGTERM, signal.SIGINT) if is_worker else (signal.SIGTERM,):
            signal.signal(number, self._interrupt)

    def _interrupt(self, _number: int, _frame: FrameType | None) -> None:
        """Raises KeyboardInterrupt, but only once: a second one would cut the end of the session short."""
        if time.monotonic() - self._interrupted_at > ENDS_WITHIN:
            self._interrupted_at = time.monotonic()
            raise KeyboardInterrupt

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodeready(self, node: Any) -> None:
        self._workers.append(node)

    def pytest_keyboard_interrupt(self) -> None:
        """Interrupts each worker and waits for its end: xdist itself would kill it too soon."""
        self._interrupted_at = time.monotonic()
        for worker in self._workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.gateway._rinfo().pid, signal.SIGINT)  # read by xdist when it made the worker
        for worker in self._workers:
            # xdist reports the errors of a worker.
            with contextlib.suppress(EOFError, OSError, worker.channel.RemoteError):
                worker.channel.waitclose(ENDS_WITHIN)
