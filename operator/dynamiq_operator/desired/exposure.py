"""Decides under which hostname callers reach an App, and by which route it is served."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dynamiq_operator.desired.base import HTTP_ROUTE, INGRESS, Resource, is_ending, is_owned
from dynamiq_operator.model import names
from dynamiq_operator.model.app import ExposureType, ParentRef
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.settings import PublicScheme, Settings

HTTP = "http"
"""Name of the port of pods and of the Service."""
METRICS = "metrics"
"""Name of the pods' port by which Prometheus finds it."""
SERVICE_PORT = 80
METRICS_PORT = 9090
"""Port of pods for metrics and activity, which need no key. No Service and no hostname leads to it."""
OWN_PORTS = {PublicScheme.HTTP: 80, PublicScheme.HTTPS: 443}


def hostname(app: App, settings: Settings) -> str:
    """Returns the hostname for callers: the App's own, else one in the operator's domain, else the Service's name in the cluster."""
    if (external := external_hostname(app, settings)) is not None:
        return external
    return f"{names.service(app.meta.name)}.{app.meta.namespace}.svc"


def external_hostname(app: App, settings: Settings) -> str | None:
    """Returns the hostname that an Ingress or HTTPRoute serves; None for an App that is called inside the cluster only."""
    if app.spec.exposure is not None and app.spec.exposure.type is ExposureType.CLUSTER_IP:
        return None
    if app.spec.hostname is not None:
        return app.spec.hostname
    if settings.domain is None:
        return None
    return names.default_hostname(app.meta.name, app.meta.namespace, settings.domain)


def url(app: App, settings: Settings) -> str | None:
    """Returns the URL for callers outside the cluster; None if they cannot call the App, or the settings do not describe the gateway.

    An App with its own TLS is called by https. If the gateway is called by http, its port is then the default port of https.
    """
    host, scheme, port = external_hostname(app, settings), settings.public_scheme, settings.public_port
    if host is None or (scheme is None and port is None):
        return None
    scheme = scheme or PublicScheme.HTTPS
    if scheme is PublicScheme.HTTP and has_tls(app):
        scheme, port = PublicScheme.HTTPS, None
    return f"{scheme}://{host}" if port in (None, OWN_PORTS[scheme]) else f"{scheme}://{host}:{port}"


def address(app: App) -> str | None:
    """Returns the URL of an App from its status: the one for outside callers, else one made of its hostname; None before it has one."""
    if app.status.url is not None or not app.status.hostname:
        return app.status.url
    return f"{PublicScheme.HTTPS if has_tls(app) else PublicScheme.HTTP}://{app.status.hostname}"


def has_tls(app: App) -> bool:
    return app.spec.exposure is not None and app.spec.exposure.tls is not None


def route_resource(app: App) -> Resource:
    """Returns the resource that serves the App's hostname."""
    return HTTP_ROUTE if app.spec.wants_gateway else INGRESS


def gateway(app: App, settings: Settings) -> ParentRef | None:
    """Returns the Gateway that serves the App's hostname, with its namespace; None if neither App nor operator names one."""
    own = app.spec.exposure.parent_ref if app.spec.exposure is not None else None
    if own is None:
        return settings.gateway
    return own if own.namespace else own.model_copy(update={"namespace": app.meta.namespace})


def hosts_of(route: Mapping[str, Any]) -> frozenset[str]:
    """Returns the hostnames of an Ingress or HTTPRoute."""
    spec = route.get("spec") or {}
    return frozenset(rule["host"] for rule in spec.get("rules") or () if "host" in rule) | frozenset(spec.get("hostnames") or ())


def serves(route: Mapping[str, Any], app: App, host: str) -> bool:
    """Returns True if a route is this App's, is not being deleted, and has the hostname."""
    return is_owned(route, app) and not is_ending(route) and host in hosts_of(route)
