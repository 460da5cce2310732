"""Keeps the objects of one kind by namespace and name. It indexes none.

Kinds of which every App has some are kept as JSON: a quarter of the memory of parsed objects. Each read parses one anew.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import orjson

from dynamiq_operator.kube.resources import APPS, CHILDREN, JOBS, PODS, ROWS, VERSIONS, ApiResource, Key, key_of
from dynamiq_operator.model.objects import Manifest

PACKED = frozenset({APPS, ROWS, VERSIONS, *CHILDREN, JOBS, PODS})
"""Kinds that are kept as JSON. Readers of any other kind get the same object until it changes."""
SHAPES_MAX = 512
"""Sets of managed fields that are kept for sharing."""
METADATA = "f:metadata"


class _Kept(NamedTuple):
    version: int
    content: bytes | Manifest


class Objects(Mapping[Key, Manifest]):
    """The cached objects of one kind. No object may be changed in place. `packs`: keeps them as JSON."""

    def __init__(self, *, packs: bool) -> None:
        self._packs = packs
        self._kept: dict[Key, _Kept] = {}

    def __getitem__(self, key: Key) -> Manifest:
        content = self._kept[key].content
        return _unpacked(content) if isinstance(content, bytes) else content

    def __iter__(self) -> Iterator[Key]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __contains__(self, key: object) -> bool:
        return key in self._kept

    def version(self, key: Key) -> int:
        """Returns the resourceVersion of an object; -1 if it is not cached."""
        kept = self._kept.get(key)
        return kept.version if kept is not None else -1

    def put(self, raw: Manifest) -> None:
        """Adds or replaces an object."""
        namespace, name = key_of(raw)
        content = _packed(raw) if self._packs else raw
        self._kept[sys.intern(namespace), name] = _Kept(version_of(raw), content)

    def pop(self, key: Key) -> Manifest | None:
        """Removes an object and returns it; None if it is not cached."""
        raw = self.get(key)
        self._kept.pop(key, None)
        return raw


class AllObjects(dict[ApiResource, Objects]):
    """The cached objects of every kind."""

    def __missing__(self, resource: ApiResource) -> Objects:
        return self.setdefault(resource, Objects(packs=resource in PACKED))


def version_of(raw: Manifest) -> int:
    return int(raw["metadata"].get("resourceVersion") or 0)


class _Shapes:
    """Sets of managed fields by number. The largest parts are the same in every child of a kind; those of metadata name the owner's uid."""

    def __init__(self) -> None:
        self._shapes: list[Any] = []
        self._numbers: dict[bytes, int] = {}

    def reference(self, fields: Any) -> int | list[Any]:
        """Returns the number of a set of fields, or a list with the set if too many others are kept."""
        text = orjson.dumps(fields)
        if (number := self._numbers.get(text)) is None:
            if len(self._shapes) >= SHAPES_MAX:
                return [fields]
            number = self._numbers[text] = len(self._shapes)
            self._shapes.append(orjson.loads(text))
        return number

    def of(self, reference: int | list[Any]) -> Any:
        """Returns the set of fields of a reference."""
        return self._shapes[reference] if isinstance(reference, int) else reference[0]


_SHAPES = _Shapes()


def _packed(raw: Manifest) -> bytes:
    text = orjson.dumps(_with_managed_fields(raw, _SHAPES.reference))
    return bytes(memoryview(text))  # a copy: orjson's own result keeps a buffer of several KiB


def _unpacked(text: bytes) -> Manifest:
    return _with_managed_fields(orjson.loads(text), _SHAPES.of)


def _with_managed_fields(raw: Manifest, convert: Callable[[Any], Any]) -> Manifest:
    """Returns the object with its sets of managed fields converted."""
    if not (managed := raw["metadata"].get("managedFields")):
        return raw
    entries = [{**entry, "fieldsV1": _converted(entry["fieldsV1"], convert)} if entry.get("fieldsV1") else entry for entry in managed]
    return {**raw, "metadata": {**raw["metadata"], "managedFields": entries}}


def _converted(fields: Manifest, convert: Callable[[Any], Any]) -> Manifest:
    return {key: value if key == METADATA else convert(value) for key, value in fields.items()}
