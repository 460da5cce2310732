"""Measures work by its number of steps, which no other program on the machine changes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any


def steps(work: Callable[[], object]) -> int:
    """Returns how many lines `work` runs in this thread, each round of a loop for itself, and how many functions it calls.

    It sees no loop that a function of C runs, such as a copy of a dict: that is one call.
    """
    count = 0

    def called(_frame: FrameType, event: str, _about: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    def traced(_frame: FrameType, event: str, _about: Any) -> Any:
        nonlocal count
        count += event == "line"
        return traced

    before, traced_before = sys.getprofile(), sys.gettrace()
    sys.setprofile(called)
    sys.settrace(traced)
    try:
        work()
    finally:
        sys.settrace(traced_before)
        sys.setprofile(before)
    return count
