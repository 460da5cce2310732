"""Reads managedFields, in which the API server notes which manager set which field of an object.

Additions by admission or defaulting have no owner; changes by admission to our own apply stay ours. A field that another manager changes
belongs to that manager alone. Steps of a path are those of FieldsV1: `f:spec` is a key of a map, `k:{"name":"runtime"}` a list item,
`v:"x"` an item of a set. A field with nothing below it was set as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.model.names import FIELD_MANAGER, REPLICAS_MANAGER

Fields = Mapping[str, Any]
Path = tuple[str, ...]
ABSENT = object()
"""Result of `value_at` for a missing value; null is a value."""


def entries(observed: Mapping[str, Any]) -> list[Manifest]:
    """Returns the entries of all managers, subresources included."""
    managed: list[Manifest] = observed["metadata"].get("managedFields") or []
    return managed


def is_ours(entry: Manifest) -> bool:
    """Returns True if an entry is our field manager's, by apply, POST or patch."""
    return entry.get("manager") == FIELD_MANAGER and not entry.get("subresource")


def is_of_others(entry: Manifest) -> bool:
    """Returns True if an entry is another manager's. Subresources (`status`, `scale`) cannot set any field that we state."""
    return entry.get("manager") not in (FIELD_MANAGER, REPLICAS_MANAGER) and not entry.get("subresource")


def our_fields(observed: Manifest) -> Fields:
    """Returns the fields of an object that our field manager owns."""
    fields: Fields = {}
    for entry in entries(observed):
        if is_ours(entry):
            fields = united(fields, entry.get("fieldsV1") or {}) if fields else entry.get("fieldsV1") or {}
    return fields


def is_ours_at(observed: Mapping[str, Any], path: Path) -> bool:
    """Returns True if our field manager set the field at `path`."""
    return any(is_ours(entry) and _owns(entry.get("fieldsV1") or {}, path) for entry in entries(observed))


def _owns(fields: Any, path: Path) -> bool:
    for step in path:
        if step not in fields:
            return False
        fields = fields[step]
    return True


def value_at(value: Any, step: str) -> Any:
    """Returns the value one step below `value`, or ABSENT."""
    kind, _, rest = step.partition(":")
    if kind == "f":
        return value.get(rest, ABSENT) if isinstance(value, Mapping) else ABSENT
    if not isinstance(value, list):
        return ABSENT
    if kind == "k":
        keys = _keys(rest).items()
        return next((item for item in value if isinstance(item, Mapping) and keys <= item.items()), ABSENT)
    return next((item for item in value if kind == "v" and item == json.loads(rest)), ABSENT)


def has(value: Any, path: Path) -> bool:
    """Returns True if there is a value at `path`."""
    for step in path:
        value = value_at(value, step)
    return value is not ABSENT


def unstated(fields: Fields, manifest: Any, tolerated: Iterable[Path] = (), path: Path = ()) -> Iterator[Path]:
    """Yields the paths of `fields` that a manifest does not state. A path ends at the first step that is not stated."""
    for step, below in fields.items():
        current = (*path, step)
        if step == "." or current in tolerated:
            continue
        stated = value_at(manifest, step)
        if stated is ABSENT and any(each[: len(current)] == current for each in tolerated):
            stated = {}
        if stated is ABSENT:
            yield current
        else:
            yield from unstated(below, stated, tolerated, current)


def united(first: Fields, second: Fields) -> dict[str, Any]:
    """Returns the union of two sets of fields."""
    return {key: united(first.get(key, {}), second.get(key, {})) for key in {**first, **second}}


def only(fields: Fields, paths: Iterable[Path]) -> dict[str, Any]:
    """Returns the part of a set of fields at `paths`."""
    part: dict[str, Any] = {}
    for path in paths:
        branch: Any = fields
        for step in path:
            branch = branch[step]
        for step in reversed(path):
            branch = {step: branch}
        part = united(part, branch)
    return part


def without(fields: Fields, paths: Iterable[Path]) -> dict[str, Any]:
    """Returns a set of fields without those at `paths`, and without parents that have nothing left."""
    removed = set(paths)
    return _without(fields, removed, ())


def _without(fields: Fields, removed: set[Path], path: Path) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for step, below in fields.items():
        current = (*path, step)
        if current in removed:
            continue
        remaining = _without(below, removed, current)
        if remaining.keys() - {"."} or below.keys() <= {"."}:
            kept[step] = remaining
    return kept


def shown(path: Path) -> str:
    """Formats a path as users write it: `.spec.template.spec.containers[runtime].command`."""
    text = ""
    for step in path:
        kind, _, rest = step.partition(":")
        text += f".{rest}" if kind == "f" else f"[{','.join(map(str, _keys(rest).values())) if kind == 'k' else rest}]"
    return text


@lru_cache(maxsize=4096)
def _keys(text: str) -> dict[str, Any]:
    keys: dict[str, Any] = json.loads(text)
    return keys
