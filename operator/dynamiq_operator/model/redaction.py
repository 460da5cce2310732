"""Whether the pods can use a pattern by which content is redacted: the CRD asks for what RE2 takes, and a pod looks with Python's `re`.

The pods have the same rule (dynamiq_runtime/patterns.py, which nothing here imports), and try each pattern on texts as well. A pod that
cannot use one of its App's patterns records no content.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

POSIX_CLASS = r"\[:\^?\w+:\]"
"""`[[:digit:]]` is digits to RE2, and to Python one of these characters and a bracket: it would take out something else, and say nothing."""
MANY = 32
"""A repeat of so many is one without a bound."""


@lru_cache(maxsize=1024)
def problem_of(pattern: str) -> str | None:
    """Why pods cannot use a pattern, in words that come after it; None where they can."""
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
    """Whether what is repeated without a bound is itself repeated so or so often: each way to share out a text is tried."""
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
    """The patterns that an operation's value holds."""
    if isinstance(value, re._parser.SubPattern):  # type: ignore[attr-defined]
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _parts(part)
