"""Sends requests to the tests' cluster under the identities that its admission policies distinguish.

Most tests use the bare resources: only modules with the fixture `guarded`, which come last, have the policies.
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
"""The user of all controllers, if the cluster gives them no accounts of their own."""

SYSTEM = (COLLECTOR, NAMESPACE_CONTROLLER, SHARED_CONTROLLER)

ADMIN = "admin"
"""The user of the tests' kubeconfig: a cluster administrator, in the group that RBAC refuses nothing."""

ADMINS = "system:masters"
RESTORERS = "dynamiq:restorers"
SYNC, PRUNE = "argocd.argoproj.io/sync-options", "kustomize.toolkit.fluxcd.io/prune"
RESTORING = "dynamiq.getdynamiq.ai/restoring"
NOBODY = "00000000-0000-0000-0000-000000000000"
"""A uid that no object has."""

_STAMPS = names.MUTATING_POLICIES
"""The last one is the probe."""


def admin(api: Api, user: str) -> Api:
    """Returns requests as `user`, whom RBAC refuses nothing: only the policies can."""
    return api.acting_as(user, ADMINS)


def operator(api: Api) -> Api:
    return admin(api, OPERATOR)


def restorer(api: Api, user: str = "restorer") -> Api:
    """Returns requests with the rights of `manifests/rbac/restorer.yaml` alone."""
    return api.acting_as(user, RESTORERS)


@contextlib.contextmanager
def without_stamps(cluster: Cluster) -> Iterator[None]:
    """Runs the block without stamping policies, as in `manifests/overlays/before-1.36`; those that refuse stay."""
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
        versions.apply_policies(cluster, POLICIES)  # in their order: the last is the probe
        eventually("the policies stamp again", lambda: is_stamped(api))


def is_stamped(api: Api) -> bool:
    """Returns True if policies stamp: the last of them does, since the API server reads them in order."""
    row = api.create(row_manifest("probe", in_namespace("default")), dry_run=True)
    assert row.ok, row.message
    return "createdBy" in row.body["spec"]


def wait_until_all_refuse(api: Api) -> None:
    """Waits until a late one of the policies refuses: the API server reads them in the order in which they were applied."""
    probe = app_manifest(with_meta(name="policy-probe", namespace="default"))
    assert api.apply(probe).ok
    try:
        eventually("the last policy works", lambda: set_status(api, probe, dry_run=True).status == 403)
    finally:
        api.delete(probe)


def set_status(api: Api, manifest: Manifest, **options: Any) -> Answer:
    """Writes the status of an App or a row."""
    status = {"lastSequence": 1} if manifest["kind"] == "App" else {"phase": "Live"}
    return api.merge(manifest, {"status": status}, subresource="/status", **options)


def owned_by(app: Manifest, **more: Any) -> Manifest:
    """Returns the ownerReference to a stored App, changed by `more`."""
    return {"apiVersion": API_VERSION, "kind": "App", "name": app["metadata"]["name"], "uid": app["metadata"]["uid"], **more}


def flow_map(namespace: str, **metadata: Any) -> Manifest:
    """Returns the ConfigMap of a flow, as the operator makes it."""
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
    """Returns the object of an answer, which must be no refusal."""
    assert answer.ok, answer.message
    return answer.body


def refused(answer: Answer, *texts: str) -> None:
    """Asserts that a policy refused, with each of `texts` in its message."""
    assert answer.status == 403, f"{answer.status}: {answer.message}"
    assert answer.body.get("reason") == "Forbidden"
    for text in ("ValidatingAdmissionPolicy", *texts):
        assert text in answer.message


def adopt(api: Api, app: Manifest, *rows: Manifest) -> None:
    """Makes the App the owner of its rows, like the operator."""
    for row in rows:
        made(operator(api).merge(row, {"metadata": {"ownerReferences": [owned_by(app, controller=True)]}}))


def essence(row: Manifest) -> bytes:
    """Returns all of a row that nobody may change, as bytes."""
    metadata = row["metadata"]
    return json.dumps([row["spec"], metadata.get("ownerReferences"), metadata.get("finalizers")], sort_keys=True).encode()


def without(manifest: Manifest, *fields: str) -> Manifest:
    """Returns a copy without these fields of the spec."""
    copied = copy.deepcopy(manifest)
    copied["spec"] = {name: value for name, value in copied["spec"].items() if name not in fields}
    return copied
