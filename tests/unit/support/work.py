"""Measures work by its number of calls, which no other program on the machine changes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any


def calls(work: Callable[[], object]) -> int:
    """Returns the calls of `work` in this thread, of functions of Python and of C, and the items of its generators."""
    count = 0

    def seen(_frame: object, event: str, _about: Any) -> None:
        nonlocal count
        count += event in ("call", "c_call")

    before = sys.getprofile()
    sys.setprofile(seen)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count
