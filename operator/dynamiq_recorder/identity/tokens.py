"""Identifies the user of a token by a TokenReview. It checks no rights.

A result is kept for a minute, or longer for pods if the server says so. While the API server is unavailable, a known pod's token stays valid for five more minutes. An unknown token
is then not refused: its sender retries.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Mapping
from time import monotonic
from typing import Any

import msgspec

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.model.runs import RECORDER_AUDIENCE
from dynamiq_operator.serving.tokens import TokenReviews, hash_of

REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews"
GOES_ON = 300.0
"""Seconds for which a pod's token stays valid longer while the API server is unavailable."""
WITHIN = 8.0
_POD_NAME, _POD_UID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/pod-uid"
_ACCOUNT = "system:serviceaccount:"


class Unauthorized(Exception):  # noqa: N818
    """A token that the API server does not know."""


class NotNow(Exception):  # noqa: N818
    """A user or a right that cannot be determined now; the message has the reason. The caller may try again."""


class User(msgspec.Struct, frozen=True):
    """The user of a token. `is_ours`: True if the token's audience is this server."""

    username: str
    uid: str
    groups: tuple[str, ...]
    extra: Mapping[str, tuple[str, ...]]
    is_ours: bool

    @property
    def namespace(self) -> str:
        """Returns the namespace of a service account; empty for other users."""
        return self.username.removeprefix(_ACCOUNT).partition(":")[0] if self.username.startswith(_ACCOUNT) else ""

    @property
    def pod(self) -> tuple[str, str] | None:
        """Returns the name and uid of the pod to which the token is bound; None without one."""
        name, uid = self.extra.get(_POD_NAME, ()), self.extra.get(_POD_UID, ())
        return (name[0], uid[0]) if len(name) == len(uid) == 1 else None


class Tokens(TokenReviews[User]):
    """Token reviews and their recent results, for one event loop."""

    known_most, refused_for, pending_most = 20_000, 10.0, 256

    def __init__(
        self, client: Client, clock: Callable[[], float] = monotonic, *, audience: str = RECORDER_AUDIENCE, pods_for: float = 60.0
    ) -> None:
        """Takes the `audience` of tokens that are meant for this server. `pods_for`: seconds for which the review of a pod's token counts."""
        super().__init__(Unauthorized, lambda: NotNow("too many tokens are being checked now"), clock)
        self._client, self._audience, self._pods_for = client, audience, pods_for

    async def user(self, token: str) -> User:
        """Returns the user of a token.

        Raises Unauthorized and NotNow.
        """
        recent = self._known.get(hash_of(token), self._clock() - GOES_ON)
        try:
            return await super().user(token)
        except NotNow:
            if recent is not None and recent.pod is not None:
                return recent
            raise

    def counts_for(self, user: User) -> float:
        return self._pods_for if user.pod is not None else self.known_for

    async def review(self, token: str) -> User | None:
        """Reviews a token for the audience that it claims: ours or the API server's; without a claim, for one after the other."""
        # The claim is unverified: it only chooses the audience to review for.
        claimed = _audiences(token)
        is_ours = claimed is not None and self._audience in claimed
        for each in (True, False) if claimed is None else (is_ours,):
            if (user := await self._review_for(token, each)) is not None:
                return user
        return None

    async def _review_for(self, token: str, is_ours: bool) -> User | None:
        spec = {"token": token, **({"audiences": [self._audience]} if is_ours else {})}
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": spec}
        try:
            answer = await self._client.request("POST", REVIEWS, body=review, required="status", within=WITHIN)
        except errors.ApiError as error:
            raise NotNow(f"the API server did not answer whose token it is: {error}") from error
        status = answer["status"]
        if status.get("authenticated") is not True or (is_ours and self._audience not in (status.get("audiences") or ())):
            return None
        return _user(status.get("user") or {}, is_ours)


def _user(fields: Mapping[str, Any], is_ours: bool) -> User | None:
    extra = {str(name): tuple(map(str, values or ())) for name, values in (fields.get("extra") or {}).items()}
    username = str(fields.get("username") or "")
    return User(username, str(fields.get("uid") or ""), tuple(map(str, fields.get("groups") or ())), extra, is_ours) if username else None


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
