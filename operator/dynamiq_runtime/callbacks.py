"""Delivers the callbacks of runs that have ended: claims due ones of the App from the journal, posts each, and tells the journal.

The journal decides when, how often and until when; a claim that is not told of is due again once its lease is over. Neither URL nor token
is logged.
"""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dynamiq_runtime.activity import Activity
from dynamiq_runtime.journal import NOT_NOW, Journal, JournalAwayError, JournalRefusedError
from dynamiq_runtime.logs import log
from dynamiq_runtime.posting import Answer, Poster
from dynamiq_runtime.webhook import body_of, headers_of, key_of

AT_ONCE = 8  # callbacks of one pod: each has its answer within 10 s
AGAIN, AGAIN_MOST = 0.2, 3.0  # seconds before the journal is asked again: doubled up to the second
REFUSED_FOR = 30.0  # seconds without claims after the journal refused one, or without a key for signatures
TELLS_FOR = 40.0  # seconds for which a result is sent: a claim's lease has 60, of which the callback took 10
LEAVES_WITHIN = 0.5  # seconds that a stop waits for callbacks under way
KEY_LIMIT = 4096  # bytes of the key's file
NO_KEY, FAILED = "no_key", "failed"
"""Errors of callbacks that this pod could not sign, or make."""


class SigningKey:
    """The App's key for signatures, in a file of a mounted Secret. It is read for each callback: the kubelet may have changed it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> bytes | None:
        """Returns the key; None if the file is missing or holds none."""
        try:
            with self._path.open("rb") as file:
                return key_of(file.read(KEY_LIMIT).decode("ascii"))
        except (OSError, UnicodeDecodeError):
            return None


class Callbacks:
    """The callbacks that one pod delivers, on its event loop. `begin` once it serves; `drain` and `close` at the end."""

    def __init__(self, journal: Journal, key: SigningKey, poster: Poster, activity: Activity) -> None:
        self._journal, self._key, self._poster, self._activity = journal, key, poster, activity
        self._changed = asyncio.Event()
        self._due = math.inf
        self._announced = 0
        self._held = contextlib.ExitStack()
        """Counts as a call from the end of a run until its callbacks are claimed, so that a stop waits for them."""
        self._is_draining = False
        self._delivering: set[asyncio.Task[None]] = set()
        self._claiming: asyncio.Task[None] | None = None
        journal.hears.append(self._hear)

    @property
    def can_sign(self) -> bool:
        """True if there is a key."""
        return self._key.read() is not None

    def begin(self) -> None:
        """Starts to claim what is due."""
        self._claiming = asyncio.create_task(self._claim_on())

    def drain(self) -> None:
        """Claims only for runs that end here, from now on: others are left to other pods."""
        self._is_draining = True
        if not self._announced:
            self._due = math.inf

    async def close(self) -> None:
        """Ends. Other pods deliver what is still under way, once its lease is over."""
        if self._claiming is not None:
            self._claiming.cancel()
        if self._delivering:
            await asyncio.wait(self._delivering, timeout=LEAVES_WITHIN)
        for task in self._delivering:
            task.cancel()
        self._held.close()
        self._poster.close()

    def _hear(self, answer: Mapping[str, Any]) -> None:
        """Takes what the journal reports: that a run ended here has callbacks, which leave at once, or when the App's next one is due."""
        if answer.get("callbacks") and self.can_sign:
            if not self._announced:
                self._held.enter_context(self._activity.call())
            self._announced += 1
            self._claim_in(0)
        self._expect(answer.get("callbacks_seconds"))

    def _expect(self, seconds: float | None) -> None:
        if seconds is not None and not self._is_draining:
            self._claim_in(seconds)

    def _claim_in(self, seconds: float) -> None:
        self._due = min(self._due, time.monotonic() + seconds)
        self._changed.set()

    async def _claim_on(self) -> None:
        pause = AGAIN
        while True:
            await self._wait_until_due()
            self._due, announced, rest = math.inf, self._announced, 0.0
            try:
                self._expect(await self._claim())
                pause = AGAIN
            except JournalAwayError:
                self._claim_in(0)
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN_MOST)
                continue
            except JournalRefusedError as error:
                log("the journal refuses claims of callbacks", level="error", code=error.code)
                rest = AGAIN_MOST if error.status in NOT_NOW else REFUSED_FOR
            except Exception as error:
                log("callbacks cannot be claimed", level="error", error=type(error).__name__)
                rest = REFUSED_FOR
            await asyncio.sleep(AGAIN)  # those that it claimed count as calls by now
            if announced == self._announced:
                self._announced = 0
                self._held.close()
            await asyncio.sleep(rest)

    async def _wait_until_due(self) -> None:
        """Returns once a callback may be due, and there is room for one."""
        while (left := self._due - time.monotonic()) > 0 or len(self._delivering) >= AT_ONCE:
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(left if 0 < left < math.inf else None):
                    await self._changed.wait()

    async def _claim(self) -> float | None:
        """Begins to deliver what is due. Returns the seconds until the next callback is; None if none is known."""
        if not self.can_sign:  # other pods may have it
            return REFUSED_FOR
        claims, left = await self._journal.callback_claims(AT_ONCE - len(self._delivering))
        for claim in claims:
            task = asyncio.create_task(self._deliver(claim))
            self._delivering.add(task)
            task.add_done_callback(self._end)
        return left

    def _end(self, task: asyncio.Task[None]) -> None:
        self._delivering.discard(task)
        self._changed.set()

    async def _deliver(self, claim: Mapping[str, Any]) -> None:
        with self._activity.call():
            try:
                answer = await self._answer(claim)
            except Exception as error:
                log("a callback failed inside the runtime", level="error", run_id=claim["run"]["id"], error=type(error).__name__)
                answer = Answer(None, FAILED)
            later = {} if answer.retry_after is None else {"retry_after": answer.retry_after}
            of = {"run_id": claim["run"]["id"], "n": claim["n"], "try": claim["try"]}
            await self._tell({**of, "status": answer.status, "error": answer.error, **later})

    async def _answer(self, claim: Mapping[str, Any]) -> Answer:
        if (key := self._key.read()) is None:
            return Answer(None, NO_KEY)
        body = body_of(claim["run"], claim["metadata"])
        headers = headers_of(key, claim["id"], int(time.time()), body, claim["token"])
        return await self._poster.post(claim["url"], body, headers, listed=bool(claim["private"]))

    async def _tell(self, result: Mapping[str, Any]) -> None:
        """Sends a result until the journal has it, or the lease is over: then the callback leaves once more."""
        until, pause = time.monotonic() + TELLS_FOR, AGAIN
        while time.monotonic() < until:
            try:
                await self._journal.callback_results([result])
            except JournalAwayError:
                await asyncio.sleep(pause)
                pause = min(2 * pause, AGAIN_MOST)
            except JournalRefusedError as error:
                log("the journal refuses the result of a callback", level="error", run_id=result["run_id"], code=error.code)
                return
            else:
                return
