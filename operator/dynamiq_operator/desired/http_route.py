"""The HTTPRoute of an App whose hostname a Gateway serves."""

from __future__ import annotations

from dynamiq_operator.desired.base import HTTP_ROUTE, child
from dynamiq_operator.desired.exposure import SERVICE_PORT, external_hostname, gateway
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest

UNLIMITED = "0s"
"""A gateway's own limit is often 15 s: it would cut long runs and open streams, which the runtime itself bounds."""


def http_route(inputs: Inputs) -> list[Manifest]:
    """None for an App that has no hostname, may not have it, or wants no Gateway, and none while no Gateway is named.

    Group and kind of the parent are stated, which the API server would fill in: a field of it that is not stated is then another
    manager's.
    """
    app = inputs.app
    host, parent = external_hostname(app, inputs.settings), gateway(app, inputs.settings)
    if host is None or parent is None or not inputs.may_route or not app.spec.wants_gateway:
        return []
    group, _, _ = HTTP_ROUTE.api_version.partition("/")
    backend = {"name": names.service(app.meta.name), "port": SERVICE_PORT}
    spec = {
        "parentRefs": [{"group": group, "kind": "Gateway", **parent.as_json()}],
        "hostnames": [host],
        "rules": [{"backendRefs": [backend], "timeouts": {"request": UNLIMITED}}],
    }
    return [child(app, HTTP_ROUTE, names.route(app.meta.name), spec=spec)]
