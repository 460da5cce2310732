"""What of the resources needs no model of them: who only reads rows need not wait for pydantic, which takes longer than the reading."""

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
    """Where a record is in its life (`plan/lifecycle.py` draws it)."""

    PENDING = "Pending"
    PROGRESSING = "Progressing"
    LIVE = "Live"
    SUPERSEDED = "Superseded"
    FAILED = "Failed"


def on_one_line(text: str, keep: str = "") -> str:
    """Text that can neither begin a line, nor move the cursor, nor colour: control and format characters are escaped, but for `keep`."""
    return "".join(letter if letter.isprintable() or letter in keep else repr(letter)[1:-1] for letter in text)


def parse_time(text: str) -> datetime:
    """RFC 3339 to an aware datetime."""
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


def format_time(moment: datetime) -> str:
    """An aware UTC datetime as RFC 3339, to the second, as Kubernetes writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
