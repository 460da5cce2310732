"""Deploys on real pods: new versions, rollbacks and scaling; callers notice only the new answers."""

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
from tests.support.factories import exposed, public, with_hostname, with_triggers
from tests.support.flows import answering
from tests.support.kstatus import kstatus
from tests.support.stage import Stage, operator, restarts, said, stage, took, uids
from tests.support.waiting import eventually

EVERYTHING = "".join(chr(ord("a") + number % 26) for number in range(253))
LONGEST_HOSTNAME = ".".join((EVERYTHING[:63], EVERYTHING[:63], EVERYTHING[:63], EVERYTHING[:61]))


@pytest.fixture(scope="module")
def on(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Provides versions v1 to v3 of one workflow, and a default Runtime, in a namespace with the longest name."""
    with stage(cluster, "n" * 54) as staged, operator(staged, folder=tmp_path_factory.mktemp("deploys")):
        staged.release("v1", "v2", "v3")
        staged.runtime("fast", by_default=True)
        yield staged


@pytest.fixture(autouse=True)
def ends_its_apps(on: Stage) -> Iterator[None]:
    yield
    on.end_apps()


def test_an_app_is_deployed_and_its_rows_are_a_chain_that_kubectl_shows(on: Stage, kubectl: Kubectl) -> None:
    """kubectl waits for it from its creation, the row and the App show each transition, and a third row continues the chain."""
    on.app("told")
    assert kstatus(on.get("App", "told")) == "InProgress", "an App that nobody has looked at is not done"
    first = on.deploy("told", "v1", message="first")
    assert kstatus(on.row(first)) == "InProgress"
    kubectl("wait", "--for=condition=Ready", "app/told", "--timeout=240s", namespace=on.namespace, timeout=300)
    kubectl("wait", "--for=jsonpath={.status.phase}=Live", f"ddep/{first}", "--timeout=240s", namespace=on.namespace, timeout=300)
    app = on.get("App", "told")
    assert kstatus(app) == kstatus(on.row(first)) == "Current"
    assert app["status"]["observedGeneration"] == app["metadata"]["generation"]
    on.change("App", "told", spec={"description": "changed"})
    eventually("the change has been seen", lambda: kstatus(on.get("App", "told")) == "Current")
    assert on.get("App", "told")["status"]["observedGeneration"] == app["metadata"]["generation"] + 1

    second = on.live("told", "v2")
    on.until(first, "Superseded")
    listed = on.kubectl("get", "deployments.dynamiq", "--sort-by=.spec.sequence", "--field-selector=spec.app=told", namespace=on.namespace)
    header, *rows = listed.stdout.splitlines()
    assert header.split() == ["NAME", "APP", "VERSION", "DESCRIPTION", "STATUS", "ENDING", "CREATED", "BY", "RUNTIME", "DATE"]
    assert ["Superseded" in rows[0], "Live" in rows[1]] == [True, True], listed.stdout
    assert "What v2 does" in rows[1]
    eventually("all is told", lambda: all({"Progressing", "Live", "Superseded"} <= set(on.events(about)) for about in (first, "told")))
    assert on.events(first)["Progressing"].startswith(f"deploying v1 (#1, {first}) on runtime fast")
    assert on.events(first)["Live"] == f"v1 (#1, {first}) is live"
    assert on.events(first)["Superseded"] == f"v1 (#1, {first}) was superseded by v2 (#2, {second})"

    on.live("told", "v2")
    pins = [row["spec"]["pinned"] for row in on.rows("told")]
    assert [each.get("previousDigest") for each in pins] == [None, pins[0]["digest"], pins[1]["digest"]]
    assert [each["digest"] for each in pins] == [digests.row_digest(row["spec"]) for row in on.rows("told")]
    assert pins[1]["workflowHash"] == pins[2]["workflowHash"] == digests.flow_hash(answering("v2"))


def test_a_first_deploy_has_the_defaults_and_what_a_later_one_leaves_out_stays(on: Stage) -> None:
    on.app("kept")
    pins = on.row(on.live("kept"))["spec"]["pinned"]
    assert pins["workflowVersion"] == "v3", "the newest release"
    assert pins["config"]["autoscaling"] == {"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilizationPercentage": 80}

    before, workload = uids(on.until_settled("kept")), on.workload("kept")
    again = on.live("kept", "v3")
    scaled = on.live("kept", "v3", config={"autoscaling": {"minReplicas": 1, "maxReplicas": 4}})
    print(f"Live after {took(on.row(again)):.0f} s with nothing new, after {took(on.row(scaled)):.0f} s with other bounds")
    assert on.get("HorizontalPodAutoscaler", "kept")["spec"]["maxReplicas"] == 4
    assert on.workload("kept")["metadata"]["generation"] == workload["metadata"]["generation"], "no rollout was begun"
    assert on.workload("kept")["spec"]["template"] == workload["spec"]["template"]
    on.kubectl("set", "image", "deployment.apps/kept", "runtime=127.0.0.1:1/other:2", namespace=on.namespace)
    eventually("the template is back", lambda: on.workload("kept")["spec"]["template"] == workload["spec"]["template"])
    assert before == uids(on.until_settled("kept")), "what somebody edits is back before its pods are replaced"
    assert restarts(on.pods("kept")) == 0

    slow = on.runtime("slow", drainSeconds=2)
    config = {"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "targetCPUUtilizationPercentage": 60}}
    on.live("kept", "v1", runtime=slow, config=config | {"resources": {"requests": {"cpu": "20m"}}})
    on.kubectl("scale", "deployment.apps/kept", "--replicas=2", namespace=on.namespace)
    eventually("two pods are ready", lambda: on.workload("kept")["status"].get("availableReplicas") == 2)
    pins = on.row(on.live("kept", config={"autoscaling": {"maxReplicas": 5}}))["spec"]["pinned"]
    assert pins["workflowVersion"] == "v3", "the newest release"
    assert pins["runtime"]["name"] == slow
    assert pins["config"]["resources"]["requests"] == {"cpu": "20m", "memory": "32Mi"}
    assert pins["config"]["autoscaling"] == {"minReplicas": 1, "maxReplicas": 5, "targetCPUUtilizationPercentage": 60}
    assert on.workload("kept")["spec"]["replicas"] == 2, "pods that the autoscaler added outlive a deploy"
    assert on.workload("kept")["status"]["updatedReplicas"] == 2


def test_a_newer_deploy_overtakes_the_one_under_way_and_many_are_taken_in_their_order(on: Stage) -> None:
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

    for number, version in enumerate(("v1", "v1", "v3", "v2")):
        on.deploy("hasty", version, row=f"hasty-{number}")
    on.until("hasty-3", "Live")
    rows = on.rows("hasty")
    assert [row["spec"]["sequence"] for row in rows] == sorted({row["spec"]["sequence"] for row in rows})
    assert rows[-1]["metadata"]["name"] == "hasty-3"
    eventually("the others are closed", lambda: {row["status"]["phase"] for row in on.rows("hasty")[:-1]} == {"Superseded"})
    on.until_answer("hasty", "v2", on.key("hasty"))


def test_an_app_whose_names_are_all_at_their_limits_serves_the_largest_flow(on: Stage) -> None:
    app, workflow = "a" * 40, "w" * 40
    assert (len(on.namespace), len(LONGEST_HOSTNAME)) == (63, 253)
    largest = (answering("large") + "\n#").ljust(FLOW_MAX_BYTES, "x")
    manifest = on.named("WorkflowVersion", f"{workflow}-v1") | {"spec": {"workflow": workflow, "version": "v1", "flow": largest}}
    on.kubectl("apply", "--server-side", "-f", "-", input=json.dumps(manifest), namespace=on.namespace)
    trigger = {"name": "t" * 20, "schedule": "0 9 * * 1-5"}
    route = exposed("Ingress", className="c" * 63)
    on.app(app, with_hostname(LONGEST_HOSTNAME), with_triggers(trigger), route, workflow=workflow)
    on.live(app, "v1", runtime=on.runtime("r" * (253 - 64)), row="r" * 253)
    on.until_condition(app, "Ready", "True")
    on.until_answer(app, "large", on.key(app))
    assert on.get("Ingress", app)["spec"]["rules"][0]["host"] == LONGEST_HOSTNAME
    assert on.get("App", app)["status"]["hostname"] == LONGEST_HOSTNAME


def test_an_operator_that_asks_for_digests_and_its_upgrade_that_restarts_no_pod(cluster: Cluster, tmp_path: Path) -> None:
    archive = images.ensure([images.RUNTIME])[images.RUNTIME.reference]
    by_digest = f"{images.RUNTIME.reference.rpartition(':')[0]}@{images.digest_of(archive)}"
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
        on.app("strict", public())
        with operator(on, folder=tmp_path, options=["--image-policy=digest"]):
            tagged, pinned = on.runtime("tagged"), on.runtime("pinned", image=by_digest)
            failed = on.until(on.deploy("strict", "v1", runtime=tagged), "Failed")
            assert said(failed) == (
                f"Runtime {tagged} names its image by a tag ({images.RUNTIME.reference}), but this cluster requires a digest"
            )
            on.live("strict", "v1", runtime=pinned)
            on.until_answer("strict", "v1")
            on.until_condition("strict", "Ready", "True")
        before, pods = on.workload("strict")["spec"]["template"], uids(on.pods("strict"))
        with operator(on, folder=tmp_path, program=[str(newer)]):
            on.change("App", "strict", spec={"description": "seen by the newer operator"})
            eventually("the newer operator has looked", lambda: kstatus(on.get("App", "strict")) == "Current")
            on.live("strict", "v1")
            assert on.workload("strict")["spec"]["template"] == before
            assert uids(on.pods("strict")) == pods
            on.live("strict", "v2")
            after = on.workload("strict")["spec"]["template"]["spec"]
        assert after["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 7
        assert before["spec"]["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 5
