"""Deploys on real pods: new versions, rollbacks and scaling, with callers who notice nothing but the answer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import digests
from dynamiq_operator.model.base import FLOW_MAX_BYTES
from local import images
from local.clusters import Cluster
from tests.support.cluster import Kubectl
from tests.support.factories import public
from tests.support.flows import answering
from tests.support.kstatus import kstatus
from tests.support.stage import Stage, operator, restarts, said, stage, took, uids
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def on(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Versions v1 to v3 of one workflow, and a Runtime that deploys get by default."""
    with stage(cluster, "deploys") as made, operator(made, folder=tmp_path_factory.mktemp("deploys")):
        made.release("v1", "v2", "v3")
        made.runtime("fast", by_default=True)
        yield made


@pytest.fixture(autouse=True)
def ends_its_apps(on: Stage) -> Iterator[None]:
    yield
    on.end_apps()


def test_the_rows_of_an_app_are_a_chain_of_digests(on: Stage) -> None:
    on.app("chain")
    for version in ("v1", "v2", "v1"):
        on.live("chain", version)
    pins = [row["spec"]["pinned"] for row in on.rows("chain")]
    assert [each.get("previousDigest") for each in pins] == [None, pins[0]["digest"], pins[1]["digest"]]
    assert [each["digest"] for each in pins] == [digests.row_digest(row["spec"]) for row in on.rows("chain")]
    assert pins[0]["workflowHash"] == pins[2]["workflowHash"] == digests.flow_hash(answering("v1"))


def test_kubectl_shows_the_history_of_an_app(on: Stage) -> None:
    on.app("shown")
    first = on.live("shown", "v1", message="first")
    on.live("shown", "v2")
    on.until(first, "Superseded")
    listed = on.kubectl("get", "deployments.dynamiq", "--sort-by=.spec.sequence", "--field-selector=spec.app=shown", namespace=on.namespace)
    header, *rows = listed.stdout.splitlines()
    assert header.split() == ["NAME", "APP", "VERSION", "DESCRIPTION", "STATUS", "CREATED", "BY", "RUNTIME", "DATE"]
    assert ["Superseded" in rows[0], "Live" in rows[1]] == [True, True], listed.stdout
    assert "What v2 does" in rows[1]


def test_a_deploy_that_changes_no_pod_completes_without_a_rollout(on: Stage) -> None:
    on.app("calm")
    on.live("calm", "v1")
    before, workload = uids(on.until_settled("calm")), on.workload("calm")
    again = on.live("calm", "v1")
    scaled = on.live("calm", "v1", config={"autoscaling": {"minReplicas": 1, "maxReplicas": 4}})
    print(f"Live after {took(on.row(again)):.0f} s with nothing new, after {took(on.row(scaled)):.0f} s with other bounds")
    assert on.get("HorizontalPodAutoscaler", "calm")["spec"]["maxReplicas"] == 4
    assert on.workload("calm")["metadata"]["generation"] == workload["metadata"]["generation"], "no rollout was begun"
    assert on.workload("calm")["spec"]["template"] == workload["spec"]["template"]
    assert before == uids(on.pods("calm"))
    assert restarts(on.pods("calm")) == 0


def test_what_a_deploy_leaves_out_stays_as_it_is_live(on: Stage) -> None:
    slow = on.runtime("slow", drainSeconds=2)
    on.app("kept")
    config = {"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 60}}
    on.live("kept", "v1", runtime=slow, config=config | {"resources": {"requests": {"cpu": "20m"}}})
    pins = on.row(on.live("kept"))["spec"]["pinned"]
    assert pins["workflowVersion"] == "v3", "the newest release"
    assert pins["runtime"]["name"] == slow
    assert pins["config"]["autoscaling"] == config["autoscaling"]
    assert pins["config"]["resources"]["requests"] == {"cpu": "20m", "memory": "32Mi"}
    pins = on.row(on.live("kept", config={"autoscaling": {"maxReplicas": 5}}))["spec"]["pinned"]
    assert pins["config"]["autoscaling"] == {"minReplicas": 1, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60}


def test_a_first_deploy_gets_the_newest_release_and_the_defaults(on: Stage) -> None:
    on.app("plain")
    pins = on.row(on.live("plain"))["spec"]["pinned"]
    assert pins["workflowVersion"] == "v3"
    assert pins["config"]["autoscaling"] == {"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilizationPercentage": 80}


def test_pods_that_the_autoscaler_added_outlive_a_deploy(on: Stage) -> None:
    on.app("busy")
    on.live("busy", "v1", config={"autoscaling": {"minReplicas": 1, "maxReplicas": 3}})
    on.kubectl("scale", "deployment.apps/busy", "--replicas=2", namespace=on.namespace)
    eventually("two pods are ready", lambda: on.workload("busy")["status"].get("availableReplicas") == 2)
    on.live("busy", "v2")
    assert on.workload("busy")["spec"]["replicas"] == 2
    assert on.workload("busy")["status"]["updatedReplicas"] == 2


def test_a_newer_deploy_overtakes_the_one_under_way(on: Stage) -> None:
    on.app("hasty")
    on.live("hasty", "v1")
    never = on.runtime("never", probes={"readiness": {"path": "/nowhere", "periodSeconds": 1}})
    second = on.deploy("hasty", "v2", runtime=never)
    on.until(second, "Progressing")
    third = on.deploy("hasty", "v3")
    on.until(third, "Live")
    row = on.until(second, "Superseded")
    assert row["spec"]["outcome"]["result"] == "Overtaken"
    assert third in said(row)
    on.until_answer("hasty", "v3", on.key("hasty"))


def test_rows_that_arrive_together_are_taken_in_their_order(on: Stage) -> None:
    on.app("crowd")
    for number in range(2, 12):
        on.deploy("crowd", "v1" if number < 11 else "v2", row=f"crowd-{number}")
    on.until("crowd-11", "Live")
    rows = on.rows("crowd")
    assert [row["spec"]["sequence"] for row in rows] == sorted({row["spec"]["sequence"] for row in rows})
    assert rows[-1]["metadata"]["name"] == "crowd-11"
    eventually("the others are closed", lambda: {row["status"]["phase"] for row in on.rows("crowd")[:-1]} == {"Superseded"})


def test_kubectl_waits_for_an_app_from_its_creation_on(on: Stage, kubectl: Kubectl) -> None:
    on.app("waited")
    assert kstatus(on.get("App", "waited")) == "InProgress", "an App that nobody has looked at is not done"
    row = on.deploy("waited", "v1")
    assert kstatus(on.row(row)) == "InProgress"
    kubectl("wait", "--for=condition=Ready", "app/waited", "--timeout=120s", namespace=on.namespace, timeout=130)
    kubectl("wait", "--for=jsonpath={.status.phase}=Live", f"ddep/{row}", "--timeout=60s", namespace=on.namespace)
    app = on.get("App", "waited")
    assert kstatus(app) == kstatus(on.row(row)) == "Current"
    assert app["status"]["observedGeneration"] == app["metadata"]["generation"]
    on.change("App", "waited", spec={"description": "changed"})
    eventually("the change has been seen", lambda: kstatus(on.get("App", "waited")) == "Current")
    assert on.get("App", "waited")["status"]["observedGeneration"] == app["metadata"]["generation"] + 1


def test_each_transition_is_told_on_the_row_and_on_the_app(on: Stage) -> None:
    on.app("told")
    first = on.live("told", "v1")
    second = on.live("told", "v2")
    on.until(first, "Superseded")
    assert on.events(first)["Progressing"].startswith(f"deploying v1 (#1, {first}) on runtime fast")
    assert on.events(first)["Live"] == f"v1 (#1, {first}) is live"
    assert on.events(first)["Superseded"] == f"v1 (#1, {first}) was superseded by v2 (#2, {second})"
    assert {"Progressing", "Live", "Superseded"} <= set(on.events("told"))


def test_the_largest_flow_deploys_and_answers(on: Stage) -> None:
    largest = (answering("large") + "\n#").ljust(FLOW_MAX_BYTES, "x")
    manifest = on.named("WorkflowVersion", "vast-v1") | {"spec": {"workflow": "vast", "version": "v1", "flow": largest}}
    on.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(manifest), namespace=on.namespace)
    on.app("vast", workflow="vast")
    on.live("vast", "v1")
    on.until_answer("vast", "large", on.key("vast"))


def test_a_cluster_can_ask_for_images_by_digest(cluster: Cluster, tmp_path: Path) -> None:
    archive = images.ensure([images.RUNTIME])[images.RUNTIME.reference]
    by_digest = f"{images.RUNTIME.reference.rpartition(':')[0]}@{images.digest_of(archive)}"
    with stage(cluster, "policy") as on, operator(on, folder=tmp_path, options=["--image-policy=digest"]):
        on.release("v1")
        tagged, pinned = on.runtime("tagged"), on.runtime("pinned", image=by_digest)
        on.app("strict")
        failed = on.until(on.deploy("strict", "v1", runtime=tagged), "Failed")
        assert said(failed) == (
            f"Runtime {tagged} names its image by a tag ({images.RUNTIME.reference}), and this cluster's policy asks for a digest"
        )
        on.live("strict", "v1", runtime=pinned)
        on.until_answer("strict", "v1", on.key("strict"))
        on.until_condition("strict", "Ready", "True")


def test_an_upgrade_of_the_operator_restarts_no_pod(cluster: Cluster, tmp_path: Path) -> None:
    newer = tmp_path / "newer.py"
    newer.write_text(
        "import sys\n"
        "from dynamiq_operator import __main__\n"
        "from dynamiq_operator.desired import pod_template\n"
        "pod_template.PRE_STOP_SECONDS = 7\n"
        "sys.exit(__main__.main())\n"
    )
    with stage(cluster, "upgrade") as on:
        on.release("v1", "v2")
        on.app("steady", public())
        with operator(on, folder=tmp_path):
            on.live("steady", "v1", runtime=on.runtime("fast"))
        before, pods = on.workload("steady")["spec"]["template"], uids(on.pods("steady"))
        with operator(on, folder=tmp_path, program=[str(newer)]):
            on.change("App", "steady", spec={"description": "seen by the newer operator"})
            eventually("the newer operator has looked", lambda: kstatus(on.get("App", "steady")) == "Current")
            on.live("steady", "v1")
            assert on.workload("steady")["spec"]["template"] == before
            assert uids(on.pods("steady")) == pods
            on.live("steady", "v2")
            after = on.workload("steady")["spec"]["template"]["spec"]
        assert after["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 7
        assert before["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 5
