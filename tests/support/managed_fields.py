"""Makes managedFields as the API server does: of an apply of ours, and of another manager's edit. `tests/api/test_mutated.py` has the real
ones.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.desired.managed_fields import Path
from dynamiq_operator.model.names import FIELD_MANAGER
from dynamiq_operator.model.objects import Manifest

EDITOR = "kubectl-edit"
KEYS = {
    "containers": ("name",),
    "initContainers": ("name",),
    "env": ("name",),
    "volumes": ("name",),
    "volumeMounts": ("mountPath",),
    "ownerReferences": ("uid",),
    "ports": ("containerPort", "port", "protocol"),
}
"""Keys of items by the name of their list; other lists are set whole. A port has those of its fields that are set."""
WHOLE = frozenset({"selector", "podSelector"})


def applied(manifest: Manifest, observed: Manifest | None = None) -> Manifest:
    """Returns the object after our apply of `manifest`, all of which is then ours: the fields of `observed` and the applied ones."""
    merged = observed or manifest
    fields = _fields({key: value for key, value in manifest.items() if key not in ("apiVersion", "kind", "status")})
    for field in ("name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"):
        fields["f:metadata"].pop(f"f:{field}", None)
    return {**merged, "metadata": {**merged["metadata"], "managedFields": [entry(fields)]}}


def edited(before: Manifest, after: Manifest, manager: str = EDITOR) -> list[Manifest]:
    """Returns the managedFields after another manager's edit: it alone owns added and changed fields, and nobody owns removed ones."""
    entries = before["metadata"].get("managedFields") or []
    whole_before, whole_after = (_fields(_content(each)) for each in (before, after))
    changed = [path for path in _leaves(whole_after) if _value(before, path) != _value(after, path)]
    removed = [path for path in _leaves(whole_before) if _value(after, path) is managed_fields.ABSENT]
    ours = [{**each, "fieldsV1": managed_fields.without(each["fieldsV1"], [*changed, *removed])} for each in entries]
    return [*ours, entry(managed_fields.only(whole_after, changed), manager, "Update")] if changed else ours


def entry(fields: Mapping[str, Any], manager: str = FIELD_MANAGER, operation: str = "Apply", **more: str) -> Manifest:
    return {"manager": manager, "operation": operation, "apiVersion": "v1", "fieldsType": "FieldsV1", "fieldsV1": fields, **more}


def _content(raw: Manifest) -> Manifest:
    meta = {key: raw["metadata"].get(key) or {} for key in ("labels", "annotations")}
    return {"metadata": meta, "spec": raw.get("spec", {})}


def _fields(value: Any, name: str = "") -> dict[str, Any]:
    if isinstance(value, Mapping) and name not in WHOLE:
        return {f"f:{key}": _fields(inner, key) for key, inner in value.items()}
    if isinstance(value, list) and name in KEYS and all(isinstance(item, Mapping) for item in value):
        return {_step(item, KEYS[name]): {".": {}, **_fields(item)} for item in value}
    return {}


def _step(item: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return "k:" + json.dumps({key: item[key] for key in keys if key in item}, sort_keys=True, separators=(",", ":"))


def _leaves(fields: Mapping[str, Any], path: Path = ()) -> Iterator[Path]:
    for step, below in fields.items():
        if step == ".":
            continue
        if below:
            yield from _leaves(below, (*path, step))
        else:
            yield (*path, step)


def _value(value: Any, path: Path) -> Any:
    for step in path:
        value = managed_fields.value_at(value, step)
    return value
