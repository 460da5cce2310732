"""managedFields: which manager set which field of an object, as the API server notes it with every write.

What admission or defaulting adds has no owner in it, and what admission changes of our own apply stays ours. A field that another
manager changes becomes theirs alone. Steps of a path are FieldsV1's: `f:spec` is a key of a map, `k:{"name":"runtime"}` an item of
a list by its keys, `v:"x"` an item of a set. Without anything below it, a field was set whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from dynamiq_operator.model.names import FIELD_MANAGER, REPLICAS_MANAGER
from dynamiq_operator.model.objects import Manifest

Fields = Mapping[str, Any]
Path = tuple[str, ...]
ABSENT = object()
"""What `value_at` gives where there is nothing; null is a value."""


def entries(observed: Mapping[str, Any]) -> list[Manifest]:
    """Who set which fields, those of subresources included."""
    found: list[Manifest] = observed["metadata"].get("managedFields") or []
    return found


def is_ours(entry: Manifest) -> bool:
    """Whether an entry is of our field manager, by apply or by a POST or patch."""
    return entry.get("manager") == FIELD_MANAGER and not entry.get("subresource")


def is_of_others(entry: Manifest) -> bool:
    """Whether an entry is another manager's. Subresources (`status`, `scale`) can set nothing that we state."""
    return entry.get("manager") not in (FIELD_MANAGER, REPLICAS_MANAGER) and not entry.get("subresource")


def our_fields(observed: Manifest) -> Fields:
    """What our field manager owns of an object."""
    found: Fields = {}
    for entry in entries(observed):
        if is_ours(entry):
            found = united(found, entry.get("fieldsV1") or {}) if found else entry.get("fieldsV1") or {}
    return found


def is_ours_at(observed: Mapping[str, Any], path: Path) -> bool:
    """Whether our field manager set the field at `path`."""
    return any(is_ours(entry) and _owns(entry.get("fieldsV1") or {}, path) for entry in entries(observed))


def _owns(fields: Any, path: Path) -> bool:
    for step in path:
        if step not in fields:
            return False
        fields = fields[step]
    return True


def value_at(value: Any, step: str) -> Any:
    """What is one step below `value`, or ABSENT."""
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
    """Whether there is anything at `path`."""
    for step in path:
        value = value_at(value, step)
    return value is not ABSENT


def unstated(fields: Fields, manifest: Any, tolerated: Iterable[Path] = (), path: Path = ()) -> Iterator[Path]:
    """The paths of `fields` that a manifest does not state, each as far up as it is not stated."""
    for step, below in fields.items():
        here = (*path, step)
        if step == "." or here in tolerated:
            continue
        stated = value_at(manifest, step)
        if stated is ABSENT and any(each[: len(here)] == here for each in tolerated):
            stated = {}
        if stated is ABSENT:
            yield here
        else:
            yield from unstated(below, stated, tolerated, here)


def united(one: Fields, other: Fields) -> dict[str, Any]:
    """The fields of both sets."""
    return {key: united(one.get(key, {}), other.get(key, {})) for key in {**one, **other}}


def only(fields: Fields, paths: Iterable[Path]) -> dict[str, Any]:
    """The part of a set of fields at `paths`."""
    found: dict[str, Any] = {}
    for path in paths:
        at: Any = fields
        for step in path:
            at = at[step]
        for step in reversed(path):
            at = {step: at}
        found = united(found, at)
    return found


def without(fields: Fields, paths: Iterable[Path]) -> dict[str, Any]:
    """A set of fields without those at `paths`, and without what has nothing left below it."""
    gone = set(paths)
    return _without(fields, gone, ())


def _without(fields: Fields, gone: set[Path], path: Path) -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for step, below in fields.items():
        here = (*path, step)
        if here in gone:
            continue
        left = _without(below, gone, here)
        if left.keys() - {"."} or below.keys() <= {"."}:
            kept[step] = left
    return kept


def shown(path: Path) -> str:
    """A path as users write it: `.spec.template.spec.containers[runtime].command`."""
    said = ""
    for step in path:
        kind, _, rest = step.partition(":")
        said += f".{rest}" if kind == "f" else f"[{','.join(map(str, _keys(rest).values())) if kind == 'k' else rest}]"
    return said


@lru_cache(maxsize=4096)
def _keys(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)
    return found
