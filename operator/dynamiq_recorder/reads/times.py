"""Converts times of the store, microseconds since 1970, to those of answers, and back. It reads no clock."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from dynamiq_recorder.model import MICROSECONDS, NANO_USD

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ZONELESS = _EPOCH.replace(tzinfo=None)
LAST = 253_402_300_799 * MICROSECONDS
"""The end of the year 9999, in microseconds."""


def shown(at: int) -> str:
    """Returns RFC 3339 in UTC with microseconds."""
    return f"{(_ZONELESS + timedelta(microseconds=min(max(at, 0), LAST))).isoformat(timespec='microseconds')}Z"


def shown_or_none(at: int | None) -> str | None:
    return shown(at) if at is not None else None


def parsed(text: str) -> int:
    """Parses an RFC 3339 time with a zone.

    Raises ValueError for any other text.
    """
    time = datetime.fromisoformat(text)
    if time.tzinfo is None or "T" not in text.upper():
        raise ValueError("no zone")
    return (time - _EPOCH) // timedelta(microseconds=1)


def milliseconds(duration: float) -> float:
    return round(duration / 1000, 3)


def usd(cost: int | None) -> float | None:
    return cost / NANO_USD if cost is not None else None
