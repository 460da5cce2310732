"""How callers reach an App: a Service always, an Ingress where there is a hostname."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.desired.base import INGRESS, SERVICE, child
from dynamiq_operator.model import names
from dynamiq_operator.model.app import Exposure, ExposureType
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.settings import Settings

HTTP = "http"
SERVICE_PORT = 80


def hostname(app: App, settings: Settings) -> str:
    """What callers use: the App's hostname, else one in the operator's domain, else the Service's name in the cluster."""
    if (external := external_hostname(app, settings)) is not None:
        return external
    return f"{names.service(app.meta.name)}.{app.meta.namespace}.svc"


def external_hostname(app: App, settings: Settings) -> str | None:
    """The name that an Ingress serves; None for an App that is called inside the cluster only."""
    if app.spec.exposure is not None and app.spec.exposure.type is ExposureType.CLUSTER_IP:
        return None
    if app.spec.hostname is not None:
        return app.spec.hostname
    if settings.domain is None:
        return None
    return names.default_hostname(app.meta.name, app.meta.namespace, settings.domain)


def service(app: App) -> Manifest:
    return child(
        app,
        SERVICE,
        names.service(app.meta.name),
        spec={
            "type": "ClusterIP",
            "selector": names.pod_selector(app.meta.name),
            "ports": [{"name": HTTP, "port": SERVICE_PORT, "targetPort": HTTP, "protocol": "TCP"}],
        },
    )


def ingress(app: App, settings: Settings) -> Manifest | None:
    """The Ingress of the App's hostname; None where it has none."""
    host = external_hostname(app, settings)
    if host is None:
        return None
    exposure = app.spec.exposure or Exposure(type=ExposureType.INGRESS)
    backend = {"service": {"name": names.service(app.meta.name), "port": {"name": HTTP}}}
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}
    if class_name := exposure.class_name or settings.ingress_class:
        spec["ingressClassName"] = class_name
    if exposure.tls is not None:
        spec["tls"] = [{"hosts": [host], "secretName": exposure.tls.secret_name}]
    return child(app, INGRESS, names.ingress(app.meta.name), annotations=exposure.annotations, spec=spec)
