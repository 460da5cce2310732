"""The children of an App under the admission policies: whatever is deleted or edited is restored, and objects of others are kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.factories import exposed, public, with_hostname
from tests.support.stage import Stage, operator, stage
from tests.support.waiting import eventually

APP = "shop"
KEYED = "keyed"
DOMAIN = "apps.example.com"
THE_CLUSTER = ("system:kube-controller-manager", "system:masters")
"""User and group of the cluster itself."""

DELETED = ("Service", "Ingress", "ConfigMap", "HorizontalPodAutoscaler", "PodDisruptionBudget", "Workload")
EDITED: dict[str, tuple[str, Manifest]] = {
    "the Service's port": ("Service", {"spec": {"ports": [{"name": "http", "port": 81, "targetPort": "http", "protocol": "TCP"}]}}),
    "the Service's selector": ("Service", {"spec": {"selector": {"version": "v1"}}}),
    "the Service's labels": ("Service", {"metadata": {"labels": {names.MANAGED_BY: None, names.APP_LABEL: None}}}),
    "the Service's owner": ("Service", {"metadata": {"ownerReferences": None}}),
    "the Ingress's host": ("Ingress", {"spec": {"rules": [{"host": "other.example.com"}]}}),
    "the Ingress's TLS": ("Ingress", {"spec": {"tls": None}}),
    "the Ingress's annotation": ("Ingress", {"metadata": {"annotations": {"cert-manager.io/issuer": "other"}}}),
    "the flow's label": ("ConfigMap", {"metadata": {"labels": {names.APP_LABEL: None}}}),
    "the autoscaler's bound": ("HorizontalPodAutoscaler", {"spec": {"maxReplicas": 9}}),
    "the budget": ("PodDisruptionBudget", {"spec": {"maxUnavailable": 0}}),
    "the workload's label": ("Workload", {"metadata": {"labels": {names.MANAGED_BY: "somebody"}}}),
    "the workload's note of its template": ("Workload", {"metadata": {"annotations": {names.APPLIED_TEMPLATE_ANNOTATION: None}}}),
    "the workload's replicas": ("Workload", {"spec": {"replicas": 0}}),
    "the workload's image": (
        "Workload",
        {"spec": {"template": {"spec": {"containers": [{"name": "runtime", "image": "127.0.0.1:1/other:1"}]}}}},
    ),
}


@dataclass(frozen=True)
class Children:
    """A stage on which the App `shop` has every child, and the private App `keyed` its keys."""

    on: Stage

    def name(self, kind: str) -> str:
        """Returns the name of the App's child of this kind."""
        if kind != "ConfigMap":
            return APP
        return names.flow(APP, self.on.rows(APP)[-1]["spec"]["pinned"]["workflowHash"])

    def child(self, kind: str) -> Manifest | None:
        return self.on.find(kind, self.name(kind))

    def by_who_may(self, kind: str) -> Stage:
        """Returns the stage under a user whom no policy stops from changing this child; for a flow, that is the cluster itself."""
        return replace(self.on, api=self.on.api.acting_as(*THE_CLUSTER)) if kind == "ConfigMap" else self.on


@pytest.fixture(scope="module")
def children(cluster: Cluster, policies: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    folder = tmp_path_factory.mktemp("children")
    with stage(cluster, "children") as on, operator(on, folder=folder, options=[f"--domain={DOMAIN}"]):
        on.release("v1", "v2")
        on.runtime("fast", by_default=True)
        route = exposed("Ingress", className="nginx", tls={"secretName": "cert"}, annotations={"cert-manager.io/issuer": "main"})
        on.app(APP, public(), with_hostname("shop.example.com"), route)
        on.app(KEYED)
        for row in [on.deploy(app, "v1") for app in (APP, KEYED)]:
            on.until(row, "Live")
        yield Children(on)


@pytest.mark.parametrize("kind", DELETED)
def test_a_deleted_child_is_back(children: Children, kind: str) -> None:
    before = children.child(kind)
    assert before is not None
    children.by_who_may(kind).delete(kind, children.name(kind))

    def back() -> Manifest | None:
        found = children.child(kind)
        return found if found is not None and found["metadata"]["uid"] != before["metadata"]["uid"] else None

    after = eventually(f"{kind} is back", back)
    assert after["metadata"]["ownerReferences"] == before["metadata"]["ownerReferences"]
    assert after.get("data") == before.get("data")
    children.on.until_condition(APP, "Ready", "True")


@pytest.mark.parametrize("edit", EDITED)
def test_an_edited_child_is_as_it_was(children: Children, edit: str) -> None:
    kind, patch = EDITED[edit]
    before = children.child(kind)
    assert before is not None
    children.by_who_may(kind).change(kind, children.name(kind), **patch)
    changed = children.child(kind)
    assert changed is not None
    assert changed["metadata"]["uid"] == before["metadata"]["uid"]
    eventually(f"{edit} is as it was: {_stated(before)}", lambda: _stated(children.child(kind)) == _stated(before))


def _stated(found: Manifest | None) -> tuple[object, ...]:
    """Returns the fields of a child that the operator sets."""
    assert found is not None
    meta = found["metadata"]
    others = ("deployment.kubernetes.io/revision",)
    annotations = {key: value for key, value in (meta.get("annotations") or {}).items() if key not in others}
    return found.get("spec"), meta.get("labels"), annotations, meta.get("ownerReferences")


def test_metadata_of_another_manager_stay(children: Children) -> None:
    on = children.on
    for kind in ("Service", "Ingress", "Workload"):
        added = {"annotations": {"example.com/seen": "yes"}, "labels": {"team": "blue"}}
        on.change(kind, APP, metadata=added)
    on.change("Service", APP, spec={"ports": [{"name": "http", "port": 82, "targetPort": "http", "protocol": "TCP"}]})
    eventually("the port is back", lambda: on.get("Service", APP)["spec"]["ports"][0]["port"] == 80)
    _has_looked(on, APP)
    for kind in ("Service", "Ingress", "Workload"):
        meta = on.get(kind, APP)["metadata"]
        assert (meta["annotations"]["example.com/seen"], meta["labels"]["team"]) == ("yes", "blue")


def test_a_workload_scaled_to_nothing_is_back_at_its_minimum(children: Children) -> None:
    on = children.on
    on.kubectl("scale", f"deployment.apps/{APP}", "--replicas=0", namespace=on.namespace)
    eventually("there is a replica again", lambda: on.workload(APP)["spec"]["replicas"] == 1)
    eventually("the user is told", lambda: "scaled to 1 again" in on.events(APP).get("Scaled", ""))
    on.until_settled(APP)
    on.until_condition(APP, "Ready", "True")


def test_a_repair_is_an_event(children: Children) -> None:
    on = children.on
    on.change("Service", APP, spec={"ports": [{"name": "http", "port": 83, "targetPort": "http", "protocol": "TCP"}]})
    message = eventually("the user is told", lambda: on.events(APP).get("Repaired"))
    assert f"{APP} was changed at " in message


# The hostname.


def test_the_app_has_its_hostname(children: Children) -> None:
    on = children.on
    ingress = on.get("Ingress", APP)
    assert ingress["spec"]["ingressClassName"] == "nginx"
    assert ingress["spec"]["tls"] == [{"hosts": ["shop.example.com"], "secretName": "cert"}]
    assert ingress["metadata"]["annotations"]["cert-manager.io/issuer"] == "main"
    assert on.get("App", APP)["status"]["hostname"] == "shop.example.com"
    assert on.get("App", KEYED)["status"]["hostname"] == f"{KEYED}.{on.namespace}.{DOMAIN}"
    assert on.get("Ingress", KEYED)["spec"]["rules"][0]["host"] == f"{KEYED}.{on.namespace}.{DOMAIN}"
    assert "shop.example.com" in on.kubectl("get", "apps.dynamiq", namespace=on.namespace).stdout


def test_fields_removed_from_the_app_are_removed_from_its_ingress(children: Children) -> None:
    on = children.on
    route = exposed("Ingress", className="nginx", tls={"secretName": "cert"}, annotations={"cert-manager.io/issuer": "main"})
    on.app("routed", public(), with_hostname("routed.example.com"), route)
    eventually("there is an Ingress", lambda: on.find("Ingress", "routed"))
    on.change("App", "routed", spec={"exposure": {"tls": None, "annotations": None, "className": None}})

    def bare() -> bool:
        found = on.get("Ingress", "routed")
        stated = {"tls", "ingressClassName"} & set(found["spec"])
        return not stated and "cert-manager.io/issuer" not in found["metadata"].get("annotations", {})

    eventually("the Ingress has neither", bare)
    on.change("App", "routed", spec={"hostname": None, "exposure": {"type": "ClusterIP"}})
    eventually("there is no Ingress", lambda: on.find("Ingress", "routed") is None)
    inside = f"routed.{on.namespace}.svc"
    eventually("the App says so", lambda: on.get("App", "routed")["status"]["hostname"] == inside)


# Keys.


def test_the_keys_are_the_users(children: Children) -> None:
    on, name = children.on, names.access_keys(KEYED)
    on.change("Secret", name, stringData={"default": "chosen-by-a-user"}, metadata={"labels": {"team": "blue"}})
    before = on.get("Secret", name)
    _has_looked(on, KEYED)
    assert on.find("Secret", names.access_keys(APP)) is None, "a public App has none"
    assert on.get("Secret", name)["metadata"]["resourceVersion"] == before["metadata"]["resourceVersion"]


def test_deleted_keys_are_made_anew(children: Children) -> None:
    on, name = children.on, names.access_keys(KEYED)
    before = on.key(KEYED)
    _has_looked(on, KEYED)  # so that it has just seen the Secret
    on.delete("Secret", name)
    eventually("there are keys again, by the resync of one App every 3 s", lambda: on.find("Secret", name))
    assert on.key(KEYED) != before
    assert list(on.get("Secret", name)["data"]) == ["default"]


def _has_looked(on: Stage, app: str) -> None:
    """Waits until the operator has acted on a change of the App: it has then decided everything before it."""
    on.change("App", app, spec={"displayName": "Looked at"})
    generation = on.get("App", app)["metadata"]["generation"]
    eventually("the operator has looked", lambda: on.get("App", app)["status"]["observedGeneration"] == generation)
