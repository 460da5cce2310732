"""One attempt to sign in with OIDC. It waits in a cookie of the browser, which is taken at the callback alone, and nowhere here.

The cookie is SameSite=Lax: a Strict one would not come along when the provider sends the browser back. It holds no token.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import secrets
import time
from dataclasses import asdict, dataclass

from starlette.datastructures import Headers

from dynamiq_operator.rest.console.targets import safe_target
from dynamiq_operator.rest.http import cookies

NAME = "__Host-oidc"
LIVES, APART = 600, 30
"""Seconds: how long an attempt may take, and by how much the clocks of two replicas may differ."""
REMOVED = f"{NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"


@dataclass(frozen=True)
class Attempt:
    """`state` and `nonce` tie the answer of the provider and its ID token to this browser, `verifier` the code (RFC 7636). `began`: Unix time."""

    state: str
    nonce: str
    verifier: str
    target: str
    began: int

    @classmethod
    def new(cls, target: str) -> Attempt:
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        return cls(state, nonce, verifier, safe_target(target), int(time.time()))

    @classmethod
    def of(cls, headers: Headers) -> Attempt | None:
        """The attempt of a request's cookie; None where there is none, or it is too old."""
        try:
            told = json.loads(base64.urlsafe_b64decode(cookies.read(headers).get(NAME) or ""))
            found = cls(**told)
        except (TypeError, ValueError, RecursionError, binascii.Error):
            return None
        if not all(isinstance(each, str) and each.isascii() for each in (found.state, found.nonce, found.verifier, found.target)):
            return None
        if type(found.began) is not int or not -APART <= time.time() - found.began <= LIVES:
            return None
        return cls(found.state, found.nonce, found.verifier, safe_target(found.target), found.began)

    @property
    def challenge(self) -> str:
        """The verifier's S256."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")

    @property
    def cookie(self) -> str:
        """The header Set-Cookie."""
        value = base64.urlsafe_b64encode(json.dumps(asdict(self), separators=(",", ":")).encode()).decode()
        return f"{NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={LIVES}"
