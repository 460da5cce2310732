"""Admission that changes our applies is no edit; fields that other managers change are repaired; both at once are distinguished."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from tests.api.support import mutations
from tests.api.support.mutations import MIRROR, OF_OTHERS, OF_WORKLOADS, SIDECAR, SIDECARS, Mutation
from tests.support.api import Manifest, path
from tests.support.factories import exposed, with_hostname, with_spec
from tests.support.faults import operators
from tests.support.faults.proxy import Proxy
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import install_rights
from tests.support.waiting import eventually

LOOKS = 2
"""Checks of an App's Access Keys, one every 3 s, during which the operator may write nothing."""
ALL = "all of them, and one of each other kind"
STRATEGIC = "application/strategic-merge-patch+json"
TRIGGER = {"name": "nightly", "schedule": "0 3 * * *", "input": "{}"}
EVERYTHING = (
    with_hostname("chat.example.test"),
    exposed("Ingress", className="outer"),
    with_spec(network={"ingressFrom": []}, triggers=[TRIGGER]),
)


@pytest.fixture
def proxy(cluster: Cluster, stage: HistoryStage, tmp_path: Path) -> Iterator[Proxy]:
    """Yields a proxy between an operator and the API server that counts its requests."""
    install_rights(cluster)
    operators.allow_leases(stage.api, stage.namespace)
    with operators.proxied(cluster, stage.api) as made:
        yield made


def writes(proxy: Proxy) -> list[str]:
    return [call.point for call in proxy.calls if call.is_write and not call.is_lease and not call.is_about_policies]


def looks(proxy: Proxy) -> int:
    """Returns how often the operator has checked its objects by itself: each check reads an App's keys."""
    return sum(call.method == "GET" and "/secrets/" in call.path for call in proxy.calls)


def comes_to_rest(proxy: Proxy) -> None:
    """Waits until the operator has checked everything `LOOKS` times in a row without a write."""
    began, written = looks(proxy), writes(proxy)

    def rested() -> bool:
        nonlocal began, written
        if (now := writes(proxy)) != written:
            began, written = looks(proxy), now
        return looks(proxy) - began >= LOOKS

    eventually(f"nothing is written any more: {written[-5:]}", rested)


def containers(stage: HistoryStage) -> dict[str, Manifest]:
    return {each["name"]: each for each in stage.workload(APP)["spec"]["template"]["spec"]["containers"]}


def revision(stage: HistoryStage) -> str:
    return str(stage.workload(APP)["metadata"]["annotations"]["deployment.kubernetes.io/revision"])


IS_MUTATED: dict[str, Callable[[HistoryStage], bool]] = {
    "sidecar": lambda stage: SIDECAR in containers(stage),
    "image": lambda stage: containers(stage)["runtime"]["image"].startswith(MIRROR),
    "resources": lambda stage: containers(stage)["runtime"]["resources"]["limits"]["memory"] == "3Gi",
}


@pytest.mark.full_count
@pytest.mark.parametrize("kind", [ALL, *(OF_WORKLOADS if os.environ.get("SOAK") else ())])
def test_changes_by_admission_are_no_drift(stage: HistoryStage, proxy: Proxy, tmp_path: Path, kind: str) -> None:
    """Deploys go Live and a rollback works. At rest nothing is written, not even by the next operator, and no pod restarts."""
    chosen: tuple[Mutation, ...] = OF_WORKLOADS.get(kind) or (*(each for some in OF_WORKLOADS.values() for each in some), *OF_OTHERS)
    is_mutated = [IS_MUTATED[name] for name in IS_MUTATED if kind in (name, ALL)]
    with mutations.at_work(stage.api, stage.namespace, *chosen):
        with operators.running(proxy.url, stage.namespace, tmp_path):
            stage.app(APP, *EVERYTHING, workflow=APP)
            first = stage.live(APP, "v1", runtime=stage.default_runtime)
            assert all(check(stage) for check in is_mutated)
            comes_to_rest(proxy)
            pods = {pod["metadata"]["uid"] for pod in stage.until_settled(APP)}
        before = writes(proxy)
        with operators.running(proxy.url, stage.namespace, tmp_path):
            comes_to_rest(proxy)
            assert writes(proxy) == before
            assert (revision(stage), {pod["metadata"]["uid"] for pod in stage.until_settled(APP)}) == ("1", pods)
            stage.live(APP, "v2")
            assert (revision(stage), all(check(stage) for check in is_mutated)) == ("2", True)
            stage.live(APP, restores=first)
            assert (revision(stage), all(check(stage) for check in is_mutated)) == ("3", True)
            comes_to_rest(proxy)


CONTAINER: Callable[..., Manifest] = lambda **fields: {"containers": [{"name": "runtime", **fields}]}  # noqa: E731 - a table's shorthand
EDITS: dict[str, Manifest] = {
    "a command": {"template": {"spec": CONTAINER(command=["sh"], args=["-c", "true"])}},
    "an initContainer": {"template": {"spec": {"initContainers": [{"name": "theirs", "image": "theirs:1"}]}}},
    "a container": {"template": {"spec": {"containers": [{"name": "theirs", "image": "theirs:1"}]}}},
    "envFrom": {"template": {"spec": CONTAINER(envFrom=[{"secretRef": {"name": "theirs"}}])}},
    "a variable": {"template": {"spec": CONTAINER(env=[{"name": "THEIRS", "value": "x"}, {"name": "DYNAMIQ_ENGINE", "value": "sdk"}])}},
    "an image": {"template": {"spec": CONTAINER(image="theirs:1")}},
    "a ServiceAccount": {"template": {"spec": {"serviceAccountName": "theirs", "automountServiceAccountToken": True}}},
    "the host's network": {"template": {"spec": {"hostNetwork": True}}},
    "a volume": {
        "template": {
            "spec": {
                "volumes": [{"name": "theirs", "emptyDir": {}}],
                **CONTAINER(volumeMounts=[{"mountPath": "/theirs", "name": "theirs"}]),
            }
        }
    },
    "a privileged container": {"template": {"spec": CONTAINER(securityContext={"privileged": True, "allowPrivilegeEscalation": True})}},
    "a pause": {"paused": True},
    "the strategy": {"strategy": {"type": "Recreate", "rollingUpdate": None}},
    "minReadySeconds": {"minReadySeconds": 30},
    "a label of pods": {"template": {"metadata": {"labels": {"theirs": "x"}}}},
}


def edit(stage: HistoryStage, kind: str, patch: Manifest, manager: str = "kubectl-edit") -> None:
    answer = stage.api.request("PATCH", path(stage.named(kind, APP)), patch, STRATEGIC, query={"fieldManager": manager})
    assert answer.ok, answer.message


def stated(found: Any) -> Any:
    """Returns the object with its lists sorted: a merge may keep items in another order."""
    if isinstance(found, dict):
        return {key: stated(value) for key, value in found.items()}
    return sorted((stated(each) for each in found), key=repr) if isinstance(found, list) else found


def test_fields_of_another_manager_beside_an_injected_sidecar_are_repaired(stage: HistoryStage, proxy: Proxy, tmp_path: Path) -> None:
    with mutations.at_work(stage.api, stage.namespace, SIDECARS), operators.running(proxy.url, stage.namespace, tmp_path):
        stage.app(APP, workflow=APP)
        stage.live(APP, "v1", runtime=stage.default_runtime)
        comes_to_rest(proxy)
        before = stated(stage.workload(APP)["spec"])
        for about, spec in EDITS.items():
            edit(stage, "Workload", {"spec": spec})
            eventually(f"{about} is gone: {before}", lambda: stated(stage.workload(APP)["spec"]) == before)
        theirs = {"template": {"spec": CONTAINER(command=["sh"])}}
        applied = stage.api.apply({**stage.named("Workload", APP), "spec": theirs}, manager="kubectl")
        assert applied.ok, applied.message
        eventually("what was applied is gone", lambda: stated(stage.workload(APP)["spec"]) == before)
        assert "Repaired" in stage.events(APP)
        comes_to_rest(proxy)


def test_a_note_that_was_edited_brings_nothing_into_the_pods_and_a_restart_by_kubectl_stays(
    stage: HistoryStage, proxy: Proxy, tmp_path: Path
) -> None:
    with operators.running(proxy.url, stage.namespace, tmp_path):
        stage.app(APP, workflow=APP)
        stage.live(APP, "v1", runtime=stage.default_runtime)
        found = stage.workload(APP)
        noted = found["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION]
        smuggled = noted.replace('"name": "runtime"', '"command": ["theirs"], "name": "runtime"')
        assert smuggled != noted
        edit(stage, "Workload", {"metadata": {"annotations": {names.APPLIED_TEMPLATE_ANNOTATION: smuggled}}})

        def restored() -> bool:
            return bool(stage.workload(APP)["metadata"]["annotations"][names.APPLIED_TEMPLATE_ANNOTATION] == noted)

        eventually("the note is as it was", restored)
        assert (revision(stage), stage.workload(APP)["spec"]) == ("1", found["spec"])
        comes_to_rest(proxy)
        before = writes(proxy)
        stage.kubectl("rollout", "restart", f"deployment.apps/{APP}", namespace=stage.namespace)
        eventually("the cluster's controller has begun", lambda: revision(stage) == "2")
        comes_to_rest(proxy)
        assert revision(stage) == "2"
        assert [write for write in writes(proxy)[len(before) :] if "apps deployments" in write] == [], "it stays"
