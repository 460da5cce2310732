"""`manifests/overlays/before-1.36` as it is installed: deploys, rollbacks and refusals work.

It lacks exactly the things that its comment lists as lost.

Its pods are simulated, so the operator of the tests does the work. `test_guarded_crds.py` shows that it differs from `manifests/` only by
the policies that stamp.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.digests import flow_hash
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local.clusters import Cluster
from tests.support import admission
from tests.support.admission import ADMIN, PRUNE, SYNC, refused
from tests.support.api import Api
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.factories import in_namespace, public, rejection_manifest, row_manifest, with_spec
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.plugin import Plugin
from tests.support.versions import apply_policies
from tests.support.waiting import eventually

OVERLAY = REPOSITORY / "manifests" / "overlays" / "before-1.36"
WORKS = "deployments.apps,poddisruptionbudgets,networkpolicies,services"


@pytest.fixture(scope="module", autouse=True)
def refusing(cluster: Cluster, account: Path) -> Iterator[None]:
    """Installs everything in the overlay, then deletes its workloads. The account, the rights and the policies are kept."""
    apply_policies(cluster, OVERLAY)
    admission.wait_until_all_refuse(Api.of(cluster))
    yield
    Kubectl(cluster)("delete", WORKS, "--all", "--wait=false", namespace=OPERATOR_NAMESPACE)


@pytest.fixture
def plugin(stage: HistoryStage, tmp_path: Path) -> Plugin:
    return Plugin(stage.cluster, stage.namespace, tmp_path)


def unprotected_message(stage: HistoryStage) -> str | None:
    """Returns the operator's message that only the policies that stamp are missing; None if there is none yet."""
    # An earlier test may have left a message that all policies are missing.
    found = stage.api.get("Event", "", "default", fieldSelector=f"involvedObject.name={names.FROZEN_DEFINITIONS[0]}").body["items"]
    texts = [event["message"] for event in found if event["reason"] == "Unprotected"]
    return next((text for text in texts if ": every MutatingAdmissionPolicy, every MutatingAdmissionPolicyBinding; " in text), None)


def test_deploys_and_a_rollback_work_and_their_authors_are_unknown(
    stage: HistoryStage,
    operator: Operator,
    plugin: Plugin,
    # The session uses the account. The policies that stamp are added to these policies later.
) -> None:
    stage.app(APP, public(), workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    second = row_manifest("second", in_namespace(stage.namespace), with_spec(app=APP, workflowVersion="v2"))
    stage.kubectl("apply", "-f", "-", input=second)
    stage.until("second", "Live")
    stage.kubectl("apply", "-f", "-", input=second)
    replaced = stage.kubectl("replace", "-f", "-", input=second, check=False)
    assert (replaced.returncode, "second" in replaced.stderr) == (1, True), "with the policies that stamp it would change nothing"
    assert "is Live after" in plugin.said("rollback", APP, "--yes")
    stage.until_served("v1", rows=3)
    assert plugin("verify", APP).returncode == 0

    eventually("it is told of what does not protect", lambda: unprotected_message(stage))
    rows = stage.rows(APP)
    assert ["createdBy" in row["spec"] for row in rows] == [False] * 3
    assert [row["spec"]["pinned"].get("createdByVerified", False) for row in rows] == [False] * 3
    assert not {SYNC, PRUNE} & {key for row in rows for key in row["metadata"].get("annotations") or {}}
    forged = row_manifest("forged", in_namespace(stage.namespace), with_spec(app=APP, workflowVersion="v2", createdBy="mallory"))
    refused(stage.api.create(forged), "leave createdBy of a row out")
    refused(stage.api.delete(rows[0]), "may not delete it: it ends with its App")


def test_a_version_is_rejected_with_kubectl_and_ones_own_name_alone(stage: HistoryStage, operator: Operator, plugin: Plugin) -> None:
    stage.app(APP, public(), workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    assert f"set it to {ADMIN}" in plugin.refused("reject-version", APP, "v2", "-m", "loses invoices", "--yes")
    spec = {"workflow": APP, "version": "v2", "workflowHash": flow_hash(stage.get("WorkflowVersion", f"{APP}-v2")["spec"]["flow"])}
    stage.create(rejection_manifest(in_namespace(stage.namespace), with_spec(**spec, by=ADMIN), name="invoices"))
    operator.restart()  # so that it has listed the Rejection before it hears of the row
    stage.until(stage.deploy(APP, "v2"), "Failed")
    stage.live(APP, "v3")
