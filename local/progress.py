"""Prints progress and waits for a condition: never silent for long, never endless.

Work in progress is one line that is rewritten on a terminal, and a plain line now and then elsewhere. Finished work is printed once and
stays.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
import time
from collections.abc import Callable
from typing import TextIO, TypeVar

from local.errors import LocalError

T = TypeVar("T")
QUIET = 2.0  # seconds before a wait is worth a line
PATIENCE = 180.0  # seconds: on a busy machine, work of seconds takes minutes; `still` notices a program that has ended
REPEAT = 5.0  # seconds between its lines where there is no terminal
STEP_REPEAT = 20.0  # seconds between the lines of a step that takes minutes, where there is no terminal
REFRESH = 1.0  # seconds between two states of the line on a terminal
CLEAR = "\r\x1b[K"


class Line:
    """The last line of the output: `still` rewrites it on a terminal, and prints plain lines at most every `repeat` seconds elsewhere."""

    def __init__(self, stream: Callable[[], TextIO] = lambda: sys.stdout) -> None:
        self._stream = stream
        self._lock = threading.RLock()
        self._moving = ""
        self._printed_at = -STEP_REPEAT

    @property
    def moves(self) -> bool:
        """Returns True if the output is a terminal that can rewrite a line."""
        return self._stream().isatty() and os.environ.get("TERM") != "dumb"

    def say(self, message: str) -> None:
        """Prints one line that stays, at once."""
        with self._lock:
            self._write(f"{self._take_back()}{message}\n")

    def still(self, message: str, repeat: float = REPEAT) -> None:
        """Prints that something is still in progress."""
        with self._lock:
            now = time.monotonic()
            if self.moves:
                self._moving = message[: shutil.get_terminal_size().columns - 1]
                self._write(f"{CLEAR}{self._moving}")
            elif now - self._printed_at >= repeat:
                self._printed_at = now
                self._write(f"{message}\n")

    def clear(self) -> None:
        """Clears the moving line."""
        with self._lock:
            self._write(self._take_back())

    def _take_back(self) -> str:
        cleared = CLEAR if self._moving else ""
        self._moving = ""
        return cleared

    def _write(self, text: str) -> None:
        if text:
            stream = self._stream()
            stream.write(text)
            stream.flush()


LINE = Line()


def say(message: str) -> None:
    """Prints one line at once."""
    LINE.say(message)


def wait_for(
    what: str,
    check: Callable[[], T | None],
    *,
    seconds: float = PATIENCE,
    every: float = 0.05,
    still: Callable[[], None] = lambda: None,
) -> T:
    """Polls until `check` returns something true, and returns that.

    `still` is called between polls and raises when waiting has become pointless. Raises LocalError after `seconds`.
    """
    started = time.monotonic()
    next_line = started + QUIET
    try:
        while True:
            if result := check():
                return result
            still()
            now = time.monotonic()
            if now - started > seconds:
                raise LocalError(f"waited {seconds:.0f} s for {what}, in vain")
            if now >= next_line:
                next_line = now + (REFRESH if LINE.moves else REPEAT)
                LINE.still(f"  waiting for {what}, {now - started:.0f} s", repeat=0)
            time.sleep(every)
    finally:
        LINE.clear()
