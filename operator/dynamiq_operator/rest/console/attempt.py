"""One attempt to sign in with OIDC. It is stored in a cookie of the browser until the callback, and not in this process.

The cookie holds no token.
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
"""Seconds: how long an attempt may take, and how far the clocks of two replicas may differ."""
REMOVED = f"{NAME}=; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=0"


@dataclass(frozen=True)
class Attempt:
    """The values of one attempt.

    `state` and `nonce` tie the provider's response and its ID token to this browser, `verifier` ties the code to it (RFC 7636). `began`:
    Unix time.
    """

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
        """Returns the attempt of a request's cookie; None if there is none, or it is too old."""
        try:
            fields = json.loads(base64.urlsafe_b64decode(cookies.read(headers).get(NAME) or ""))
            attempt = cls(**fields)
        except (TypeError, ValueError, RecursionError, binascii.Error):
            return None
        if not all(isinstance(each, str) and each.isascii() for each in (attempt.state, attempt.nonce, attempt.verifier, attempt.target)):
            return None
        if type(attempt.began) is not int or not -APART <= time.time() - attempt.began <= LIVES:
            return None
        return cls(attempt.state, attempt.nonce, attempt.verifier, safe_target(attempt.target), attempt.began)

    @property
    def challenge(self) -> str:
        """The S256 challenge of the verifier."""
        return base64.urlsafe_b64encode(hashlib.sha256(self.verifier.encode()).digest()).decode().rstrip("=")

    @property
    def cookie(self) -> str:
        """The header Set-Cookie."""
        value = base64.urlsafe_b64encode(json.dumps(asdict(self), separators=(",", ":")).encode()).decode()
        # Lax, because browsers do not send a Strict cookie when the provider redirects back.
        return f"{NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age={LIVES}"
