"""The console's address: a setting that decides its scheme, host and origin. What a proxy says of them is never read."""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import urlsplit

LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})
"""Hosts for which a browser takes plain HTTP to be as good as HTTPS, as far as it does."""
PORTS = {"http": "80", "https": "443"}
_NAME = r"[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?|\[[0-9a-f:.]+\]"
_HOST = re.compile(rf"(?P<name>{_NAME})(?::(?P<port>[0-9]{{1,5}}))?")


@dataclass(frozen=True)
class ConsoleAddress:
    """`host`: as a browser writes it into the header Host, in small letters and without the port that its scheme has anyway."""

    scheme: str
    host: str

    @property
    def origin(self) -> str:
        return f"{self.scheme}://{self.host}"

    @classmethod
    def parse(cls, text: str) -> ConsoleAddress:
        """Of a URL such as `https://console.example.com`. Raises ValueError with a sentence."""
        wrong = f"{text} is not the console's URL, such as https://console.example.com: a scheme, a host, and where it has one a port"
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
            raise ValueError(f"{text}: plain HTTP is for {', '.join(sorted(LOCAL))} alone, since tokens travel: use https")
        return cls(parts.scheme, host)

    @classmethod
    def local(cls, scheme: str, host: str) -> ConsoleAddress | None:
        """The address by which a request came, where that is this machine's own; None for any other."""
        found = _host(scheme, host)
        return cls(scheme, found) if found is not None and name_of(found) in LOCAL else None

    def has_host(self, given: str) -> bool:
        """Whether a header Host names this address."""
        return _host(self.scheme, given) == self.host


def name_of(host: str) -> str:
    """A host without its port."""
    found = _HOST.fullmatch(host)
    return found["name"] if found else ""


def _host(scheme: str, given: str) -> str | None:
    found = _HOST.fullmatch(given.lower())
    if found is None or scheme not in PORTS:
        return None
    port = found["port"]
    if port is not None and not 1 <= int(port) <= 65535:
        return None
    return found["name"] if port is None or str(int(port)) == PORTS[scheme] else f"{found['name']}:{int(port)}"
