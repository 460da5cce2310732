"""One resource of the API server, kept as it is there: a list, then watches, and no error that ends it or empties what is known.

What is known stays while the API server is away: unknown is not absent. A list replaces everything, so that what was deleted between two
watches is found.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Iterator
from time import monotonic

from dynamiq_operator.gate.slices import Key, key_of
from dynamiq_operator.kube import errors, watching
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.kube.watching import BRIEF, EXPIRED, GRACE, WATCH_FOR
from dynamiq_operator.model.objects import Manifest

PAUSE_MAX = 2.0
"""Seconds between two attempts at most."""

log = logging.getLogger(__name__)


class Reflector:
    """The objects of `resource`, in a namespace or, where that is empty, in all.

    `on_changed` is called after each change, with the object's key, or with None where it was listed.
    """

    def __init__(
        self, client: Client, resource: ApiResource, namespace: str, on_changed: Callable[[Key | None], None], label: str | None = None
    ) -> None:
        self._client, self._resource, self._namespace = client, resource, namespace
        self._label = resource.label_selector if label is None else label
        self._on_changed = on_changed
        self._path = resource.path(namespace)
        self._objects: dict[Key, Manifest] = {}
        self._version = ""
        """What is known is as of this resourceVersion; empty where it has to be listed."""
        self._failures = 0
        self.listed = asyncio.Event()
        """Set once it was listed."""

    def __iter__(self) -> Iterator[Manifest]:
        return iter(list(self._objects.values()))

    def get(self, key: Key) -> Manifest | None:
        return self._objects.get(key)

    def note(self, raw: Manifest) -> None:
        """Keeps an object that the API server answered a write with, unless something newer is known of it, such as that it was deleted."""
        if _version(raw) > int(self._version or 0) and self._keep(raw):
            self._on_changed(key_of(raw))

    async def run(self) -> None:
        """Lists and watches until it is cancelled."""
        while True:
            began = monotonic()
            try:
                await (self._watch() if self._version else self._list())
                if self._failures > 1:
                    log.warning("%s is read again, after %d failures", self._path, self._failures)
                self._failures = 0
            except errors.ApiError as error:
                # A watch that the API server did not end in time may have gone silent: another one begins where it was.
                has_lasted = bool(self._version) and monotonic() - began >= WATCH_FOR
                if isinstance(error, errors.Unavailable) and error.status != EXPIRED and has_lasted:
                    continue
                if error.status == EXPIRED or not isinstance(error, errors.Unavailable):
                    self._version = ""
                await self._pause(error)

    async def _pause(self, error: errors.ApiError) -> None:
        """Waits, but not before the second attempt; and not all replicas to the same moment."""
        self._failures += 1
        if self._failures > 1:
            log.warning("%s cannot be read, trying again: %s", self._path, error)
            await asyncio.sleep(min(errors.backoff(self._failures - 1), PAUSE_MAX) * random.uniform(0.7, 1.0))  # noqa: S311

    async def _list(self) -> None:
        found: dict[Key, Manifest] = {}
        version = ""
        async for page in self._client.pages(self._resource, self._namespace, label=self._label):
            version = version or str(page["metadata"]["resourceVersion"])
            found |= {key_of(raw): raw for raw in page["items"]}
            await asyncio.sleep(0)
        # What the answer to a write of ours has brought meanwhile may be newer than the list.
        newer = {key: raw for key, raw in self._objects.items() if _version(raw) > int(version)}
        self._objects, self._version = found | newer, version
        self.listed.set()
        self._on_changed(None)

    async def _watch(self) -> None:
        """Follows the changes from what is known on, until the watch ends."""
        began, heard = monotonic(), False
        async with self._client.watch(self._path, watching.query(self._version, label=self._label), WATCH_FOR + GRACE) as lines:
            async for line in lines:
                event = watching.event_of(line, self._path)
                heard = True
                self._carry_out(event["type"], event["object"])
        if not heard and monotonic() - began < BRIEF:
            raise errors.Unavailable(f"watch {self._path}: it ended at once")

    def _carry_out(self, kind: str, raw: Manifest) -> None:
        self._version = str(raw["metadata"]["resourceVersion"])
        if kind == "BOOKMARK":
            return
        if self._objects.pop(key_of(raw), None) is not None if kind == "DELETED" else self._keep(raw):
            self._on_changed(key_of(raw))

    def _keep(self, raw: Manifest) -> bool:
        known = self._objects.get(key_of(raw))
        if known is not None and _version(known) >= _version(raw):
            return False
        self._objects[key_of(raw)] = raw
        return True


def _version(raw: Manifest) -> int:
    return int(raw["metadata"]["resourceVersion"])
