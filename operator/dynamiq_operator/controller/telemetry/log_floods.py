"""Limits the log lines of something that keeps failing: one for each change, then one with a count each minute, without another stack
trace.
"""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

WINDOW = 60.0
"""Seconds in which the same line passes once."""
KINDS_MAX = 10
"""Warnings of one kind, about different objects, that pass in a window; the rest is counted."""
FORGOTTEN_AFTER = 10 * WINDOW
KEPT = 2000

Key = tuple[str, str]


@dataclass
class _Repeats:
    """A line, or a kind of line. `since`: when its window began. `seen`: when it occurred last. `more`: how often in the window."""

    since: float
    seen: float
    more: int = 0


class FloodFilter(logging.Filter):
    """A filter that lets a warning pass once a minute. The next one has the number of those that did not.

    Lines are the same if their logger and text are. Warnings that differ by their arguments alone are limited to `KINDS_MAX` in a window.
    `clock`: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lines: OrderedDict[Key, _Repeats] = OrderedDict()
        self._kinds: OrderedDict[Key, _Repeats] = OrderedDict()

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.WARNING:
            return True
        now = self._clock()
        text = record.getMessage()
        line = self._lines.get((record.name, text))
        if line is not None and now - line.seen < FORGOTTEN_AFTER:
            line.seen = now
            line.more += 1
            if now - line.since < WINDOW:
                return False
            record.msg, record.args = "%s (%d times in %.0f s)", (text, line.more, now - line.since)
            record.exc_info = record.exc_text = None
            line.since, line.more = now, 0
            return True
        if not self._is_readable(record, now):
            return False
        _keep(self._lines, (record.name, text), _Repeats(now, now))
        return True

    def _is_readable(self, record: logging.LogRecord, now: float) -> bool:
        """Returns True if few enough lines of this kind have passed. A new window begins with the number of those that did not."""
        key = (record.name, str(record.msg))
        kind = self._kinds.get(key)
        if kind is None or now - kind.since >= WINDOW:
            suppressed = max(kind.more - KINDS_MAX, 0) if kind is not None else 0
            if suppressed:
                record.msg, record.args = "%s (and %d more such lines before, not shown)", (record.getMessage(), suppressed)
            _keep(self._kinds, key, _Repeats(now, now, 1))
            return True
        kind.more += 1
        return kind.more <= KINDS_MAX


def _keep(among: OrderedDict[Key, _Repeats], key: Key, repeats: _Repeats) -> None:
    among.pop(key, None)
    among[key] = repeats
    if len(among) > KEPT:
        among.popitem(last=False)
