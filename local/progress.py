"""Says what is happening, and waits for a condition: never in silence for long, never for ever."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from local.errors import LocalError

T = TypeVar("T")
QUIET = 2.0  # seconds before a wait is worth a line
REPEAT = 5.0  # seconds between its lines


def say(message: str) -> None:
    """Prints one line at once."""
    print(message, flush=True)


def wait_for(
    what: str,
    check: Callable[[], T | None],
    *,
    seconds: float = 60,
    every: float = 0.05,
    still: Callable[[], None] = lambda: None,
) -> T:
    """Polls until `check` returns something true, and returns that.

    `still` is called between polls and raises when waiting has become pointless. Raises LocalError after `seconds`.
    """
    started = time.monotonic()
    said = started - REPEAT + QUIET
    while True:
        if found := check():
            return found
        still()
        now = time.monotonic()
        if now - started > seconds:
            raise LocalError(f"waited {seconds:.0f} s for {what}, in vain")
        if now - said >= REPEAT:
            said = now
            say(f"  waiting for {what}, {now - started:.0f} s")
        time.sleep(every)
