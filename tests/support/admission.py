"""The admission policies on the tests' cluster, and requests under the identities that they tell apart.

Most tests look at the bare resources: the policies are there for modules that ask for `guarded`, which come last.
"""

from __future__ import annotations

import contextlib
import copy
import json
from collections.abc import Iterator
from typing import Any

from dynamiq_operator.model import digests, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import versions
from tests.support.api import Answer, Api, Manifest
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.factories import app_manifest, flow, in_namespace, row_manifest, with_meta
from tests.support.waiting import eventually

MANIFESTS = REPOSITORY / "manifests"
POLICIES = MANIFESTS / "admission"
OPERATOR = f"system:serviceaccount:{OPERATOR_NAMESPACE}:dynamiq-operator"
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
NAMESPACE_CONTROLLER = "system:serviceaccount:kube-system:namespace-controller"
SHARED_CONTROLLER = "system:kube-controller-manager"
"""All controllers, where the cluster gives them no accounts of their own."""

SYSTEM = (COLLECTOR, NAMESPACE_CONTROLLER, SHARED_CONTROLLER)

ADMIN = "admin"
"""Who the tests' kubeconfig is: a cluster administrator, of the group that RBAC refuses nothing."""

ADMINS = "system:masters"
RESTORERS = "dynamiq:restorers"
SYNC, PRUNE = "argocd.argoproj.io/sync-options", "kustomize.toolkit.fluxcd.io/prune"
RESTORING = "dynamiq.getdynamiq.ai/restoring"
NOBODY = "00000000-0000-0000-0000-000000000000"
"""A uid that no object has."""

_STAMPS = names.MUTATING_POLICIES
"""The last is the one that is looked at."""


def admin(api: Api, user: str) -> Api:
    """Requests as `user`, whom RBAC refuses nothing: only the policies can."""
    return api.acting_as(user, ADMINS)


def operator(api: Api) -> Api:
    return admin(api, OPERATOR)


def restorer(api: Api, user: str = "restorer") -> Api:
    """With the rights of `manifests/rbac/restorer.yaml`, and no other."""
    return api.acting_as(user, RESTORERS)


@contextlib.contextmanager
def without_stamps(cluster: Cluster) -> Iterator[None]:
    """As `manifests/overlays/before-1.36` has it: what refuses is there, and nothing stamps."""
    kubectl, api = Kubectl(cluster), Api.of(cluster)
    if not versions.stamps(cluster):
        assert not is_stamped(api), "nothing can stamp on this Kubernetes"
        yield
        return
    kubectl("delete", "mutatingadmissionpolicybinding", *_STAMPS)
    try:
        eventually("nothing is stamped", lambda: not is_stamped(api))
        yield
    finally:
        versions.apply_policies(cluster, POLICIES)  # in their order: the last is looked at
        eventually("the policies stamp again", lambda: is_stamped(api))


def is_stamped(api: Api) -> bool:
    """Whether policies stamp: by the last of them, since the API server learns of them in their order."""
    row = api.create(row_manifest("probe", in_namespace("default")), dry_run=True)
    assert row.ok, row.message
    return "createdBy" in row.body["spec"]


def wait_until_all_refuse(api: Api) -> None:
    """Waits until a late one of the policies refuses: the API server learns of them in the order in which they were applied."""
    probe = app_manifest(with_meta(name="policy-probe", namespace="default"))
    assert api.apply(probe).ok
    try:
        eventually("the last policy works", lambda: set_status(api, probe, dry_run=True).status == 403)
    finally:
        api.delete(probe)


def set_status(api: Api, manifest: Manifest, **options: Any) -> Answer:
    """A write of an App's or a row's status."""
    status = {"lastSequence": 1} if manifest["kind"] == "App" else {"phase": "Live"}
    return api.merge(manifest, {"status": status}, subresource="/status", **options)


def owned_by(app: Manifest, **more: Any) -> Manifest:
    """The ownerReference to an App as it is stored, or as `more` has it."""
    return {"apiVersion": API_VERSION, "kind": "App", "name": app["metadata"]["name"], "uid": app["metadata"]["uid"], **more}


def flow_map(namespace: str, **metadata: Any) -> Manifest:
    """The ConfigMap of a flow, as the operator makes it."""
    text = flow("v1")
    flow_hash = digests.flow_hash(text)
    meta = {
        "name": names.flow("chat", flow_hash),
        "namespace": namespace,
        "labels": names.labels("chat"),
        "annotations": {names.FLOW_HASH_ANNOTATION: flow_hash},
        **metadata,
    }
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "immutable": True, "data": {"flow": text}}


def made(answer: Answer) -> Manifest:
    """The object of an answer that was not a refusal."""
    assert answer.ok, answer.message
    return answer.body


def refused(answer: Answer, *says: str) -> None:
    """The answer is a refusal by a policy, and says each of `says`."""
    assert answer.status == 403, f"{answer.status}: {answer.message}"
    assert answer.body.get("reason") == "Forbidden"
    for one in ("ValidatingAdmissionPolicy", *says):
        assert one in answer.message


def adopt(api: Api, app: Manifest, *rows: Manifest) -> None:
    """What the operator does: it makes the App the owner of its rows."""
    for row in rows:
        made(operator(api).merge(row, {"metadata": {"ownerReferences": [owned_by(app, controller=True)]}}))


def essence(row: Manifest) -> bytes:
    """All of a row that nobody may change, as bytes."""
    metadata = row["metadata"]
    return json.dumps([row["spec"], metadata.get("ownerReferences"), metadata.get("finalizers")], sort_keys=True).encode()


def without(manifest: Manifest, *fields: str) -> Manifest:
    """A copy without fields of the spec."""
    found = copy.deepcopy(manifest)
    found["spec"] = {name: value for name, value in found["spec"].items() if name not in fields}
    return found
