"""Sends the records of ended runs to the recorder, each until it has it. It waits for the recorder as long as that takes.

A run's end and its record are one commit, and the recorder drops a run that comes twice: whatever dies, it gets each run once.
"""

from __future__ import annotations

import asyncio
import gzip
import logging
import ssl
import zlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from time import monotonic

import aiohttp
import anyio.to_thread
import msgspec

from dynamiq_operator.model.journal import PINS_HEADER
from dynamiq_operator.model.runs import APP_ID_HEADER
from dynamiq_operator.serving.limits import RUNS_MAX
from dynamiq_recorder.journal import operations
from dynamiq_recorder.journal.committer import Committer
from dynamiq_recorder.journal.observed import Metrics
from dynamiq_recorder.journal.reading import Record
from dynamiq_recorder.journal.store import JournalStore
from dynamiq_recorder.journal.tables import NOT_SENT, unpacked_within

MOST, BYTES = 50, 1024 * 1024
"""Most runs of one request, and their bytes, compressed. Decompressed they have at most RUNS_MAX, which is what the recorder takes."""
WITHIN = 30.0
EVERY = 1.0
WAITS = (1.0, 2.0, 5.0, 10.0, 30.0)
"""Seconds until the next attempt after a failed one."""
NOT_NOW = frozenset({401, 403, 408, 425, 429})
"""Refusals that are not about the runs: of the token, of the right, or for now."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Recorder:
    """The address of the recorder. `ca`: file of the certificates to trust. `token`: file of the token, read for each request."""

    url: str
    token: Path
    ca: Path | None = None


class _Body(msgspec.Struct):
    resourceSpans: list[msgspec.Raw]  # noqa: N815 - OTLP's own name


@dataclass
class Outbox:
    """The records that wait. `app_exists`: returns False for the uid of an App that was deleted."""

    store: JournalStore
    committer: Committer
    metrics: Metrics
    recorder: Recorder
    app_exists: Callable[[str], Awaitable[bool]]
    clock: Callable[[], float] = monotonic
    _failures: dict[tuple[str, str], tuple[int, float]] = field(default_factory=dict)
    """Failed attempts in a row, and when the next one is due, by App and pins."""

    async def run(self, ends: asyncio.Event, leads: Callable[[], bool]) -> None:
        """Sends until the end. `leads`: returns False while another replica sends."""
        context = ssl.create_default_context(cafile=str(self.recorder.ca)) if self.recorder.ca is not None else True
        timeout = aiohttp.ClientTimeout(total=WITHIN)
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context), timeout=timeout) as client:
            while not ends.is_set():
                try:
                    if leads():
                        await self.send_all(client)
                except Exception as error:
                    log.warning("records cannot be sent to the recorder now: %s", error)
                await asyncio.sleep(EVERY)

    async def send_all(self, client: aiohttp.ClientSession) -> None:
        """Sends what waits, of one App's pins after the other, until nothing is left that is due."""
        while True:
            waiting = await anyio.to_thread.run_sync(self.store.unrecorded)
            self.metrics.unrecorded.set(sum(count for _, _, count in waiting))
            places = {(uid, pins) for uid, pins, _ in waiting}
            self._failures = {place: each for place, each in self._failures.items() if place in places}
            due = [(uid, pins) for uid, pins, _ in waiting if self._failures.get((uid, pins), (0, 0.0))[1] <= self.clock()]
            if not due:
                return
            for place in due:
                await self._send_some(client, place)

    async def _send_some(self, client: aiohttp.ClientSession, place: tuple[str, str]) -> None:
        failures = self._failures.get(place, (0, 0.0))[0]
        # After a failure one by one, so that what is wrong with one run holds no other up.
        records = await anyio.to_thread.run_sync(partial(self.store.records, *place, 1 if failures else MOST, BYTES))
        if not records:
            return
        fit, wrong, spans = await anyio.to_thread.run_sync(_batch, records)
        await self._drop(wrong, NOT_SENT)
        if not fit:
            return
        status, says = await self._post(client, place, spans)
        if status == 200:
            self._failures.pop(place, None)
            await self._note(fit)
        elif 400 <= status < 500 and (status not in NOT_NOW or not await self.app_exists(place[0])) and len(fit) == 1:
            await self._drop(fit, f"{status} {says}")
        else:
            wait = WAITS[min(failures, len(WAITS) - 1)] if status not in (413, 400, 422) else 0.0
            self._failures[place] = (failures + 1, self.clock() + wait)
            if wait:
                log.warning("the recorder took no runs of App %s: %s %s; next attempt in %g s", place[0], status or "", says, wait)

    async def _post(self, client: aiohttp.ClientSession, place: tuple[str, str], spans: list[msgspec.Raw]) -> tuple[int, str]:
        """Sends spans. Returns the status, 0 without an answer, and the reason."""
        body = await anyio.to_thread.run_sync(lambda: gzip.compress(msgspec.json.encode(_Body(spans)), 1))
        try:
            token = await anyio.to_thread.run_sync(self.recorder.token.read_text)
            headers = {
                "Authorization": f"Bearer {token.strip()}",
                "Content-Type": "application/json",
                "Content-Encoding": "gzip",
                APP_ID_HEADER: place[0],
                PINS_HEADER: place[1],
            }
            async with client.post(f"{self.recorder.url.rstrip('/')}/v1/traces", data=body, headers=headers) as answer:
                text = (await answer.content.read(2_000)).decode(errors="replace")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return 0, str(error) or type(error).__name__
        if answer.status == 200 and "rejectedSpans" in text:
            log.warning("the recorder refused a part of the runs of App %s: %s", place[0], text)
            self.metrics.refused.inc()
        return answer.status, text

    async def _note(self, records: list[Record]) -> None:
        if records:
            await self.committer.put("", partial(operations.note_recorded, keys=[each.key for each in records]))

    async def _drop(self, records: list[Record], reason: str) -> None:
        for each in records:
            log.error("the recorder does not get run %s: %s", each.id, reason)
        self.metrics.refused.inc(len(records))
        await self._note(records)


def _batch(records: Sequence[Record]) -> tuple[list[Record], list[Record], list[msgspec.Raw]]:
    """Returns records that the recorder takes in one request, those that it never takes, and the spans of the first, by resource.

    It unpacks one after the other, so that they never take more than two of the largest.
    """
    fit, wrong = list[Record](), list[Record]()
    together: list[msgspec.Raw] = []
    left = RUNS_MAX
    for each in records:
        try:
            text = unpacked_within(each.data, RUNS_MAX)
            spans = msgspec.json.decode(text, type=_Body).resourceSpans if text is not None else None
        except (zlib.error, msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            text = spans = None
        if text is None or spans is None:
            wrong.append(each)
            continue
        left -= len(text)
        if fit and left < 0:
            break
        fit.append(each)
        together += spans
    return fit, wrong, together
