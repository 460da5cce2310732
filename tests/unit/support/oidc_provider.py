"""A small provider of OpenID Connect that follows the standard until a test changes its behaviour."""

from __future__ import annotations

import base64
import functools
import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, parse_qsl, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from tests.support.scripted import HttpServer, Reply, Sent

CLIENT, SECRET = "the console", "s3cret: with + signs"
EMAIL = "anna@example.com"
REFRESH = "a-refresh-token"
Answer = tuple[int, Any] | None


class Provider:
    """The provider as a context manager. `issuer`: its URL. A test signs in by `authorize`, as a browser with a user would."""

    def __init__(self) -> None:
        self.keys = [Key("first")]
        self.claims: dict[str, Any] = {}
        """Claims that replace those of an ID token; None removes one."""
        self.metadata: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = lambda claims: self.keys[-1].sign(claims)
        self.answer: Callable[[str], Answer] = lambda _: None
        """Answers that replace the standard's, by path: bytes as they are, a location for a status of 3xx, or data."""
        self.asked = Counter[str]()
        self.methods = ["client_secret_basic"]
        self.is_public = False
        self._codes: dict[str, dict[str, str]] = {}
        self._server = HttpServer(self._answer)
        self.issuer = self._server.url

    def __enter__(self) -> Provider:
        self._server.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.stop()

    def authorize(self, url: str, **more: str) -> str:
        """Returns the query of the redirect after a user signed in at this URL. `more`: parameters that replace its own."""
        assert url.startswith(f"{self.issuer}/authorize?"), url
        query = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (query["response_type"], query["client_id"], query["code_challenge_method"]) == ("code", CLIENT, "S256")
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = query
        return urlencode({"code": code, "state": query["state"], **more})

    def _answer(self, sent: Sent) -> Reply:
        self.asked[sent.path] += 1
        fields = dict(parse_qsl(sent.raw.decode()))
        status, body = self.answer(sent.path) or self._standard(sent.path, fields, sent.headers.get("Authorization"))
        return Reply(status, b"", {"Location": body}) if 300 <= status < 400 else Reply(status, body)

    def _standard(self, path: str, fields: Mapping[str, str], authorization: str | None) -> tuple[int, Any]:
        if path == "/.well-known/openid-configuration":
            return 200, self.document
        if path == "/jwks":
            return 200, {"keys": [key.public for key in self.keys]}
        if path == "/token":
            return self._token(fields, authorization)
        return 404, {}

    @property
    def document(self) -> dict[str, Any]:
        return {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "token_endpoint_auth_methods_supported": self.methods,
            **self.metadata,
        }

    def _token(self, fields: Mapping[str, str], authorization: str | None) -> tuple[int, Any]:
        if not self._is_client(fields, authorization):
            return 401, {"error": "invalid_client"}
        query = self._codes.pop(fields.get("code", ""), None)  # a code is for one use
        challenge = base64.urlsafe_b64encode(hashlib.sha256(fields.get("code_verifier", "").encode()).digest()).decode().rstrip("=")
        if (
            query is None
            or fields["grant_type"] != "authorization_code"
            or query["redirect_uri"] != fields["redirect_uri"]
            or query["code_challenge"] != challenge
        ):
            return 400, {"error": "invalid_grant", "error_description": "<b>no</b>"}
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": "anna", "aud": CLIENT, "exp": now + 600, "iat": now, "nonce": query["nonce"], "email": EMAIL}
        made = {name: value for name, value in {**claims, **self.claims}.items() if value is not None}
        return 200, {"id_token": self.sign(made), "access_token": "access", "refresh_token": REFRESH, "token_type": "Bearer"}

    def _is_client(self, fields: Mapping[str, str], authorization: str | None) -> bool:
        if self.is_public:
            return authorization is None and fields.get("client_id") == CLIENT and "client_secret" not in fields
        if self.methods == ["client_secret_post"]:
            return (fields.get("client_id"), fields.get("client_secret")) == (CLIENT, SECRET)
        scheme, _, both = (authorization or "").partition(" ")
        name, _, secret = base64.b64decode(both).decode().partition(":")
        return scheme == "Basic" and (unquote_plus(name), unquote_plus(secret)) == (CLIENT, SECRET)


class Key:
    """A key with an id. Several keys may share an id and differ by `number`."""

    def __init__(self, name: str, number: int = 0) -> None:
        self.name, self.private = name, _private(name, number)

    @property
    def public(self) -> dict[str, Any]:
        found: dict[str, Any] = jwt.algorithms.RSAAlgorithm.to_jwk(self.private.public_key(), as_dict=True)
        return {**found, "kid": self.name, "use": "sig"}

    @property
    def pem(self) -> bytes:
        public = self.private.public_key()
        return public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)

    def sign(self, claims: dict[str, Any], algorithm: str = "RS256", **headers: str) -> str:
        return jwt.encode(claims, self.private, algorithm, {"kid": self.name, **headers})


@functools.cache
def _private(name: str, number: int) -> rsa.RSAPrivateKey:
    """Makes a private key, once in a process, because it takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
