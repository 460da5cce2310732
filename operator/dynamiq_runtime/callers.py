"""What a caller says of a run in headers: its session, its user, tags, the trigger that it is, and the trace that it goes on with.

All of it is optional. What is longer than it may be is cut, what is wrong is ignored, and no run fails for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

SESSION, USER, TAGS, TRIGGER = "X-Dynamiq-Session-Id", "X-Dynamiq-User-Id", "X-Dynamiq-Tags", "X-Dynamiq-Trigger"
TEXT_LIMIT = 256  # characters
TAGS_LIMIT, TAG_LIMIT = 20, 64
TAGS_TEXT_LIMIT = 4096
_TRACEPARENT = re.compile(r"[ \t]*([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-[0-9a-f]{2}(-.*)?[ \t]*")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?")


class CallerFacts(NamedTuple):
    """As they came, but for their length. `trace_id`, `span_id`: hexadecimal, of the caller's own span. `tags` is one text, with commas."""

    trace_id: str | None
    span_id: str | None
    session: str | None
    user: str | None
    trigger: str | None
    tags: str | None


def facts_of(headers: Mapping[str, str]) -> CallerFacts:
    """Of a request's headers, which are found whatever their case."""
    trace_id, span_id = _trace(headers.get("traceparent"))
    session, user, trigger = _cut(headers.get(SESSION)), _cut(headers.get(USER)), _cut(headers.get(TRIGGER))
    return CallerFacts(trace_id, span_id, session, user, trigger, _tags(headers.get(TAGS)))


def tags_of(text: str | None) -> list[str]:
    """The tags in a text with commas: each once, those too long or too many cut."""
    stripped = (tag.strip()[:TAG_LIMIT] for tag in (text or "").split(","))
    return list(dict.fromkeys(tag for tag in stripped if tag))[:TAGS_LIMIT]


def _tags(text: str | None) -> str | None:
    """Those that are kept, and no more of the text: it waits in a queue."""
    return ",".join(tags_of(text[:TAGS_TEXT_LIMIT])) or None if text else None


def as_label(trigger: str) -> str | None:
    """The trigger's name where it may be one: a caller's words do not become a label of metrics."""
    return trigger if _LABEL.fullmatch(trigger) else None


def _cut(value: str | None) -> str | None:
    return (value.strip()[:TEXT_LIMIT] or None) if value else None


def _trace(text: str | None) -> tuple[str, str] | tuple[None, None]:
    """Trace and span of a `traceparent`, by the rules of W3C's Trace Context."""
    if not text or (found := _TRACEPARENT.fullmatch(text)) is None:
        return None, None
    version, trace_id, span_id, more = found.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None, None
    return trace_id, span_id
