"""What clients call an App by. Pure."""

from __future__ import annotations

from dynamiq_operator.desired import exposure
from dynamiq_operator.model.objects import App, Manifest, Unreadable, read
from dynamiq_operator.model.settings import Settings


def answered_at(raw: Manifest, settings: Settings) -> tuple[str, bool]:
    """What a client calls, and whether callers need a key. An App that this version cannot read is told as far as it can be: a list has others."""
    status = raw.get("status") or {}
    if isinstance(found := read(App, raw), Unreadable):
        return _called(status.get("hostname") or "", status.get("url")), (raw["spec"].get("access") or {}).get("type") != "public"
    hostname = found.status.hostname or exposure.hostname(found, settings)
    return _called(hostname, found.status.url or exposure.url(found, settings)), found.spec.is_private


def _called(hostname: str, url: str | None) -> str:
    """The hostname where `https://` before it is what to call, which clients put there; else the whole URL."""
    return hostname if url in (None, f"https://{hostname}") else str(url)
