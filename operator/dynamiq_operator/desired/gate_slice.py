"""The EndpointSlice by which a sleeping App's callers reach the gate, beside the one that Kubernetes keeps for the App's Service.

It is created empty and never applied again: its endpoints are the gate's, and all else of it stays as it is until it is deleted.
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
    """`port`: of the gate, one for each sleeping App. `address_type`: IPv4 or IPv6, as the Service has it."""
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
    """Whether a slice is one of these. Its manager says so, too: every other label Kubernetes copies from a Service to its slices."""
    labels = raw["metadata"].get("labels") or {}
    return names.GATE_LABEL in labels and labels.get(names.SLICE_MANAGER_LABEL) == names.FIELD_MANAGER


def noted(note: GateNote) -> str:
    """A note as the annotation has it."""
    return note.model_dump_json(by_alias=True)


def read_note(annotation: str) -> GateNote | None:
    """What an annotation says, also that of another version of the operator; None where it is no note."""
    try:
        return GateNote.model_validate_json(annotation)
    except ValidationError:
        return None
