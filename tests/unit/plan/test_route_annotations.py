"""Annotations that an App sets for its Ingress: passed on, refused, and removed."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.base import HTTP_ROUTE, INGRESS, child
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.claim import ClaimState, HostnameClaim
from dynamiq_operator.plan.operations import ApplyChild, CreateChild, DeleteChild, SetAppStatus
from dynamiq_operator.plan.planner import make_plan
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given

HOST = "chat.example.test"
NGINX = "nginx.ingress.kubernetes.io/"
TIMEOUT, SNIPPET = f"{NGINX}proxy-read-timeout", f"{NGINX}configuration-snippet"
OURS = HostnameClaim(ClaimState.OURS, (given.NAMESPACE, given.NAME))


def an_app(annotations: dict[str, str], **exposure: Any) -> App:
    return given.an_app(given.with_hostname(HOST), given.exposed("Ingress", annotations=annotations, **exposure))


def snapshot(app: App, *children: Manifest, settings: Settings | None = None) -> Snapshot:
    observed = {(each["kind"], each["metadata"]["name"]): each for each in children}
    return Snapshot(
        given.NAMESPACE, given.NAME, given.NOW, settings or Settings(), app=app, claim=OURS, children=ObservedChildren(observed)
    )


def ingress(found: Snapshot) -> dict[str, str] | None:
    """Returns the annotations of the Ingress that a plan creates or changes; None if it does neither."""
    for each in make_plan(found).operations:
        if isinstance(each, CreateChild | ApplyChild) and each.manifest["kind"] == INGRESS.kind:
            annotations: dict[str, str] = each.manifest["metadata"]["annotations"]
            return {name: value for name, value in annotations.items() if name != names.APPLIED_ANNOTATION}
    return None


def made(app: App, annotations: dict[str, str], host: str = HOST) -> Manifest:
    """Returns the existing Ingress."""
    backend = {"service": {"name": given.NAME, "port": {"name": "http"}}}
    rules = [{"host": host, "http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]
    return child(app, INGRESS, app.meta.name, annotations=annotations, spec={"rules": rules})


def refusal(found: Snapshot) -> str:
    """Returns the message of the App's condition; empty if every child is applied."""
    (status,) = (each.status for each in make_plan(found).operations if isinstance(each, SetAppStatus))
    (condition,) = (each for each in status.conditions if each.type == "ChildrenApplied")
    if condition.status == "False":
        assert condition.reason == "AnnotationRefused"
        return condition.message
    return ""


@pytest.mark.parametrize(
    ("name", "value", "ingress_class"),
    [
        (TIMEOUT, "3600", "nginx"),
        (f"{NGINX}proxy-body-size", "32m", "edge"),
        (f"{NGINX}whitelist-source-range", "10.0.0.0/8, 192.168.0.0/16", None),
        (f"{NGINX}cors-allow-origin", "https://*.example.com", "nginx"),
        (f"{NGINX}proxy-next-upstream", "error timeout", "nginx"),
        ("projectcontour.io/response-timeout", "infinity", "contour"),
        ("traefik.ingress.kubernetes.io/router.tls", "true", "traefik"),
        ("cert-manager.io/cluster-issuer", "letsencrypt", "traefik"),
    ],
)
def test_annotations_about_serving_the_hostname_are_passed_on(name: str, value: str, ingress_class: str | None) -> None:
    app = an_app({name: value}, **({"className": ingress_class} if ingress_class else {}))
    assert ingress(snapshot(app)) == {name: value}
    assert refusal(snapshot(app)) == ""


REFUSED = (
    *(f"{NGINX}{each}" for each in ("configuration-snippet", "server-snippet", "stream-snippet", "auth-snippet", "modsecurity-snippet")),
    *(f"{NGINX}{each}" for each in ("auth-url", "auth-signin", "auth-tls-match-cn", "auth-secret", "server-alias", "default-backend")),
    *(f"{NGINX}{each}" for each in ("canary", "canary-by-header", "mirror-target", "mirror-host", "rewrite-target", "app-root")),
    *(f"{NGINX}{each}" for each in ("upstream-vhost", "permanent-redirect", "temporal-redirect", "from-to-www-redirect", "use-regex")),
    *(f"{NGINX}{each}" for each in ("proxy-ssl-secret", "proxy-redirect-to", "service-upstream", "custom-http-errors", "ssl-passthrough")),
    *(f"projectcontour.io/{each}" for each in ("ingress.class", "tls-cert-namespace", "websocket-routes")),
    *(f"traefik.ingress.kubernetes.io/router.{each}" for each in ("middlewares", "entrypoints", "pathmatcher", "tls.domains.0.main")),
    "kubernetes.io/ingress.class",
    "external-dns.alpha.kubernetes.io/hostname",
    "external-dns.alpha.kubernetes.io/target",
    "cert-manager.io/common-name",
    "cert-manager.io/alt-names",
    "haproxy.org/backend-config-snippet",
    "anything.example.test/else",
    NGINX,
    "",
)


@pytest.mark.parametrize("ingress_class", ["nginx", "contour", "traefik", "edge", None])
def test_annotations_that_name_others_or_configure_the_controller_are_refused(ingress_class: str | None) -> None:
    for name in REFUSED:
        app = an_app({name: "x", TIMEOUT: "60"}, **({"className": ingress_class} if ingress_class else {}))
        assert ingress(snapshot(app)) is None
        whose = f"ingress class {ingress_class}" if ingress_class else "the cluster's default ingress class"
        assert f"annotation {name} is not allowed for {whose}" in refusal(snapshot(app))


@pytest.mark.parametrize("value", ["60;\n} server {", "60\n", "a{b", "$host", 'a"b', "a'b", "`id`", "60;", "é", "a\\b", "#", "\x00"])
def test_nor_a_value_that_could_end_a_directive(value: str) -> None:
    app = an_app({TIMEOUT: value})
    assert ingress(snapshot(app)) is None
    assert f"annotation {TIMEOUT} is allowed only with a value of letters, digits, spaces and" in refusal(snapshot(app))


def test_an_annotation_of_another_controller_is_refused_with_its_class() -> None:
    assert f"annotation {TIMEOUT} is not allowed for ingress class traefik" in refusal(
        snapshot(an_app({TIMEOUT: "60"}, className="traefik"))
    )


@pytest.mark.parametrize(
    ("lists", "ingress_class", "name", "passed"),
    [
        ({"nginx": (SNIPPET,)}, "nginx", SNIPPET, True),
        ({"nginx": (SNIPPET,)}, "nginx", TIMEOUT, False),
        ({"nginx": (SNIPPET,)}, "edge", SNIPPET, False),
        ({"nginx": (SNIPPET,)}, "edge", TIMEOUT, True),
        ({"*": (SNIPPET,)}, "edge", SNIPPET, True),
        ({"*": (SNIPPET,)}, None, SNIPPET, True),
        ({"*": (SNIPPET,)}, None, TIMEOUT, False),
        ({"*": ("*",)}, "nginx", "anything.example.test/else", True),
        ({"nginx": (f"{NGINX}*",)}, "nginx", SNIPPET, True),
        ({"nginx": (f"{NGINX}*",)}, "nginx", "kubernetes.io/ingress.class", False),
        ({"nginx": ()}, "nginx", TIMEOUT, False),
    ],
)
def test_a_setting_changes_the_allowed_annotations(
    lists: dict[str, tuple[str, ...]], ingress_class: str | None, name: str, passed: bool
) -> None:
    found = snapshot(
        an_app({name: "any { value; }" if passed else "1"}), settings=Settings(ingress_class=ingress_class, ingress_annotations=lists)
    )
    if not passed or name == TIMEOUT:
        found = snapshot(an_app({name: "1"}), settings=Settings(ingress_class=ingress_class, ingress_annotations=lists))
    assert (ingress(found) is not None) is passed


def test_an_ingress_that_serves_stays_as_it_is_and_takes_what_is_allowed() -> None:
    app = an_app({SNIPPET: "deny all;", f"{NGINX}auth-url": "https://other.example.test", TIMEOUT: "60"})
    has = made(app, {SNIPPET: "deny all;", f"{NGINX}auth-url": "https://before.example.test"})
    found = snapshot(app, has)
    assert not [each for each in make_plan(found).operations if isinstance(each, DeleteChild)]
    assert ingress(found) == {SNIPPET: "deny all;", TIMEOUT: "60"}
    assert "until then its Ingress stays as it is" in refusal(found)


def test_an_ingress_that_serves_follows_the_rest_of_the_app() -> None:
    app = an_app({SNIPPET: "deny all;"})
    assert ingress(snapshot(app, made(app, {SNIPPET: "deny all;"}, host="before.example.test"))) == {SNIPPET: "deny all;"}


def test_no_ingress_is_created_with_some_of_its_annotations_and_the_former_route_stays() -> None:
    app = an_app({f"{NGINX}auth-url": "https://auth.example.test", TIMEOUT: "60"})
    route = child(app, HTTP_ROUTE, app.meta.name, spec={"hostnames": [HOST]})
    assert ingress(snapshot(app, route)) is None
    assert not [each for each in make_plan(snapshot(app, route)).operations if isinstance(each, DeleteChild)]
    assert "until then no Ingress is made" in refusal(snapshot(app, route))


def test_an_app_that_is_called_in_the_cluster_alone_asks_for_none() -> None:
    app = given.an_app(given.exposed("Ingress", annotations={SNIPPET: "x"}))
    assert refusal(snapshot(app)) == ""


def test_annotations_of_one_class_are_not_moved_to_another() -> None:
    allowed = Settings(ingress_annotations={"edge": (SNIPPET,)})
    before, after = (an_app({SNIPPET: "deny all;"}, **more) for more in ({"className": "edge"}, {"className": "nginx"}))
    (has,) = (
        each.manifest
        for each in make_plan(snapshot(before, settings=allowed)).operations
        if isinstance(each, CreateChild) and each.manifest["kind"] == INGRESS.kind
    )
    for app in (after, an_app({SNIPPET: "deny all;"})):
        found = snapshot(app, has, settings=allowed)
        assert ingress(found) is None
        assert not [each for each in make_plan(found).operations if isinstance(each, DeleteChild)]
        assert "until then its Ingress stays as it is" in refusal(found)
