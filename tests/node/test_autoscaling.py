"""Loads an App: the cluster's own autoscaler adds pods and removes them again, during deploys, too."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dynamiq_operator.model import names
from local import metrics
from local.clusters import Cluster
from tests.support.faults.audit import Audit
from tests.support.stage import Stage, operator, stage, uids
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.long(
        "an autoscaler waits for metrics and for rest; pods that were added outlive a deploy: "
        "tests/node/test_deploys.py::test_a_first_deploy_has_the_defaults_and_what_a_later_one_leaves_out_stays"
    ),
    pytest.mark.metrics,
]
APP = "busy"
MOST = 3
SCALED_WITHIN = 300.0  # seconds: metrics are new every 10 s, the autoscaler reads them every 5 s, and it waits 30 s before it removes pods
SCALING = {"minReplicas": 1, "maxReplicas": MOST, "targetCPUUtilizationPercentage": 50}


@pytest.fixture(scope="module")
def on(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    metrics.start(cluster)
    with stage(cluster, "autoscaling") as staged, operator(staged, folder=tmp_path_factory.mktemp("autoscaling")):
        staged.release("v1", "v2")
        staged.runtime("small", by_default=True, resources={"requests": {"cpu": "30m", "memory": "32Mi"}})
        yield staged


def until_replicas(on: Stage, replicas: int) -> None:
    def available() -> bool:
        status = on.workload(APP)["status"]
        return bool(status.get("availableReplicas") == status.get("replicas") == replicas)

    eventually(f"there are {replicas} pods", available, SCALED_WITHIN, 0.5)


def fewest_available(on: Stage, row: str) -> int:
    """Returns the fewest available pods until `row` became live."""
    counts: list[int] = []

    def live() -> bool:
        counts.append(on.workload(APP)["status"].get("availableReplicas", 0))
        return bool(on.row(row)["status"]["phase"] == "Live")

    eventually(f"row {row} is Live", live, SCALED_WITHIN, 0.1)
    return min(counts)


@pytest.mark.timeout(900)
def test_load_adds_pods_that_outlive_deploys_and_its_end_removes_them(on: Stage, cluster: Cluster) -> None:
    on.app(APP)
    first = on.live(APP, "v1", config={"autoscaling": SCALING})
    on.live(APP, "v2")
    on.until_reached(APP)
    with on.load(APP, every=0.02) as calls:
        until_replicas(on, MOST)
        audit, pods = Audit(cluster, on.namespace), uids(on.pods(APP))

        on.live(APP, config={"autoscaling": {"targetCPUUtilizationPercentage": 55}})
        assert on.get("HorizontalPodAutoscaler", APP)["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 55
        assert uids(on.pods(APP)) == pods, "a change of scaling alone restarts nothing"

        assert fewest_available(on, on.deploy(APP, restores=first)) == MOST
        on.until_answer(APP, "v1", on.key(APP))
        assert audit.scalings(APP) == [], "somebody wrote replicas during the deploys"
        assert on.get("HorizontalPodAutoscaler", APP)["spec"]["metrics"][0]["resource"]["target"]["averageUtilization"] == 55
    assert calls["failed"] == 0, calls["errors"]

    with on.load(APP, every=0.5, pod="calm") as calls:
        until_replicas(on, 1)
    assert calls["failed"] == 0, calls["errors"]
    assert {scaling.user for scaling in audit.scalings(APP)} == {"system:serviceaccount:kube-system:horizontal-pod-autoscaler"}
    managers = {
        each["manager"] for each in on.workload(APP)["metadata"]["managedFields"] if "f:replicas" in each["fieldsV1"].get("f:spec", {})
    }
    assert names.FIELD_MANAGER not in managers
