"""Does the journal's work beside requests: leases, times that come, unanswered questions, silent conversations, unsent callbacks, deleted Apps,
old runs, the state of its disk.

It serves no request.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from functools import partial
from time import monotonic

import anyio.to_thread

from dynamiq_recorder.identity.apps import Durable, KnownApp
from dynamiq_recorder.journal import callbacks, operations, sessions, waiting
from dynamiq_recorder.journal.http.context import Context
from dynamiq_recorder.journal.http.session_routes import end_moved
from dynamiq_recorder.journal.model import MICROSECONDS, State
from dynamiq_recorder.journal.tables import work_key
from dynamiq_recorder.store.results import Unavailable

SWEEPS_EVERY, LOOKS_EVERY, DELETES_EVERY, EXPIRES_EVERY, SESSIONS_EVERY = 1.0, 5.0, 60.0, 60.0, 15.0
REPORTED = 60.0
"""Seconds after a start, or after the store was away, in which pods report the turns of meanwhile: no conversation ends for its silence."""
GIVES_BACK_EVERY = 10
"""Rounds of deletions after which the space of what was deleted is given back."""

log = logging.getLogger(__name__)


class Upkeep:
    """The background tasks of one process. `exists`: asks the API server if an App still exists; a watch may be wrong for a while.

    `records`: False if there is no recorder for which ended runs would wait.
    """

    def __init__(
        self, context: Context, exists: Callable[[KnownApp], Awaitable[bool]], *, records: bool, clock: Callable[[], float] = monotonic
    ) -> None:
        self._context, self._exists, self._clock = context, exists, clock
        self._reported_at = clock() + REPORTED
        self._record_waits = operations.RECORD_WAITS if records else 0
        self._rounds = self._deleted = 0

    async def run(self, ends: asyncio.Event) -> None:
        """Executes all of it until the end."""
        await asyncio.gather(
            self._every(ends, SWEEPS_EVERY, self.sweep),
            self._every(ends, LOOKS_EVERY, self.look),
            self._every(ends, DELETES_EVERY, self.delete),
            self._every(ends, EXPIRES_EVERY, self.expire),
            self._every(ends, SESSIONS_EVERY, self.end_sessions),
        )

    async def start(self) -> None:
        """Gives all leases their full time, and checks the store. Raises Unavailable."""
        await self._context.committer.put("", operations.renew_leases)
        await self._context.committer.put("", callbacks.renew)
        await self.look()

    async def sweep(self) -> None:
        """Takes runs from pods that were silent for a lease, lets those go on whose time has come, and cancels those of deleted Apps."""
        put, apps, metrics = self._context.committer.put, self._context.apps, self._context.metrics

        def interruptions(app_uid: str) -> int:
            app = apps.get(app_uid)
            return (app.durable if app is not None else Durable()).interruptions

        more = True
        while more:
            count, more = await put("", partial(operations.sweep, interruptions=interruptions))
            metrics.interrupted.inc(count)
        while await put("", waiting.resume_due):
            pass
        if not apps.is_listed:  # before that, the existing Apps are unknown
            return
        for uid, namespace, name, is_missing in await anyio.to_thread.run_sync(self._context.store.apps):
            if is_missing or apps.get(uid) is not None:
                continue
            if not await self._exists(KnownApp(uid, namespace, name, records_content=False)):
                log.info("App %s/%s is deleted: its open runs are canceled", namespace, name)
                while await put("", partial(operations.close_app, app_uid=uid)):
                    pass

    async def expire(self) -> None:
        """Ends runs whose questions were open for longer than their App allows, and gives up callbacks that nobody has sent in time."""
        apps, put, failed = self._context.apps, self._context.committer.put, self._context.metrics.callbacks_failed
        if not apps.is_listed:
            return
        for uid, _, _, _ in await anyio.to_thread.run_sync(self._context.store.apps):
            app = apps.get(uid)
            wait = (app.durable if app is not None else Durable()).wait
            while await put("", partial(waiting.expire, app_uid=uid, wait=wait)):
                pass
            more = self._context.feed.callbacks.pending > 0
            while more:
                count, more = await put("", partial(callbacks.give_up, app_uid=uid))
                failed.inc(count)

    async def delete(self) -> None:
        """Deletes runs that ended long ago, in pieces between which requests go on."""
        put, apps = self._context.committer.put, self._context.apps
        if not apps.is_listed:
            return
        for uid, _, _, _ in await anyio.to_thread.run_sync(self._context.store.apps):
            app, more = apps.get(uid), True
            keep = (app.durable if app is not None else Durable()).keep
            while more:
                count, more = await put("", partial(operations.delete_ended, app_uid=uid, keep=keep, record_waits=self._record_waits))
                self._deleted += count
        self._rounds += 1
        if self._rounds % GIVES_BACK_EVERY == 0 and self._deleted:
            await put("", operations.forget_counts)
            await anyio.to_thread.run_sync(self._context.store.give_back)
            self._deleted = 0

    async def end_sessions(self) -> None:
        """Ends conversations that are silent for too long, have moved, or whose App has no sessions any more."""
        put, apps, store, now = self._context.committer.put, self._context.apps, self._context.store, self._clock()
        if self._context.not_ready:
            self._reported_at = now + REPORTED
            return
        try:
            kept = await anyio.to_thread.run_sync(store.kept_sessions)
            known = await anyio.to_thread.run_sync(store.apps) if kept else ()
        except Unavailable:
            self._reported_at = now + REPORTED
            raise
        deleted = {uid for uid, _, _, is_missing in known if is_missing}
        for each in kept:
            app, uid = apps.get(each.app_uid), each.app_uid
            if app is None and uid not in deleted:
                continue
            if app is None or app.sessions is None:
                while await put("", partial(sessions.end_all, app_uid=uid)):
                    pass
                continue
            if each.moved:
                await end_moved(self._context, uid)
            idle = app.sessions.idle
            if now >= self._reported_at and each.oldest < store.clock() - idle * MICROSECONDS:
                while await put("", partial(sessions.end_idle, app_uid=uid, idle=idle)):
                    pass
        if await anyio.to_thread.run_sync(store.has_past_turns):
            await put("", sessions.forget_turns)

    async def look(self) -> None:
        """Checks the disk and the store, and updates health and metrics."""
        self._notify_again()
        health, metrics, store = self._context.health, self._context.metrics, self._context.store
        try:
            health.fullness = await anyio.to_thread.run_sync(store.fullness)
            await anyio.to_thread.run_sync(store.check)
            metrics.store_bytes.set(await anyio.to_thread.run_sync(store.bytes))
            wrong = ""
        except Unavailable as error:
            wrong = str(error) or "it is not available"
        if bool(wrong) != bool(health.wrong):
            log.warning("the store cannot be written: %s", wrong) if wrong else log.info("the store can be written")
        health.wrong = wrong
        metrics.store_is_ready.set(0 if wrong else 1)
        if health.fullness is not None:
            metrics.fullness.set(health.fullness)

    def _notify_again(self) -> None:
        """Lets pods ask for runs that stay queued, such as since a replica ended that was about to give them to a pod."""
        feed = self._context.feed
        if self._context.listener is not None and feed.snapshot is not None:
            queued = {(each.app_uid, each.pins) for each in feed.snapshot.runs if each.state is State.QUEUED}
            self._context.notices.notify([work_key(*each) for each in queued])

    @staticmethod
    async def _every(ends: asyncio.Event, seconds: float, work: Callable[[], Awaitable[None]]) -> None:
        while not ends.is_set():
            try:
                await work()
            except Exception as error:  # all of it is done again in the next round
                log.warning("the journal's upkeep failed: %s", error, exc_info=not isinstance(error, Unavailable))
            await asyncio.sleep(seconds)
