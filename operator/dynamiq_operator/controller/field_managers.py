"""Field ownership of what was made by POST, turned into what server-side apply goes on from.

A POST, or a patch, is recorded as an Update by our field manager. Left so, a field that a later apply leaves out would stay for ever,
since the Update still owns it. `replicas` goes to a manager of its own: a manager that applies it once and then leaves it out would
reset it to 1.
"""

from __future__ import annotations

import copy
from typing import Any

from dynamiq_operator.model.names import FIELD_MANAGER, REPLICAS_MANAGER
from dynamiq_operator.model.objects import Manifest


def is_adopted(observed: Manifest) -> bool:
    """Whether no field is owned by a POST or a patch of ours any more."""
    return not any(_posted(entry) for entry in observed["metadata"].get("managedFields") or ())


def adoption(observed: Manifest) -> list[dict[str, Any]]:
    """The JSON patch that hands the fields of our POST to our applies; refused where the object has changed since."""
    entries: list[dict[str, Any]] = []
    ours: dict[str, Any] = {}
    for entry in observed["metadata"].get("managedFields") or ():
        if not _posted(entry) and not _applied(entry):
            entries.append(entry)
            continue
        fields = copy.deepcopy(entry["fieldsV1"])
        if _posted(entry) and "f:replicas" in fields.get("f:spec", {}):
            del fields["f:spec"]["f:replicas"]
            entries.append({**entry, "manager": REPLICAS_MANAGER, "fieldsV1": {"f:spec": {"f:replicas": {}}}})
        ours = {**entry, "operation": "Apply", "fieldsV1": _united(ours.get("fieldsV1", {}), fields)}
    return [
        {"op": "replace", "path": "/metadata/managedFields", "value": [*entries, ours]},
        {"op": "replace", "path": "/metadata/resourceVersion", "value": observed["metadata"]["resourceVersion"]},
    ]


def _united(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The fields of both sets."""
    return {key: _united(one.get(key, {}), other.get(key, {})) for key in one | other}


def _applied(entry: dict[str, Any]) -> bool:
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Apply" and not entry.get("subresource")


def _posted(entry: dict[str, Any]) -> bool:
    return entry.get("manager") == FIELD_MANAGER and entry.get("operation") == "Update" and not entry.get("subresource")
