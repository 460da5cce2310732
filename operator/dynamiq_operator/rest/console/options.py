"""The settings of the console: its address, and the provider with which people sign in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dynamiq_operator.rest.http.console_address import LOCAL, ConsoleAddress, name_of
from dynamiq_operator.rest.http.cookie_rules import CookieRules

SCOPES = "openid email profile"
"""Scopes that every provider knows. Groups need a scope that some know (Dex, Okta) and others refuse (Google), or the client's settings."""


@dataclass(frozen=True)
class OidcOptions:
    """A provider of OpenID Connect, with this API as its client.

    `secret`: the file of the client's secret; None for a public client. `ca`: the file of the trusted certificates; None for the system's.
    """

    issuer: str
    client_id: str
    name: str
    secret: Path | None = None
    scopes: str = SCOPES
    ca: Path | None = None

    @classmethod
    def of(cls, issuer: str, client_id: str, name: str | None, scopes: str | None, *, secret: Path | None, ca: Path | None) -> OidcOptions:
        """Returns the options; a name and scopes that are None get their defaults."""
        return cls(issuer, client_id, name or str(urlsplit(issuer).hostname), secret, scopes or SCOPES, ca)


@dataclass(frozen=True)
class ConsoleOptions:
    """The settings of the console. `address`: None if it is used on this machine alone; `oidc` needs one."""

    is_on: bool = True
    address: ConsoleAddress | None = None
    oidc: OidcOptions | None = field(default=None)

    @property
    def rules(self) -> CookieRules:
        return CookieRules(self.is_on, self.address)


def check_issuer(text: str) -> str:
    """Returns an issuer's URL, unchanged. Raises ValueError with a sentence if it is none, or is plain HTTP of another machine."""
    parts = urlsplit(text)
    if (
        not text.isascii()
        or not text.isprintable()
        or " " in text
        or not is_safe(text)
        or parts.query
        or parts.fragment
        or "@" in parts.netloc
    ):
        raise ValueError(f"{text} is not an issuer's URL, such as https://accounts.example.com (plain HTTP only at localhost)")
    return text


def is_safe(url: str) -> bool:
    """Returns True if a provider's URL is HTTPS, or HTTP of this machine."""
    parts = urlsplit(url)
    return (parts.scheme == "https" and bool(parts.hostname)) or (parts.scheme == "http" and name_of(parts.netloc.lower()) in LOCAL)
