"""Authenticates requests by their bearer tokens. The API server decides whose a token is."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import math
import re
import threading
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

from dynamiq_operator.actions.refusals import NotAllowed
from dynamiq_operator.kube import errors
from dynamiq_operator.rest.kube.client import ApiClient, ApiServer

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
KNOWN_FOR = 60.0
"""Seconds for which a token's user is cached. Every read and write still goes to the API server with the token."""
KNOWN_MOST = 10_000
USERS = uuid.UUID("6f1d5c0e-6d0b-5b8e-9d0a-2f4f3d8a9c11")
"""Namespace of users' ids: the id of a user is the version 5 UUID of the username in it."""
TIME_MOST = 32_503_680_000.0
"""The year 3000."""
SERVICE_ACCOUNT = "system:serviceaccount:"
_EMAIL = re.compile(r"[^@\s:]+@[^@\s:]+\.[^@\s:]+")
_TOKEN = re.compile(r"bearer +([\x21-\x7e]+)", re.IGNORECASE)


@dataclass(frozen=True)
class User:
    """A username as the API server knows it."""

    username: str
    names: tuple[str, str] = ("", "")
    """First and last name, from the claims given_name and family_name if the API server passes them on."""

    @property
    def id(self) -> str:
        return str(uuid.uuid5(USERS, self.username))

    @property
    def email(self) -> str | None:
        return self.username if _EMAIL.fullmatch(self.username) else None

    @property
    def is_service_account(self) -> bool:
        return self.username.startswith(SERVICE_ACCOUNT)


@dataclass(frozen=True)
class CallerSession:
    """The caller of one request: the client that sends the caller's token, and the user."""

    api: ApiClient
    user: User
    token_hash: str = field(repr=False)

    @property
    def expires_at(self) -> float | None:
        """The time at which the caller's token expires, as `expires_at` returns it."""
        return expires_at(token_of(self.api.credentials[0]) or "")


class Sessions:
    """A cache of users by token. Thread-safe; tokens are kept only as their hashes."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._known: OrderedDict[str, tuple[float, User]] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, token: str) -> CallerSession | None:
        """Returns the session of a cached token; None if it is not cached or its entry expired."""
        digest = hash_of(token)
        with self._lock:
            until, user = self._known.get(digest, (0.0, None))
        return CallerSession(self._server.of(token), user, digest) if user is not None and until > time.monotonic() else None

    def was_known(self, token_hash: str) -> bool:
        """Returns True if the token was valid before. Its entry may have expired."""
        with self._lock:
            return token_hash in self._known

    def open(self, token: str) -> CallerSession:
        """Reviews the token with the API server (SelfSubjectReview). Raises NotAllowed, errors.Denied with status 401, other errors.ApiError."""
        api = self._server.of(token)
        try:
            user_info = api.request("POST", REVIEWS, body=REVIEW)["status"]["userInfo"]
        except errors.Denied as error:
            if error.status == 401:
                with self._lock:
                    self._known.pop(hash_of(token), None)
                raise
            raise NotAllowed(f"you may not ask who you are, which this API does for every caller: {error}") from None
        extra = user_info.get("extra") or {}
        user = User(str(user_info["username"]), (_first(extra, "given_name"), _first(extra, "family_name")))
        digest = hash_of(token)
        with self._lock:
            self._known[digest] = (time.monotonic() + KNOWN_FOR, user)
            self._known.move_to_end(digest)
            if len(self._known) > KNOWN_MOST:
                self._known.popitem(last=False)
        return CallerSession(api, user, digest)


def token_of(header: str | None) -> str | None:
    """Returns the bearer token of an Authorization header; None if it has none."""
    match = _TOKEN.fullmatch((header or "").strip())
    return match[1] if match else None


def expires_at(token: str) -> float | None:
    """Returns when a token expires by its own claim exp, in seconds of Unix time; None without it.

    Only the API server judges if that is true.
    """
    _, *payload = token.split(".", 2)
    try:
        claims = json.loads(base64.urlsafe_b64decode(f"{payload[0]}=="))
        expiry = float(claims["exp"])
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, RecursionError, binascii.Error):
        return None
    return expiry if math.isfinite(expiry) and 0 <= expiry < TIME_MOST else None


def hash_of(token: str) -> str:
    """Returns the hash by which a token is known here."""
    return hashlib.sha256(token.encode()).hexdigest()


def _first(extra: dict[str, Any], name: str) -> str:
    values = extra.get(name) or [""]
    return str(values[0])
