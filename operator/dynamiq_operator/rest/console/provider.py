"""Calls the OIDC provider: reads its metadata and keys, and exchanges a code for an ID token.

The calls block, so worker threads make them.
"""

from __future__ import annotations

import base64
import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import quote_plus, urlencode

from dynamiq_operator.rest.console import id_token
from dynamiq_operator.rest.console.attempt import Attempt
from dynamiq_operator.rest.console.fetching import Fetch, ProviderError
from dynamiq_operator.rest.console.options import OidcOptions, is_safe
from dynamiq_operator.rest.http import cookies
from dynamiq_operator.serving.tokens import TOKEN_MAX

WELL_KNOWN = "/.well-known/openid-configuration"
KNOWN_FOR = 3600.0
"""Seconds for which the provider's metadata and keys are cached."""
FAILED_FOR = 3.0
"""Seconds without a new fetch after one that failed."""
KEYS_EVERY = 30.0
"""Seconds between two fetches for an unknown key, at least."""
KEYS_MOST = 100
_URL = re.compile(r"[\x21-\x7e]{1,2048}")
_ERROR = re.compile(r"[a-z_]{1,64}")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Metadata:
    """The metadata of a provider that is used here. `is_announced`: its responses name their issuer (RFC 9207)."""

    authorization: str
    token: str
    keys: str
    methods: tuple[str, ...]
    is_announced: bool

    @classmethod
    def of(cls, document: Mapping[str, Any], issuer: str) -> Metadata:
        """Returns the checked metadata. Raises ProviderError."""
        if document.get("issuer") != issuer:
            raise ProviderError(f"what is at {issuer}{WELL_KNOWN} is of another issuer")
        urls = [document.get(f"{each}_endpoint") for each in ("authorization", "token")] + [document.get("jwks_uri")]
        for url in urls:
            if not isinstance(url, str) or not _URL.fullmatch(url) or "#" in url or not is_safe(url):
                raise ProviderError(f"what is at {issuer}{WELL_KNOWN} lacks an endpoint, or one of them is not HTTPS")
            if issuer.startswith("https:") and not url.startswith("https:"):
                raise ProviderError(f"what is at {issuer}{WELL_KNOWN} has an endpoint that is not HTTPS")
        methods = document.get("token_endpoint_auth_methods_supported")
        known = tuple(str(each) for each in methods) if isinstance(methods, list) else ("client_secret_basic",)
        announced = document.get("authorization_response_iss_parameter_supported") is True
        return cls(str(urls[0]), str(urls[1]), str(urls[2]), known, announced)


class Cached(Generic[_T]):
    """A value that is fetched if it is unknown or too old. A failed fetch is not repeated for FAILED_FOR. Thread-safe."""

    def __init__(self, fetch: Callable[[], _T]) -> None:
        self._fetch, self._lock = fetch, threading.Lock()
        self._fetched: tuple[float, _T] | None = None
        self._failed: tuple[float, str] | None = None

    def get(self, within: float = KNOWN_FOR) -> _T:
        """Returns the value, at most `within` seconds old. Raises ProviderError."""
        with self._lock:
            now = time.monotonic()
            if self._fetched is not None and now - self._fetched[0] < within:
                return self._fetched[1]
            if self._failed is not None and now - self._failed[0] < FAILED_FOR:
                raise ProviderError(self._failed[1])
            try:
                value = self._fetch()
            except ProviderError as error:
                self._failed = time.monotonic(), str(error)
                raise
            self._fetched, self._failed = (time.monotonic(), value), None
            return value


class Provider:
    """One provider. `redirect_uri`: the URL to which it redirects browsers. Thread-safe."""

    def __init__(self, options: OidcOptions, redirect_uri: str) -> None:
        self._options, self._redirect_uri, self._fetch = options, redirect_uri, Fetch(options.ca)
        self._metadata = Cached(self._fetch_metadata)
        self._keys = Cached(self._fetch_keys)

    def authorization_url(self, attempt: Attempt) -> str:
        """Returns the URL at which the browser signs in. Raises ProviderError."""
        endpoint = self._metadata.get().authorization
        query = {
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": self._options.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(query)}"

    def check_issuer(self, issuer: str | None) -> None:
        """Raises ProviderError if a response is another issuer's, or names none although this provider does (RFC 9207)."""
        if issuer != self._options.issuer and (issuer is not None or self._metadata.get().is_announced):
            raise ProviderError("the answer is not of this issuer")

    def exchange(self, code: str, attempt: Attempt) -> str:
        """Returns the verified ID token for a code. Raises ProviderError and id_token.WrongToken.

        Everything else in the response, such as a refresh token, is dropped.
        """
        metadata = self._metadata.get()
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri, "code_verifier": attempt.verifier}
        headers = self._authenticated(metadata, fields)
        status, answer = self._fetch.post(metadata.token, fields, headers)
        if status != 200 or answer is None:
            error = (answer or {}).get("error")
            suffix = f" {error}" if isinstance(error, str) and _ERROR.fullmatch(error) else ""
            raise ProviderError(f"it answered {status}{suffix} to the code")
        token = answer.get("id_token")
        if not isinstance(token, str) or len(token) > TOKEN_MAX or not cookies.TOKEN.fullmatch(token):
            raise id_token.WrongToken(f"there is none, or it has more than {TOKEN_MAX} bytes")
        self._verify(token, attempt.nonce)
        return token

    def _verify(self, token: str, nonce: str) -> None:
        keys, key_id = self._keys.get(), id_token.key_id(token)
        if all(key.get("kid") != key_id for key in keys):
            keys = self._keys.get(KEYS_EVERY)  # the provider may have a new one
        id_token.verify(token, keys, self._options.issuer, self._options.client_id, nonce)

    def _authenticated(self, metadata: Metadata, fields: dict[str, str]) -> dict[str, str]:
        """Adds the client's authentication to the fields, or to the headers that it returns. Raises ProviderError."""
        options = self._options
        if options.secret is None:
            fields["client_id"] = options.client_id
            return {}
        try:
            secret = options.secret.read_text().strip()
        except (OSError, ValueError) as error:
            raise ProviderError(f"{options.secret} cannot be read: {type(error).__name__}") from None
        if "client_secret_basic" in metadata.methods:
            both = f"{quote_plus(options.client_id)}:{quote_plus(secret)}"
            return {"Authorization": f"Basic {base64.b64encode(both.encode()).decode()}"}
        if "client_secret_post" in metadata.methods:
            fields |= {"client_id": options.client_id, "client_secret": secret}
            return {}
        raise ProviderError("it takes a client's secret neither by client_secret_basic nor by client_secret_post")

    def _fetch_metadata(self) -> Metadata:
        return Metadata.of(self._fetch.get(f"{self._options.issuer.rstrip('/')}{WELL_KNOWN}"), self._options.issuer)

    def _fetch_keys(self) -> list[Mapping[str, Any]]:
        keys = self._fetch.get(self._metadata.get().keys).get("keys")
        if not isinstance(keys, list):
            raise ProviderError("its jwks_uri has no keys")
        return [each for each in keys[:KEYS_MOST] if isinstance(each, dict)]
