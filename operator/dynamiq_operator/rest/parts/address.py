"""Finds the address at which clients call an App. Pure."""

from __future__ import annotations

from dynamiq_operator.desired import exposure
from dynamiq_operator.model.objects import App, Manifest, Unreadable, read
from dynamiq_operator.model.settings import Settings


def answered_at(raw: Manifest, settings: Settings) -> str:
    """Returns what a client calls.

    An App that this version cannot parse is described as far as possible: a list has other Apps, too.
    """
    status = raw.get("status") or {}
    hostname, url = status.get("hostname"), status.get("url")
    # Parsing an App takes a sixth of the time of its response, and most Apps have both in their status.
    if not (hostname and url) and not isinstance(app := read(App, raw), Unreadable):
        hostname, url = hostname or exposure.hostname(app, settings), url or exposure.url(app, settings)
    return _as_called(hostname or "", url)


def _as_called(hostname: str, url: str | None) -> str:
    """Returns the hostname if clients can call it with `https://` before it, as they do; else the whole URL."""
    return hostname if url in (None, f"https://{hostname}") else str(url)
