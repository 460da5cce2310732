"""The hostname of an App, and the Ingress that serves it."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired import exposure
from dynamiq_operator.desired.exposure import external_hostname, hostname
from dynamiq_operator.desired.ingress import ingress
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.model.settings import Settings
from tests.support import factories as given

OWN = given.with_hostname("chat.example.test")
DOMAIN = Settings(domain="apps.test")
IN_CLUSTER = f"{given.NAME}.{given.NAMESPACE}.svc"


@pytest.mark.parametrize(
    ("modifiers", "settings", "called", "served"),
    [
        ([OWN], DOMAIN, "chat.example.test", True),
        ([], DOMAIN, f"{given.NAME}.{given.NAMESPACE}.apps.test", True),
        ([], Settings(), IN_CLUSTER, False),
        ([OWN, given.exposed("ClusterIP")], DOMAIN, IN_CLUSTER, False),
    ],
    ids=["the App's own", "in the operator's domain", "in the cluster", "in the cluster, though it names one"],
)
def test_the_hostname(modifiers: list[given.Modifier], settings: Settings, called: str, served: bool) -> None:
    app = given.an_app(*modifiers)
    assert hostname(app, settings) == called
    assert external_hostname(app, settings) == (called if served else None)
    assert len(ingress(Inputs(app, settings, may_route=True))) == served


TLS = given.exposed("Ingress", tls={"secretName": "chat-tls"})


@pytest.mark.parametrize(
    ("modifiers", "told", "url"),
    [
        ([OWN], {}, None),
        ([OWN], {"public_scheme": "http"}, "http://chat.example.test"),
        ([OWN], {"public_scheme": "http", "public_port": 80}, "http://chat.example.test"),
        ([OWN], {"public_scheme": "http", "public_port": 8080}, "http://chat.example.test:8080"),
        ([OWN], {"public_scheme": "https", "public_port": 443}, "https://chat.example.test"),
        ([OWN], {"public_scheme": "https", "public_port": 8443}, "https://chat.example.test:8443"),
        ([OWN], {"public_port": 8443}, "https://chat.example.test:8443"),
        ([OWN, TLS], {"public_scheme": "http", "public_port": 8080}, "https://chat.example.test"),
        ([OWN, TLS], {"public_port": 8443}, "https://chat.example.test:8443"),
        ([], {"public_scheme": "http", "domain": "localhost"}, f"http://{given.NAME}.{given.NAMESPACE}.localhost"),
        ([], {"public_scheme": "http"}, None),
        ([OWN, given.exposed("ClusterIP")], {"public_scheme": "http"}, None),
    ],
)
def test_the_public_url_follows_exposure_and_settings(modifiers: list[given.Modifier], told: dict[str, Any], url: str | None) -> None:
    """The URL is None if no setting describes the gateway, or if the App is reached only within the cluster."""
    assert exposure.url(given.an_app(*modifiers), Settings(**told)) == url


def test_an_ingress_takes_class_tls_and_annotations_of_the_app() -> None:
    exposed = given.exposed("Ingress", className="edge", tls={"secretName": "chat-tls"}, annotations={"cert-manager.io/issuer": "ours"})
    (made,) = ingress(Inputs(given.an_app(OWN, exposed), Settings(ingress_class="other"), may_route=True))
    assert made["metadata"]["annotations"] == {"cert-manager.io/issuer": "ours"}
    backend = {"service": {"name": given.NAME, "port": {"name": "http"}}}
    assert made["spec"] == {
        "rules": [{"host": "chat.example.test", "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}],
        "ingressClassName": "edge",
        "tls": [{"hosts": ["chat.example.test"], "secretName": "chat-tls"}],
    }


def test_the_operators_class_is_used_where_the_app_names_none() -> None:
    (made,) = ingress(Inputs(given.an_app(OWN), Settings(ingress_class="edge"), may_route=True))
    assert made["spec"]["ingressClassName"] == "edge"
    assert "tls" not in made["spec"]


def test_a_hostname_that_is_another_apps_gets_no_ingress() -> None:
    assert ingress(Inputs(given.an_app(OWN), may_route=False)) == []
