"""Asks the journal, which keeps background runs: accepts, claims, saves and reads, for one event loop. It decides nothing."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

import aiohttp

from dynamiq_runtime.recorder_client import Recorder, Trust
from dynamiq_runtime.sockets import lasting

CONNECT_WITHIN = 3.0  # seconds; the journal's pod may just be gone
IDLE_FOR = 1.0  # seconds for which a connection is kept, so that few lead to a journal that is gone
READ_WITHIN = 5.0  # seconds for what a caller waits for
SAVE_WITHIN = 15.0
POLL_MARGIN = 10.0  # seconds beyond those for which the journal may hold a request
DEAD_AFTER = (("TCP_USER_TIMEOUT", 3_000), ("TCP_KEEPIDLE", 10), ("TCP_KEEPINTVL", 2), ("TCP_KEEPCNT", 3))
"""Milliseconds until what was sent must have arrived; seconds until a connection that says nothing is tried, and between tries; tries.

A pod that goes at once with its address, or with its node, closes no connection.
"""
NOT_NOW = frozenset({408, 425, 429})
"""Statuses of refusals that are about this moment, not about the request."""

Json = dict[str, Any]


class JournalAwayError(Exception):
    """The journal does not answer, or cannot now: the same request may be sent again."""


class JournalRefusedError(Exception):
    """The journal refuses a request, with the status, code, message and details of its answer. `retry_after`: None without the header."""

    def __init__(self, status: int, code: str, message: str, details: Mapping[str, object], retry_after: str | None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.details, self.retry_after = status, code, message, details, retry_after


class Journal:
    """The journal as one pod of an App sees it. Every method raises JournalAwayError and JournalRefusedError.

    `instance`: the id of this process. `hears`: each is called with every answer to a claim or to results of callbacks, and every result of a save.
    """

    def __init__(self, address: Recorder, app_id: str) -> None:
        self.instance = str(uuid.uuid4())
        self._address, self._trust = address, Trust(address)
        self._app = f"/v1/apps/{quote(app_id, safe='')}"
        self._session: aiohttp.ClientSession | None = None
        self.hears: list[Callable[[Json], None]] = []

    async def close(self) -> None:
        """Closes its connections."""
        if self._session is not None:
            await self._session.close()

    async def accept(self, run: Mapping[str, Any]) -> tuple[Json, Json | None]:
        """Stores a new run. Returns it, or the one that has its key already; and its claim, if it was claimed at once."""
        answer = await self._ask("POST", "/runs", body=run)
        return answer["data"], answer.get("claim")

    async def runs(self, query: Sequence[tuple[str, str]]) -> Json:
        """Returns a page of the App's runs: `data` and `pagination`."""
        return await self._ask("GET", "/runs", query=query)

    async def run(self, run_id: str) -> Json:
        run: Json = (await self._ask("GET", f"/runs/{quote(run_id, safe='')}"))["data"]
        return run

    async def cancel(self, run_id: str, by: str | None) -> Json:
        """Cancels a run at its next node, or at once if it is queued. Returns it; one that ended is unchanged."""
        run: Json = (await self._ask("POST", f"/runs/{quote(run_id, safe='')}/cancel", body={"by": by}))["data"]
        return run

    async def answer(self, run_id: str, answer: Mapping[str, Any]) -> None:
        """Stores a person's answer to a question of a run. The same answer again changes nothing, another one is refused."""
        await self._ask("POST", f"/runs/{quote(run_id, safe='')}/input", body=answer)

    async def events(self, run_id: str, after: int, *, most: int, wait: float = 0) -> tuple[list[Json], bool]:
        """Returns committed events after a sequence, and True if none will follow them. `wait`: seconds to wait for the first."""
        query = [("after", str(after)), ("limit", str(most)), *([("wait", f"{wait:g}")] if wait else [])]
        path = f"/runs/{quote(run_id, safe='')}/events"
        answer = await self._ask("GET", path, query=query, within=READ_WITHIN if not wait else wait + POLL_MARGIN)
        return answer["data"], bool(answer["ended"])

    async def claims(self, *, free: int, held: int, wait: float) -> tuple[list[Json], float]:
        """Claims at most `free` runs of this pod's pins. Returns them, and the seconds until the next claim. `held`: runs that it has."""
        body = {"instance": self.instance, "free": free, "held": held, "wait": wait}
        answer = await self._ask("POST", "/claims", body=body, within=wait + POLL_MARGIN)
        self._tell(answer)
        return answer["data"], float(answer["next_seconds"])

    async def session(self, session: str) -> Json:
        """Returns whose a conversation is, this pod's pins' if nobody's, and the epoch. `session`: its digest, hexadecimal."""
        return await self._ask("PUT", f"/sessions/{session}", body={"instance": self.instance})

    async def seen(self, sessions: Mapping[str, int]) -> Json:
        """Reports milliseconds since the last turn of conversations. Returns the epoch."""
        return await self._ask("POST", "/sessions/seen", body={"instance": self.instance, "sessions": sessions}, within=SAVE_WITHIN)

    async def wake(self, pins: str) -> None:
        """Tells that a turn waits for a pod of these pins."""
        await self._ask("POST", "/sessions/wake", body={"instance": self.instance, "pins": pins})

    async def sessions_policy(self, after: str | None, wait: float) -> Json:
        """Returns the rules for conversations and the placement of rows; at once if their version is another one than `after`."""
        query = [("wait", f"{wait:g}"), *([("after", after)] if after is not None else [])]
        return await self._ask("GET", "/sessions/policy", query=query, within=wait + POLL_MARGIN)

    async def saves(self, saves: Sequence[Mapping[str, Any]]) -> list[Json]:
        """Commits what happened in several runs. Returns the result of each, in order."""
        results: list[Json] = (await self._ask("POST", "/saves", body={"instance": self.instance, "saves": saves}, within=SAVE_WITHIN))[
            "data"
        ]
        self._tell(*results)
        return results

    async def callback_claims(self, free: int) -> tuple[list[Json], float | None]:
        """Claims at most `free` due callbacks of the App. Returns them, and the seconds until the next one is due; None if none is."""
        answer = await self._ask("POST", "/callbacks/claims", body={"instance": self.instance, "free": free}, within=SAVE_WITHIN)
        return answer["data"], answer["next_seconds"]

    async def callback_results(self, results: Sequence[Mapping[str, Any]]) -> None:
        """Reports what came of claimed callbacks. One that another process has by now is not changed."""
        self._tell(await self._ask("POST", "/callbacks/results", body={"instance": self.instance, "results": results}))

    def _tell(self, *answers: Json) -> None:
        for hear in self.hears:
            for answer in answers:
                hear(answer)

    async def _ask(
        self, method: str, path: str, *, body: object = None, query: Sequence[tuple[str, str]] = (), within: float = READ_WITHIN
    ) -> Json:
        # Without a limit: long polls of many streams must not keep saves waiting.
        self._session = self._session or aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_FOR, socket_factory=lasting(DEAD_AFTER))
        )
        try:
            headers = {"Content-Type": "application/json", **self._address.headers()}
            async with self._session.request(
                method,
                self._address.url.rstrip("/") + self._app + path,
                params=query,
                # Half of a surrogate pair, as a model's stream may have it, is no text that the journal could read.
                data=None if body is None else json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace"),
                headers=headers,
                ssl=self._trust.context() or True,
                timeout=aiohttp.ClientTimeout(total=within, sock_connect=CONNECT_WITHIN),
                allow_redirects=False,
            ) as answer:
                return _checked(answer, await answer.read())
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise JournalAwayError(f"{type(error).__name__}: {error}") from None


def _checked(answer: aiohttp.ClientResponse, content: bytes) -> Json:
    try:
        data = json.loads(content)
    except ValueError:
        raise JournalAwayError(f"it answered {answer.status} without JSON") from None
    if answer.status < 300 and isinstance(data, dict):
        return data
    error = data.get("error") if isinstance(data, dict) else None
    error = error if isinstance(error, dict) else {}
    message = str(error.get("message") or f"it answered {answer.status}")
    # It does not know this pod: its token is being renewed, or the pod is not in its lists yet.
    if answer.status in (401, 403) or answer.status >= 500:
        raise JournalAwayError(f"{answer.status}: {message}")
    raise JournalRefusedError(
        answer.status, str(error.get("code") or "refused"), message, error.get("details") or {}, answer.headers.get("Retry-After")
    )
