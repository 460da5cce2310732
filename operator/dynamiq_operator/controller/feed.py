"""One resource as kopf hears of it: a list that fills the cache, then watches, each of them short, and no error that ends anything.

A list or watch that fails is tried again for ever, each resource by itself, with a pause of at most `PAUSE_MAX`. What is no answer of an
API server ends a watch like an error of it, and the resource is listed anew.
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
"""Items of a list that go into the cache before other tasks have their turn."""
DENIED_AFTER = 5.0
"""Seconds that a list is denied before the feature counts as off: rights come a moment after the API server."""
FAILED_AFTER = 30.0
"""Seconds that the list of a guard fails by an answer of the API server before what it has counts as unknown."""
GONE = b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n'
"""The line of a watch on which kopf lists anew."""

log = logging.getLogger(__name__)


class Feed:
    """A watched resource, in a namespace or, where that is empty, in all. `on_changed` gets the Apps that a list affects."""

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
        """Consecutive ones."""
        self._denied_since: float | None = None
        self._said = ""
        """Why the last list failed."""
        self.known = asyncio.Event()
        """Set once it was listed, or it is known that it cannot be."""
        self.listed = asyncio.Event()
        """Set once it was listed."""
        self.answers = 0
        """Grows with what the API server says of this resource, an error included: where it stands still, it does not answer, or is not asked."""
        self._tried_at = -PAUSE_MAX
        self.is_held = False
        """Whether there is nothing to ask for: the cluster does not have this API."""

    async def list(self) -> str:
        """Lists until that succeeds, replaces what is cached, and returns the list's resourceVersion."""
        while True:
            await self._pause(self._failed_lists)
            try:
                return await self.list_once()
            except errors.ApiError as error:
                self._count_answer(error)
                if isinstance(error, errors.NotFound) and self.resource.optional:
                    await self._until_served()
                    continue
                self._failed_lists, self._said = self._failed_lists + 1, _told(error)
                self._say(error)
                self._note_denial(error)

    async def list_once(self) -> str:
        """Lists, and replaces what is cached; returns the list's resourceVersion. Raises errors.ApiError.

        It takes page after page, and keeps none: the flows of a large cluster are more than fits into memory.
        """
        listed: set[AppKey] = set()
        version = ""
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
                    await asyncio.sleep(0)  # the lease is to be renewed and the probe to be answered meanwhile
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
        """The events since a resourceVersion as lines, until the watch ends; last `GONE` where it cannot be continued."""
        await self._pause(self._failed_watches)
        began, heard = self._clock(), False
        query = watching.query(version, label=self.resource.label_selector, field=self.resource.field_selector)
        try:
            async with self._client.watch(self.path, query, WATCH_FOR + GRACE) as lines:
                async for whole in lines:
                    line = nesting.bounded(whole)
                    watching.event_of(line, self.path)
                    heard = True
                    self._watched()
                    yield line + b"\n"
            if not heard and self._clock() - began < BRIEF:
                raise errors.Unavailable(f"watch {self.path}: it ended at once")
            self._watched()
        except errors.ApiError as error:
            if isinstance(error, errors.Unavailable) and self._clock() - began >= WATCH_FOR:
                log.warning("%s: the API server did not end its watch, which may have gone silent: watching anew", self.path)
                return
            self._failed_watches += 1
            self._count_answer(error)
            if error.status != EXPIRED or self._failed_watches > 1:
                self._say(error)
            if error.status == EXPIRED or not isinstance(error, errors.Unavailable):
                yield GONE

    def _watched(self) -> None:
        if self._failed_watches > 1:
            log.warning("%s is watched again, after %d failures", self.path, self._failed_watches)
        self._failed_watches = 0
        self.answers += 1

    def _count_answer(self, error: errors.ApiError) -> None:
        """An error of the API server is an answer; a version that has expired is followed by a list, which tells."""
        self.answers += error.status not in (0, EXPIRED)

    async def _pause(self, failures: int) -> None:
        """Waits before a further attempt, but not before the second one, and not all resources to the same moment.

        It counts from the last attempt, which may have waited long enough for an answer.
        """
        if failures > 1:
            pause = min(errors.backoff(failures - 1), PAUSE_MAX) * random.uniform(0.7, 1.0)  # noqa: S311
            await asyncio.sleep(max(self._tried_at + pause - self._clock(), 0))
        self._tried_at = self._clock()

    async def _until_served(self) -> None:
        """Waits while the cluster does not have this API. Nothing is asked meanwhile, but where an App needs it."""
        self._gateway_api.on_listed(False)
        self._on_changed(self._cache.retain(self.resource, frozenset(), sys.maxsize, self._namespaces))
        self._failed_lists, self.is_held = 0, True
        self.known.set()
        try:
            await self._gateway_api.until_found()
        finally:
            self.is_held = False

    def _note_denial(self, error: errors.ApiError) -> None:
        """A kind that may not be listed is a feature that is off. The Apps are told, and what is cached of it stays as it is.

        Nothing is absent of the guards because its list fails, and be it for an object that cannot be converted, or since the
        CustomResourceDefinitions are older than this operator.
        """
        is_guard, is_lacking = self.resource in GUARDS, isinstance(error, errors.Denied | errors.NotFound)
        if not isinstance(error, errors.Denied) and not (is_guard and error.status):
            self._denied_since = None
            return
        self._denied_since = self._clock() if self._denied_since is None else self._denied_since
        if self._clock() - self._denied_since >= (DENIED_AFTER if is_lacking else FAILED_AFTER):
            self._be_without()

    def do_without(self) -> None:
        """Keeps nobody waiting for a first list that fails on and on, as one of objects does that cannot be converted or decrypted."""
        if self._failed_lists and not self.known.is_set():
            self._be_without()

    def _be_without(self) -> None:
        is_new = self._denials.note(self.resource, self.namespace, self._said)
        self.known.set()
        if is_new:
            self._on_changed(self._cache.apps())

    def _say(self, error: errors.ApiError) -> None:
        log.warning("%s cannot be watched, trying again: %s", self.path, _told(error))


def _told(error: errors.ApiError) -> str:
    return LACKING if isinstance(error, errors.NotFound) else str(error)
