"""The Service, by which callers and routes reach the pods of an App."""

from __future__ import annotations

from dynamiq_operator.desired.base import SERVICE, child
from dynamiq_operator.desired.exposure import HTTP, SERVICE_PORT
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest


def service(inputs: Inputs) -> list[Manifest]:
    """Of every App, whether it runs anything or not."""
    app = inputs.app
    spec = {
        "type": "ClusterIP",
        "selector": names.pod_selector(app.meta.name),
        "ports": [{"name": HTTP, "port": SERVICE_PORT, "targetPort": HTTP, "protocol": "TCP"}],
    }
    return [child(app, SERVICE, names.service(app.meta.name), spec=spec)]
