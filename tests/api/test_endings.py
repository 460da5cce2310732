"""A row ends with its App or its namespace, whether an operator runs or not, and in no other way."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support import versions
from tests.support.admission import NOBODY, admin, adopt, essence, made, operator, owned_by, refused, restorer
from tests.support.api import Answer, Api, Manifest, fresh_namespace, path
from tests.support.cluster import Kubectl
from tests.support.factories import app_manifest, in_namespace, live, row_manifest, superseded, with_meta, with_spec
from tests.support.operator import Operator
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

ROWS = 10
COLLECTION = "/apis/dynamiq.getdynamiq.ai/v1alpha1/namespaces/{}/deployments"


def history(api: Api, namespace: str, rows: int, **spec: Manifest) -> tuple[Manifest, list[Manifest]]:
    """Returns an App with rows and the ConfigMaps of their flows, all owned by it, as the operator leaves them."""
    app = made(api.create(app_manifest(in_namespace(namespace), with_spec(**spec))))
    found = []
    for number in range(1, rows + 1):
        state = live(number) if number == rows else superseded(number)
        row = row_manifest(f"row-{number}", in_namespace(namespace), state, with_meta(labels={"of": "history"}))
        found.append(made(restorer(api).create(row)))
        flow: Manifest = {
            "apiVersion": "v1",
            "kind": "ConfigMap",
            "metadata": {
                "name": f"flow-{number}",
                "namespace": namespace,
                "labels": names.labels("chat"),
                "annotations": {names.FLOW_HASH_ANNOTATION: f"sha256:{number:064}"},
                "ownerReferences": [owned_by(app, controller=True)],
            },
            "immutable": True,
            "data": {"flow": str(number)},
        }
        made(operator(api).create(flow))
    adopt(api, app, *found)
    return app, [made(api.read(row)) for row in found]


def until_collector_knows(api: Api, namespace: str) -> None:
    """Waits until the garbage collector has seen the existing rows: a row that it has not seen outlives its owner for a while.

    The collector works in order: it has seen them once it deletes a row that was adopted later.
    """
    app = made(api.create(app_manifest(in_namespace(namespace), name="last")))
    row = made(restorer(api).create(row_manifest("last", in_namespace(namespace), with_spec(app="last"))))
    adopt(api, app, row)
    assert api.delete(app).ok
    eventually("a row that was adopted later is gone", lambda: api.read(row).status == 404)


def rows_of(api: Api, namespace: str) -> list[Manifest]:
    items: list[Manifest] = made(api.request("GET", COLLECTION.format(namespace)))["items"]
    return items


def flows_of(api: Api, namespace: str) -> list[Manifest]:
    items: list[Manifest] = made(api.get("ConfigMap", "", namespace, labelSelector=names.MANAGED_SELECTOR))["items"]
    return items


# In no other way.

ByKubectl = list[str]
DELETES: dict[str, ByKubectl] = {
    "by name": ["delete", "ddep", "row-1"],
    "by force": ["delete", "ddep", "row-1", "--force", "--grace-period=0"],
    "now": ["delete", "ddep", "row-1", "--now"],
    "with what it owns": ["delete", "ddep", "row-1", "--cascade=foreground"],
    "without what it owns": ["delete", "ddep", "row-1", "--cascade=orphan"],
    "all": ["delete", "ddep", "--all"],
    "all by force": ["delete", "ddep", "--all", "--force", "--grace-period=0"],
    "by label": ["delete", "ddep", "-l", "of=history"],
    "by field": ["delete", "ddep", "--field-selector=spec.app=chat"],
    "the category": ["delete", "deployments.dynamiq.getdynamiq.ai", "--all", "--wait=false"],
}
ADMINISTRATORS = (
    "operator-of-the-cluster",
    "system:admin",
    "system:apiserver",
    "system:serviceaccount:kube-system:clusterrole-aggregation-controller",
)
"""Users who may do everything, and delete no row."""


@dataclass(frozen=True)
class Kept:
    """An App with two rows that no test can delete."""

    namespace: str
    app: Manifest
    rows: list[Manifest]

    def unchanged(self, api: Api) -> None:
        unchanged(api, self.namespace, self.rows)


@pytest.fixture(scope="module")
def kept(cluster: Cluster, guarded: None) -> Iterator[Kept]:
    api = Api.of(cluster)
    with fresh_namespace(api, "kept") as namespace:
        yield Kept(namespace, *history(api, namespace, 2))


@pytest.mark.parametrize("what", DELETES)
def test_kubectl_deletes_no_row(api: Api, kubectl: Kubectl, kept: Kept, what: str) -> None:
    done = kubectl(*DELETES[what], namespace=kept.namespace, check=False)
    assert done.returncode != 0
    assert "orbidden" in done.stderr
    kept.unchanged(api)


def test_neither_replacing_nor_pruning_deletes_one(api: Api, kubectl: Kubectl, namespace: str) -> None:
    _, before = history(api, namespace, 2)
    sent = [row_manifest(row["metadata"]["name"], in_namespace(namespace)) for row in before]
    forced = kubectl("replace", "--force", "-f", "-", input=sent, check=False)
    assert "it ends with its App or its namespace" in forced.stderr
    labelled = with_meta(labels={"of": "git"})
    kubectl("apply", "-f", "-", input=row_manifest("applied", in_namespace(namespace), labelled))
    pruning = ("apply", "--selector=of=git", "--prune", "--prune-allowlist=dynamiq.getdynamiq.ai/v1alpha1/Deployment", "-f", "-")
    pruned = kubectl(*pruning, input=row_manifest("other", in_namespace(namespace), labelled), namespace=namespace, check=False)
    assert "it ends with its App or its namespace" in pruned.stderr
    assert {row["metadata"]["name"] for row in rows_of(api, namespace)} == {"row-1", "row-2", "applied", "other"}
    unchanged(api, namespace, before)


def test_nor_does_a_set_of_what_was_applied(api: Api, kubectl: Kubectl, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL_APPLYSET", "true")  # kubectl still asks for it
    members = [row_manifest(name, in_namespace(namespace)) for name in ("first", "second")]
    arguments = ("apply", "--server-side", "--prune", "--applyset=configmap/members", "-f", "-")
    kubectl(*arguments, input=members, namespace=namespace)
    before = rows_of(api, namespace)
    assert len(before) == len(members)
    done = kubectl(*arguments, input=members[:1], namespace=namespace, check=False)
    assert "it ends with its App or its namespace" in done.stderr
    unchanged(api, namespace, before, flows=False)


def requests(api: Api, app: Manifest, row: Manifest) -> dict[str, Callable[[], Answer]]:
    """Returns plain requests that would end a row, by name."""
    namespace = row["metadata"]["namespace"]
    collection, finalize = COLLECTION.format(namespace), f"/api/v1/namespaces/{namespace}/finalize"
    space = made(api.get("Namespace", namespace, ""))
    gone = {"apiVersion": "v1", "kind": "ConfigMap", "name": "gone", "uid": NOBODY}
    return {
        "delete": lambda: api.delete(row),
        "delete in the foreground": lambda: api.delete(row, propagationPolicy="Foreground"),
        "delete in the background at once": lambda: api.delete(row, propagationPolicy="Background", gracePeriodSeconds=0),
        "delete as an orphan": lambda: api.delete(row, propagationPolicy="Orphan"),
        "delete what cannot be read": lambda: api.delete(row, ignoreStoreReadErrorWithClusterBreakingPotential=True),
        "delete this one": lambda: api.delete(row, preconditions={"uid": row["metadata"]["uid"]}),
        "delete the collection": lambda: api.request("DELETE", collection),
        "delete the collection as a restorer": lambda: restorer(api).request("DELETE", collection),
        **{
            f"delete the collection as {user}": lambda user=user: admin(api, user).request("DELETE", collection)  # type: ignore[misc]
            for user in ADMINISTRATORS
        },
        "delete the collection by label": lambda: api.request("DELETE", collection, query={"labelSelector": "of=history"}),
        "set the time of its deletion": lambda: api.merge(row, {"metadata": {"deletionTimestamp": "2026-01-01T00:00:00Z"}}),
        "add a finalizer": lambda: api.merge(row, {"metadata": {"finalizers": ["a.test/b"]}}),
        "add the collector's finalizer": lambda: api.merge(row, {"metadata": {"finalizers": ["foregroundDeletion"]}}),
        "replace its owner": lambda: api.merge(row, {"metadata": {"ownerReferences": [gone]}}),
        "add an owner": lambda: api.json_patch(row, {"op": "add", "path": "/metadata/ownerReferences/-", "value": gone}),
        "change its owner's uid": lambda: api.json_patch(
            row, {"op": "replace", "path": "/metadata/ownerReferences/0/uid", "value": NOBODY}
        ),
        "apply a finalizer and an owner": lambda: api.apply(applied(row, finalizers=["a.test/b"], ownerReferences=[gone])),
        "the same through its status": lambda: api.merge(row, {"metadata": {"ownerReferences": [gone]}}, subresource="/status"),
        "end the namespace's finalizers": lambda: api.request("PUT", finalize, {**space, "spec": {"finalizers": []}}),
        "evict it": lambda: api.request("POST", path(row) + "/eviction", {"apiVersion": "policy/v1", "kind": "Eviction"}),
        "protect and delete its App": lambda: (api.merge(app, {"spec": {"history": {"protect": True}}}), api.delete(app))[1],
    }


HARMLESS = ("set the time of its deletion", "end the namespace's finalizers")


def applied(row: Manifest, **metadata: object) -> Manifest:
    meta = {name: row["metadata"][name] for name in ("name", "namespace")}
    return {"apiVersion": row["apiVersion"], "kind": row["kind"], "metadata": {**meta, **metadata}, "spec": {"app": row["spec"]["app"]}}


def test_no_request_ends_a_row(api: Api, kept: Kept) -> None:
    tried = requests(api, kept.app, kept.rows[0])
    accepted = [what for what, send in tried.items() if send().ok]
    assert set(accepted) <= set(HARMLESS)
    kept.unchanged(api)
    print(f"{len(tried)} requests and {len(DELETES)} forms of kubectl delete: 0 rows gone")


def test_an_app_that_is_deleted_without_its_rows_leaves_them(api: Api, namespace: str) -> None:
    app, before = history(api, namespace, 2)
    until_collector_knows(api, namespace)
    assert api.delete(app, propagationPolicy="Orphan").ok
    eventually("the App is gone", lambda: api.read(app).status == 404)
    assert {row["metadata"]["name"] for row in rows_of(api, namespace)} == {row["metadata"]["name"] for row in before}
    assert all("ownerReferences" not in row["metadata"] for row in rows_of(api, namespace))


def unchanged(api: Api, namespace: str, before: list[Manifest], *, flows: bool = True) -> None:
    """Asserts that the rows are as before. `flows`: the ConfigMap of each row's flow exists, too."""
    found = {row["metadata"]["name"]: row for row in rows_of(api, namespace)}
    for row in before:
        again = found[row["metadata"]["name"]]
        assert again["metadata"]["uid"] == row["metadata"]["uid"]
        assert "deletionTimestamp" not in again["metadata"]
        assert essence(again) == essence(row)
    assert len(flows_of(api, namespace)) == (len(before) if flows else 0)


# With the App, or the namespace.


CHILDREN = {"Service": "v1", "Secret": "v1", "ConfigMap": "v1", "Deployment": "apps/v1"}


Beside = Callable[[Manifest, bool], contextlib.AbstractContextManager[None]]


@pytest.fixture
def beside(api: Api, account: Path, tmp_path: Path) -> Beside:
    """Returns a function that runs an operator in an App's namespace while a block runs, or none. The operator has acted on the App."""

    @contextlib.contextmanager
    def one(app: Manifest) -> Iterator[None]:
        with Operator(account, tmp_path, [app["metadata"]["namespace"]]):
            eventually("the operator has seen the App", lambda: "observedGeneration" in made(api.read(app)).get("status", {}))
            yield

    return lambda app, wanted: one(app) if wanted else contextlib.nullcontext()


def children_of(api: Api, namespace: str) -> list[str]:
    """Returns the names of all children of Apps, flows included."""
    listed = {
        kind: made(api.get(kind, "", namespace, api_version=version, labelSelector=names.MANAGED_SELECTOR))
        for kind, version in CHILDREN.items()
    }
    return [f"{kind} {each['metadata']['name']}" for kind, found in listed.items() for each in found["items"]]


@pytest.mark.parametrize(
    ("policy", "operates"),
    [("Background", True), ("Foreground", True), ("Background", False)],
    ids=["in the background", "in the foreground", "without an operator"],
)
def test_rows_and_flows_go_with_their_app(api: Api, namespace: str, beside: Beside, policy: str, operates: bool) -> None:
    app, _ = history(api, namespace, ROWS)
    with beside(app, operates):
        assert api.delete(app, propagationPolicy=policy).ok
        eventually("nothing is left", lambda: not rows_of(api, namespace) and not children_of(api, namespace))
        eventually("the App is gone", lambda: api.read(app).status == 404)
    # An operator that saw a child's end before the App's end made the child again. It has no owner, and the collector deletes it too.
    eventually("none came back", lambda: not children_of(api, namespace))


@pytest.mark.parametrize("protected", [False, True], ids=["free, without an operator", "protected, beside an operator"])
def test_rows_and_flows_go_with_their_namespace(cluster: Cluster, api: Api, beside: Beside, protected: bool) -> None:
    with fresh_namespace(api, "ends") as namespace, contextlib.ExitStack() as until_the_end:
        app, _ = history(api, namespace, ROWS, history={"protect": protected})
        until_the_end.enter_context(beside(app, protected))
        # A finalizer in the request must not block the end of the namespace.
        loose = api.create(row_manifest("loose", in_namespace(namespace), with_meta(finalizers=["a.test/b"])))
        if versions.stamps(cluster):
            made(loose)
        else:
            refused(loose, "leave them out")
        assert api.delete(made(api.get("Namespace", namespace, ""))).ok
        eventually("the namespace is gone", lambda: api.get("Namespace", namespace, "").status == 404)
