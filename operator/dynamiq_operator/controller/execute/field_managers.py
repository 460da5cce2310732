"""Hands fields to our apply before it is made: those that become ours, and those that are to be removed. It sends nothing.

A patch of ours is recorded as an Update by our field manager. The Update would still own a field that a later apply omits, and the field
would stay forever. A field that another manager set without permission would stay, too. After the hand-over, an apply that omits a field
removes it. `replicas` goes to another manager: an apply that omits it, after one that had it, would reset it to 1.
"""

from __future__ import annotations

import copy
from typing import Any

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.desired.drift import fields_to_take
from dynamiq_operator.model.names import FIELD_MANAGER, REPLICAS_MANAGER
from dynamiq_operator.model.objects import Manifest


def is_adopted(manifest: Manifest, observed: Manifest) -> bool:
    """Returns True if the next apply of `manifest` leaves no field of a patch of ours, and no forbidden field of others."""
    return not any(_posted(entry) or any(_taken(entry, manifest, observed)) for entry in managed_fields.entries(observed))


def adoption(manifest: Manifest, observed: Manifest) -> list[dict[str, Any]]:
    """Returns the JSON patch that hands those fields to our apply. The API server refuses it if the object has changed since."""
    entries: list[dict[str, Any]] = []
    ours: dict[str, Any] = {"manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": observed["apiVersion"], "fieldsType": "FieldsV1"}
    fields: dict[str, Any] = {}
    for entry in managed_fields.entries(observed):
        if _posted(entry) or _applied(entry):
            handed = copy.deepcopy(entry["fieldsV1"])
            if _posted(entry) and "f:replicas" in handed.get("f:spec", {}):
                del handed["f:spec"]["f:replicas"]
                entries.append({**entry, "manager": REPLICAS_MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}}}})
            ours = {**entry, "operation": "Apply"}
        else:
            taken = _taken(entry, manifest, observed)
            handed = managed_fields.only(entry.get("fieldsV1") or {}, taken)
            rest = managed_fields.without(entry.get("fieldsV1") or {}, taken) if taken else entry.get("fieldsV1")
            entries += [{**entry, "fieldsV1": rest}] if rest or not taken else []
        fields = managed_fields.united(fields, handed)
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*entries, {**ours, "fieldsV1": fields}]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": observed["metadata"]["resourceVersion"]},
    ]


def _taken(entry: Manifest, manifest: Manifest, observed: Manifest) -> tuple[managed_fields.Path, ...]:
    return tuple(fields_to_take(entry, manifest, observed)) if managed_fields.is_of_others(entry) else ()


def _applied(entry: Manifest) -> bool:
    return managed_fields.is_ours(entry) and entry.get("operation") == "Apply"


def _posted(entry: Manifest) -> bool:
    return managed_fields.is_ours(entry) and entry.get("operation") == "Update"
