"""An App of type Gateway: its HTTPRoute, the message if it cannot have one, and its old route, which is served until then."""

from __future__ import annotations

import pytest

from dynamiq_operator.desired.base import HTTP_ROUTE
from dynamiq_operator.desired.http_route import http_route
from dynamiq_operator.desired.ingress import ingress
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.desired.service import service
from dynamiq_operator.model.app import ParentRef
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.children.convergence import converge_children
from dynamiq_operator.plan.children.manifests import child_problems
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.claim import ClaimState, HostnameClaim
from dynamiq_operator.plan.operations import Group, Plan
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given
from tests.unit.support.plan_lines import shown

HOST = "chat.example.test"
OURS = HostnameClaim(ClaimState.OURS, (given.NAMESPACE, given.NAME), None, {"metadata": {"name": "hostname-x"}})
OPERATORS = ParentRef(name="public", namespace="gateways")


def an_app(**parent: str) -> App:
    return given.an_app(given.public(), given.with_hostname(HOST), given.exposed("Gateway", **({"parentRef": parent} if parent else {})))


def a_snapshot(
    app: App, *observed: Manifest, gateway: ParentRef | None = OPERATORS, claim: HostnameClaim = OURS, can_route: bool = True
) -> Snapshot:
    found = {(each["kind"], each["metadata"]["name"]): each for each in (*service(Inputs(app)), *observed)}
    children = ObservedChildren(found, has_gateway_api=can_route)
    return Snapshot(given.NAMESPACE, given.NAME, given.NOW, Settings(gateway=gateway), app=app, children=children, claim=claim)


def planned(snapshot: Snapshot) -> list[str]:
    assert snapshot.app is not None
    return shown(Plan((Group("children", converge_children(Context.of(snapshot, snapshot.app))),)))


def problems(snapshot: Snapshot) -> list[tuple[str, str]]:
    assert snapshot.app is not None
    return [(each.reason.value, each.message) for each in child_problems(Context.of(snapshot, snapshot.app)).values()]


def the_route(app: App) -> Manifest:
    (made,) = http_route(Inputs(app, Settings(gateway=OPERATORS), may_route=True))
    return made


def the_ingress() -> Manifest:
    (made,) = ingress(Inputs(given.an_app(given.public(), given.with_hostname(HOST)), may_route=True))
    return made


@pytest.mark.parametrize(
    ("parent", "expected"),
    [
        ({}, {"name": "public", "namespace": "gateways"}),
        ({"name": "own"}, {"name": "own", "namespace": given.NAMESPACE}),
        ({"name": "own", "namespace": "other", "sectionName": "https"}, {"name": "own", "namespace": "other", "sectionName": "https"}),
    ],
    ids=["the operator's", "one of the App's namespace", "a listener"],
)
def test_the_route_names_its_gateway_its_host_and_the_service(parent: dict[str, str], expected: dict[str, str]) -> None:
    made = the_route(an_app(**parent))
    assert (made["apiVersion"], made["kind"], made["metadata"]["name"]) == (HTTP_ROUTE.api_version, "HTTPRoute", given.NAME)
    assert made["spec"] == {
        "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", **expected}],
        "hostnames": [HOST],
        "rules": [{"backendRefs": [{"name": given.NAME, "port": 80}], "timeouts": {"request": "0s"}}],
    }


def test_an_app_without_a_hostname_gets_no_route_that_would_catch_every_hostname() -> None:
    app = given.an_app(given.public(), given.exposed("Gateway"))
    assert http_route(Inputs(app, Settings(gateway=OPERATORS), may_route=True)) == []
    assert problems(a_snapshot(app, claim=HostnameClaim())) == []


def test_a_route_takes_the_place_of_an_ingress_and_stands_before_that_goes() -> None:
    """The new route may be refused: the old one serves until the new one exists."""
    assert planned(a_snapshot(an_app(), the_ingress())) == ["create HTTPRoute"]
    assert planned(a_snapshot(an_app(), the_ingress(), the_route(an_app()))) == ["delete Ingress"]


def test_an_ingress_takes_the_place_of_a_route() -> None:
    app = given.an_app(given.public(), given.with_hostname(HOST))
    assert planned(a_snapshot(app, the_route(an_app()))) == ["create Ingress"]
    assert planned(a_snapshot(app, the_route(an_app()), the_ingress())) == ["delete HTTPRoute"]


@pytest.mark.parametrize(
    ("gateway", "there", "says"),
    [
        (OPERATORS, False, "install the Gateway API (gateway.networking.k8s.io/v1), or use type Ingress"),
        (None, False, "install the Gateway API (gateway.networking.k8s.io/v1), or use type Ingress"),
        (None, True, "set exposure.parentRef, or start the operator with --gateway NAMESPACE/NAME"),
    ],
)
def test_an_app_without_a_usable_gateway_keeps_its_ingress_and_names_the_next_step(
    gateway: ParentRef | None, there: bool, says: str
) -> None:
    snapshot = a_snapshot(an_app(), the_ingress(), gateway=gateway, can_route=there)
    assert planned(snapshot) == []
    ((reason, message),) = problems(snapshot)
    assert reason == "NoGateway"
    assert message.startswith("exposure.type is Gateway, but ")
    assert message.endswith(says)


def test_the_hostname_of_another_app_gets_no_route_either() -> None:
    snapshot = a_snapshot(an_app(), claim=HostnameClaim(ClaimState.HELD, ("other", "web"), None, OURS.raw))
    assert planned(snapshot) == []
    assert problems(snapshot) == [("HostnameTaken", f"hostname {HOST} belongs to another App: choose another")]


DEFAULTED: Manifest = {
    "parentRefs": [{"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "public", "namespace": "gateways"}],
    "hostnames": [HOST],
    "rules": [
        {
            "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
            "backendRefs": [{"group": "", "kind": "Service", "name": given.NAME, "port": 80, "weight": 1}],
            "timeouts": {"request": "0s"},
        }
    ],
}


@pytest.mark.parametrize(
    ("edited", "expected"),
    [
        ({}, []),
        ({"hostnames": ["other.example.test"]}, ["apply HTTPRoute for .spec.hostnames[0]"]),
        ({"parentRefs": [{**DEFAULTED["parentRefs"][0], "sectionName": "http"}]}, ["apply HTTPRoute for .spec.parentRefs[0]"]),
        ({"parentRefs": []}, ["apply HTTPRoute for .spec.parentRefs"]),
        ({"rules": []}, ["apply HTTPRoute for .spec.rules"]),
        ({"rules": [{**DEFAULTED["rules"][0], "timeouts": {"request": "15s"}}]}, ["apply HTTPRoute for .spec.rules[0].timeouts.request"]),
    ],
    ids=["what the API server filled in", "host", "a listener that we no longer name", "no parent", "no rule", "a limit of time"],
)
def test_drift_of_a_route(edited: Manifest, expected: list[str]) -> None:
    app = an_app()
    observed = {**the_route(app), "spec": DEFAULTED | edited}
    assert planned(a_snapshot(app, observed)) == expected
