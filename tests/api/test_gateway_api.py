"""Apps of type Gateway on a real API server, which serves HTTPRoutes or does not, and may come to or cease to while the operator runs."""

from __future__ import annotations

import contextlib
import time
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
from tests.support.stage import back_after
from tests.support.waiting import eventually

GATEWAY = "gateways/public"
BACK_WITHIN = 20.0
"""Seconds within which what is deleted or edited is back, by the API server's clock."""
DELETED_WITHIN = 180.0
"""The API server looks for what is left of a definition every 5 s, for a minute, before it tries the definition anew."""
ROUTE = "HTTPRoute"


@contextlib.contextmanager
def gateway_api(cluster: Cluster) -> Iterator[None]:
    """The Gateway API's definitions, served while the block runs."""
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
def installed(cluster: Cluster) -> Iterator[None]:
    with gateway_api(cluster):
        yield


@pytest.fixture(scope="module")
def options() -> list[str]:
    return [f"--gateway={GATEWAY}"]


def host(stage: HistoryStage, name: str = "chat") -> str:
    return f"{name}.{stage.namespace}.example.test"


def app(stage: HistoryStage, name: str = "chat", **parent: str) -> None:
    stage.app(name, given.with_hostname(host(stage)), given.exposed("Gateway", **({"parentRef": parent} if parent else {})))


def until_routed(stage: HistoryStage, name: str = "chat") -> Manifest:
    route = eventually(f"App {name} has its route", lambda: stage.find(ROUTE, name))
    stage.until_condition(name, "ChildrenApplied", "True")
    return route


def test_without_the_gateway_api_the_operator_works_and_with_it_the_route_is_made(
    cluster: Cluster, stage: HistoryStage, operator: Operator
) -> None:
    stage.app("other", given.with_hostname(host(stage, "other")))
    eventually("another App has its Ingress", lambda: stage.find("Ingress", "other"))
    app(stage)
    told = stage.until_condition("chat", "ChildrenApplied", "False", reason="NoGateway")
    wanted = "install the Gateway API (gateway.networking.k8s.io/v1), or use type Ingress"
    assert told["message"] == f"exposure.type is Gateway, and the cluster does not serve HTTPRoutes: {wanted}"
    assert stage.condition("chat", "Ready")["status"] == "False"
    with gateway_api(cluster):
        made = until_routed(stage)
        deleted = time.time()
        stage.delete(ROUTE, "chat")
        eventually("it is watched: a route that is deleted is back", lambda: _is_other(stage, made))
        assert back_after(stage.get(ROUTE, "chat"), deleted) <= BACK_WITHIN
    stage.until_condition("chat", "ChildrenApplied", "False", reason="NoGateway")
    stage.change(kinds.APP.kind, "other", spec={"hostname": host(stage, "renamed")})
    eventually("the other App is worked on", lambda: _ingress_host(stage, "other") == host(stage, "renamed"))


def _is_other(stage: HistoryStage, before: Manifest) -> bool:
    found = stage.find(ROUTE, before["metadata"]["name"])
    return found is not None and found["metadata"]["uid"] != before["metadata"]["uid"]


def _ingress_host(stage: HistoryStage, name: str) -> str | None:
    found = stage.find("Ingress", name)
    return found["spec"]["rules"][0]["host"] if found else None


def test_the_route_of_an_app_is_made_kept_and_goes(installed: None, stage: HistoryStage, operator: Operator) -> None:
    app(stage)
    made = until_routed(stage)
    assert made["spec"]["hostnames"] == [host(stage)]
    parent = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "namespace": "gateways", "name": "public"}
    assert made["spec"]["parentRefs"] == [parent]
    backend = made["spec"]["rules"][0]["backendRefs"][0]
    assert (backend["kind"], backend["name"], backend["port"]) == ("Service", "chat", 80)
    edits: tuple[Manifest, ...] = ({"hostnames": ["other.example.test"]}, {"parentRefs": [{"name": "other"}]}, {"rules": []})
    for edit in edits:
        edited = time.time()
        stage.change(ROUTE, "chat", spec=edit)
        eventually(f"{list(edit)} is as it was", lambda: stage.get(ROUTE, "chat")["spec"] == made["spec"])
        assert back_after(stage.get(ROUTE, "chat"), edited) <= BACK_WITHIN
    stage.change(ROUTE, "chat", metadata={"annotations": {"example.com/theirs": "yes"}})
    listener = {**parent, "sectionName": "https"}
    stage.change(
        kinds.APP.kind, "chat", spec={"exposure": {"parentRef": {"name": "public", "namespace": "gateways", "sectionName": "https"}}}
    )
    eventually("a listener is named", lambda: stage.get(ROUTE, "chat")["spec"]["parentRefs"] == [listener])
    stage.change(kinds.APP.kind, "chat", spec={"exposure": {"parentRef": {"sectionName": None}}})
    eventually("it no longer is", lambda: stage.get(ROUTE, "chat")["spec"]["parentRefs"] == [parent])
    assert stage.get(ROUTE, "chat")["metadata"]["annotations"]["example.com/theirs"] == "yes"
    stage.change(kinds.APP.kind, "chat", spec={"exposure": {"type": "Ingress", "parentRef": None}})
    eventually("an Ingress is in its place", lambda: stage.find("Ingress", "chat") and not stage.find(ROUTE, "chat"))
    stage.change(kinds.APP.kind, "chat", spec={"exposure": {"type": "Gateway"}})
    eventually("the route is in its place", lambda: stage.find(ROUTE, "chat") and not stage.find("Ingress", "chat"))
    stage.delete(kinds.APP.kind, "chat")
    # Kubernetes' garbage collector looks for new kinds every 30 s.
    eventually("the route goes with its App", lambda: stage.find(ROUTE, "chat") is None)


def test_a_strangers_route_of_the_name_stays_as_it_is(installed: None, stage: HistoryStage, operator: Operator) -> None:
    stage.create({**stage.named(ROUTE, "chat"), "spec": {"hostnames": ["theirs.example.test"]}})
    app(stage)
    stage.until_condition("chat", "ChildrenApplied", "False", reason="NameTaken")
    assert stage.get(ROUTE, "chat")["spec"]["hostnames"] == ["theirs.example.test"]


@pytest.mark.parametrize("wants", ["Gateway", "Ingress"])
def test_the_hostname_of_a_strangers_route_counts(installed: None, stage: HistoryStage, operator: Operator, wants: str) -> None:
    stage.create({**stage.named(ROUTE, "web"), "spec": {"hostnames": [host(stage)]}})
    stage.app("chat", given.with_hostname(host(stage)), given.exposed(wants))
    told = stage.until_condition("chat", "ChildrenApplied", "False", reason="HostnameTaken")
    assert told["message"] == f"hostname {host(stage)} is served by an HTTPRoute that is not ours: choose another, or delete that HTTPRoute"
    stage.delete(ROUTE, "web")
    eventually("the App has its route", lambda: stage.find(ROUTE if wants == "Gateway" else "Ingress", "chat"))


def test_an_ingress_and_a_route_of_two_apps_do_not_share_a_hostname(installed: None, stage: HistoryStage, operator: Operator) -> None:
    app(stage)
    until_routed(stage)
    stage.app("second", given.with_hostname(host(stage)), given.exposed("Ingress"))
    told = stage.until_condition("second", "ChildrenApplied", "False", reason="HostnameTaken")
    assert "is that of App chat in this namespace" in told["message"]
    assert stage.find("Ingress", "second") is None
