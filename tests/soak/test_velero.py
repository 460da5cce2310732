"""Backs up and restores with Velero itself: `tests/api/test_velero.py` does it twenty times in any order, with a stand-in."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds, ownership
from local.clusters import Cluster
from tests.soak.support.velero_server import velero
from tests.support import history_stage, restores
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator, admission_policies, install_account
from tests.support.velero import ACCOUNT, named, require_undecided, state
from tests.support.waiting import eventually

IN_ANOTHER = "restored-by-velero"


@pytest.mark.timeout(3600)  # minutes of them to build Velero, where the cache does not have it
def test_a_restore_by_velero_is_complete_and_replaces_no_pod(cluster: Cluster, tmp_path: Path) -> None:
    account = install_account(cluster, tmp_path)
    with (
        admission_policies(cluster),
        history_stage.stage(cluster, "velero") as on,
        Operator(account, tmp_path, [on.namespace, IN_ANOTHER]),
        velero(cluster, tmp_path / "velero") as program,
        named(cluster, ACCOUNT),
        gone_after(on, IN_ANOTHER),
    ):
        live = restores.a_history(on)
        on.until_settled(APP)
        before, pods = state(on), pods_of(on)
        program.backup("nightly", on.namespace)

        on.kubectl("delete", "namespace", on.namespace, timeout=120)
        program.restore("lost", "nightly")
        require_undecided(on, before)
        restores.take_the_stamp_off(on)
        assert on.until_served("v2", rows=5) == live
        eventually("all is as it was", lambda: state(on) == before)
        assert pods_of(on) == pods
        uid = on.get(kinds.APP.kind, APP)["metadata"]["uid"]
        assert {owner for row in on.rows(APP) for owner in ownership.owners(row)} == {uid}

        on.until_settled(APP)
        for refusal in program.restore_in_part("once-more", "nightly", "--existing-resource-policy=update"):
            assert "this ConfigMap has a flow that rows name" in refusal
        on.until_settled(APP)
        assert (state(on), pods_of(on)) == (before, pods)

        program.restore("moved", "nightly", f"--namespace-mappings={on.namespace}:{IN_ANOTHER}")
        restored = HistoryStage(cluster, on.api, on.kubectl, IN_ANOTHER)
        require_undecided(restored, before)
        restores.take_the_stamp_off(restored)
        assert restored.until_served("v2", rows=5) == live
        eventually("all is there as it was", lambda: state(restored) == before)
        assert pods_of(restored) == pods
        print(f"Velero: {len(before['rows'])} rows brought back thrice, {len(pods)} pods, none another")


@contextlib.contextmanager
def gone_after(stage: HistoryStage, namespace: str) -> Iterator[None]:
    """Deletes the namespace after the block, even if the test fails."""
    try:
        yield
    finally:
        stage.kubectl("delete", "--ignore-not-found", "--wait=false", "namespace", namespace)


def pods_of(stage: HistoryStage) -> set[str]:
    """Returns the names of the namespace's pods."""
    return {each["metadata"]["name"] for each in stage.api.get("Pod", "", stage.namespace, api_version="v1").body["items"]}
