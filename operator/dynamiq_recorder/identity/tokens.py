"""Identifies the user of a token by a TokenReview. It checks no rights.

A result is kept for a minute. Memory for unknown tokens is bounded, so they never crowd out known ones. While the API server is
unavailable, a known pod's token stays valid for five more minutes. An unknown token is then not refused: its sender retries.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import json
from collections import OrderedDict
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import msgspec

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.model.runs import RECORDER_AUDIENCE

REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
TOKEN_MAX = 16 * 1024
KNOWN_FOR, KNOWN_MOST = 60.0, 20_000
"""Seconds for which a user is kept, and most users kept."""
GOES_ON = 300.0
"""Seconds for which a pod's token stays valid longer while the API server is unavailable."""
REFUSED_FOR, REFUSED_MOST = 10.0, 10_000
AT_ONCE, WAITING_MOST = 8, 256
WITHIN = 8.0
_POD_NAME, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
_ACCOUNT = "system:serviceaccount:"


class Unauthorized(Exception):  # noqa: N818
    """A token that the API server does not know."""


class NotNow(Exception):  # noqa: N818
    """A user or a right that cannot be determined now; the message has the reason. The caller may try again."""


class User(msgspec.Struct, frozen=True):
    """The user of a token. `is_of_recorder`: True if the token's audience is the recorder."""

    username: str
    uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]]
    is_of_recorder: bool

    @property
    def namespace(self) -> str:
        """Returns the namespace of a service account; empty for other users."""
        return self.username.removeprefix(_ACCOUNT).partition(":")[0] if self.username.startswith(_ACCOUNT) else ""

    @property
    def pod(self) -> tuple[str, str] | None:
        """Returns the name and uid of the pod to which the token is bound; None without one."""
        name, uid = self.extra.get(_POD_NAME, ()), self.extra.get(_POD_UID, ())
        return (name[0], uid[0]) if len(name) == len(uid) == 1 else None


class _Known(msgspec.Struct):
    user: User
    until: float


class Tokens:
    """Token reviews and their recent results, for one event loop."""

    def __init__(self, client: Client, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._clock = client, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._pending: dict[str, asyncio.Task[User]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def user(self, token: str) -> User:
        """Returns the user of a token.

        Raises Unauthorized and NotNow.
        """
        if not token or len(token) > TOKEN_MAX:
            raise Unauthorized
        digest, now = hashlib.sha256(token.encode(errors="replace")).hexdigest(), self._clock()
        known = self._known.get(digest)
        if known is not None and known.until > now:
            return known.user
        if self._refused.get(digest, 0.0) > now:
            raise Unauthorized
        if (task := self._pending.get(digest)) is None:
            if len(self._pending) >= WAITING_MOST and known is None:
                raise NotNow("too many tokens are being checked now")
            task = self._pending[digest] = asyncio.create_task(self._resolve(token, digest))
        try:
            return await asyncio.shield(task)
        except NotNow:
            if known is not None and known.user.pod is not None and known.until + GOES_ON > now:
                return known.user
            raise

    async def _resolve(self, token: str, digest: str) -> User:
        try:
            async with self._slots:
                user = await self._review(token)
        finally:
            del self._pending[digest]
        now = self._clock()
        if user is None:
            self._known.pop(digest, None)
            _keep(self._refused, digest, now + REFUSED_FOR, REFUSED_MOST)
            raise Unauthorized
        _keep(self._known, digest, _Known(user, now + KNOWN_FOR), KNOWN_MOST)
        return user

    async def _review(self, token: str) -> User | None:
        """Reviews a token for the audience that it claims: the recorder's or the API server's; without a claim, for one after the other."""
        # The claim is unverified: it only chooses the audience to review for.
        claimed = _audiences(token)
        is_of_recorder = claimed is not None and RECORDER_AUDIENCE in claimed
        for audience in (True, False) if claimed is None else (is_of_recorder,):
            if (user := await self._review_for(token, audience)) is not None:
                return user
        return None

    async def _review_for(self, token: str, is_of_recorder: bool) -> User | None:
        spec = {"token": token, **({"audiences": [RECORDER_AUDIENCE]} if is_of_recorder else {})}
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        try:
            answer = await self._client.request("POST", REVIEWS, body=review, required="status", within=WITHIN)
        except errors.ApiError as error:
            raise NotNow(f"the API server did not answer whose token it is: {error}") from error
        status = answer["status"]
        if status.get("authenticated") is not True or (is_of_recorder and RECORDER_AUDIENCE not in (status.get("audiences") or ())):
            return None
        return _user(status.get("user") or {}, is_of_recorder)


def _user(fields: Mapping[str, Any], is_of_recorder: bool) -> User | None:
    extra = {str(name): tuple(map(str, values or ())) for name, values in (fields.get("extra") or {}).items()}
    username = str(fields.get("username") or "")
    return (
        User(username, str(fields.get("uid") or ""), tuple(map(str, fields.get("groups") or ())), extra, is_of_recorder)
        if username
        else None
    )


def _audiences(token: str) -> tuple[str, ...] | None:
    """Returns the audiences that a token claims, unverified; None if it is no JSON web token."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        audience = claims.get("aud")
    except (binascii.Error, ValueError, AttributeError, RecursionError):
        return None
    listed = [audience] if isinstance(audience, str) else audience
    return tuple(map(str, listed)) if isinstance(listed, list) else None


def _keep(into: OrderedDict[str, Any], key: str, value: Any, most: int) -> None:
    into.pop(key, None)
    into[key] = value
    if len(into) > most:
        into.popitem(last=False)
