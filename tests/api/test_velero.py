"""A program restores a backup as Velero does: object by object, under its own account, in any order."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds, names, ownership
from local.clusters import Cluster
from tests.support import factories as given
from tests.support import restores, velero
from tests.support.admission import RESTORING, admin, made, refused
from tests.support.api import Api, Manifest, fresh_namespace
from tests.support.guards import approval_manifest, rejection_manifest
from tests.support.history_stage import APP, HistoryStage, counted
from tests.support.operator import Operator
from tests.support.velero import ACCOUNT
from tests.support.waiting import eventually

pytestmark = pytest.mark.usefixtures("policies")

TIMES = counted(20)
AT_ONCE = 4
"""Concurrent restores, each into its own namespace."""


@pytest.fixture
def targets(stage: HistoryStage) -> Iterator[list[HistoryStage]]:
    """Yields namespaces to restore into. Velero maps one namespace to another, and objects of a backup name it in metadata alone."""
    with contextlib.ExitStack() as stack:
        made_ = [stack.enter_context(fresh_namespace(stage.api, f"restored-{number}")) for number in range(TIMES)]
        yield [HistoryStage(stage.cluster, stage.api, stage.kubectl, each) for each in made_]


@pytest.fixture
def operator(account: Path, stage: HistoryStage, targets: list[HistoryStage], tmp_path: Path) -> Iterator[Operator]:
    with Operator(account, tmp_path, [stage.namespace, *(each.namespace for each in targets)]) as running:
        yield running


@pytest.fixture
def named(cluster: Cluster) -> Iterator[None]:
    """Names Velero's account as a restorer."""
    with velero.named(cluster, ACCOUNT):
        yield


@pytest.mark.full_count
@pytest.mark.timeout(1200)
def test_restores_in_any_order_end_as_it_was_and_start_no_pod_anew(
    stage: HistoryStage, targets: list[HistoryStage], operator: Operator, named: None
) -> None:
    live = restores.a_history(stage)
    stage.until_settled(APP)
    before, backup = velero.state(stage), velero.backup(stage)
    seed = random.SystemRandom().randrange(2**32)
    print(f"seed {seed}, {len(backup)} objects")
    orders = [random.Random(seed + number) for number in range(TIMES)]  # noqa: S311 - no secret depends on it

    def restore(target: HistoryStage, order: random.Random) -> list[velero.Refusal]:
        return velero.restore(target.api, backup, target.namespace, order)

    with ThreadPoolExecutor(AT_ONCE) as pool:
        failed = [each for refusals in pool.map(restore, targets, orders) for each in refusals]
        assert failed == []
        for target in targets:
            velero.require_undecided(target, before)
        for target in targets:
            target.change(kinds.APP.kind, APP, metadata={"annotations": {RESTORING: None}})
        for target in targets:
            assert target.until_served("v2", rows=5) == live
            eventually("all is as it was", lambda target=target: velero.state(target) == before)  # type: ignore[misc]
            target.until_settled(APP)
        again = [each for refusals in pool.map(restore, targets, orders) for each in refusals]
    assert again == []
    for target in targets:
        assert velero.state(target) == before, f"in {target.namespace}"
        uid = target.get(kinds.APP.kind, APP)["metadata"]["uid"]
        assert {owner for row in target.rows(APP) for owner in ownership.owners(row)} == {uid}
    targets[-1].quiet()
    print(f"{TIMES} restores in random order: {TIMES} times the same live row, history, verify, keys and ReplicaSets")


# Restorers.


def row(namespace: str, name: str = "first") -> Manifest:
    return given.row_manifest(name, given.in_namespace(namespace), given.live(1), given.with_spec(createdBy="ada"))


def test_an_account_restores_while_it_is_named_and_no_longer(cluster: Cluster, api: Api, namespace: str) -> None:
    refused(admin(api, ACCOUNT).create(row(namespace)), f"written by the operator, not by {ACCOUNT}")
    with velero.named(cluster, "somebody", ACCOUNT):
        found = made(admin(api, ACCOUNT).create(row(namespace)))
        assert (found["spec"]["createdBy"], found["spec"]["outcome"]["result"]) == ("ada", "Succeeded")
        refused(admin(api, ACCOUNT).delete(found), "is history")
        assert "is set once, by the operator, and never changes" in admin(api, ACCOUNT).merge(found, {"spec": {"sequence": 2}}).message
    refused(admin(api, ACCOUNT).create(row(namespace, "second")), f"written by the operator, not by {ACCOUNT}")


LOOKALIKES = (f"{ACCOUNT}2", ACCOUNT.removeprefix("system:"), "velero", "system:serviceaccount:velero", f"{ACCOUNT},eve")


def test_an_account_with_a_similar_name_cannot_restore(api: Api, namespace: str, named: None) -> None:
    for user in LOOKALIKES:
        refused(admin(api, user).create(row(namespace)), "written by the operator, not by")


def test_a_program_that_restores_leaves_its_apps_stamped(api: Api, namespace: str, named: None) -> None:
    """With --existing-resource-policy=update Velero sends an App again without its annotation. Other objects may still follow."""
    program = admin(api, ACCOUNT)
    found = made(
        program.create(given.app_manifest(given.in_namespace(namespace), given.with_deploy(workflowVersion="v1", changedBy="ada")))
    )
    assert found["metadata"]["annotations"][RESTORING] == "true"
    assert found["spec"]["deploy"]["changedBy"] == "ada"
    again = made(program.merge(found, {"metadata": {"annotations": {RESTORING: None}, "labels": velero.LABELS}}))
    assert again["metadata"]["annotations"][RESTORING] == "true"
    free = made(admin(api, "alice").merge(found, {"metadata": {"annotations": {RESTORING: None}}}))
    assert RESTORING not in free["metadata"]["annotations"]
    later = made(program.merge(found, {"metadata": {"labels": velero.LABELS}}))
    assert RESTORING not in later["metadata"]["annotations"], "what was taken off is not put on again"


def test_restored_approvals_are_history(api: Api, namespace: str, named: None) -> None:
    program = admin(api, ACCOUNT)
    here = given.in_namespace(namespace)
    word = made(program.create(approval_manifest("yes", "row-1", here, by="bob")))
    assert (word["spec"]["by"], word["spec"]["restored"]) == ("bob", True)
    bad = made(program.create(rejection_manifest("bad", "v1", here, given.with_spec(by="bob"))))
    assert bad["spec"]["by"] == "bob"


def test_a_restored_object_has_no_former_owner(api: Api, namespace: str, named: None) -> None:
    """Velero removes owners itself; another program may keep them."""
    gone = [ownership.reference(APP, "00000000-0000-0000-0000-000000000000")]
    meta = {"name": "x", "namespace": namespace, "labels": names.labels(APP), "ownerReferences": gone}
    for kind in ("Secret", "ConfigMap"):
        found = made(admin(api, ACCOUNT).create({"apiVersion": "v1", "kind": kind, "metadata": meta}))
        assert "ownerReferences" not in found["metadata"], kind
