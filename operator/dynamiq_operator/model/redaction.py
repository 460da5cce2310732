"""Whether the pods can use a pattern by which content is redacted: the CRD asks for what RE2 takes, and a pod looks with Python's `re`.

The pods have the same rule (dynamiq_runtime/content.py, which nothing here imports), and try each pattern on texts as well. A pod that
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
        return f"repeats a repeat, which may take for ever: give the inner one a bound below {MANY}"
    return None


def _has_nested_repeats(parsed: Any, *, inside: bool) -> bool:
    for operation, value in parsed:
        repeats = str(operation) in ("MAX_REPEAT", "MIN_REPEAT") and value[1] >= MANY
        if (repeats and inside) or any(_has_nested_repeats(part, inside=inside or repeats) for part in _parts(value)):
            return True
    return False


def _parts(value: Any) -> Iterable[Any]:
    """The patterns that an operation's value holds."""
    if isinstance(value, re._parser.SubPattern):  # type: ignore[attr-defined]
        yield value
    elif isinstance(value, (list, tuple)):
        for part in value:
            yield from _parts(part)
