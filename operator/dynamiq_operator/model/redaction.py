"""Checks if pods can use a redaction pattern: the CRD requires RE2 syntax, and pods match with Python's `re`.

The pods have the same rule (dynamiq_runtime/patterns.py, which nothing here imports), and also try each pattern on texts. A pod that cannot
use one of its App's patterns records no content.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

POSIX_CLASS = r"\[:\^?\w+:\]"
"""POSIX classes: `[[:digit:]]` is digits to RE2, but to Python one of its characters and a bracket. It would silently remove other text."""
MANY = 32
"""Repeats from which a repeat counts as unbounded."""


@lru_cache(maxsize=1024)
def problem_of(pattern: str) -> str | None:
    """Returns why pods cannot use a pattern, in words that follow it; None if they can."""
    if re.search(POSIX_CLASS, pattern):
        return "has a POSIX class, which Python reads otherwise than RE2: write \\d for [[:digit:]]"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            re.compile(pattern)
            parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        return f"is read by RE2 and not by Python: {error}"
    if _has_nested_repeats(parsed, inside=False):
        return f"repeats a repeat, which may take for ever: give one of them a fixed count, or the outer a bound below {MANY}"
    return None


def _has_nested_repeats(parsed: Any, *, inside: bool) -> bool:
    """Returns True if an unbounded repeat contains a repeat of varying length: matching then tries every way to split a text."""
    for operation, value in parsed:
        repeats = _repeats(operation)
        if repeats and inside and value[0] != value[1] and value[1] > 1:
            return True
        if any(_has_nested_repeats(part, inside=inside or (repeats and value[1] >= MANY)) for part in _parts(value)):
            return True
    return False


def _repeats(operation: Any) -> bool:
    return str(operation) in ("MAX_REPEAT", "MIN_REPEAT")


def _parts(value: Any) -> Iterable[Any]:
    """Yields the patterns inside an operation's value."""
    if isinstance(value, re._parser.SubPattern):  # type: ignore[attr-defined]
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _parts(part)
