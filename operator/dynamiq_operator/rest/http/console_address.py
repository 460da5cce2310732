"""The console's address: a setting that decides its scheme, host and origin. A proxy's headers about these are never read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts for which a browser treats plain HTTP like HTTPS, as far as it does."""
PORTS = {"http": "80", "https": "443"}
_NAME = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]"
_HOST = re.compile(rf"(?P<name>{_NAME})(?::(?P<port>[0-9]{{1,5}}))?")


@dataclass(frozen=True)
class ConsoleAddress:
    """The address of the console. `host`: as a browser sends it in the header Host, in small letters, without the scheme's default port."""

    scheme: str
    host: str

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    @classmethod
    def parse(cls, text: str) -> ConsoleAddress:
        """Parses a URL such as `https://console.example.com`. Raises ValueError with a sentence."""
        wrong = f"{text} is not the console's URL, such as https://console.example.com: a scheme, a host and maybe a port"
        if not text.isascii() or not text.isprintable() or set(text) & set(" @?#\\"):
            raise ValueError(wrong)
        try:
            parts = urlsplit(text)
        except ValueError:
            raise ValueError(wrong) from None
        host = _host(parts.scheme, parts.netloc)
        if host is None or parts.path not in ("", "/"):
            raise ValueError(wrong)
        if parts.scheme == "http" and name_of(host) not in LOCAL:
            raise ValueError(f"{text}: plain HTTP is for {', '.join(sorted(LOCAL))} only, since tokens are sent: use https")
        return cls(parts.scheme, host)

    @classmethod
    def local(cls, scheme: str, host: str) -> ConsoleAddress | None:
        """Returns the address by which a request came if it is this machine's own; else None."""
        own = _host(scheme, host)
        return cls(scheme, own) if own is not None and name_of(own) in LOCAL else None

    def has_host(self, header: str) -> bool:
        """Returns True if a header Host names this address."""
        return _host(self.scheme, header) == self.host


def name_of(host: str) -> str:
    """Returns a host without its port; empty if the text is no host."""
    match = _HOST.fullmatch(host)
    return match["name"] if match else ""


def _host(scheme: str, text: str) -> str | None:
    match = _HOST.fullmatch(text.lower())
    if match is None or scheme not in PORTS:
        return None
    port = match["port"]
    if port is not None and not 1 <= int(port) <= 65535:
        return None
    return match["name"] if port is None or str(int(port)) == PORTS[scheme] else f"{match['name']}:{int(port)}"
