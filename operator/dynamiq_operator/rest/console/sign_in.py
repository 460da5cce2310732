"""Signs in with OIDC, between the browser and the provider: few at once, each within a time limit, and each attempt once."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

import anyio
import anyio.to_thread

from dynamiq_operator.rest.console.attempt import LIVES, Attempt
from dynamiq_operator.rest.console.fetching import ProviderError
from dynamiq_operator.rest.console.id_token import WrongNonce, WrongToken
from dynamiq_operator.rest.console.provider import Provider
from dynamiq_operator.rest.http.errors import HttpProblem
from dynamiq_operator.serving.lanes import Lane

AT_ONCE, EACH, WAITING = 16, 8, 64
"""Concurrent requests, those of one address, and how many more may wait. Callers have no name yet, and an attempt costs nothing."""
WITHIN = 20.0
"""Seconds for all calls to the provider in one request."""
SPENT_MOST = 10_000
_T = TypeVar("_T")


class Failed(Exception):  # noqa: N818 - most are no error of this program
    """Nobody was signed in. `code`: for the page. The message is for the log, and has no text that anybody sent."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class SignIn:
    """The sign-in with one provider. For the event loop."""

    def __init__(self, provider: Provider) -> None:
        self._provider = provider
        self._lane, self._threads = Lane(AT_ONCE, EACH, WAITING), anyio.CapacityLimiter(AT_ONCE)
        self._spent: dict[str, float] = {}

    async def begin(self, attempt: Attempt, address: str) -> str:
        """Returns the provider's page for an attempt of a browser at `address`. Raises Failed."""
        return await self._in_a_thread(address, partial(self._provider.authorization_url, attempt))

    async def finish(self, parameters: Sequence[tuple[str, str]], attempt: Attempt | None, address: str) -> str:
        """Returns the ID token for the provider's response, sent by the browser at `address`. Raises Failed."""
        if attempt is None:
            raise Failed("expired", "this browser has no sign-in attempt, or the attempt took too long")
        values = dict(parameters)
        is_single = max(Counter(name for name, _ in parameters).values(), default=0) <= 1
        if not is_single or not hmac.compare_digest(values.get("state", "").encode(), attempt.state.encode()):
            raise Failed("state", "the answer belongs to another browser's attempt")
        self._spend(attempt.state)
        return await self._in_a_thread(address, partial(self._token, values, attempt))

    def _token(self, values: Mapping[str, str], attempt: Attempt) -> str:
        self._provider.check_issuer(values.get("iss"))
        if "error" in values:
            raise Failed("refused", "the provider refused it")
        if not values.get("code"):
            raise Failed("provider", "the provider sent no code")
        return self._provider.exchange(values["code"], attempt)

    def _spend(self, state: str) -> None:
        """Marks an attempt as used: its cookie is removed, and a copy of it becomes worthless. Raises Failed if it was used before."""
        now = time.monotonic()
        for old in [each for each, until in self._spent.items() if until < now]:
            del self._spent[old]
        if state in self._spent:
            raise Failed("expired", "this attempt was used before")
        if len(self._spent) >= SPENT_MOST:
            del self._spent[next(iter(self._spent))]
        self._spent[state] = now + LIVES

    async def _in_a_thread(self, address: str, call: Callable[[], _T]) -> _T:
        try:
            async with self._lane.slot(address), asyncio.timeout(WITHIN):
                return await anyio.to_thread.run_sync(call, limiter=self._threads, abandon_on_cancel=True)
        except ProviderError as error:
            raise Failed("provider", str(error)) from error
        except WrongNonce as error:
            raise Failed("nonce", str(error)) from error
        except WrongToken as error:
            raise Failed("token", f"the ID token is not accepted: {error}") from error
        except TimeoutError:
            raise Failed("provider", f"it took more than {WITHIN:g} s") from None
        except HttpProblem:
            raise Failed("provider", "too many people are signing in now") from None
