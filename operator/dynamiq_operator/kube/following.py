"""Follows a resource of the API server: lists it, then watches it, and lists it again if a watch cannot continue. No error ends it."""

from __future__ import annotations

import asyncio
import logging
import random
from abc import ABC, abstractmethod
from time import monotonic

from dynamiq_operator.kube import errors, watching
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.watching import BRIEF, EXPIRED, GRACE, WATCH_FOR
from dynamiq_operator.model.objects import Manifest

log = logging.getLogger(__name__)


class Following(ABC):
    """A loop that lists and watches one resource. A subclass takes its objects and changes.

    `label`: the selector of the watches. `pause_max`: seconds between two attempts at most.
    `lists_again`: errors of `_carry_out` after which the resource is listed again.
    """

    def __init__(
        self, client: Client, path: str, *, label: str = "", pause_max: float, lists_again: tuple[type[Exception], ...] = ()
    ) -> None:
        self._client, self._path, self._label = client, path, label
        self._pause_max, self._lists_again = pause_max, lists_again
        self._version = ""
        """The resourceVersion up to which changes are known; empty if the resource has to be listed."""
        self._failures = 0
        self.listed = asyncio.Event()
        """Set after the first list."""

    @abstractmethod
    async def _list(self) -> str:
        """Lists the resource, takes its objects, and returns the list's resourceVersion.

        Raises errors.ApiError.
        """

    @abstractmethod
    async def _carry_out(self, kind: str, raw: Manifest) -> None:
        """Takes a change of the kind ADDED, MODIFIED or DELETED."""

    async def run(self) -> None:
        """Lists and watches until it is cancelled."""
        while True:
            began = monotonic()
            try:
                await (self._watch() if self._version else self._begin())
                if self._failures > 1:
                    log.warning("%s is read again, after %d failures", self._path, self._failures)
                self._failures = 0
            except self._lists_again as error:
                self._version = ""
                await self._pause(error)
            except errors.ApiError as error:
                # The API server did not end this watch in time, so it may be silent: the next one continues at once, at the same version.
                has_lasted = bool(self._version) and monotonic() - began >= WATCH_FOR
                if isinstance(error, errors.Unavailable) and error.status != EXPIRED and has_lasted:
                    continue
                if error.status == EXPIRED or not isinstance(error, errors.Unavailable):
                    self._version = ""
                await self._pause(error)

    async def _begin(self) -> None:
        self._version = await self._list()
        self.listed.set()

    async def _watch(self) -> None:
        """Follows the changes since the known version, until the watch ends.

        Raises errors.ApiError.
        """
        began, has_event = monotonic(), False
        async with self._client.watch(self._path, watching.query(self._version, label=self._label), WATCH_FOR + GRACE) as lines:
            async for line in lines:
                event = watching.event_of(line, self._path)
                has_event = True
                raw = event["object"]
                if event["type"] != "BOOKMARK":
                    await self._carry_out(event["type"], raw)
                self._version = str(raw["metadata"]["resourceVersion"])
        if not has_event and monotonic() - began < BRIEF:
            raise errors.Unavailable(f"watch {self._path}: it ended at once")

    async def _pause(self, error: Exception) -> None:
        """Pauses before an attempt, except before the second one. The pause is random, so replicas do not all try at the same moment."""
        self._failures += 1
        if self._failures > 1:
            log.warning("%s cannot be read, trying again: %s", self._path, error)
            await asyncio.sleep(min(errors.backoff(self._failures - 1), self._pause_max) * random.uniform(0.7, 1.0))  # noqa: S311
