"""Who calls: the token of a request, and whom the API server takes it for."""

from __future__ import annotations

import hashlib
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
"""Seconds for which a token's user is remembered. What is read or written goes to the API server with the token all the same."""
KNOWN_MOST = 10_000
USERS = uuid.UUID("6f1d5c0e-6d0b-5b8e-9d0a-2f4f3d8a9c11")
"""Namespace of users' ids: the id of a user is the version 5 UUID of the username in it."""
SERVICE_ACCOUNT = "system:serviceaccount:"
_EMAIL = re.compile(r"[^@\s:]+@[^@\s:]+\.[^@\s:]+")
_TOKEN = re.compile(r"bearer +([\x21-\x7e]+)", re.IGNORECASE)


@dataclass(frozen=True)
class User:
    """A username as the API server knows it."""

    username: str
    names: tuple[str, str] = ("", "")
    """First and last name, where authentication gives them."""

    @property
    def id(self) -> str:
        return str(uuid.uuid5(USERS, self.username))

    @property
    def email(self) -> str | None:
        return self.username if _EMAIL.fullmatch(self.username) else None

    @property
    def is_service_account(self) -> bool:
        return self.username.startswith(SERVICE_ACCOUNT)

    def as_author(self) -> dict[str, Any]:
        """The contract's `created_by`."""
        return {"id": self.id, "email": self.email, "username": self.username}


@dataclass(frozen=True)
class CallerSession:
    """One request's caller: the client that acts with the token, and the user."""

    api: ApiClient
    user: User
    token_hash: str = field(repr=False)


class Sessions:
    """Sessions by token. Thread-safe; tokens are kept only as their hashes."""

    def __init__(self, server: ApiServer) -> None:
        self._server = server
        self._known: OrderedDict[str, tuple[float, User]] = OrderedDict()
        self._lock = threading.Lock()

    def known(self, token: str) -> CallerSession | None:
        """The session of a token that was looked at a moment ago."""
        digest = _hash(token)
        with self._lock:
            until, user = self._known.get(digest, (0.0, None))
        return CallerSession(self._server.of(token), user, digest) if user is not None and until > time.monotonic() else None

    def open(self, token: str) -> CallerSession:
        """Asks the API server whose token it is. Raises errors.Denied with status 401, and other errors.ApiError."""
        api = self._server.of(token)
        try:
            found = api.request("POST", REVIEWS, body=REVIEW)["status"]["userInfo"]
        except errors.Denied as error:
            if error.status == 401:
                raise
            raise NotAllowed(f"you may not ask who you are, which this API does for every caller: {error}") from None
        extra = found.get("extra") or {}
        user = User(str(found["username"]), (_first(extra, "given_name"), _first(extra, "family_name")))
        digest = _hash(token)
        with self._lock:
            self._known[digest] = (time.monotonic() + KNOWN_FOR, user)
            self._known.move_to_end(digest)
            if len(self._known) > KNOWN_MOST:
                self._known.popitem(last=False)
        return CallerSession(api, user, digest)


def token_of(header: str | None) -> str | None:
    """The token of an Authorization header."""
    found = _TOKEN.fullmatch((header or "").strip())
    return found[1] if found else None


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()


def _first(extra: dict[str, Any], name: str) -> str:
    values = extra.get(name) or [""]
    return str(values[0])
