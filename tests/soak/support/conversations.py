"""Leads many conversations with an App by its hostname, at a steady pace, and notes which version answered each turn."""

from __future__ import annotations

import asyncio
import threading
import time
import uuid
from collections import defaultdict, deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import aiohttp

from local.gateway import Gateway

VERSION, ROW = "X-Dynamiq-Workflow-Version", "X-Dynamiq-Row"
ENDS_WITHIN = 120.0


@dataclass(frozen=True, slots=True)
class Turn:
    """One turn of a conversation. `sent`: Unix seconds. `took`: seconds. `status`: 0 without an answer. `version`, `row`: of its answer."""

    sent: float
    took: float
    status: int
    version: str
    row: str
    text: str = ""


@dataclass
class Conversations:
    """Conversations with one App. Turn after turn each is sent once the one before is answered; every fifth is streamed.

    `rate`: turns a second, of all. `least`: conversations at the end. `length`: turns of each. `at_once`: conversations at a time.
    """

    at: Gateway
    host: str
    key: str
    rate: float
    least: int
    length: int
    at_once: int
    turns: dict[int, list[Turn]] = field(default_factory=lambda: defaultdict(list))
    late: int = 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Begins conversations while the block runs, and after it until there are `least`. Each that began gets all of its turns."""
        ended = threading.Event()
        thread = threading.Thread(target=lambda: asyncio.run(self._lead(ended)), daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join(ENDS_WITHIN + (self.least + self.at_once) * self.length / self.rate)
        assert not thread.is_alive(), "the conversations do not end"

    @property
    def answered(self) -> int:
        return sum(len(each) for each in list(self.turns.values()))

    @property
    def all(self) -> list[Turn]:
        return [turn for each in list(self.turns.values()) for turn in each]  # others begin meanwhile

    @property
    def failed(self) -> list[Turn]:
        return [turn for turn in self.all if turn.status != 200]

    @property
    def elsewhere(self) -> list[Turn]:
        """Returns the turns that another version answered than the first turn of their conversation."""
        return [turn for each in list(self.turns.values()) for turn in each if turn.status == 200 and turn.version != each[0].version]

    async def _lead(self, ended: threading.Event) -> None:
        ready, calls, number, begun = deque(range(self.at_once)), set[asyncio.Task[None]](), 0, self.at_once
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
            began = time.monotonic()
            while ready or calls:
                if not ready:
                    self.late += 1
                    before = time.monotonic()
                    await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
                    began += time.monotonic() - before
                    continue
                chosen = ready.popleft()
                task = asyncio.create_task(self._turn(session, chosen, streams=number % 5 == 0))
                calls.add(task)
                number += 1

                def next_turn(task: asyncio.Task[None], chosen: int = chosen) -> None:
                    nonlocal begun
                    calls.discard(task)
                    if len(self.turns[chosen]) < self.length:
                        ready.append(chosen)
                    elif not ended.is_set() or begun < self.least:
                        ready.append(begun)
                        begun += 1

                task.add_done_callback(next_turn)
                await asyncio.sleep(max(0.0, began + number / self.rate - time.monotonic()))  # this is the pace

    async def _turn(self, session: aiohttp.ClientSession, chosen: int, *, streams: bool) -> None:
        body = {"input": {}, "session_id": str(uuid.UUID(int=(1 << 64) + chosen)), "stream": streams}
        headers = {"Host": self.host, "Authorization": f"Bearer {self.key}"}
        sent, began = time.time(), time.monotonic()
        try:
            async with session.post(
                f"http://{self.at.address}:{self.at.port}/", json=body, headers=headers, timeout=aiohttp.ClientTimeout(total=60)
            ) as answer:
                text = await answer.text()
                status, version, row = answer.status, answer.headers.get(VERSION, ""), answer.headers.get(ROW, "")
                if streams and status == 200 and "event: error" in text:
                    status = 599
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            status, version, row, text = 0, "", "", f"{type(error).__name__}: {error}"
        self.turns[chosen].append(Turn(sent, time.monotonic() - began, status, version, row, text[:200] if status != 200 else ""))
