"""Finds out if the store is an older copy, such as a backup: by a number that store and cluster have, and that only rises.

The store's number is raised first: if it is below the cluster's, the store is a copy from before. Unknown is not restored.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from functools import partial
from typing import Protocol

import anyio.to_thread

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resource import CONFIG_MAPS
from dynamiq_recorder.journal import waiting
from dynamiq_recorder.journal.committer import Committer
from dynamiq_recorder.journal.store import JournalStore

CONFIG_MAP, ENTRY = "dynamiq-journal-epoch", "epoch"
RAISED_EVERY, TRIED_EVERY, WAITS = 3600.0, 30.0, 5.0
"""Seconds between two epochs, seconds after which a failed one is tried again, and seconds for which a start waits for the API server."""
EVER = 1 << 62

log = logging.getLogger(__name__)


class ClusterCopy(Protocol):
    """The cluster's copy of the epoch. Both may raise ApiError."""

    async def read(self) -> int: ...

    async def write(self, epoch: int) -> None: ...


class EpochMap:
    """The copy in a ConfigMap, which the installation makes without an entry."""

    def __init__(self, client: Client, namespace: str) -> None:
        self._client, self._namespace = client, namespace
        self._version = ""

    async def read(self) -> int:
        """Returns its number, 0 before the first one.

        Raises errors.ApiError.
        """
        raw = await self._client.get(CONFIG_MAPS, self._namespace, CONFIG_MAP)
        self._version = str(raw["metadata"].get("resourceVersion", ""))
        text = str((raw.get("data") or {}).get(ENTRY, "0"))
        if not (text.isascii() and text.isdigit()) or len(text) > 8:
            raise errors.Invalid(f"the entry {ENTRY} of the ConfigMap {CONFIG_MAP} is no number")
        return int(text)

    async def write(self, epoch: int) -> None:
        """Raises it, unless another replica has changed it since it was read: then that one has raised it.

        Raises errors.ApiError.
        """
        version = {"metadata": {"resourceVersion": self._version}} if self._version else {}
        with contextlib.suppress(errors.Conflict):
            await self._client.patch(CONFIG_MAPS, self._namespace, CONFIG_MAP, {**version, "data": {ENTRY: str(epoch)}})


class Epoch:
    """Raises the epoch at the start and each hour. The first time it holds the runs of a restored store."""

    def __init__(self, store: JournalStore, committer: Committer, cluster: ClusterCopy) -> None:
        self._store, self._committer, self._cluster = store, committer, cluster
        self._served_from = EVER
        self._is_first, self._failed = True, False

    async def start(self) -> None:
        """Raises it before requests are served, if the API server answers in time."""
        await self._try()
        self._served_from = self._store.clock()

    async def run(self, ends: asyncio.Event) -> None:
        """Raises it until the end."""
        while not ends.is_set():
            await asyncio.sleep(TRIED_EVERY if self._failed else RAISED_EVERY)
            await self._try()

    async def _try(self) -> None:
        try:
            async with asyncio.timeout(WAITS):
                theirs = await self._cluster.read()
            epoch = await self._raise(theirs)
            async with asyncio.timeout(WAITS):
                await self._cluster.write(epoch)
            self._failed = False
        except Exception as error:  # whatever it is, runs go on; it is tried again
            if not self._failed:
                log.warning("the epoch cannot be raised, so it is unknown if the store was restored: %s", str(error) or "no answer in time")
            self._failed = True

    async def _raise(self, theirs: int) -> int:
        ours = await anyio.to_thread.run_sync(self._store.epoch)
        epoch, total = max(ours, theirs) + 1, 0
        if self._is_first and ours < theirs:
            more = True
            while more:
                count, more = await self._committer.put("", partial(waiting.restored, epoch=epoch, before=self._served_from))
                total += count
            log.warning("the store is an older copy: %d of its runs are held", total)
        await self._committer.put("", partial(waiting.note_epoch, epoch=epoch))
        self._is_first = False
        return epoch
