"""Mirrors one resource of the API server: a list, then watches. No error ends it or empties its copy.

The copy stays while the API server is unreachable: unknown is not absent. A list replaces everything, so deletions between two watches
are noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.informer import Informer, Listing
from dynamiq_operator.kube.resources import ApiResource, Key, key_of
from dynamiq_operator.model.objects import Manifest


class Reflector:
    """The objects of `resource` in a namespace; in all namespaces if that is empty.

    `on_changed` is called after each change with the object's key; after a list with None.
    """

    def __init__(self, client: Client, resource: ApiResource, namespace: str, on_changed: Callable[[Key | None], None]) -> None:
        self.informer = Informer(client, resource, self, namespace)
        self._on_changed = on_changed
        self._objects: dict[Key, Manifest] = {}

    def __iter__(self) -> Iterator[Manifest]:
        return iter(list(self._objects.values()))

    def get(self, key: Key) -> Manifest | None:
        return self._objects.get(key)

    def note(self, raw: Manifest) -> None:
        """Applies the API server's response to a write, unless something newer is known, such as a deletion."""
        if _version(raw) > int(self.informer.state.version or 0):
            self._keep(raw)

    async def replace(self, listing: Listing) -> None:
        objects: dict[Key, Manifest] = {}
        async for page in listing:
            objects |= {key_of(raw): raw for raw in page}
            await asyncio.sleep(0)
        # Our own writes may have brought newer objects than the list.
        self._objects = objects | {key: raw for key, raw in self._objects.items() if _version(raw) > int(listing.version)}
        self._on_changed(None)

    async def change(self, raw: Manifest) -> None:
        self._keep(raw)

    async def delete(self, raw: Manifest) -> None:
        if self._objects.pop(key_of(raw), None) is not None:
            self._on_changed(key_of(raw))

    def _keep(self, raw: Manifest) -> None:
        known = self._objects.get(key_of(raw))
        if known is None or _version(known) < _version(raw):
            self._objects[key_of(raw)] = raw
            self._on_changed(key_of(raw))


def _version(raw: Manifest) -> int:
    return int(raw["metadata"]["resourceVersion"])
