"""Keeps whose tokens are: each is reviewed once for a while, and few at a time. It sends no review itself.

Memory for unknown tokens is bounded. Tokens that were valid before do not queue behind those that never were.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections import Counter
from collections.abc import Callable
from time import monotonic
from typing import ClassVar, Generic, TypeVar

from dynamiq_operator.serving.recent import Recent

TOKEN_MAX = 16 * 1024
"""Bytes of a token, at most. The API server itself accepts no longer header."""
AT_ONCE = 8
"""Reviews at a time, of tokens that were valid before and of others."""
REFUSED_MOST = 10_000
_V = TypeVar("_V")


class TokenReviews(Generic[_V]):
    """The users of tokens, for one event loop. A server's own class reviews a token.

    `known_for`, `refused_for`: seconds for which a result counts. `pending_most`, `pending_again_most`: reviews that are sent or wait; the
    second one of tokens that were valid before.
    """

    known_for: ClassVar[float] = 60.0
    known_most: ClassVar[int]
    refused_for: ClassVar[float]
    pending_most: ClassVar[int]
    pending_again_most: ClassVar[float] = math.inf

    def __init__(self, refused: Callable[[], Exception], busy: Callable[[], Exception], clock: Callable[[], float] = monotonic) -> None:
        """`refused`, `busy`: make the errors for a token that is not valid, and for one that cannot be reviewed now for too many others."""
        self.refused, self.busy = refused, busy
        self._clock = clock
        self._known = Recent[str, _V](self.known_most)
        self._refused = Recent[str, bool](REFUSED_MOST)
        self._tasks: dict[str, asyncio.Task[_V | None]] = {}
        self._pending = Counter[bool]()
        self._slots = {was_valid: asyncio.Semaphore(AT_ONCE) for was_valid in (False, True)}

    async def review(self, token: str) -> _V | None:
        """Asks the API server for the user of a token; None if it does not know the token."""
        raise NotImplementedError

    def counts_for(self, user: _V) -> float:  # noqa: ARG002 - a server's own class may go by the user
        """Returns the seconds for which the review of a user's token counts."""
        return self.known_for

    async def user(self, token: str) -> _V:
        """Returns the user of a token. Raises `refused()`, `busy()`, and the errors of `review`."""
        if not token or len(token) > TOKEN_MAX:
            raise self.refused()
        digest, now = hash_of(token), self._clock()
        if (known := self._known.get(digest, now)) is not None:
            return known
        if self._refused.get(digest, now):
            raise self.refused()
        if (task := self._tasks.get(digest)) is None:
            was_valid = digest in self._known
            if self._pending[was_valid] >= (self.pending_again_most if was_valid else self.pending_most):
                raise self.busy()
            self._pending[was_valid] += 1
            task = self._tasks[digest] = asyncio.create_task(self._reviewed(token, digest, was_valid))
        if (user := await asyncio.shield(task)) is None:
            # Each request gets an error of its own: a server adds headers to it.
            raise self.refused()
        return user

    async def _reviewed(self, token: str, digest: str, was_valid: bool) -> _V | None:
        try:
            async with self._slots[was_valid]:
                user = await self.review(token)
        finally:
            self._pending[was_valid] -= 1
            del self._tasks[digest]
        if user is None:
            self._known.drop(digest)
            self._refused.put(digest, True, self._clock() + self.refused_for)
        else:
            self._known.put(digest, user, self._clock() + self.counts_for(user))
        return user


def hash_of(token: str) -> str:
    """Returns the hash by which a token is known here: tokens themselves are not kept."""
    return hashlib.sha256(token.encode(errors="replace")).hexdigest()
