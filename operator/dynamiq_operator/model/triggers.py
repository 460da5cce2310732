"""Derives what users see of triggers: the stored name made of the displayed one, the id, and the status."""

from __future__ import annotations

import functools
import hashlib
import re
import unicodedata
import uuid
import zoneinfo
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

from dynamiq_operator.model.base import DNS_LABEL
from dynamiq_operator.model.objects import parse_time

MOST = 32
"""Triggers of an App."""
NAME_MAX = 20
GRACE = timedelta(hours=1)
"""A run that could not begin within this time is missed."""
_HASH = 6


class Status(StrEnum):
    """The status of a trigger. A draft was never active; an expired one never runs again."""

    DRAFT = "draft"
    ACTIVE = "active"
    INACTIVE = "inactive"
    EXPIRED = "expired"


def status(trigger: Mapping[str, Any], now: datetime) -> Status:
    """Returns the status of a trigger of `App.spec.triggers`."""
    ends = moment(trigger.get("runAt") or trigger.get("expiresAt"))
    if ends is not None and ends <= now:
        return Status.EXPIRED
    if not trigger.get("suspend"):
        return Status.ACTIVE
    return Status.DRAFT if trigger.get("draft") else Status.INACTIVE


@functools.cache
def zones() -> frozenset[str]:
    """Returns the IANA time zones."""
    return frozenset(zoneinfo.available_timezones())


def moment(text: str | None) -> datetime | None:
    """Parses a time of a trigger, in UTC; None for an invalid one. The API server accepts more than RFC 3339."""
    try:
        return parse_time((text or "").upper())
    except ValueError:
        return None


def shown_name(trigger: Mapping[str, Any]) -> str:
    """Returns the displayed name."""
    return str(trigger.get("displayName") or trigger["name"])


def id_of(app_uid: str, trigger: Mapping[str, Any]) -> str:
    """Returns the id of an App's trigger: its own uid, else one made of its name."""
    # With its own uid, a trigger that is deleted and recreated under its name is another one.
    return str(trigger.get("uid") or uuid.uuid5(uuid.UUID(app_uid), trigger["name"]))


def name_for(shown: str, taken: Collection[str]) -> str:
    """Returns the name under which a trigger is stored: `shown` if it is a valid name, else one made of it. It is none of `taken`."""
    if len(shown) <= NAME_MAX and re.fullmatch(DNS_LABEL, shown) and shown not in taken:
        return shown
    plain = unicodedata.normalize("NFKD", shown).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")
    slug = slug if slug[:1].isalpha() else f"trigger-{slug}"
    made = slug[:NAME_MAX].rstrip("-")
    salt = 0
    while made in taken:
        digest = hashlib.sha256(f"{shown}/{salt}".encode()).hexdigest()[:_HASH]
        made = f"{slug[: NAME_MAX - _HASH - 1].rstrip('-')}-{digest}"
        salt += 1
    return made
