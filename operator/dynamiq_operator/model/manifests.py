"""Manifests as JSON data, their API version, phases and times. No pydantic: a command that only reads rows need not load it."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any

GROUP = "dynamiq.getdynamiq.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

Manifest = dict[str, Any]
"""An API object as JSON data."""


class Phase(StrEnum):
    """Where a record is in its life (`plan/history/lifecycle.py` draws it)."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    LIVE = "Live"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"


def parse_time(text: str) -> datetime:
    """RFC 3339 to an aware datetime."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def format_time(moment: datetime) -> str:
    """An aware UTC datetime as RFC 3339, to the second, as Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
