"""Takes and restores a backup like Velero: a stand-in that does to each object what Velero's source does (v1.18, pkg/restore).

It restores object by object, under its own account: without uid, owner, status and other fields of the cluster; with two more labels. Pods
lose their node, Services their address. Existing objects are left as they are. The managed fields of the backup are patched in after each
creation. Velero has an order of kinds; here any order must work. Tests of the real one are in `tests/soak/test_velero.py`.
"""

from __future__ import annotations

import contextlib
import copy
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from dynamiq_operator.model import kinds, names, ownership
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.views.verdict import check
from local.clusters import Cluster
from tests.support import factories, versions
from tests.support.api import Answer, Api, Manifest
from tests.support.cluster import Kubectl
from tests.support.history_stage import ADMIN, APP, HistoryStage, specs
from tests.support.restores import keys
from tests.support.waiting import eventually

ACCOUNT = "system:serviceaccount:velero:velero"
LABELS = {"velero.io/backup-name": "nightly", "velero.io/restore-name": "nightly-20261128"}
RESET = frozenset(
    {
        *("uid", "resourceVersion", "generation", "ownerReferences", "generateName", "selfLink"),
        *("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds"),
    }
)
OF_CLUSTER = ("kube-root-ca.crt",)
"""Objects that each namespace has by itself."""
BACKED_UP = (
    *((API_VERSION, kind.kind) for kind in kinds.KINDS if kind.namespaced),
    *(("v1", kind) for kind in ("ConfigMap", "Secret", "Service", "Pod")),
    *(("apps/v1", kind) for kind in ("Deployment", "ReplicaSet")),
    ("autoscaling/v2", "HorizontalPodAutoscaler"),
    ("policy/v1", "PodDisruptionBudget"),
    ("networking.k8s.io/v1", "Ingress"),
    ("networking.k8s.io/v1", "NetworkPolicy"),
    ("batch/v1", "CronJob"),
)
"""API version and kind of all objects of a namespace with Apps."""


@dataclass(frozen=True)
class Refusal:
    """An object that could not be restored."""

    what: str
    status: int
    message: str


@contextlib.contextmanager
def named(cluster: Cluster, *users: str) -> Iterator[None]:
    """Makes the policies accept these users as restorers while the block runs, as in `docs/backup.md`."""
    kubectl, api, stamps = Kubectl(cluster), Api.of(cluster), versions.stamps(cluster)
    note = ("annotate", "--overwrite", "clusterrolebinding", "dynamiq-operator")
    kubectl(*note, f"{names.RESTORERS_ANNOTATION}={','.join(users)}")
    try:
        eventually("the policies know who restores", lambda: all(restores(api, user, stamps) for user in users))
        yield
    finally:
        kubectl(*note, f"{names.RESTORERS_ANNOTATION}-")
        eventually("the policies know nobody", lambda: not any(_brings_back(api, user) or _says_who(api, user) for user in users))


def restores(api: Api, user: str, stamps: bool) -> bool:
    """Returns True if a user may restore a row unchanged. Policies that refuse and those that stamp, if any, are updated separately."""
    return _brings_back(api, user) and (_says_who(api, user) or not stamps)


def _brings_back(api: Api, user: str) -> bool:
    """Returns True if no policy refuses a row with a number."""
    return _tried(api, user, factories.numbered(1)).ok


def _says_who(api: Api, user: str) -> bool:
    """Returns True if a row may have another author than its creator."""
    answer = _tried(api, user, factories.with_spec(createdBy="nobody"))
    return answer.ok and answer.body["spec"].get("createdBy") == "nobody"


def _tried(api: Api, user: str, modify: factories.Modifier) -> Answer:
    return api.acting_as(user, ADMIN).create(factories.row_manifest("probe", factories.in_namespace("default"), modify), dry_run=True)


def backup(stage: HistoryStage) -> list[Manifest]:
    """Returns all restorable objects of a namespace, as they are stored."""
    objects: list[Manifest] = []
    for version, kind in BACKED_UP:
        listed = stage.api.get(kind, "", stage.namespace, api_version=version).body["items"]
        objects += [{"apiVersion": version, "kind": kind, **each} for each in listed]
    return [each for each in objects if each["metadata"]["name"] not in OF_CLUSTER and not _is_completed(each)]


def restore(api: Api, backed_up: Sequence[Manifest], namespace: str, order: random.Random) -> list[Refusal]:
    """Restores a backup into a namespace, in a random order; returns refused objects, without existing ones."""
    velero, failed = api.acting_as(ACCOUNT, ADMIN), list[Refusal]()
    for raw in order.sample(backed_up, len(backed_up)):
        sent = prepared(raw, namespace)
        answer = velero.create(sent)
        if answer.ok:
            fields = {"metadata": {"managedFields": raw["metadata"].get("managedFields")}}
            answer = velero.merge(sent, fields)
            if answer.status == HTTPStatus.NOT_FOUND:
                continue  # Velero does so, too: a ReplicaSet with all its pods adopts one more, and deletes it at once
        elif answer.body.get("reason") == "AlreadyExists":
            continue
        if not answer.ok:
            failed.append(Refusal(f"{sent['kind']} {sent['metadata']['name']}", answer.status, answer.message))
    return failed


def prepared(raw: Manifest, namespace: str) -> Manifest:
    """Returns an object of a backup as Velero sends it."""
    sent = copy.deepcopy(raw)
    sent.pop("status", None)
    sent["metadata"] = {key: value for key, value in sent["metadata"].items() if key not in RESET | {"managedFields"}}
    sent["metadata"] |= {"namespace": namespace, "labels": {**sent["metadata"].get("labels", {}), **LABELS}}
    if sent["kind"] == "Pod":
        sent["spec"] = {key: value for key, value in sent["spec"].items() if key not in ("nodeName", "priority")}
    if sent["kind"] == "Service" and sent["spec"].get("clusterIP") != "None":
        sent["spec"] = {key: value for key, value in sent["spec"].items() if key not in ("clusterIP", "clusterIPs")}
    return sent


def state(stage: HistoryStage) -> dict[str, Any]:
    """Returns the state that a restore must keep, whatever its namespace is."""
    rows = stage.rows(APP)
    return {
        "live": dict(stage.served()),
        "rows": specs(rows),
        "phases": {row["metadata"]["name"]: row["status"]["phase"] for row in rows},
        "verify": check(APP, rows, None),
        "runs": stage.mounted(),
        "made of": replica_sets(stage),
        "keys": keys(stage),
        "flows": stage.flows(),
    }


def require_undecided(stage: HistoryStage, before: Mapping[str, Any]) -> None:
    """Asserts that the restored objects are idle: the App has no live row, and no row has an owner."""
    app = stage.get(kinds.APP.kind, APP)
    assert app["metadata"]["annotations"][names.RESTORING_ANNOTATION] == "true"
    assert "live" not in app.get("status", {})
    rows = stage.rows(APP)
    assert specs(rows) == before["rows"]
    assert all(ownership.is_nobodys(row) for row in rows)


def replica_sets(stage: HistoryStage) -> set[str]:
    """Returns the names of the namespace's ReplicaSets, each derived from its pod template."""
    items: Iterable[Manifest] = stage.api.get("ReplicaSet", "", stage.namespace, api_version="apps/v1").body["items"]
    return {each["metadata"]["name"] for each in items}


def _is_completed(raw: Manifest) -> bool:
    """Returns True for completed objects, which Velero does not restore."""
    return raw["kind"] == "Pod" and raw.get("status", {}).get("phase") in ("Succeeded", "Failed")
