"""Hears of the commits of other replicas, by a connection of its own, and knows if this one leads. It reads no run."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from dynamiq_recorder.journal.replicas import CHANNEL, Replica
from dynamiq_recorder.journal.tables import Key
from dynamiq_recorder.store.pools import LOST, PATIENCE, SILENT, lock_number

EVERY = 2.0
"""Seconds after which a connection without news is checked, and between two attempts to connect, or to lead."""
LEADS = lock_number("journal/leads")

log = logging.getLogger(__name__)


class Listener:
    """The news of other replicas. `notify`: called with theirs; `notify_all`: called if some may have been missed. Both on the event loop."""

    def __init__(self, replica: Replica, notify: Callable[[Iterable[Key]], None], notify_all: Callable[[], None]) -> None:
        self._replica, self._notify, self._notify_all = replica, notify, notify_all
        self._failed = False
        self.hears = self.leads = False
        """True for one replica at a time, as far as it knows: a lost connection is known a while later."""

    async def run(self, ends: asyncio.Event) -> None:
        """Listens until the end. Without a connection all counts as news, again and again: what others commit is unknown."""
        while not ends.is_set():
            try:
                await self._listen(ends)
            except (psycopg.Error, TimeoutError, OSError) as error:
                if not self._failed:
                    log.warning("news of other replicas cannot be heard: %s", str(error) or "no answer in time")
                self._failed = True
            self.hears = self.leads = False
            self._notify_all()
            await asyncio.sleep(EVERY)

    async def _listen(self, ends: asyncio.Event) -> None:
        address = make_conninfo(self._replica.address, application_name="dynamiq-journal-news", connect_timeout=int(PATIENCE), **LOST)
        async with await psycopg.AsyncConnection.connect(address, autocommit=True) as raw:
            await raw.execute(SILENT)
            await raw.execute(sql.SQL("LISTEN {}").format(sql.Identifier(CHANNEL)))
            self.hears = True
            self._notify_all()
            if self._failed:
                log.info("news of other replicas are heard again")
            self._failed = False
            while not ends.is_set():
                async with asyncio.timeout(PATIENCE):
                    await self._check(raw)
                async for each in raw.notifies(timeout=EVERY):
                    self._notify(self._replica.heard(each.payload))

    async def _check(self, raw: psycopg.AsyncConnection[Any]) -> None:
        if self.leads:
            await raw.execute("SELECT 1")
        else:
            line = await (await raw.execute("SELECT pg_try_advisory_lock(%s)", (LEADS,))).fetchone()
            self.leads = line is not None and bool(line[0])
