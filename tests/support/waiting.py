"""Waits for a condition, or names what did not happen in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

IN_TIME = 240.0
"""Seconds for events without a promised time: a busy machine is slow, and only a failing test waits for all of it."""
SOON, LATER, SELDOM = 0.05, 0.15, 0.5
"""Seconds between two checks at first; the part of the elapsed time until the next one later; and the most.

A check costs us and the API server milliseconds of a processor. Twenty a second for each waiting test would be a good part of a small
machine.
"""
_Found = TypeVar("_Found")


def eventually(
    what: str | Callable[[], str], check: Callable[[], _Found | None], seconds: float = IN_TIME, every: float | None = None
) -> _Found:
    """Returns the first true answer of `check`. Raises AssertionError with `what`, and the last answer, after `seconds`.

    `what`: a function is called at the end, so that its text has the state of then.
    `every`: seconds between two checks, if that must be exact.
    """
    began = time.monotonic()
    while not (answer := check()):
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}; the last answer was {answer!r}")
        time.sleep(every or max(SOON, min(SELDOM, LATER * waited)))
    return answer
