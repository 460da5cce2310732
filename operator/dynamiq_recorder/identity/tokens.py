"""Who a token belongs to: a TokenReview, asked once for a minute, and bounded: however many tokens nobody knows, those that are known are served.

While the API server is away a pod's token that was good goes on for five minutes; one that nobody knows is not refused: it is asked to wait.
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
"""Seconds, and tokens."""
GOES_ON = 300.0
"""Seconds more, while the API server is away."""
REFUSED_FOR, REFUSED_MOST = 10.0, 10_000
AT_ONCE, WAITING_MOST = 8, 256
WITHIN = 8.0
_POD_NAME, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
_ACCOUNT = "system:serviceaccount:"


class Unauthorized(Exception):  # noqa: N818
    """The API server does not know the token."""


class NotNow(Exception):  # noqa: N818
    """It cannot be said now whose token it is, or what they may do; the message says why. Try again."""


class User(msgspec.Struct, frozen=True):
    """Who the API server says a token belongs to. `is_of_recorder`: the token is of the recorder's own audience."""

    username: str
    uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]]
    is_of_recorder: bool

    @property
    def namespace(self) -> str:
        """Of a service account; empty of everybody else."""
        return self.username.removeprefix(_ACCOUNT).partition(":")[0] if self.username.startswith(_ACCOUNT) else ""

    @property
    def pod(self) -> tuple[str, str] | None:
        """Name and uid of the pod that the token is bound to."""
        name, uid = self.extra.get(_POD_NAME, ()), self.extra.get(_POD_UID, ())
        return (name[0], uid[0]) if len(name) == len(uid) == 1 else None


class _Known(msgspec.Struct):
    user: User
    until: float


class Tokens:
    """Reviews of tokens, on one event loop."""

    def __init__(self, client: Client, clock: Callable[[], float] = monotonic) -> None:
        self._client, self._clock = client, clock
        self._known: OrderedDict[str, _Known] = OrderedDict()
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._asked: dict[str, asyncio.Task[User]] = {}
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def user(self, token: str) -> User:
        """Raises Unauthorized and NotNow."""
        if not token or len(token) > TOKEN_MAX:
            raise Unauthorized
        digest, now = hashlib.sha256(token.encode(errors="replace")).hexdigest(), self._clock()
        known = self._known.get(digest)
        if known is not None and known.until > now:
            return known.user
        if self._refused.get(digest, 0.0) > now:
            raise Unauthorized
        if (task := self._asked.get(digest)) is None:
            if len(self._asked) >= WAITING_MOST and known is None:
                raise NotNow("too many tokens are looked at in this moment")
            task = self._asked[digest] = asyncio.create_task(self._ask(token, digest))
        try:
            return await asyncio.shield(task)
        except NotNow:
            if known is not None and known.user.pod is not None and known.until + GOES_ON > now:
                return known.user
            raise

    async def _ask(self, token: str, digest: str) -> User:
        try:
            async with self._slots:
                user = await self._review(token)
        finally:
            del self._asked[digest]
        now = self._clock()
        if user is None:
            self._known.pop(digest, None)
            _keep(self._refused, digest, now + REFUSED_FOR, REFUSED_MOST)
            raise Unauthorized
        _keep(self._known, digest, _Known(user, now + KNOWN_FOR), KNOWN_MOST)
        return user

    async def _review(self, token: str) -> User | None:
        """Asks for the recorder's audience, for the API server's own, or for one after the other, by what the token claims; claims decide nothing more."""
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
            raise NotNow(f"the API server does not say whose token it is: {error}") from error
        status = answer["status"]
        if status.get("authenticated") is not True or (is_of_recorder and RECORDER_AUDIENCE not in (status.get("audiences") or ())):
            return None
        return _user(status.get("user") or {}, is_of_recorder)


def _user(given: Mapping[str, Any], is_of_recorder: bool) -> User | None:
    extra = {str(name): tuple(map(str, values or ())) for name, values in (given.get("extra") or {}).items()}
    username = str(given.get("username") or "")
    return (
        User(username, str(given.get("uid") or ""), tuple(map(str, given.get("groups") or ())), extra, is_of_recorder) if username else None
    )


def _audiences(token: str) -> tuple[str, ...] | None:
    """What a token claims to be for, unverified; None of one that is no JSON web token."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        found = claims.get("aud")
    except (binascii.Error, ValueError, AttributeError, RecursionError):
        return None
    listed = [found] if isinstance(found, str) else found
    return tuple(map(str, listed)) if isinstance(listed, list) else None


def _keep(into: OrderedDict[str, Any], key: str, value: Any, most: int) -> None:
    into.pop(key, None)
    into[key] = value
    if len(into) > most:
        into.popitem(last=False)
