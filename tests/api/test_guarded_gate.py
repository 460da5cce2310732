"""The gate's account writes endpoints of its own slices and wakes Apps. The API server refuses everything else to it."""

from __future__ import annotations

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support import gates
from tests.support.admission import admin, made, refused
from tests.support.api import Api, Manifest
from tests.support.gates import USER
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded", "rights")

ENDPOINT = {
    "addresses": ["10.9.0.1"],
    "conditions": {"ready": True},
    "targetRef": {"kind": "Pod", "namespace": names.GATE_NAMESPACE, "name": "gate-a", "uid": "uid-a"},
}


@pytest.fixture(scope="module")
def rights(cluster: Cluster) -> None:
    gates.install_rights(cluster)


def gate(api: Api) -> Api:
    """Returns a client of the gate's user with every RBAC right: only the policies can refuse it."""
    return admin(api, USER)


@pytest.fixture
def slice_(api: Api, namespace: str) -> Manifest:
    return made(api.create(gates.gate_slice(namespace, "chat", 20001)))


def test_it_writes_the_endpoints_of_its_slices(api: Api, slice_: Manifest) -> None:
    written = made(gate(api).merge(slice_, {"endpoints": [ENDPOINT]}))
    assert written["endpoints"] == [ENDPOINT]
    assert not made(gate(api).merge(slice_, {"endpoints": []}))["endpoints"]


@pytest.mark.parametrize(
    "patch",
    [
        {"metadata": {"labels": {names.SERVICE_OF_SLICE_LABEL: "other"}}},
        {"metadata": {"annotations": {names.GATE_ANNOTATION: "{}"}}},
        {"metadata": {"finalizers": ["example.com/for-ever"]}},
        {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "x", "uid": "x"}]}},
        {"ports": [{"name": "http", "port": 443, "protocol": "TCP"}]},
    ],
    ids=["label", "annotation", "finalizer", "owner", "port"],
)
def test_it_changes_nothing_else_of_them(api: Api, slice_: Manifest, patch: Manifest) -> None:
    refused(gate(api).merge(slice_, patch), "only the endpoints of a slice")
    made(api.merge(slice_, patch, dry_run=True))  # whom it is no concern of


@pytest.mark.parametrize(
    "target",
    [None, {"kind": "Pod", "namespace": "default", "name": "x", "uid": "x"}, {"kind": "Node", "name": "x"}],
    ids=["nobody", "a pod of others", "a node"],
)
def test_it_leads_callers_to_its_own_pods_alone(api: Api, slice_: Manifest, target: Manifest | None) -> None:
    endpoint = {key: value for key, value in {**ENDPOINT, "targetRef": target}.items() if value is not None}
    refused(gate(api).merge(slice_, {"endpoints": [endpoint]}), "only to pods of its own namespace")


@pytest.mark.parametrize("label", [names.GATE_LABEL, names.SLICE_MANAGER_LABEL])
def test_it_writes_no_slices_of_others(api: Api, namespace: str, label: str) -> None:
    manifest = gates.gate_slice(namespace, "theirs", 20002)
    del manifest["metadata"]["labels"][label]
    other = made(api.create(manifest))
    refused(gate(api).merge(other, {"endpoints": [ENDPOINT]}), "only slices of sleeping Apps")
    made(api.merge(other, {"endpoints": [ENDPOINT]}, dry_run=True))


def workload(namespace: str, name: str, replicas: int, **labels: str) -> Manifest:
    spec = {"containers": [{"name": "runtime", "image": "registry.test/runtime:1"}]}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            "replicas": replicas,
            "paused": True,  # no pod is wanted
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def scale(api: Api, deployment: Manifest, replicas: int, *, dry_run: bool = False) -> Manifest:
    return made(api.merge(deployment, {"spec": {"replicas": replicas}}, subresource="/scale", dry_run=dry_run))


PLAIN = names.pod_selector("chat")
OF_PINS = {**PLAIN, names.PINS_LABEL: "0123abcd"}
FINISHING = names.finishing_selector("chat", "0123abcd")


@pytest.mark.parametrize("labels", [PLAIN, OF_PINS, FINISHING], ids=["plain", "of strategy Switch", "that finishes runs"])
def test_it_scales_an_apps_workload_from_0_to_1(api: Api, namespace: str, labels: dict[str, str]) -> None:
    asleep = made(api.create(workload(namespace, "chat", 0, **labels)))
    assert scale(gate(api), asleep, 1)["spec"]["replicas"] == 1


@pytest.mark.parametrize("labels", [PLAIN, OF_PINS, FINISHING], ids=["plain", "of strategy Switch", "that finishes runs"])
@pytest.mark.parametrize(("before", "after"), [(0, 2), (1, 1), (1, 0), (5, 1), (3, 4)])
def test_it_scales_no_app_otherwise(api: Api, namespace: str, before: int, after: int, labels: dict[str, str]) -> None:
    app = made(api.create(workload(namespace, "chat", before, **labels)))
    answer = gate(api).merge(app, {"spec": {"replicas": after}}, subresource="/scale")
    assert (answer.status, answer.body["reason"]) == (422, "Invalid")  # by which the gate knows that it is awake
    assert "only from 0 to 1" in answer.message
    scale(api, app, after, dry_run=True)  # whom it is no concern of


@pytest.mark.parametrize("label", ["app", names.TRIGGER_OF_LABEL, f"{names.FINISHING_OF_LABEL}.not"])
def test_it_scales_no_workload_of_others(api: Api, namespace: str, label: str) -> None:
    other = made(api.create(workload(namespace, "theirs", 0, **{label: "theirs"})))
    refused(gate(api).merge(other, {"spec": {"replicas": 1}}, subresource="/scale"), "only workloads of Apps")
    refused(
        gate(api).merge(other, {"spec": {"replicas": 1}, "status": {"selector": f"{names.APP_LABEL}=x"}}, subresource="/scale"),
        "only workloads of Apps",
    )


def test_it_reads_no_secret_of_a_tenant(api: Api, namespace: str) -> None:
    own = api.acting_as(USER)
    eventually("its own rights apply", lambda: own.request("GET", f"/api/v1/namespaces/{names.GATE_NAMESPACE}/secrets").ok)
    for where in (namespace, ""):
        url = f"/api/v1/namespaces/{where}/secrets" if where else "/api/v1/secrets"
        assert own.request("GET", url).status == 403
    for url in (
        f"/api/v1/namespaces/{namespace}/secrets/any",
        "/api/v1/pods",
        "/api/v1/configmaps",
        "/apis/apps/v1/deployments",
        "/apis/dynamiq.getdynamiq.ai/v1alpha1/apps",
    ):
        assert own.request("GET", url).status == 403
