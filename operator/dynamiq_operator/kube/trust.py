"""By which certificates a server beside the API server is trusted."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit


def trust_of(url: str, ca: Path | None) -> ssl.SSLContext | bool:
    """For aiohttp's `ssl`: of https by the certificates in `ca` (PEM), else by the system's; True for http. Raises OSError."""
    if urlsplit(url).scheme != "https":
        return True
    return ssl.create_default_context(cafile=str(ca) if ca is not None else None)
