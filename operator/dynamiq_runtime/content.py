"""Prepares the content of a run that may leave the pod, from inputs, outputs and errors: JSON text, redacted and cut.

Only Apps that ask for it have content. A pattern is applied to overlapping pieces of text, so that it finds every match of up to 512
characters. `re` blocks the whole process while it matches. Patterns that take too long are refused at start if that can be detected. If one
proves slow later, every text is redacted whole from then on. Patterns that RE2 and Python read differently are refused as well: the App's
author may have meant either.

Fields are also removed inside texts that are JSON. A text that may be JSON and cannot be parsed is redacted whole: its content is unknown.
"""

from __future__ import annotations

import json
import math
import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from datetime import time as clock
from typing import Any

from dynamiq_runtime.logs import log
from dynamiq_runtime.patterns import PIECE, compile_pattern

VALUE_LIMIT = 64 << 10  # bytes of the JSON text of one input or output
RUN_LIMIT = 1 << 20  # bytes of all of one run
ERROR_LIMIT = 8 << 10
DEPTH_LIMIT = 100
DIGITS_LIMIT = 10_000  # bits of a number; longer ones are slow to write
OVERLAP = 512  # characters by which two pieces overlap
SLOW = 0.02  # seconds of CPU for one piece, which every other run of the pod waits for
TEXTS = 4  # levels of texts inside texts that are parsed
REDACTED = "[redacted]"


JSON_BEGINS = frozenset('{["')
"""First characters of a text that may be a JSON object or list, or a JSON string of one. Such a string also ends with a quote."""


@dataclass(slots=True)
class Excerpt:
    """A piece of JSON text. `cut`: True if it is not the whole value."""

    text: str
    cut: bool


class Redaction:
    """The rules for removing content: the values of fields with these names, in any case and at any depth, and matches of patterns.

    Fields are those of a value, or of a text that is a JSON object or list.
    """

    def __init__(self, fields: Iterable[str] = (), patterns: Iterable[str] = ()) -> None:
        self.fields = frozenset(field.casefold() for field in fields)
        self._patterns = [compile_pattern(pattern) for pattern in patterns]
        self._all = False

    def text(self, text: str) -> str:
        """Returns the text without matches and, if it is JSON, without those fields."""
        text = self._fieldless(text, TEXTS)
        for pattern in self._patterns:
            text = self._without(pattern, text)
        return REDACTED if self._all else text

    def is_opaque(self, text: str) -> bool:
        """Returns True if a text may be JSON that must be parsed, so that a beginning of it is no use."""
        begin = text.lstrip()[:1] if self.fields else ""
        return begin in JSON_BEGINS and (begin != '"' or text.rstrip().endswith('"'))

    def _fieldless(self, text: str, levels: int) -> str:
        if not self.is_opaque(text):
            return text
        if not levels:
            return REDACTED
        try:
            data = json.loads(text, strict=False, object_pairs_hook=_object)
            redacted = self._redacted(data, levels - 1)
        except json.JSONDecodeError:
            return text
        except (ValueError, RecursionError):  # a duplicate key, or a number or depth that Python cannot read
            return REDACTED
        return text if redacted == data else json.dumps(redacted, ensure_ascii=False, separators=(",", ":"))

    def _redacted(self, value: Any, levels: int) -> Any:
        if isinstance(value, dict):
            return {key: REDACTED if key.casefold() in self.fields else self._redacted(item, levels) for key, item in value.items()}
        if isinstance(value, list):
            return [self._redacted(item, levels) for item in value]
        return self._fieldless(value, levels) if isinstance(value, str) else value

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
        spans: list[tuple[int, int]] = []
        for begin in range(0, len(text), PIECE - OVERLAP):
            began = time.thread_time()
            spans += [match.span() for match in pattern.finditer(text, begin, begin + PIECE)]
            self._judge(pattern, time.thread_time() - began)
            if self._all:
                break
        return [span for span in spans if span[0] < span[1]]

    def _judge(self, pattern: re.Pattern[str], seconds: float) -> None:
        if seconds > SLOW and not self._all:
            self._all = True
            log("a redact pattern is too slow: every text is redacted whole from now on", level="warning", pattern=pattern.pattern)


class Content:
    """The content of one run, used in the threads of its nodes."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self.bytes = 0

    def of(self, value: Any) -> Excerpt | None:
        """Returns the recordable part of an input or output, at most VALUE_LIMIT bytes; None if the run's limit is used up."""
        if self.bytes >= RUN_LIMIT:
            return None
        copied = _Copy(self._redaction)
        try:
            raw = json.dumps(copied.of(value, 0), ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
        except Exception as error:  # a run must not fail for its recording, whatever its values do when read
            raw = json.dumps(f"<{type(error).__name__}>").encode()
        cut = copied.room <= 0 or len(raw) > VALUE_LIMIT
        self.bytes += min(len(raw), VALUE_LIMIT)
        return Excerpt(raw[:VALUE_LIMIT].decode("utf-8", "ignore"), cut)

    def error(self, text: str) -> str | None:
        """Returns the recordable part of an error's text; None if the run's limit is used up."""
        if self.bytes >= RUN_LIMIT:
            return None
        if len(text) <= ERROR_LIMIT:
            shown = self._redaction.text(text)
        elif self._redaction.is_opaque(text):
            shown = REDACTED
        else:
            # A match at the end may be cut in two.
            shown = self._redaction.text(text[: ERROR_LIMIT + OVERLAP])[:-OVERLAP][:ERROR_LIMIT]
        self.bytes += len(shown)
        return shown


class _Copy:
    """A copy of one value as plain data, as far as it is needed."""

    def __init__(self, redaction: Redaction) -> None:
        self._redaction = redaction
        self.room = VALUE_LIMIT

    def of(self, value: Any, depth: int) -> Any:
        self.room -= 2
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
            if self.room <= 0:
                break
            name = str(key)
            hidden = name.casefold() in self._redaction.fields
            copied[self._text(name)] = REDACTED if hidden else self.of(item, depth + 1)
        return copied

    def _list(self, value: Iterable[Any], depth: int) -> list[Any]:
        copied: list[Any] = []
        for item in list(value):
            if self.room <= 0:
                break
            copied.append(self.of(item, depth + 1))
        return copied

    def _text(self, text: str) -> str:
        if len(text) <= VALUE_LIMIT:
            self.room -= len(text)
            return self._redaction.text(text)
        self.room = 0
        if self._redaction.is_opaque(text):
            return REDACTED
        return self._redaction.text(text[:VALUE_LIMIT])[:-OVERLAP]  # a match at the end may be cut in two

    def _number(self, value: float) -> float | str:
        if (isinstance(value, int) and value.bit_length() > DIGITS_LIMIT) or (isinstance(value, float) and not math.isfinite(value)):
            return f"<{type(value).__name__}>"
        text = str(value)
        self.room -= len(text)
        return value if self._redaction.text(text) == text else REDACTED


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Builds an object. Raises ValueError for a duplicate key: the first value would escape redaction."""
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("duplicate key")
    return made


def _merged(spans: list[tuple[int, int]]) -> list[tuple[int, int]]:
    merged: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if merged and begin <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((begin, end))
    return merged
