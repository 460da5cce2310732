"""Waiting ends at a condition, or names what did not come true in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

IN_TIME = 90.0
"""Seconds for what is not promised within a time: a machine that does much else takes long, and a test that fails waits once."""
_Found = TypeVar("_Found")


def eventually(what: str, check: Callable[[], _Found | None], seconds: float = IN_TIME, every: float = 0.05) -> _Found:
    """The first answer of `check` that is true. Raises AssertionError naming `what`, and the last answer, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; the last answer was {found!r}")
        time.sleep(every)
    return found
