"""Field ownership before an apply: what is to be ours, or gone, is handed to our apply.

A patch of ours is recorded as an Update by our field manager. Left so, a field that a later apply leaves out would stay for ever, since
the Update still owns it; a field that another manager set, and may not, would stay likewise. Handed over, it goes with the apply that
does not state it. `replicas` goes to a manager of its own: one that applies it once and then leaves it out would reset it to 1.
"""

from __future__ import annotations

import copy
from typing import Any

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.desired.drift import fields_to_take
from dynamiq_operator.model.names import FIELD_MANAGER, REPLICAS_MANAGER
from dynamiq_operator.model.objects import Manifest


def is_adopted(manifest: Manifest, observed: Manifest) -> bool:
    """Whether the next apply of `manifest` leaves nothing of a patch of ours, and nothing of others that may not be there."""
    return not any(_posted(entry) or any(_taken(entry, manifest, observed)) for entry in managed_fields.entries(observed))


def adoption(manifest: Manifest, observed: Manifest) -> list[dict[str, Any]]:
    """The JSON patch that hands those fields to our applies; refused where the object has changed since."""
    entries: list[dict[str, Any]] = []
    ours: dict[str, Any] = {"manager": FIELD_MANAGER, "operation": "Apply", "apiVersion": observed["apiVersion"], "fieldsType": "FieldsV1"}
    fields: dict[str, Any] = {}
    for entry in managed_fields.entries(observed):
        if _posted(entry) or _applied(entry):
            given = copy.deepcopy(entry["fieldsV1"])
            if _posted(entry) and "f:replicas" in given.get("f:spec", {}):
                del given["f:spec"]["f:replicas"]
                entries.append({**entry, "manager": REPLICAS_MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}}}})
            ours = {**entry, "operation": "Apply"}
        else:
            taken = _taken(entry, manifest, observed)
            given = managed_fields.only(entry.get("fieldsV1") or {}, taken)
            left = managed_fields.without(entry.get("fieldsV1") or {}, taken) if taken else entry.get("fieldsV1")
            entries += [{**entry, "fieldsV1": left}] if left or not taken else []
        fields = managed_fields.united(fields, given)
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
