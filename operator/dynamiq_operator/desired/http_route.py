"""Builds the HTTPRoute of an App whose hostname a Gateway serves."""

from __future__ import annotations

from dynamiq_operator.desired.base import HTTP_ROUTE, child
from dynamiq_operator.desired.exposure import SERVICE_PORT, external_hostname, gateway
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest

UNLIMITED = "0s"
"""No limit: gateways often have 15 s, which would cut long runs and open streams. The runtime bounds both."""


def http_route(inputs: Inputs) -> list[Manifest]:
    """Returns the route; empty for an App without hostname, without the right to it, or without a Gateway."""
    app = inputs.app
    host, parent = external_hostname(app, inputs.settings), gateway(app, inputs.settings)
    if host is None or parent is None or not inputs.may_route or not app.spec.wants_gateway:
        return []
    group, _, _ = HTTP_ROUTE.api_version.partition("/")
    backend = {"name": names.service(app.meta.name), "port": SERVICE_PORT}
    spec = {
        # Group and kind are stated although the API server defaults them: a field that we do not state would be another manager's.
        "parentRefs": [{"group": group, "kind": "Gateway", **parent.as_json()}],
        "hostnames": [host],
        "rules": [{"backendRefs": [backend], "timeouts": {"request": UNLIMITED}}],
    }
    return [child(app, HTTP_ROUTE, names.route(app.meta.name), spec=spec)]
