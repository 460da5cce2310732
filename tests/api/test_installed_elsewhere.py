"""The whole installation in a namespace of another name, by an overlay's `namespace:`: rights, policies, lease, claims and the API."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import admission
from tests.support import factories as given
from tests.support.admission import MANIFESTS, admin, flow_map, made, refused
from tests.support.api import Api, Manifest
from tests.support.cluster import Kubectl
from tests.support.factories import in_namespace, numbered, row_manifest
from tests.support.history_stage import HistoryStage
from tests.support.operator import Operator, install_rights, logged_in
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("guarded")

ELSEWHERE = "dynamiq"
"""A prefix of the usual name: code that compares only prefixes of names would confuse the two."""


@contextlib.contextmanager
def installed(cluster: Cluster, overlay: Path, namespace: str) -> Iterator[list[Manifest]]:
    """Installs everything of a one-line overlay, then restores the operator of the other tests."""
    kubectl, api = Kubectl(cluster), Api.of(cluster)
    overlay.mkdir()
    (overlay / "kustomization.yaml").write_text(f"namespace: {namespace}\nresources: [{os.path.relpath(MANIFESTS, overlay)}]\n")
    try:
        kubectl("apply", "--server-side", "--force-conflicts", "-k", str(overlay))
        eventually("the policies know the operator by its new name", lambda: knows(api, account(namespace)))
        yield kubectl.kustomized(overlay)
    finally:
        kubectl("delete", "--ignore-not-found", "namespace", namespace)
        kubectl("apply", "--server-side", "--force-conflicts", "-k", str(admission.POLICIES))
        install_rights(cluster)
        eventually("the policies know the operator as it was", lambda: knows(api, account(OPERATOR_NAMESPACE)))


def account(namespace: str) -> str:
    return f"system:serviceaccount:{namespace}:dynamiq-operator"


def knows(api: Api, user: str) -> bool:
    """Returns True if the policies accept `user` as the operator, who alone numbers rows."""
    return admin(api, user).create(row_manifest("probe", in_namespace("default"), numbered(1)), dry_run=True).ok


def test_an_installation_elsewhere_works_and_has_no_rights_in_the_default_namespace(
    cluster: Cluster, stage: HistoryStage, tmp_path: Path
) -> None:
    kubectl, api, namespace = stage.kubectl, stage.api, ELSEWHERE
    with installed(cluster, tmp_path / "overlay", namespace) as objects:
        assert OPERATOR_NAMESPACE not in json.dumps(objects), "a name that does not follow the overlay"
        host = f"chat.{stage.namespace}.example.test"
        with Operator(logged_in(cluster, tmp_path, namespace), tmp_path, [stage.namespace], home=namespace):
            stage.apply(stage.declared("v1", given.with_hostname(host)))
            row = stage.until_served("v1")
            eventually("it has its route", lambda: stage.find("Ingress", given.NAME))
        found = stage.get(kinds.ROW.kind, row)
        assert found["spec"]["pinned"]["createdByVerified"], "the stamp works there"
        assert api.get("ConfigMap", names.claim(host), namespace).ok, "the claim is in its namespace"
        assert api.request("GET", f"/apis/coordination.k8s.io/v1/namespaces/{namespace}/leases/dynamiq-operator").ok
        for user in (account(OPERATOR_NAMESPACE), account(f"{namespace}2"), admission.ADMIN):
            refused(admission.set_status(admin(api, user), found, dry_run=True), "status is written by the operator")
            refused(admin(api, user).delete(found), "is history")
            refused(admin(api, user).create(row_manifest("b", in_namespace(stage.namespace), numbered(9))), "are written by the operator")
        (flow,) = stage.flows()
        refused(admin(api, account(OPERATOR_NAMESPACE)).delete(stage.named("ConfigMap", flow)), "has a flow that rows name")
        made(admission.set_status(admin(api, account(namespace)), found, dry_run=True))
        for user, may in (
            (f"system:serviceaccount:{namespace}:dynamiq-api", "yes"),
            (f"system:serviceaccount:{OPERATOR_NAMESPACE}:dynamiq-api", "no"),
        ):
            assert kubectl("auth", "can-i", "list", "apps.dynamiq.getdynamiq.ai", "-A", f"--as={user}", check=False).stdout.strip() == may


def test_without_the_operators_binding_only_ours_stands_still(cluster: Cluster, stage: HistoryStage) -> None:
    """Protection fails closed for our objects, and objects of others are not affected."""
    api, kubectl = stage.api, stage.kubectl
    flow = made(admission.operator(api).create(flow_map(stage.namespace)))
    other = made(api.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "theirs", "namespace": stage.namespace}}))
    row = row_manifest("kept", in_namespace(stage.namespace))
    kubectl("delete", "clusterrolebinding", "dynamiq-operator")
    try:
        eventually("the API server has noticed", lambda: not api.create(row, dry_run=True).ok)
        assert not knows(api, admission.OPERATOR)
        assert not admission.operator(api).delete(flow).ok
        made(api.merge(other, {"data": {"a": "b"}}))
        assert api.delete(other).ok
    finally:
        install_rights(cluster)
        eventually("the policies know the operator again", lambda: knows(api, admission.OPERATOR))
