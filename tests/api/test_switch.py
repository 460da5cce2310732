"""Strategy Switch on a real API server: the writes and their order, and the workloads while an App changes its strategy."""

from __future__ import annotations

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.support import factories as given
from tests.support.api import Manifest
from tests.support.faults import operators
from tests.support.faults.audit import Audit
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

GROUP = "dynamiq.getdynamiq.ai"


def workloads(stage: HistoryStage) -> dict[str, Manifest]:
    """Returns the App's workloads by their pins label, which is empty for strategy Rolling."""
    found = stage.api.get("Deployment", "", stage.namespace, api_version="apps/v1", labelSelector=f"{names.APP_LABEL}={APP}").body["items"]
    return {each["metadata"]["labels"].get(names.PINS_LABEL, ""): each for each in found}


def change(stage: HistoryStage, strategy: str) -> None:
    stage.change("App", APP, spec={"rollout": {"strategy": strategy}})


def selected(stage: HistoryStage) -> str:
    """Returns the pins label that the Service selects; empty if it selects pods with any."""
    return str(stage.get("Service", APP)["spec"]["selector"].get(names.PINS_LABEL, ""))


def scaled(stage: HistoryStage) -> str:
    return str(stage.get("HorizontalPodAutoscaler", APP)["spec"]["scaleTargetRef"]["name"])


def uids(stage: HistoryStage) -> set[str]:
    return {pod["metadata"]["uid"] for pod in stage.pods(APP)}


def are_told(stage: HistoryStage, label: str) -> bool:
    """Returns True if the pods of these pins, and no others, are annotated as standby."""
    left = {
        pod["metadata"]["labels"].get(names.PINS_LABEL)
        for pod in stage.pods(APP)
        if names.STANDBY_ANNOTATION in (pod["metadata"].get("annotations") or {})
    }
    return left == {label}


def test_a_rollback_to_the_standby_is_one_patch_of_the_service_and_starts_no_pod(
    cluster: Cluster, stage: HistoryStage, operator: Operator
) -> None:
    stage.app(APP, given.with_spec(rollout={"strategy": "Switch"}), workflow=APP)
    first = stage.live(APP, "v1", runtime=stage.default_runtime)
    left = selected(stage)
    stage.live(APP, "v2")
    eventually("what was left is told so", lambda: are_told(stage, left))
    before, audit = uids(stage), Audit(cluster, stage.namespace)
    row = stage.live(APP, restores=first)
    assert selected(stage) == left
    assert uids(stage) <= before, "no pod starts, and those of the version left end"
    pinned = next(write for write in audit.writes("deployments", row, group=GROUP) if write.user == operators.USER)
    (switch,) = audit.writes("services", APP)
    print(f"\nrow pinned → Service patched: {switch.answered - pinned.answered:.3f} s")
    assert switch.user == operators.USER


def to_switch_and_back(stage: HistoryStage) -> None:
    change(stage, "Switch")
    (label,) = eventually("the live pins have a workload of their own", lambda: set(workloads(stage)) - {""})
    eventually("the Service selects it", lambda: selected(stage) == label)
    eventually("the workload of before is gone", lambda: set(workloads(stage)) == {label})
    assert scaled(stage) == names.workload(APP, label)
    change(stage, "Rolling")
    eventually("the workload of strategy Rolling is all there is", lambda: set(workloads(stage)) == {""})
    eventually("the autoscaler is on it", lambda: scaled(stage) == APP)
    assert selected(stage) == ""
    eventually("no pod of pins is left", lambda: all(names.PINS_LABEL not in pod["metadata"]["labels"] for pod in stage.pods(APP)))


def test_an_app_changes_to_switch_and_back_and_its_autoscaler_moves_with_it(stage: HistoryStage, operator: Operator) -> None:
    stage.app(APP, workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime, config={"autoscaling": {"minReplicas": 3, "maxReplicas": 6}})
    plain = workloads(stage)[""]["metadata"]["uid"]
    to_switch_and_back(stage)
    assert (workloads(stage)[""]["metadata"]["uid"] != plain, workloads(stage)[""]["spec"]["replicas"]) == (True, 3)
    assert names.ENDPOINTS_LABEL not in stage.get("Service", APP)["metadata"]["labels"]


def test_a_full_quota_is_reported_by_the_row_and_costs_the_standby_first(stage: HistoryStage, operator: Operator) -> None:
    stage.app(APP, given.with_spec(rollout={"strategy": "Switch"}), workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    meta = {"name": "pods", "namespace": stage.namespace}
    stage.create({"apiVersion": "v1", "kind": "ResourceQuota", "metadata": meta, "spec": {"hard": {"pods": "2"}}})
    stage.live(APP, "v2")
    stage.live(APP, "v3")
    assert "StandbyGivenUp" in stage.events(APP)
    live = selected(stage)
    stage.change("ResourceQuota", "pods", spec={"hard": {"pods": "1"}})
    stage.change("App", APP, spec={"rollout": {"progressDeadlineSeconds": 10}})  # a minute, where it is longer
    row = stage.deploy(APP, "v4")
    failed = stage.until(row, "Failed")
    assert "exceeded quota" in failed["spec"]["outcome"]["reason"]
    assert selected(stage) == live
    eventually("the live pod alone is left", lambda: len(stage.pods(APP)) == 1)
    assert selected(stage) == live
