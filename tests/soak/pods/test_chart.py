"""Tests the chart in special cases: on an installation by kustomize, with kept runs of a recorder, without a gate, and without a running
operator.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.model import names
from local import clusters, journal, recorder, volumes
from local.clusters import Cluster
from local.transcript import Transcript
from tests.support import release
from tests.support.chart import NAMESPACE
from tests.support.cluster import REPOSITORY, Kubectl
from tests.support.load.sleepers import serverless, until_asleep
from tests.support.release import Release
from tests.support.stage import Stage, stage
from tests.support.waiting import eventually

pytestmark = pytest.mark.timeout(1800)
GATE = names.GATE_NAMESPACE
ANSWERED = 200


@pytest.fixture
def installed(tmp_path: Path) -> Iterator[tuple[Cluster, Release]]:
    """Provides a cluster to each test: a release must be the only one of its cluster."""
    name = f"t{os.getpid()}-chart"
    try:
        cluster = clusters.start(name, "node", env={})
        yield cluster, release.on(cluster, tmp_path)
    finally:
        clusters.stop(name)


def test_an_installation_by_kustomize_becomes_a_release_and_no_pod_is_replaced(installed: tuple[Cluster, Release]) -> None:
    cluster, installed_release = installed
    kubectl = Kubectl(cluster)
    for folder in ("manifests", "manifests/gate"):
        kubectl("apply", "-k", str(REPOSITORY / folder))
    for workload, namespace in (("dynamiq-operator", NAMESPACE), ("dynamiq-api", NAMESPACE), ("dynamiq-gate", GATE)):
        kubectl("rollout", "status", f"deployment/{workload}", "--timeout=110s", namespace=namespace)
    before = _pods(kubectl)
    installed_release.install({}, "--take-ownership", "--force-conflicts")
    installed_release.test()
    assert _pods(kubectl) == before
    installed_release.uninstall()
    assert installed_release.definitions()


def test_an_app_that_sleeps_is_woken_before_the_gate_is_switched_off(installed: tuple[Cluster, Release]) -> None:
    cluster, installed_release = installed
    installed_release.install()
    installed_release.test()
    with stage(cluster, "chart") as on:
        _sleeping(on)
        installed_release.upgrade({"gate": {"enabled": False}})
        assert on.call("sleeps", on.key("sleeps"))[0] == ANSWERED
        on.until_condition("sleeps", "Asleep", "False", reason="GateMissing")
        installed_release.upgrade({})
        until_asleep(on, "sleeps")
        assert on.call("sleeps", on.key("sleeps"))[0] == ANSWERED


def test_without_an_operator_an_uninstallation_is_given_up_and_the_gate_serves_on(installed: tuple[Cluster, Release]) -> None:
    cluster, installed_release = installed
    installed_release.install({"gate": {"retire": {"timeoutSeconds": 20}}})
    installed_release.test()
    with stage(cluster, "chart") as on:
        _sleeping(on)
        on.kubectl("scale", "deployment.apps/dynamiq-operator", "--replicas=0", namespace=NAMESPACE)
        on.kubectl("wait", "pod", "--for=delete", "-l", "app.kubernetes.io/name=dynamiq-operator", "--timeout=90s", namespace=NAMESPACE)
        assert installed_release.helm("uninstall", "dynamiq", "--namespace", NAMESPACE, check=False).returncode != 0
        on.kubectl("rollout", "status", "deployment.apps/dynamiq-gate", "--timeout=110s", namespace=GATE)
        assert on.call("sleeps", on.key("sleeps"))[0] == ANSWERED, "the gate wakes it by itself"
        on.kubectl("scale", "deployment.apps/dynamiq-operator", "--replicas=2", namespace=NAMESPACE)
        installed_release.uninstall()
        assert on.call("sleeps", on.key("sleeps"))[0] == ANSWERED


def test_runs_stay_when_the_release_ends_and_are_there_when_it_is_installed_again(installed: tuple[Cluster, Release]) -> None:
    cluster, installed_release = installed
    kubectl = Kubectl(cluster)
    for program in ("recorder", "journal"):
        volumes.provide(cluster, Transcript(cluster, REPOSITORY), program)
    values = {"recorder": {"enabled": True}}
    installed_release.install(values)
    installed_release.test()
    claim = kubectl("get", "pvc", recorder.CLAIM, "-o", "jsonpath={.metadata.uid}", namespace=recorder.NAMESPACE).stdout
    assert claim
    objects = installed_release.objects()
    installed_release.uninstall()
    installed_release.until_gone(objects, *(f"namespace/{name}" for name in (recorder.NAMESPACE, journal.NAMESPACE, GATE)))
    installed_release.install(values)
    installed_release.test()
    assert kubectl("get", "pvc", recorder.CLAIM, "-o", "jsonpath={.metadata.uid}", namespace=recorder.NAMESPACE).stdout == claim
    (workload,) = [
        each for each in installed_release.objects() if each["kind"] == "Deployment" and each["metadata"]["name"] == "dynamiq-operator"
    ]
    variables = workload["spec"]["template"]["spec"]["containers"][0]["env"]
    assert {"name": "DYNAMIQ_RECORDER", "value": recorder.URL} in variables
    assert {"name": "DYNAMIQ_JOURNAL", "value": journal.URL} in variables


def _sleeping(on: Stage) -> None:
    on.release("v1")
    on.runtime("fast", by_default=True)
    on.app("sleeps")
    on.live("sleeps", "v1", config=serverless())
    on.until_reached("sleeps")
    until_asleep(on, "sleeps")


def _pods(kubectl: Kubectl) -> set[str]:
    """Returns the ids of running pods of operator, API and gate, once none is terminating."""
    path = 'jsonpath={range .items[*]}{.metadata.uid} {.metadata.deletionTimestamp}{"\\n"}{end}'

    def settled() -> set[str] | None:
        lines = [kubectl("get", "pods", "-o", path, namespace=each).stdout.splitlines() for each in (NAMESPACE, GATE)]
        pods = [line.split() for words in lines for line in words]
        return {pod[0] for pod in pods} if all(len(pod) == 1 for pod in pods) else None

    return eventually("no pod is on its way out", settled)
