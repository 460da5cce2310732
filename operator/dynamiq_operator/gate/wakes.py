"""Scales workloads from 0 to 1 for background runs, turns and callbacks that wait for a pod. The journal names their pins.

It makes no workload and scales none down: the operator does. Each replica of the gate does the same, and the API server refuses the second.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import inf
from time import monotonic

from msgspec import structs

from dynamiq_operator.desired.pin_labels import SHORT
from dynamiq_operator.gate.directory import Directory
from dynamiq_operator.gate.front import FORGOTTEN_AFTER
from dynamiq_operator.gate.metrics import GateMetrics
from dynamiq_operator.gate.slices import Sleeper
from dynamiq_operator.gate.waking import AGAIN_AFTER, scale_up
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.journal import FAILURES, OpenAnswer, OpenEntry, journal_session, read_open, usable, with_callbacks, with_sessions
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.model import names
from dynamiq_operator.model.json_lines import FIELDS

EVERY = 1.0
"""Seconds between two answers of the journal at least."""
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 5.0
"""Seconds between two questions while the journal does not answer."""
AT_ONCE = 10
"""Requests to the API server at the same time."""
PAUSE = 1 / 20
"""Seconds between two requests."""
GIVEN_WAY = 60.0
"""Most seconds until a workload is woken again that somebody scales to 0 each time: a deploy may need its room."""

PinsKey = tuple[str, str]
"""The uid of an App, and pins."""

log = logging.getLogger(__name__)


@dataclass
class Claimable:
    """Pins for which something waits for a pod. `not_before`: when to wake them next. `woken`: how often they were."""

    entry: OpenEntry
    not_before: float = 0.0
    woken: int = 0
    failures: int = 0


def claimable(answer: OpenAnswer) -> list[OpenEntry]:
    """Returns the pins with queued runs, a turn or callbacks, and without a pod that takes them: turns first, then the oldest run.

    Any pod of an App sends its callbacks: of one that has a pod they are left out.
    """
    awake = {each.app_uid for each in answer.data if each.polled}
    found = [each for each in usable(answer) if each.queued > 0 and not each.polled]
    found += [each for each in with_sessions(answer) if each.turns_wait and not each.polled]
    found += [each for each in with_callbacks(answer) if each.app_uid not in awake]
    chosen = {(each.app_uid, each.pins): structs.replace(each, callbacks=0) if each.app_uid in awake else each for each in found}
    return sorted(chosen.values(), key=lambda each: (not each.turns_wait, _due(each), each.app_uid, each.pins))


def _due(entry: OpenEntry) -> float:
    return entry.due.timestamp() if entry.due is not None else inf


def workloads_of(entry: OpenEntry, sleepers: Iterable[Sleeper]) -> tuple[str, ...]:
    """Returns the workloads whose pods are to be woken.

    Pins have the App's own workload if it sleeps with them, else that of their conversations, and else the one that finishes their runs.
    The App's own one sends callbacks.
    """
    own = [each.note for each in sleepers if each.note.app_id == entry.app_uid and each.namespace == entry.namespace]
    found, label = [note.workload for note in own if note.pins == entry.pins or entry.callbacks > 0], entry.pins[:SHORT]
    if not any(note.pins == entry.pins for note in own):
        found += [names.workload(entry.app, label)] if entry.turns_wait or (entry.queued > 0 and entry.sessions > 0) else []
        found += [names.finishing(entry.app, label)] if entry.queued > 0 else []
    return tuple(found)


def next_of(waiting: Iterable[Claimable]) -> Claimable | None:
    """Returns the pins to wake next. Those that were never tried come first, in their order; repeats wait for all of them."""
    return min(waiting, key=lambda each: each.not_before, default=None)


def pause_after(woken: int) -> float:
    """Returns the seconds until pins are woken again. They double from the second time on: somebody scales them to 0."""
    return errors.backoff(max(woken, 1), AGAIN_AFTER, GIVEN_WAY)


class Wakes:
    """The wakes for background runs, turns and callbacks of all Apps. `access`: the journal."""

    def __init__(
        self, client: Client, directory: Directory, metrics: GateMetrics, access: RecorderAccess, clock: Callable[[], float] = monotonic
    ) -> None:
        self._client, self._directory, self._metrics, self._access, self._clock = client, directory, metrics, access, clock
        self._waiting: dict[PinsKey, Claimable] = {}
        self._counted: dict[tuple[str, str], float] = {}
        """When each App, by namespace and name, was last woken here."""
        self._news = asyncio.Event()

    async def run(self) -> None:
        """Reads and wakes until it is cancelled; never ends by itself, since callers need the gate without a journal, too."""
        await self._directory.until_known()
        while True:
            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(self._read())
                    group.create_task(self._wake(group))
            except Exception:
                log.exception("waking pods for background runs has failed, and begins again")
            self._waiting.clear()
            await asyncio.sleep(LONGEST_PAUSE)

    async def _read(self) -> None:
        version, failures = "", 0
        async with journal_session(self._access) as session:
            while True:
                begun = self._clock()
                try:
                    answer = await read_open(session, self._access, version)
                except FAILURES as error:
                    failures += 1
                    if failures == 1:
                        log.warning("the journal does not tell which runs wait for a pod: %s: %s", type(error).__name__, error)
                    version = ""
                    self._waiting.clear()  # a pod could not take a run now
                    await asyncio.sleep(errors.backoff(failures, FIRST_PAUSE, LONGEST_PAUSE))
                    continue
                version, failures = answer.version, 0
                self._take(answer)
                await asyncio.sleep(max(EVERY - (self._clock() - begun), 0.0))

    def _take(self, answer: OpenAnswer) -> None:
        """Replaces the pins that wait. Pins that still do keep their time."""
        before, self._waiting = self._waiting, {}
        for entry in claimable(answer):
            key = (entry.app_uid, entry.pins)
            kept = self._waiting[key] = before.get(key) or Claimable(entry)
            kept.entry = entry
        self._news.set()
        self._forget({(each.namespace, each.app) for each in answer.data})

    def _forget(self, has_runs: set[tuple[str, str]]) -> None:
        """Drops the series of Apps that were woken long ago. The ports drop those of Apps that sleep."""
        since = self._clock() - FORGOTTEN_AFTER
        asleep = {(each.namespace, each.app) for each in self._directory.sleepers.values()}
        for app in [app for app, at in self._counted.items() if at < since and app not in has_runs]:
            del self._counted[app]
            if app not in asleep:
                self._metrics.forget_woken(*app)

    async def _wake(self, group: asyncio.TaskGroup) -> None:
        slots = asyncio.Semaphore(AT_ONCE)
        while True:
            await slots.acquire()
            chosen = await self._next()
            chosen.not_before = inf  # until its attempt ends
            group.create_task(self._attempt(chosen)).add_done_callback(lambda _: slots.release())
            await asyncio.sleep(PAUSE)

    async def _next(self) -> Claimable:
        """Returns the pins to wake next, once it is time for them."""
        while True:
            self._news.clear()
            chosen, now = next_of(self._waiting.values()), self._clock()
            if chosen is not None and chosen.not_before <= now:
                return chosen
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(min(chosen.not_before - now, GIVEN_WAY) if chosen is not None else None):
                    await self._news.wait()

    async def _attempt(self, chosen: Claimable) -> None:
        await self._scale(chosen, chosen.entry)
        chosen.not_before = self._clock() + pause_after(chosen.woken)
        self._news.set()

    async def _scale(self, chosen: Claimable, entry: OpenEntry) -> None:
        fields = {"namespace": entry.namespace, "app": entry.app, "pins": entry.pins}
        try:
            workloads = workloads_of(entry, self._directory.sleepers.values())
            is_woken = any([await self._scale_up(entry.namespace, each) for each in workloads])
        except errors.ApiError as error:
            chosen.failures += 1
            if chosen.failures in (1, 10, 100):
                log.warning("pods for background runs could not be woken, trying again: %s", error, extra={FIELDS: fields})
            return
        chosen.failures = 0
        if is_woken:
            chosen.woken += 1
            self._metrics.woken(entry.namespace, entry.app)
            self._counted[entry.namespace, entry.app] = self._clock()
            log.info("pods are woken for background runs, turns or callbacks", extra={FIELDS: fields})

    async def _scale_up(self, namespace: str, workload: str) -> bool:
        """Scales a workload up. False if it does not sleep, or is missing: the operator makes it, or others have these pins."""
        try:
            return await scale_up(self._client, namespace, workload)
        except errors.NotFound:
            return False
