"""What of a run's inputs, outputs and errors may leave the pod: JSON text, cut, after fields and patterns were taken out of it.

Only an App that asks for it has any. A pattern sees text in pieces of 2,048 characters that overlap by 512, so that a match of up to 512 is
found wherever it stands. `re` holds up the whole process while it looks: a pattern that takes too long for that is refused at start
where it can be told, and where one shows later that it does, every text is taken out whole from then on. A pattern that RE2 and Python read
otherwise is refused as well: the App's author may have meant either.
"""

from __future__ import annotations

import json
import math
import re
import signal
import threading
import time
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from datetime import time as clock
from typing import Any

from dynamiq_runtime.logs import log

VALUE_LIMIT = 64 << 10  # bytes of the JSON text of one input or output
RUN_LIMIT = 1 << 20  # bytes of all of one run
ERROR_LIMIT = 8 << 10
DEPTH_LIMIT = 100
DIGITS_LIMIT = 10_000  # bits of a number; longer ones are slow to write
PIECE, OVERLAP = 2048, 512
SLOW = 0.02  # seconds of CPU for one piece, which every other run of the pod waits for
TRIAL = 0.1  # seconds of CPU for all the texts that a pattern is tried on
REDACTED = "[redacted]"
POSIX_CLASS = r"\[:\^?\w+:\]"
MANY = 32  # a repeat of so many is one without a bound


class PatternError(ValueError):
    """The pattern is no regular expression, or is one that may take for ever; the message says which."""


@dataclass(slots=True)
class Excerpt:
    """JSON text. `cut`: it is not the whole value."""

    text: str
    cut: bool


class Redaction:
    """What is taken out: the value of every field with one of these names, in any case and at any depth, and what matches a pattern."""

    def __init__(self, fields: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self.fields = frozenset(field.casefold() for field in fields)
        self._patterns = [compile_pattern(pattern) for pattern in patterns]
        self._all = False

    def text(self, text: str) -> str:
        """The text without what matches."""
        for pattern in self._patterns:
            text = self._without(pattern, text)
        return REDACTED if self._all else text

    def _without(self, pattern: re.Pattern[str], text: str) -> str:
        if len(text) <= PIECE:
            began = time.thread_time()
            text = pattern.sub(REDACTED, text)
            self._judge(pattern, time.thread_time() - began)
            return text
        kept, position = [], 0
        for begin, end in _merged(self._matches(pattern, text)):
            kept += [text[position:begin], REDACTED]
            position = end
        return "".join([*kept, text[position:]])

    def _matches(self, pattern: re.Pattern[str], text: str) -> list[tuple[int, int]]:
        found: list[tuple[int, int]] = []
        for begin in range(0, len(text), PIECE - OVERLAP):
            began = time.thread_time()
            found += [match.span() for match in pattern.finditer(text, begin, begin + PIECE)]
            self._judge(pattern, time.thread_time() - began)
            if self._all:
                break
        return [span for span in found if span[0] < span[1]]

    def _judge(self, pattern: re.Pattern[str], seconds: float) -> None:
        if seconds > SLOW and not self._all:
            self._all = True
            log("a redact pattern is too slow: every text is redacted whole from now on", level="warning", pattern=pattern.pattern)


class Content:
    """The content of one run, in the threads of its nodes."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self.bytes = 0

    def of(self, value: Any) -> Excerpt | None:
        """What may leave of an input or an output, at most VALUE_LIMIT bytes; None where the run has no room left."""
        if self.bytes >= RUN_LIMIT:
            return None
        copied = _Copy(self._redaction)
        try:
            raw = json.dumps(copied.of(value, 0), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        except Exception as error:  # a run does not fail for its record, whatever its values do when they are read
            raw = json.dumps(f"<{type(error).__name__}>").encode()
        cut = copied.left <= 0 or len(raw) > VALUE_LIMIT
        self.bytes += min(len(raw), VALUE_LIMIT)
        return Excerpt(raw[:VALUE_LIMIT].decode("utf-8", "ignore"), cut)

    def error(self, text: str) -> str | None:
        """What may leave of an error's text; None where the run has no room left."""
        if self.bytes >= RUN_LIMIT:
            return None
        shown = self._redaction.text(text[: ERROR_LIMIT + OVERLAP])
        if len(text) > ERROR_LIMIT:
            shown = shown[:-OVERLAP][:ERROR_LIMIT]  # what would match may be cut in two at the end
        self.bytes += len(shown)
        return shown


class _Copy:
    """One value as plain data, as far as it is needed."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self.left = VALUE_LIMIT

    def of(self, value: Any, depth: int) -> Any:
        self.left -= 2
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (int, float)):
            return self._number(value)
        if depth > DEPTH_LIMIT:
            return "…"
        if isinstance(value, Mapping):
            return self._mapping(value, depth)
        if isinstance(value, (list, tuple, set, frozenset)):
            return self._list(value, depth)
        return self._text(value.isoformat() if isinstance(value, (date, clock)) else f"<{type(value).__name__}>")

    def _mapping(self, value: Mapping[Any, Any], depth: int) -> dict[str, Any]:
        copied: dict[str, Any] = {}
        for key, item in list(value.items()):
            if self.left <= 0:
                break
            name = str(key)
            hidden = name.casefold() in self._redaction.fields
            copied[self._text(name)] = REDACTED if hidden else self.of(item, depth + 1)
        return copied

    def _list(self, value: Iterable[Any], depth: int) -> list[Any]:
        copied: list[Any] = []
        for item in list(value):
            if self.left <= 0:
                break
            copied.append(self.of(item, depth + 1))
        return copied

    def _text(self, text: str) -> str:
        if len(text) <= VALUE_LIMIT:
            self.left -= len(text)
            return self._redaction.text(text)
        self.left = 0
        return self._redaction.text(text[:VALUE_LIMIT])[:-OVERLAP]  # what would match may be cut in two at the end

    def _number(self, value: float) -> float | str:
        if (isinstance(value, int) and value.bit_length() > DIGITS_LIMIT) or (isinstance(value, float) and not math.isfinite(value)):
            return f"<{type(value).__name__}>"
        text = str(value)
        self.left -= len(text)
        return value if self._redaction.text(text) == text else REDACTED


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged


def compile_pattern(pattern: str) -> re.Pattern[str]:
    """The pattern, if it is quick enough to be used while others wait. Raises PatternError."""
    if re.search(POSIX_CLASS, pattern):
        raise PatternError(f"{pattern!r} has a POSIX class, which Python reads otherwise than RE2: write \\d for [[:digit:]]")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", FutureWarning)
            compiled = re.compile(pattern)
            parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except (re.error, RecursionError, OverflowError, FutureWarning) as error:
        raise PatternError(f"{pattern!r} is no regular expression of Python: {error}") from None
    if _has_nested_repeats(parsed, inside=False):
        raise PatternError(f"{pattern!r} repeats a repeat, which may take for ever: give the inner one a bound below {MANY}")
    if threading.current_thread() is threading.main_thread() and not _passes_trial(compiled, parsed):
        raise PatternError(f"{pattern!r} takes too long on a text of {PIECE} characters")
    return compiled


def _has_nested_repeats(parsed: Any, *, inside: bool) -> bool:
    """Whether a repeat that backtracks stands in another one, each of many."""
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


def _letters(parsed: Any) -> set[str]:
    """The letters that a pattern names."""
    found: set[str] = set()
    for operation, value in parsed:
        if str(operation) == "LITERAL":
            found.add(chr(value))
        for part in _parts(value):
            found |= _letters(part)
    return found


class _TooLong(BaseException):
    """Ends a match."""


def _passes_trial(compiled: re.Pattern[str], parsed: Any) -> bool:
    """Whether it comes to an end on texts that repeat one letter and then end otherwise. `re` looks for signals while it matches."""

    def end(*_: object) -> None:
        raise _TooLong

    before = signal.signal(signal.SIGVTALRM, end)
    signal.setitimer(signal.ITIMER_VIRTUAL, TRIAL)
    try:
        for letter in [*"a0 .", *sorted(_letters(parsed))[:12]]:
            compiled.search(letter * (PIECE - 1) + "\0")
    except _TooLong:
        return False
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
    return True
