"""Feeds one resource to kopf: a list, which fills the cache, then short watches. No error ends it, and kopf never gets one.

A list or watch that fails is tried again forever, each resource by itself, as `kube.watching` decides. An answer that is not an API
server's ends a watch like an error, and the resource is listed again.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncGenerator, Callable
from time import monotonic

from dynamiq_operator.controller.cached.cache import AppKey, Cache
from dynamiq_operator.controller.cached.denials import LACKING, Denials
from dynamiq_operator.controller.cached.gateway_api import GatewayApi
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.informer import Listing, attempt, watch
from dynamiq_operator.kube.resources import GUARDS, ApiResource, key_of
from dynamiq_operator.kube.watching import WatchState

ITEMS_AT_ONCE = 50
"""Items of a list that enter the cache before other tasks have their turn."""
DENIED_AFTER = 5.0
"""Seconds for which a list is denied before the feature counts as off: rights take effect a moment after the API server starts."""
FAILED_AFTER = 30.0
"""Seconds for which the API server answers the list of a guard with errors before the guard's objects count as unknown."""
GONE = b'{"type":"ERROR","object":{"kind":"Status","code":410}}\n'
"""The line of a watch that makes kopf list again."""


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
    ) -> None:
        self.resource, self.namespace, self.path = resource, namespace, resource.path(namespace)
        self._namespaces = frozenset({namespace}) if namespace else None
        self._client, self._cache, self._gateway_api, self._denials = client, cache, gateway_api, denials
        self._on_changed = on_changed
        self.state = WatchState(resource, namespace)
        self._denied_since: float | None = None
        self._reason = ""
        """Why the last list failed."""
        self.known = asyncio.Event()
        """Set once the resource was listed, or is known to be unlistable."""
        self.listed = asyncio.Event()
        """Set once the resource was listed."""
        self.is_held = False
        """True while there is nothing to list: the cluster does not have this API."""

    async def list(self) -> str:
        """Lists until that succeeds, and replaces what is cached; returns the list's resourceVersion."""
        self.state.version = ""
        while not self.state.version:
            async with attempt(self.state):
                try:
                    self.state.version = await self.list_once()
                except errors.ApiError as error:
                    if isinstance(error, errors.NotFound) and self.resource.optional:
                        await self._until_served()
                        continue
                    self._reason = LACKING if isinstance(error, errors.NotFound) else str(error)
                    self._note_denial(error)
                    raise errors.ApiError(self._reason, error.status) from error  # only its message counts: it is logged
        return self.state.version

    async def list_once(self) -> str:
        """Lists, and replaces what is cached; returns the list's resourceVersion.

        Raises errors.ApiError.
        """
        listed: set[AppKey] = set()
        listing = Listing(self._client, self.resource, self.namespace)
        # No page is kept: the flows of a large cluster do not fit into memory.
        async for page in listing:
            self.state.answers += 1
            for number, raw in enumerate(page):
                listed.add(key_of(raw))
                self._on_changed(self._cache.update(self.resource, raw))
                if number % ITEMS_AT_ONCE == 0:
                    await asyncio.sleep(0)  # meanwhile the lease is renewed and the probe answered
        if self.resource.optional:
            self._gateway_api.on_listed(True)
        affected = self._cache.retain(self.resource, listed, int(listing.version), self._namespaces)
        self._denied_since = None
        self.known.set()
        self.listed.set()
        if self._denials.note(self.resource, self.namespace, None):
            affected |= self._cache.apps()
        self._on_changed(affected)
        return listing.version

    async def watch(self, version: str) -> AsyncGenerator[bytes, None]:
        """Yields the events since a resourceVersion as lines, until the watch ends. The last line is `GONE` if it cannot be continued."""
        self.state.version = version
        async with attempt(self.state), watch(self._client, self.state) as events:
            async for line, _ in events:
                yield line + b"\n"
        if not self.state.version:
            yield GONE

    async def _until_served(self) -> None:
        """Waits while the cluster does not have this API. Meanwhile a request is made only if an App needs it."""
        self._gateway_api.on_listed(False)
        self._on_changed(self._cache.retain(self.resource, frozenset(), sys.maxsize, self._namespaces))
        self.state.progressed()
        self.is_held = True
        self.known.set()
        try:
            await self._gateway_api.until_may_list()
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
        self._denied_since = monotonic() if self._denied_since is None else self._denied_since
        if monotonic() - self._denied_since >= (DENIED_AFTER if is_lacking else FAILED_AFTER):
            self._turn_off()

    def do_without(self) -> None:
        """Stops waiting for a first list that keeps failing: one object may fail to convert, or to be decrypted."""
        if self._reason and not self.known.is_set():
            self._turn_off()

    def _turn_off(self) -> None:
        """Notes why the resource cannot be listed; requeues all Apps if that is new."""
        is_new = self._denials.note(self.resource, self.namespace, self._reason)
        self.known.set()
        if is_new:
            self._on_changed(self._cache.apps())
