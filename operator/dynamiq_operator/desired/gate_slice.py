"""Builds the EndpointSlice that routes callers of a sleeping App to the gate, beside the one that Kubernetes keeps for the App's Service.

It is created empty and never applied again. The gate owns its endpoints; everything else stays until it is deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from dynamiq_operator.desired.base import ENDPOINT_SLICE, child
from dynamiq_operator.desired.exposure import HTTP
from dynamiq_operator.model import names
from dynamiq_operator.model.gates import GateNote
from dynamiq_operator.model.objects import App, Manifest

SLICE = "slice"


def gate_slice(app: App, note: GateNote, port: int, address_type: str) -> Manifest:
    """Returns the slice. `port`: the gate's port for this App. `address_type`: IPv4 or IPv6, like the Service."""
    name = app.meta.name
    labels = {
        names.SERVICE_OF_SLICE_LABEL: names.service(name),
        names.SLICE_MANAGER_LABEL: names.FIELD_MANAGER,
        names.GATE_LABEL: SLICE,
        names.ENDPOINTS_LABEL: names.WATCHED_ENDPOINTS,
    }
    return child(
        app,
        ENDPOINT_SLICE,
        names.gate_slice(name),
        labels=labels,
        annotations={names.GATE_ANNOTATION: noted(note)},
        addressType=address_type,
        endpoints=[],
        ports=[{"name": HTTP, "port": port, "protocol": "TCP"}],
    )


def leads_to_gate(raw: Mapping[str, Any]) -> bool:
    """Returns True if a slice is one of these."""
    labels = raw["metadata"].get("labels") or {}
    # The manager has to be ours: Kubernetes copies every other label from a Service to its slices.
    return names.GATE_LABEL in labels and labels.get(names.SLICE_MANAGER_LABEL) == names.FIELD_MANAGER


def noted(note: GateNote) -> str:
    """Serializes a note for the annotation."""
    return note.model_dump_json(by_alias=True)


def read_note(annotation: str) -> GateNote | None:
    """Parses an annotation, also one of another operator version; None if it is no note."""
    try:
        return GateNote.model_validate_json(annotation)
    except ValidationError:
        return None
