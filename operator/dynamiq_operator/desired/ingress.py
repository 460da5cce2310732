"""Builds the Ingress of an App that has a hostname."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.desired import ingress_annotations
from dynamiq_operator.desired.base import INGRESS, child
from dynamiq_operator.desired.exposure import HTTP, external_hostname
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.model import names
from dynamiq_operator.model.app import Exposure, ExposureType
from dynamiq_operator.model.objects import Manifest


def ingress(inputs: Inputs) -> list[Manifest]:
    """Returns the Ingress; empty for an App without hostname, without the right to it, or served by a Gateway."""
    app = inputs.app
    host = external_hostname(app, inputs.settings)
    if host is None or not inputs.may_route or app.spec.wants_gateway:
        return []
    exposure = app.spec.exposure or Exposure(type=ExposureType.INGRESS)
    backend = {"service": {"name": names.service(app.meta.name), "port": {"name": HTTP}}}
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}
    if class_name := exposure.class_name or inputs.settings.ingress_class:
        spec["ingressClassName"] = class_name
    if exposure.tls is not None:
        spec["tls"] = [{"hosts": [host], "secretName": exposure.tls.secret_name}]
    refused = ingress_annotations.refused(exposure, inputs.settings)
    passed = {name: value for name, value in (exposure.annotations or {}).items() if name not in refused}
    return [child(app, INGRESS, names.route(app.meta.name), annotations={**passed, **inputs.kept_annotations}, spec=spec)]
