"""The provider of OIDC: what it says of itself, its keys, and the exchange of a code for an ID token. Its calls block: worker threads make them."""

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
from dynamiq_operator.rest.http.reviews import TOKEN_MAX

WELL_KNOWN = "/.well-known/openid-configuration"
KNOWN_FOR = 3600.0
"""Seconds for which what the provider says of itself, and its keys, are not asked for again."""
FAILED_FOR = 3.0
"""Seconds for which it is not asked again where it did not answer."""
KEYS_EVERY = 30.0
"""Seconds between two times that a key is looked for which is not known."""
KEYS_MOST = 100
_URL = re.compile(r"[\x21-\x7e]{1,2048}")
_ERROR = re.compile(r"[a-z_]{1,64}")
_T = TypeVar("_T")


@dataclass(frozen=True)
class Metadata:
    """What a provider says of itself, as far as it is used. `is_announced`: its answers name their issuer (RFC 9207)."""

    authorization: str
    token: str
    keys: str
    methods: tuple[str, ...]
    is_announced: bool

    @classmethod
    def of(cls, told: Mapping[str, Any], issuer: str) -> Metadata:
        """Raises ProviderError."""
        if told.get("issuer") != issuer:
            raise ProviderError(f"what is at {issuer}{WELL_KNOWN} is of another issuer")
        urls = [told.get(f"{each}_endpoint") for each in ("authorization", "token")] + [told.get("jwks_uri")]
        for url in urls:
            if not isinstance(url, str) or not _URL.fullmatch(url) or "#" in url or not is_safe(url):
                raise ProviderError(f"what is at {issuer}{WELL_KNOWN} lacks an endpoint, or one of them is not HTTPS")
            if issuer.startswith("https:") and not url.startswith("https:"):
                raise ProviderError(f"what is at {issuer}{WELL_KNOWN} has an endpoint that is not HTTPS")
        methods = told.get("token_endpoint_auth_methods_supported")
        known = tuple(str(each) for each in methods) if isinstance(methods, list) else ("client_secret_basic",)
        announced = told.get("authorization_response_iss_parameter_supported") is True
        return cls(str(urls[0]), str(urls[1]), str(urls[2]), known, announced)


class Cached(Generic[_T]):
    """A value that is fetched where it is not known or too old. Where that fails, it is not tried again for a moment. Thread-safe."""

    def __init__(self, fetch: Callable[[], _T]) -> None:
        self._fetch, self._lock = fetch, threading.Lock()
        self._found: tuple[float, _T] | None = None
        self._failed: tuple[float, str] | None = None

    def get(self, within: float = KNOWN_FOR) -> _T:
        """The value, not older than `within`, seconds. Raises ProviderError."""
        with self._lock:
            now = time.monotonic()
            if self._found is not None and now - self._found[0] < within:
                return self._found[1]
            if self._failed is not None and now - self._failed[0] < FAILED_FOR:
                raise ProviderError(self._failed[1])
            try:
                value = self._fetch()
            except ProviderError as error:
                self._failed = time.monotonic(), str(error)
                raise
            self._found, self._failed = (time.monotonic(), value), None
            return value


class Provider:
    """One provider. `redirect_uri`: where it sends browsers back to. Thread-safe."""

    def __init__(self, options: OidcOptions, redirect_uri: str) -> None:
        self._options, self._redirect_uri, self._fetch = options, redirect_uri, Fetch(options.ca)
        self._metadata = Cached(self._fetch_metadata)
        self._keys = Cached(self._fetch_keys)

    def authorization_url(self, attempt: Attempt) -> str:
        """Where the browser goes to sign in. Raises ProviderError."""
        endpoint = self._metadata.get().authorization
        asked = {
            "response_type": "code",
            "client_id": self._options.client_id,
            "redirect_uri": self._redirect_uri,
            "scope": self._options.scopes,
            "state": attempt.state,
            "nonce": attempt.nonce,
            "code_challenge": attempt.challenge,
            "code_challenge_method": "S256",
        }
        return f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}"

    def check_issuer(self, given: str | None) -> None:
        """Raises ProviderError where an answer is of another issuer, or of none though this provider names it (RFC 9207)."""
        if given != self._options.issuer and (given is not None or self._metadata.get().is_announced):
            raise ProviderError("the answer is not of this issuer")

    def exchange(self, code: str, attempt: Attempt) -> str:
        """The ID token for a code, verified. Whatever else comes with it, such as a refresh token, is dropped.

        Raises ProviderError and id_token.WrongToken.
        """
        metadata = self._metadata.get()
        fields = {"grant_type": "authorization_code", "code": code, "redirect_uri": self._redirect_uri, "code_verifier": attempt.verifier}
        headers = self._authenticated(metadata, fields)
        status, told = self._fetch.post(metadata.token, fields, headers)
        if status != 200 or told is None:
            error = (told or {}).get("error")
            named = f" {error}" if isinstance(error, str) and _ERROR.fullmatch(error) else ""
            raise ProviderError(f"it answered {status}{named} to the code")
        token = told.get("id_token")
        if not isinstance(token, str) or len(token) > TOKEN_MAX or not cookies.TOKEN.fullmatch(token):
            raise id_token.WrongToken(f"there is none, or it has more than {TOKEN_MAX} bytes")
        self._verify(token, attempt.nonce)
        return token

    def _verify(self, token: str, nonce: str) -> None:
        keys, wanted = self._keys.get(), id_token.key_id(token)
        if all(key.get("kid") != wanted for key in keys):
            keys = self._keys.get(KEYS_EVERY)  # the provider may have a new one
        id_token.verify(token, keys, self._options.issuer, self._options.client_id, nonce)

    def _authenticated(self, metadata: Metadata, fields: dict[str, str]) -> dict[str, str]:
        """Puts the client's authentication into the fields, or into the headers that are returned. Raises ProviderError."""
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
        found = self._fetch.get(self._metadata.get().keys).get("keys")
        if not isinstance(found, list):
            raise ProviderError("its jwks_uri has no keys")
        return [each for each in found[:KEYS_MOST] if isinstance(each, dict)]
