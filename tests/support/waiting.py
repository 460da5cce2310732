"""Waiting ends at a condition, or names what did not come true in time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

IN_TIME = 240.0
"""Seconds for what is not promised within a time: a busy machine takes long, and only a test that fails waits for all of it."""
SOON, LATER, SELDOM = 0.05, 0.15, 0.5
"""Seconds between two looks at first; the part of the time waited after which the next one comes then; and the most. A look costs us and the API
server milliseconds of a processor, and twenty a second of each test that waits would be a good part of a small machine."""
_Found = TypeVar("_Found")


def eventually(what: str, check: Callable[[], _Found | None], seconds: float = IN_TIME, every: float | None = None) -> _Found:
    """The first answer of `check` that is true. Raises AssertionError naming `what`, and the last answer, after `seconds`.

    `every`: seconds between two looks, where that has to be exact.
    """
    began = time.monotonic()
    while not (found := check()):
        waited = time.monotonic() - began
        if waited > seconds:
            raise AssertionError(f"not within {seconds:g} s: {what}; the last answer was {found!r}")
        time.sleep(every or max(SOON, min(SELDOM, LATER * waited)))
    return found
