"""A small provider of OpenID Connect: it does what the standard says, until a test lets it do something else."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, unquote_plus, urlencode, urlsplit

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

CLIENT, SECRET = "the console", "s3cret: with + signs"
EMAIL = "anna@example.com"
REFRESH = "a-refresh-token"
Answer = tuple[int, Any] | None


class Provider:
    """Use it as a context manager. `issuer` is its URL; a test signs in by `authorize`, as a browser with a user would."""

    def __init__(self) -> None:
        self.keys = [Key("first")]
        self.claims: dict[str, Any] = {}
        """Put over those of an ID token; None leaves one out."""
        self.metadata: dict[str, Any] = {}
        self.sign: Callable[[dict[str, Any]], str] = lambda claims: self.keys[-1].sign(claims)
        self.answer: Callable[[str], Answer] = lambda _: None
        """By path: what is answered in place of what the standard says: bytes as they are, a location for a status of 3xx, or data."""
        self.asked = Counter[str]()
        self.methods = ["client_secret_basic"]
        self.is_public = False
        self._codes: dict[str, dict[str, str]] = {}
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider._answer(self, {})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"])).decode()
                provider._answer(self, {name: values[0] for name, values in parse_qs(body).items()})

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.issuer = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Provider:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()

    def authorize(self, url: str, **more: str) -> str:
        """The query with which the browser is sent back, after somebody signed in at this URL. `more`: parameters put over its own."""
        assert url.startswith(f"{self.issuer}/authorize?"), url
        asked = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
        assert (asked["response_type"], asked["client_id"], asked["code_challenge_method"]) == ("code", CLIENT, "S256")
        assert "openid" in asked["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = asked
        return urlencode({"code": code, "state": asked["state"], **more})

    def _answer(self, handler: BaseHTTPRequestHandler, fields: Mapping[str, str]) -> None:
        path = urlsplit(handler.path).path
        self.asked[path] += 1
        status, body = self.answer(path) or self._standard(path, fields, handler.headers.get("Authorization"))
        handler.send_response(status)
        if 300 <= status < 400:
            handler.send_header("Location", body)
            body = b""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(raw)))
        handler.end_headers()
        handler.wfile.write(raw)

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
        asked = self._codes.pop(fields.get("code", ""), None)  # a code is for one use
        challenge = base64.urlsafe_b64encode(hashlib.sha256(fields.get("code_verifier", "").encode()).digest()).decode().rstrip("=")
        if (
            asked is None
            or fields["grant_type"] != "authorization_code"
            or asked["redirect_uri"] != fields["redirect_uri"]
            or asked["code_challenge"] != challenge
        ):
            return 400, {"error": "invalid_grant", "error_description": "<b>no</b>"}
        now = int(time.time())
        claims = {"iss": self.issuer, "sub": "anna", "aud": CLIENT, "exp": now + 600, "iat": now, "nonce": asked["nonce"], "email": EMAIL}
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
    """A key with an id; of one id there may be several keys, by `number`."""

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
    """Made once in a process: that takes a while."""
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)
