"""Mirrors one resource of the API server: a list, then watches. No error ends it or empties its copy.

The copy stays while the API server is unreachable: unknown is not absent. A list replaces everything, so deletions between two watches
are noticed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator

from dynamiq_operator.gate.slices import Key, key_of
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.following import Following
from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.objects import Manifest

PAUSE_MAX = 2.0
"""Most seconds between two attempts."""


class Reflector(Following):
    """The objects of `resource` in a namespace; in all namespaces if that is empty.

    `on_changed` is called after each change with the object's key; after a list with None.
    """

    def __init__(
        self, client: Client, resource: ApiResource, namespace: str, on_changed: Callable[[Key | None], None], label: str | None = None
    ) -> None:
        chosen = resource.label_selector if label is None else label
        super().__init__(client, resource.path(namespace), label=chosen, pause_max=PAUSE_MAX)
        self._resource, self._namespace = resource, namespace
        self._on_changed = on_changed
        self._objects: dict[Key, Manifest] = {}

    def __iter__(self) -> Iterator[Manifest]:
        return iter(list(self._objects.values()))

    def get(self, key: Key) -> Manifest | None:
        return self._objects.get(key)

    def note(self, raw: Manifest) -> None:
        """Applies the API server's response to a write, unless something newer is known, such as a deletion."""
        if _version(raw) > int(self._version or 0) and self._keep(raw):
            self._on_changed(key_of(raw))

    async def _list(self) -> str:
        listed_objects: dict[Key, Manifest] = {}
        version = ""
        async for page in self._client.pages(self._resource, self._namespace, label=self._label):
            version = version or str(page["metadata"]["resourceVersion"])
            listed_objects |= {key_of(raw): raw for raw in page["items"]}
            await asyncio.sleep(0)
        # Our own writes may have brought newer objects than the list.
        newer = {key: raw for key, raw in self._objects.items() if _version(raw) > int(version)}
        self._objects = listed_objects | newer
        return version

    async def _begin(self) -> None:
        await super()._begin()
        self._on_changed(None)

    async def _carry_out(self, kind: str, raw: Manifest) -> None:
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
