"""The settings of the console: its address, and the provider with which people sign in."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from dynamiq_operator.rest.http.console_address import LOCAL, ConsoleAddress, name_of
from dynamiq_operator.rest.http.cookie_rules import CookieRules

SCOPES = "openid email profile"
"""What every provider knows. Groups come by a scope that some have (Dex, Okta) and others refuse (Google), or by the client's settings."""


@dataclass(frozen=True)
class OidcOptions:
    """A provider of OpenID Connect, and this API as its client.

    `secret`: the file of the client's secret; None for a public client. `ca`: the file of the certificates that the provider is trusted
    by; None for those of the system.
    """

    issuer: str
    client_id: str
    name: str
    secret: Path | None = None
    scopes: str = SCOPES
    ca: Path | None = None

    @classmethod
    def of(cls, issuer: str, client_id: str, name: str | None, scopes: str | None, *, secret: Path | None, ca: Path | None) -> OidcOptions:
        """With a name and scopes of its own where none are given."""
        return cls(issuer, client_id, name or str(urlsplit(issuer).hostname), secret, scopes or SCOPES, ca)


@dataclass(frozen=True)
class ConsoleOptions:
    """How the console is served. `address`: None where it is used on this machine alone; `oidc` needs one."""

    is_on: bool = True
    address: ConsoleAddress | None = None
    oidc: OidcOptions | None = field(default=None)

    @property
    def rules(self) -> CookieRules:
        return CookieRules(self.is_on, self.address)


def check_issuer(text: str) -> str:
    """An issuer's URL, as it is. Raises ValueError with a sentence where it is none, or is plain HTTP of another machine."""
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
        raise ValueError(f"{text} is not an issuer's URL, such as https://accounts.example.com (by plain HTTP at localhost alone)")
    return text


def is_safe(url: str) -> bool:
    """Whether a URL of a provider is HTTPS, or HTTP of this machine."""
    parts = urlsplit(url)
    return (parts.scheme == "https" and bool(parts.hostname)) or (parts.scheme == "http" and name_of(parts.netloc.lower()) in LOCAL)
