"""Finds the address at which clients call an App. Pure."""

from __future__ import annotations

from dynamiq_operator.desired import exposure
from dynamiq_operator.model.objects import App, Manifest, Unreadable, read
from dynamiq_operator.model.settings import Settings


def answered_at(raw: Manifest, settings: Settings) -> tuple[str, bool]:
    """Returns what a client calls, and whether callers need a key.

    An App that this version cannot parse is described as far as possible: a list has other Apps, too.
    """
    status = raw.get("status") or {}
    if isinstance(app := read(App, raw), Unreadable):
        return _as_called(status.get("hostname") or "", status.get("url")), (raw["spec"].get("access") or {}).get("type") != "public"
    hostname = app.status.hostname or exposure.hostname(app, settings)
    return _as_called(hostname, app.status.url or exposure.url(app, settings)), app.spec.is_private


def _as_called(hostname: str, url: str | None) -> str:
    """Returns the hostname if clients can call it with `https://` before it, as they do; else the whole URL."""
    return hostname if url in (None, f"https://{hostname}") else str(url)
