"""Does the requests of `watching` on an event loop: lists and watches a resource, and passes objects and changes on. No error ends it."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from time import monotonic
from typing import Protocol

from dynamiq_operator.kube import errors, nesting
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.kube.watching import GRACE, SHARES, WatchState
from dynamiq_operator.model.objects import Manifest


@asynccontextmanager
async def attempt(state: WatchState, *also: type[Exception]) -> AsyncIterator[None]:
    """Waits until the next attempt is due. An error of the API server, and one of the types `also`, ends only the block."""
    await asyncio.sleep(state.wait(monotonic(), random.uniform(*SHARES)))  # noqa: S311
    state.begin(monotonic())
    ends: tuple[type[Exception], ...] = (errors.ApiError, *also)
    try:
        yield
    except ends as error:
        state.failed(error, monotonic())


@asynccontextmanager
async def watch(client: Client, state: WatchState) -> AsyncIterator[AsyncIterator[tuple[bytes, Manifest]]]:
    """Opens a watch, and yields its events, with the line of each. An event counts as delivered when the next one is asked for.

    Raises errors.ApiError, also within the block.
    """
    async with client.watch(state.path, state.query(), state.lasts + GRACE) as lines:
        yield _events(state, lines)


async def _events(state: WatchState, lines: AsyncIterator[bytes]) -> AsyncIterator[tuple[bytes, Manifest]]:
    async for whole_line in lines:
        line = nesting.bounded(whole_line)
        event = state.parse(line)
        yield line, event
        state.delivered(event)
    state.ended(monotonic())


class Listing:
    """One list, limited by the resource's selectors: an iterable of its pages. `version`: its resourceVersion, once a page has come."""

    def __init__(self, client: Client, resource: ApiResource, namespace: str) -> None:
        # A field selector of a resource excludes most of its objects.
        self._pages = client.pages(
            resource, namespace, label=resource.label_selector, field=resource.field_selector, at_once=bool(resource.field_selector)
        )
        self.version = ""

    async def __aiter__(self) -> AsyncIterator[list[Manifest]]:
        async for page in self._pages:
            # The first page's version is that of the whole list.
            self.version = self.version or str(page["metadata"]["resourceVersion"])
            yield page["items"]


class Receiver(Protocol):
    """A receiver of a resource's objects."""

    async def replace(self, listing: Listing) -> None:
        """Takes a whole list: an object that is not in it no longer exists."""

    async def change(self, raw: Manifest) -> None:
        """Takes an object that is new or changed."""

    async def delete(self, raw: Manifest) -> None:
        """Takes an object that was deleted."""


class Informer:
    """The loop that lists and watches one resource for a receiver. The resource's selectors limit it; without a namespace it reads all.

    `also`: errors of the receiver after which the resource is listed again.
    """

    def __init__(
        self, client: Client, resource: ApiResource, receiver: Receiver, namespace: str = "", also: tuple[type[Exception], ...] = ()
    ) -> None:
        self._client, self._resource, self._receiver, self._namespace, self._also = client, resource, receiver, namespace, also
        self.state = WatchState(resource, namespace)
        self.listed = asyncio.Event()
        """Set after the first list."""

    async def run(self) -> None:
        """Lists and watches until it is cancelled."""
        while True:
            async with attempt(self.state, *self._also):
                if self.state.version:
                    await self._watch()
                else:
                    listing = Listing(self._client, self._resource, self._namespace)
                    await self._receiver.replace(listing)
                    self.state.version = listing.version
                    self.listed.set()

    async def _watch(self) -> None:
        async with watch(self._client, self.state) as events:
            async for _, event in events:
                if event["type"] == "DELETED":
                    await self._receiver.delete(event["object"])
                elif event["type"] != "BOOKMARK":
                    await self._receiver.change(event["object"])
