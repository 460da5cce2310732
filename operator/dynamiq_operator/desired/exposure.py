"""How callers reach an App: a Service always, an Ingress or an HTTPRoute where there is a hostname."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.desired.base import HTTP_ROUTE, INGRESS, SERVICE, Resource, child
from dynamiq_operator.model import names
from dynamiq_operator.model.app import Exposure, ExposureType, ParentRef
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.settings import Settings

HTTP = "http"
UNLIMITED = "0s"
"""A gateway's own limit is often 15 s: it would cut long runs and open streams, which the runtime itself bounds."""

SERVICE_PORT = 80


def hostname(app: App, settings: Settings) -> str:
    """What callers use: the App's hostname, else one in the operator's domain, else the Service's name in the cluster."""
    if (external := external_hostname(app, settings)) is not None:
        return external
    return f"{names.service(app.meta.name)}.{app.meta.namespace}.svc"


def external_hostname(app: App, settings: Settings) -> str | None:
    """The name that an Ingress or an HTTPRoute serves; None for an App that is called inside the cluster only."""
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


def route_resource(app: App) -> Resource:
    """What serves the App's hostname."""
    return HTTP_ROUTE if app.spec.wants_gateway else INGRESS


def gateway(app: App, settings: Settings) -> ParentRef | None:
    """The Gateway that is to serve the App's hostname, its namespace filled in; None where nobody names one."""
    own = app.spec.exposure.parent_ref if app.spec.exposure is not None else None
    if own is None:
        return settings.gateway
    return own if own.namespace else own.model_copy(update={"namespace": app.meta.namespace})


def route(app: App, settings: Settings) -> Manifest | None:
    """The Ingress or the HTTPRoute of the App's hostname; None where it has no hostname, or wants a Gateway that nobody names."""
    host = external_hostname(app, settings)
    if host is None:
        return None
    if not app.spec.wants_gateway:
        return _ingress(app, host, settings)
    parent = gateway(app, settings)
    return _http_route(app, host, parent) if parent is not None else None


def _ingress(app: App, host: str, settings: Settings) -> Manifest:
    exposure = app.spec.exposure or Exposure(type=ExposureType.INGRESS)
    backend = {"service": {"name": names.service(app.meta.name), "port": {"name": HTTP}}}
    spec: dict[str, Any] = {"rules": [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]}
    if class_name := exposure.class_name or settings.ingress_class:
        spec["ingressClassName"] = class_name
    if exposure.tls is not None:
        spec["tls"] = [{"hosts": [host], "secretName": exposure.tls.secret_name}]
    return child(app, INGRESS, names.route(app.meta.name), annotations=exposure.annotations, spec=spec)


def _http_route(app: App, host: str, parent: ParentRef) -> Manifest:
    """Group and kind are stated, which the API server would fill in: a field of the parent that is not stated is then somebody else's."""
    group, _, _ = HTTP_ROUTE.api_version.partition("/")
    backend = {"name": names.service(app.meta.name), "port": SERVICE_PORT}
    spec = {
        "parentRefs": [{"group": group, "kind": "Gateway", **parent.as_json()}],
        "hostnames": [host],
        "rules": [{"backendRefs": [backend], "timeouts": {"request": UNLIMITED}}],
    }
    return child(app, HTTP_ROUTE, names.route(app.meta.name), spec=spec)
