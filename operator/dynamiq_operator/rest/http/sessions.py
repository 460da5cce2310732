"""Authenticates requests by their bearer tokens. The API server decides whose a token is."""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

import anyio.to_thread

from dynamiq_operator.actions.refusals import NotAllowed
from dynamiq_operator.kube import errors
from dynamiq_operator.rest.http.errors import HttpProblem, unauthorized, unavailable
from dynamiq_operator.rest.kube.client import ApiClient, ApiServer
from dynamiq_operator.serving.tokens import AT_ONCE, TokenReviews, hash_of

REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
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


class Sessions(TokenReviews[User]):
    """The sessions of callers, by token. Every read and write still goes to the API server with the token."""

    known_most, refused_for = 10_000, 3.0
    pending_most = pending_again_most = 72

    def __init__(self, server: ApiServer) -> None:
        super().__init__(unauthorized, _busy)
        self._server = server
        self._threads = anyio.CapacityLimiter(2 * AT_ONCE)

    async def session(self, token: str) -> CallerSession:
        """Returns the session of a token. Raises HttpProblem 401 and 503, NotAllowed, errors.ApiError."""
        user = await self.user(token)
        return CallerSession(self._server.of(token), user, hash_of(token))

    async def review(self, token: str) -> User | None:
        return await anyio.to_thread.run_sync(self._review, token, limiter=self._threads)

    def _review(self, token: str) -> User | None:
        try:
            user_info = self._server.of(token).request("POST", REVIEWS, body=REVIEW)["status"]["userInfo"]
        except errors.Denied as error:
            if error.status == 401:
                return None
            raise NotAllowed(
                f"you need the right to create SelfSubjectReviews, by which this API identifies every caller: {error}"
            ) from None
        extra = user_info.get("extra") or {}
        return User(str(user_info["username"]), (_first(extra, "given_name"), _first(extra, "family_name")))


def _busy() -> HttpProblem:
    return unavailable("too many tokens are being checked now: try again", 1)


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


def _first(extra: dict[str, Any], name: str) -> str:
    values = extra.get(name) or [""]
    return str(values[0])
