"""Builds the Service through which callers and routes reach the pods of an App, and those by which turns of conversations do."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.desired.base import SERVICE, child
from dynamiq_operator.desired.exposure import HTTP, SERVICE_PORT
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.desired.pin_labels import pod_selector, selected_pins
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest

_SELECTOR = ".spec.selector"


def is_edit(_manifest: Manifest, observed: Manifest, path: str) -> bool:
    """Returns True if a difference is another manager's edit."""
    # The selector, while it is ours, and the label of watched endpoints follow the row. All else is an edit.
    if path.startswith(_SELECTOR):
        return not managed_fields.is_ours_at(observed, ("f:spec", "f:selector"))
    return not path.endswith(names.ENDPOINTS_LABEL)


def service(inputs: Inputs) -> list[Manifest]:
    """Returns the Service, which every App has, and one for turns on each of some pins. Kubernetes copies labels to EndpointSlices."""
    app = inputs.app
    labels = {names.ENDPOINTS_LABEL: names.WATCHED_ENDPOINTS} if inputs.watches_endpoints else {}
    own = child(app, SERVICE, names.service(app.meta.name), labels=labels, spec=_spec(app, inputs.selected))
    return [own, *(child(app, SERVICE, names.turns(app.meta.name, pins), spec=_spec(app, pins)) for pins in inputs.turns)]


def turns_of(app: App, observed: Manifest) -> str | None:
    """Returns the pins of a Service for turns, by their label; None if it is another Service."""
    pins = selected_pins(observed["spec"].get("selector") or {})
    return pins if pins and observed["metadata"]["name"] == names.turns(app.meta.name, pins) else None


def _spec(app: App, selected: str) -> dict[str, Any]:
    return {
        "type": "ClusterIP",
        "selector": pod_selector(app.meta.name, selected),
        "ports": [{"name": HTTP, "port": SERVICE_PORT, "targetPort": HTTP, "protocol": "TCP"}],
    }
