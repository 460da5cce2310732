"""Apps of type Gateway on a real API server. It may start or stop to serve HTTPRoutes while the operator runs."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from dynamiq_operator.model import kinds
from local import builds, components
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Api, Manifest
from tests.support.cluster import Kubectl
from tests.support.history_stage import HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

GATEWAY = "gateways/public"
PARENT = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "gateways", "name": "public"}
DELETED_WITHIN = 400.0
"""Seconds for the deletion of a definition. The API server checks every 5 s for remaining objects, for a minute, before it retries."""
ROUTE = "HTTPRoute"


@contextlib.contextmanager
def gateway_api(cluster: Cluster) -> Iterator[None]:
    """Serves the Gateway API's definitions while the block runs."""
    kubectl, path = Kubectl(cluster), str(builds.ensure([components.GATEWAY_API])[components.GATEWAY_API_CRDS])
    api = Api.of(cluster)

    def served() -> bool:
        return api.request("GET", "/apis/gateway.networking.k8s.io/v1/httproutes").ok

    try:
        kubectl("apply", "--server-side", "-f", path)
        eventually("HTTPRoutes are served", served)
        yield
    finally:
        kubectl("delete", "--ignore-not-found", "-f", path, timeout=DELETED_WITHIN)
        eventually("HTTPRoutes are gone", lambda: not served())


@pytest.fixture(scope="module")
def options() -> list[str]:
    return [f"--gateway={GATEWAY}"]


def host(stage: HistoryStage, name: str = "chat") -> str:
    return f"{name}.{stage.namespace}.example.test"


def app(stage: HistoryStage, name: str = "chat") -> None:
    stage.app(name, given.with_hostname(host(stage, name)), given.exposed("Gateway"))


def until_routed(stage: HistoryStage, name: str = "chat") -> Manifest:
    route = eventually(f"App {name} has its route", lambda: stage.find(ROUTE, name))
    stage.until_condition(name, "ChildrenApplied", "True")
    return route


@pytest.mark.timeout(900)
def test_the_gateway_api_may_come_and_go_and_while_it_is_there_routes_are_made_kept_and_replaced(
    cluster: Cluster, stage: HistoryStage, operator: Operator
) -> None:
    stage.app("other", given.with_hostname(host(stage, "other")))
    eventually("another App has its Ingress", lambda: stage.find("Ingress", "other"))
    app(stage)
    condition = stage.until_condition("chat", "ChildrenApplied", "False", reason="NoGateway")
    advice = "install the Gateway API (gateway.networking.k8s.io/v1), or use type Ingress"
    assert condition["message"] == f"exposure.type is Gateway, but the cluster does not serve HTTPRoutes: {advice}"
    assert stage.condition("chat", "Ready")["status"] == "False"
    with gateway_api(cluster):
        is_made_and_kept(stage)
        is_replaced_by_an_ingress_and_back(stage)
        of_a_stranger_stays(stage)
    stage.until_condition("chat", "ChildrenApplied", "False", reason="NoGateway")
    stage.change(kinds.APP.kind, "other", spec={"hostname": host(stage, "renamed")})
    eventually("the other App is worked on", lambda: _ingress_host(stage, "other") == host(stage, "renamed"))


def is_made_and_kept(stage: HistoryStage) -> None:
    made = until_routed(stage)
    assert [each["name"] for each in made["metadata"]["ownerReferences"]] == ["chat"]
    assert made["spec"]["hostnames"] == [host(stage)]
    assert made["spec"]["parentRefs"] == [PARENT]
    backend = made["spec"]["rules"][0]["backendRefs"][0]
    assert (backend["kind"], backend["name"], backend["port"]) == ("Service", "chat", 80)
    edits: tuple[Manifest, ...] = ({"hostnames": ["other.example.test"]}, {"parentRefs": [{"name": "other"}]}, {"rules": []})
    for edit in edits:
        stage.change(ROUTE, "chat", spec=edit)
        eventually(f"{list(edit)} is as it was", lambda: stage.get(ROUTE, "chat")["spec"] == made["spec"])
    stage.delete(ROUTE, "chat")
    eventually("a route that is deleted is back", lambda: _is_other(stage, made))


def is_replaced_by_an_ingress_and_back(stage: HistoryStage) -> None:
    stage.change(ROUTE, "chat", metadata={"annotations": {"example.com/theirs": "yes"}})
    stage.change(
        kinds.APP.kind, "chat", spec={"exposure": {"parentRef": {"name": "public", "namespace": "gateways", "sectionName": "https"}}}
    )
    listener = {**PARENT, "sectionName": "https"}
    eventually("a listener is named", lambda: stage.get(ROUTE, "chat")["spec"]["parentRefs"] == [listener])
    stage.change(kinds.APP.kind, "chat", spec={"exposure": {"parentRef": {"sectionName": None}}})
    eventually("it no longer is", lambda: stage.get(ROUTE, "chat")["spec"]["parentRefs"] == [PARENT])
    assert stage.get(ROUTE, "chat")["metadata"]["annotations"]["example.com/theirs"] == "yes"
    stage.change(kinds.APP.kind, "chat", spec={"exposure": {"type": "Ingress", "parentRef": None}})
    eventually("an Ingress is in its place", lambda: stage.find("Ingress", "chat") and not stage.find(ROUTE, "chat"))
    stage.change(kinds.APP.kind, "chat", spec={"exposure": {"type": "Gateway"}})
    eventually("the route is in its place", lambda: stage.find(ROUTE, "chat") and not stage.find("Ingress", "chat"))


def of_a_stranger_stays(stage: HistoryStage) -> None:
    stage.create({**stage.named(ROUTE, "third"), "spec": {"hostnames": ["theirs.example.test"]}})
    app(stage, "third")
    stage.until_condition("third", "ChildrenApplied", "False", reason="NameTaken")
    assert stage.get(ROUTE, "third")["spec"]["hostnames"] == ["theirs.example.test"]


def _is_other(stage: HistoryStage, before: Manifest) -> bool:
    found = stage.find(ROUTE, before["metadata"]["name"])
    return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]


def _ingress_host(stage: HistoryStage, name: str) -> str | None:
    found = stage.find("Ingress", name)
    return found["spec"]["rules"][0]["host"] if found else None
