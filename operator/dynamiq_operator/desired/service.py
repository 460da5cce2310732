"""Builds the Service through which callers and routes reach the pods of an App."""

from __future__ import annotations

from dynamiq_operator.desired import managed_fields
from dynamiq_operator.desired.base import SERVICE, child
from dynamiq_operator.desired.exposure import HTTP, SERVICE_PORT
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.desired.pin_labels import pod_selector
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest

_SELECTOR = ".spec.selector"


def is_edit(_manifest: Manifest, observed: Manifest, path: str) -> bool:
    """Returns True if a difference is another manager's edit."""
    # The selector, while it is ours, and the label of watched endpoints follow the row. All else is an edit.
    if path.startswith(_SELECTOR):
        return not managed_fields.is_ours_at(observed, ("f:spec", "f:selector"))
    return not path.endswith(names.ENDPOINTS_LABEL)


def service(inputs: Inputs) -> list[Manifest]:
    """Returns the Service, which every App has. Kubernetes copies its labels to its EndpointSlices."""
    app = inputs.app
    spec = {
        "type": "ClusterIP",
        "selector": pod_selector(app.meta.name, inputs.selected),
        "ports": [{"name": HTTP, "port": SERVICE_PORT, "targetPort": HTTP, "protocol": "TCP"}],
    }
    labels = {names.ENDPOINTS_LABEL: names.WATCHED_ENDPOINTS} if inputs.watches_endpoints else {}
    return [child(app, SERVICE, names.service(app.meta.name), labels=labels, spec=spec)]
