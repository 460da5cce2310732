"""Chooses the certificates that must have signed that of a server beside the API server."""

from __future__ import annotations

import ssl
from pathlib import Path
from urllib.parse import urlsplit


def trust_of(url: str, ca: Path | None) -> ssl.SSLContext | bool:
    """Returns aiohttp's argument `ssl`: for https a context with the certificates in `ca` (PEM), else the system's; for http True.

    Raises OSError.
    """
    if urlsplit(url).scheme != "https":
        return True
    return ssl.create_default_context(cafile=str(ca) if ca is not None else None)
