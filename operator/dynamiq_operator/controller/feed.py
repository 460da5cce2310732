"""Feeds one resource to kopf: a list, which fills the cache, then short watches. No error ends it, and kopf never gets one.

A list or watch that fails is tried again forever, each resource by itself, after a pause of at most `PAUSE_MAX` seconds. An answer that is
not an API server's ends a watch like an error, and the resource is listed again.
"""

from __future__ import annotations

import asyncio
import logging
import random
import sys
from collections.abc import AsyncGenerator, Callable
from time import monotonic

from dynamiq_operator.controller.cache import AppKey, Cache, key_of
from dynamiq_operator.controller.denials import LACKING, Denials
from dynamiq_operator.controller.gateway_api import GatewayApi
from dynamiq_operator.kube import errors, nesting, watching
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import GUARDS, ApiResource
from dynamiq_operator.kube.watching import BRIEF, EXPIRED, GRACE, WATCH_FOR

PAUSE_MAX = 2.0
ITEMS_AT_ONCE = 50
"""Items of a list that enter the cache before other tasks have their turn."""
DENIED_AFTER = 5.0
"""Seconds for which a list is denied before the feature counts as off: rights take effect a moment after the API server starts."""
FAILED_AFTER = 30.0
"""Seconds for which the API server answers the list of a guard with errors before the guard's objects count as unknown."""
GONE = b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n'
"""The line of a watch that makes kopf list again."""

log = logging.getLogger(__name__)


class Feed:
    """A watched resource, in a namespace or, if that is empty, in all. `on_changed`: called with the Apps that a list affects."""

    def __init__(
        self,
        resource: ApiResource,
        namespace: str,
        client: Client,
        cache: Cache,
        gateway_api: GatewayApi,
        denials: Denials,
        on_changed: Callable[[set[AppKey]], None],
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.resource, self.namespace, self.path = resource, namespace, resource.path(namespace)
        self._namespaces = frozenset({namespace}) if namespace else None
        self._client, self._cache, self._gateway_api, self._denials = client, cache, gateway_api, denials
        self._on_changed, self._clock = on_changed, clock
        self._failed_lists = self._failed_watches = 0
        """Consecutive failures."""
        self._denied_since: float | None = None
        self._reason = ""
        """Why the last list failed."""
        self.known = asyncio.Event()
        """Set once the resource was listed, or is known to be unlistable."""
        self.listed = asyncio.Event()
        """Set once the resource was listed."""
        self.answers = 0
        """Grows with each answer of the API server about this resource, errors included. It does not grow while nothing is requested."""
        self._tried_at = -PAUSE_MAX
        self.is_held = False
        """True while there is nothing to list: the cluster does not have this API."""

    async def list(self) -> str:
        """Lists until that succeeds, and replaces what is cached; returns the list's resourceVersion."""
        while True:
            await self._pause(self._failed_lists)
            try:
                return await self.list_once()
            except errors.ApiError as error:
                self._count_answer(error)
                if isinstance(error, errors.NotFound) and self.resource.optional:
                    await self._until_served()
                    continue
                self._failed_lists, self._reason = self._failed_lists + 1, _reason_of(error)
                self._warn(error)
                self._note_denial(error)

    async def list_once(self) -> str:
        """Lists, and replaces what is cached; returns the list's resourceVersion.

        Raises errors.ApiError.
        """
        listed: set[AppKey] = set()
        version = ""
        # No page is kept: the flows of a large cluster do not fit into memory.
        async for page in self._client.pages(
            self.resource, self.namespace, label=self.resource.label_selector, field=self.resource.field_selector
        ):
            self.answers += 1
            # The first page's version is that of the whole list.
            version = version or str(page["metadata"]["resourceVersion"])
            for number, raw in enumerate(page["items"]):
                listed.add(key_of(raw))
                self._on_changed(self._cache.update(self.resource, raw))
                if number % ITEMS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # meanwhile the lease is renewed and the probe answered
        if self.resource.optional:
            self._gateway_api.on_listed(True)
        affected = self._cache.retain(self.resource, listed, int(version), self._namespaces)
        if self._failed_lists > 1:
            log.warning("%s is listed again, after %d failures", self.path, self._failed_lists)
        self._failed_lists, self._denied_since = 0, None
        self.known.set()
        self.listed.set()
        if self._denials.note(self.resource, self.namespace, None):
            affected |= self._cache.apps()
        self._on_changed(affected)
        return version

    async def watch(self, version: str) -> AsyncGenerator[bytes, None]:
        """Yields the events since a resourceVersion as lines, until the watch ends. The last line is `GONE` if it cannot be continued."""
        await self._pause(self._failed_watches)
        began, has_events = self._clock(), False
        query = watching.query(version, label=self.resource.label_selector, field=self.resource.field_selector)
        try:
            async with self._client.watch(self.path, query, WATCH_FOR + GRACE) as lines:
                async for whole in lines:
                    line = nesting.bounded(whole)
                    watching.event_of(line, self.path)
                    has_events = True
                    self._watched()
                    yield line + b"\n"
            if not has_events and self._clock() - began < BRIEF:
                raise errors.Unavailable(f"watch {self.path}: it ended at once")
            self._watched()
        except errors.ApiError as error:
            if isinstance(error, errors.Unavailable) and self._clock() - began >= WATCH_FOR:
                log.warning("%s: the API server did not end its watch, which may be stuck: watching again", self.path)
                return
            self._failed_watches += 1
            self._count_answer(error)
            if error.status != EXPIRED or self._failed_watches > 1:
                self._warn(error)
            if error.status == EXPIRED or not isinstance(error, errors.Unavailable):
                yield GONE

    def _watched(self) -> None:
        """Counts an answer, and ends the series of failed watches."""
        if self._failed_watches > 1:
            log.warning("%s is watched again, after %d failures", self.path, self._failed_watches)
        self._failed_watches = 0
        self.answers += 1

    def _count_answer(self, error: errors.ApiError) -> None:
        """Counts an error of the API server as an answer. An expired version does not count: the list after it does."""
        self.answers += error.status not in (0, EXPIRED)

    async def _pause(self, failures: int) -> None:
        """Waits before a further attempt, but not before the second one.

        The pause begins with the last attempt, which may have waited long enough for an answer.
        """
        if failures > 1:
            # Random, so that not all resources are tried at the same moment.
            pause = min(errors.backoff(failures - 1), PAUSE_MAX) * random.uniform(0.7, 1.0)  # noqa: S311
            await asyncio.sleep(max(self._tried_at + pause - self._clock(), 0))
        self._tried_at = self._clock()

    async def _until_served(self) -> None:
        """Waits while the cluster does not have this API. Meanwhile a request is made only if an App needs it."""
        self._gateway_api.on_listed(False)
        self._on_changed(self._cache.retain(self.resource, frozenset(), sys.maxsize, self._namespaces))
        self._failed_lists, self.is_held = 0, True
        self.known.set()
        try:
            await self._gateway_api.until_found()
        finally:
            self.is_held = False

    def _note_denial(self, error: errors.ApiError) -> None:
        """Turns a feature off if its kind cannot be listed: all Apps are reconciled, and what is cached of it stays."""
        # A guard is not missing because its list fails: one object may fail to convert, or the CustomResourceDefinitions may be older than
        # this operator.
        is_guard, is_lacking = self.resource in GUARDS, isinstance(error, errors.Denied | errors.NotFound)
        if not isinstance(error, errors.Denied) and not (is_guard and error.status):
            self._denied_since = None
            return
        self._denied_since = self._clock() if self._denied_since is None else self._denied_since
        if self._clock() - self._denied_since >= (DENIED_AFTER if is_lacking else FAILED_AFTER):
            self._turn_off()

    def do_without(self) -> None:
        """Stops waiting for a first list that keeps failing: one object may fail to convert, or to be decrypted."""
        if self._failed_lists and not self.known.is_set():
            self._turn_off()

    def _turn_off(self) -> None:
        """Notes why the resource cannot be listed; requeues all Apps if that is new."""
        is_new = self._denials.note(self.resource, self.namespace, self._reason)
        self.known.set()
        if is_new:
            self._on_changed(self._cache.apps())

    def _warn(self, error: errors.ApiError) -> None:
        log.warning("%s cannot be watched, trying again: %s", self.path, _reason_of(error))


def _reason_of(error: errors.ApiError) -> str:
    return LACKING if isinstance(error, errors.NotFound) else str(error)
