"""Parses what describes a run, mostly headers: session, user, tags, trigger, and the trace to continue.

All are optional. Values that are too long are cut, invalid ones are ignored, and no run fails for them.
"""

from __future__ import annotations

import hashlib
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
    """The values of the headers, cut to their limits.

    `trace_id`, `span_id`: hexadecimal, of the caller's own span. `tags`: one text, with commas.
    """

    trace_id: str | None
    span_id: str | None
    session: str | None
    user: str | None
    trigger: str | None
    tags: str | None


def facts_of(headers: Mapping[str, str], user: str | None = None, session: str | None = None) -> CallerFacts:
    """Parses a request's headers, in any case. `user`, `session`: those of its body, which come first."""
    trace_id, span_id = _trace(headers.get("traceparent"))
    user, trigger = _cut(user or headers.get(USER)), _cut(headers.get(TRIGGER))
    return CallerFacts(trace_id, span_id, session_of(headers, session), user, trigger, _tags(headers.get(TAGS)))


def session_of(headers: Mapping[str, str], session: str | None) -> str | None:
    """Returns the session of a request. `session`: that of its body, which comes first."""
    return _cut(session or headers.get(SESSION))


def digest_of(session: str) -> bytes:
    """Returns what a conversation is known by: pods and the journal keep no ids of sessions."""
    # Half of a surrogate pair is written as the journal reads it in a run.
    return hashlib.sha256(session.encode("utf-8", "replace")).digest()[:16]


def tags_of(text: str | None) -> list[str]:
    """Splits a text at commas into tags. Deduplicates them, keeping order; cuts long ones and those beyond the limit."""
    stripped = (tag.strip()[:TAG_LIMIT] for tag in (text or "").split(","))
    return list(dict.fromkeys(tag for tag in stripped if tag))[:TAGS_LIMIT]


def _tags(text: str | None) -> str | None:
    """Returns only the tags that are kept, as one text: it waits in a queue."""
    return ",".join(tags_of(text[:TAGS_TEXT_LIMIT])) or None if text else None


def as_label(trigger: str) -> str | None:
    """Returns the trigger's name if it is valid: callers must not create arbitrary labels of metrics."""
    return trigger if _LABEL.fullmatch(trigger) else None


def _cut(value: str | None) -> str | None:
    return (value.strip()[:TEXT_LIMIT] or None) if value else None


def _trace(text: str | None) -> tuple[str, str] | tuple[None, None]:
    """Returns trace and span of a `traceparent`, by the rules of W3C's Trace Context."""
    if not text or (match := _TRACEPARENT.fullmatch(text)) is None:
        return None, None
    version, trace_id, span_id, more = match.groups()
    if version == "ff" or (version == "00" and more) or not int(trace_id, 16) or not int(span_id, 16):
        return None, None
    return trace_id, span_id
