"""Log lines of something that goes on failing: said once for each change, then counted once a minute, without the stack trace again."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

WINDOW = 60.0
"""Seconds in which the same line is said once."""
KINDS_MAX = 10
"""Warnings of one kind, about as many objects, that are said in a window; the rest is counted."""
FORGOTTEN_AFTER = 10 * WINDOW
KEPT = 2000

Key = tuple[str, str]


@dataclass
class _Said:
    since: float
    seen: float
    more: int = 0


class FloodFilter(logging.Filter):
    """Lets a warning pass unless it was said within the last minute; the next one tells how often it was meant since.

    Lines are the same where logger and text are. Of warnings whose text differs by what they are about, so many pass as are read.
    `clock`: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        super().__init__()
        self._clock = clock
        self._lines: OrderedDict[Key, _Said] = OrderedDict()
        self._kinds: OrderedDict[Key, _Said] = OrderedDict()

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
        _keep(self._lines, (record.name, text), _Said(now, now))
        return True

    def _is_readable(self, record: logging.LogRecord, now: float) -> bool:
        """Whether few enough lines of this kind were said; a new window begins with how many were not."""
        key = (record.name, str(record.msg))
        kind = self._kinds.get(key)
        if kind is None or now - kind.since >= WINDOW:
            unsaid = max(kind.more - KINDS_MAX, 0) if kind is not None else 0
            if unsaid:
                record.msg, record.args = "%s (and %d more such lines before, not shown)", (record.getMessage(), unsaid)
            _keep(self._kinds, key, _Said(now, now, 1))
            return True
        kind.more += 1
        return kind.more <= KINDS_MAX


def _keep(among: OrderedDict[Key, _Said], key: Key, said: _Said) -> None:
    among.pop(key, None)
    among[key] = said
    if len(among) > KEPT:
        among.popitem(last=False)
