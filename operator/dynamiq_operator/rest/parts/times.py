"""Parses times of query parameters: RFC 3339, or a date, which means its begin in UTC."""

from __future__ import annotations

from datetime import UTC, datetime

from dynamiq_operator.rest.http.errors import invalid_request

TIME = r"^\d{4}-\d{2}-\d{2}([Tt]\d{2}:\d{2}:\d{2}(\.\d{1,9})?([Zz]|[+-]\d{2}:\d{2}))?$"


def moment(parameter: str, text: str | None) -> datetime | None:
    """Returns the time in UTC. Raises HttpProblem 422 for text that has the form of a time and is none, such as February 30."""
    if text is None:
        return None
    try:
        parsed = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid_request([(parameter, "write a time as 2026-11-24T22:22:45Z, or a date as 2026-11-24")]) from None
