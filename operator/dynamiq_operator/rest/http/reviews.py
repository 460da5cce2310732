"""Asks the API server whose a token is, within a limit: no number of unknown tokens delays the known ones."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict

import anyio.to_thread

from dynamiq_operator.kube import errors
from dynamiq_operator.rest.http.errors import HttpProblem, unauthorized
from dynamiq_operator.rest.http.sessions import CallerSession, Sessions, hash_of

TOKEN_MAX = 16 * 1024
"""Bytes of a token, at most. The API server itself accepts no longer header."""
AT_ONCE = 8
WAITING_MOST = 64
REFUSED_FOR = 3.0
"""Seconds for which a token that the API server refused is refused without another review."""
REFUSED_MOST = 10_000


class Reviews:
    """The reviews of tokens: one at a time for each token, and few in all.

    Tokens that were valid before do not queue behind those that never were.
    """

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._tasks: dict[str, asyncio.Task[CallerSession]] = {}
        self._refused: OrderedDict[str, float] = OrderedDict()
        self._pending = {False: 0, True: 0}
        self._limiters = {is_known: anyio.CapacityLimiter(AT_ONCE) for is_known in (False, True)}

    async def session(self, token: str) -> CallerSession:
        """Returns the session of a token. Raises HttpProblem 401 and 503, NotAllowed, errors.ApiError."""
        if (session := self._sessions.known(token)) is not None:
            return session
        if len(token) > TOKEN_MAX:
            raise unauthorized()
        digest = hash_of(token)
        if self._refused.get(digest, 0.0) > time.monotonic():
            raise unauthorized()
        if (task := self._tasks.get(digest)) is None:
            is_known = self._sessions.was_known(digest)
            if self._pending[is_known] >= AT_ONCE + WAITING_MOST:
                raise HttpProblem(503, "too many tokens are being checked now: try again", headers={"Retry-After": "1"})
            self._pending[is_known] += 1
            task = self._tasks[digest] = asyncio.create_task(self._ask(token, digest, is_known))
        return await asyncio.shield(task)

    async def _ask(self, token: str, digest: str, is_known: bool) -> CallerSession:
        try:
            return await anyio.to_thread.run_sync(self._sessions.open, token, limiter=self._limiters[is_known])
        except errors.Denied as error:
            if error.status == 401:
                self._refused[digest] = time.monotonic() + REFUSED_FOR
                if len(self._refused) > REFUSED_MOST:
                    self._refused.popitem(last=False)
            raise
        finally:
            self._pending[is_known] -= 1
            del self._tasks[digest]
