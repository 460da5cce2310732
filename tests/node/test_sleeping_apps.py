"""Tests an owner's actions on a sleeping App, on real pods: deploys, changes of type, other keys, triggers; and the chart's hooks for the
gate.
"""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.objects import format_time
from local.clusters import Cluster
from local.errors import LocalError
from local.gateway import Gateway
from tests.support import rest
from tests.support.api import Manifest
from tests.support.chart import HOOK, Helm
from tests.support.gateway import ThroughTheGateway, answer, asked
from tests.support.inside import in_network, node_of
from tests.support.load.operated import Operated, operated
from tests.support.load.sleepers import GATE, WORKLOAD, host_of, serverless, sleeping, until_asleep
from tests.support.ports import free_port
from tests.support.stage import uids
from tests.support.waiting import IN_TIME, eventually

pytestmark = pytest.mark.timeout(1200)
HELD_FOR = 120.0  # seconds
WITHIN = IN_TIME
ANSWERED, REFUSED = 200, 401


@pytest.fixture(scope="module")
def sleepers(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    with operated(cluster, at, "sleeping-apps", tmp_path_factory.mktemp("sleeping")) as prepared:
        prepared.on.release("v1", "v2")
        prepared.on.runtime("fast", by_default=True)
        sleeping(prepared.on, prepared.at, ("owned", "keyed"))
        yield prepared


def called(at: Operated, app: str, key: str | None = None) -> tuple[int, str]:
    return asked(ThroughTheGateway(host_of(at.on, app), at.at, HELD_FOR), at.on.key(app) if key is None else key)


def slice_of(at: Operated, app: str) -> Manifest | None:
    return at.on.find("EndpointSlice", names.gate_slice(app))


def test_rows_and_changes_of_type_of_an_app_that_sleeps(sleepers: Operated) -> None:
    on = sleepers.on
    assert on.kubectl("wait", "app/owned", "--for=condition=Ready", "--timeout=60s", namespace=on.namespace, check=False).returncode == 0
    on.live("owned", "v2")
    assert called(sleepers, "owned") == answer("v2")
    until_asleep(on, "owned")
    on.live("owned", "v2", config={"type": "server"})
    eventually("the gate is out of the way", lambda: slice_of(sleepers, "owned") is None)
    before = uids(on.until_settled("owned"))
    assert called(sleepers, "owned") == answer("v2")
    on.live("owned", "v2", config=serverless())
    assert uids(on.until_settled("owned")) == before, "a change of type restarts nothing"
    until_asleep(on, "owned")


def test_keys_that_change_while_it_sleeps_are_the_gates_soon_and_a_wrong_one_wakes_nothing(sleepers: Operated) -> None:
    on = sleepers.on
    before, after = on.key("keyed"), "dynq_the_other_one"
    assert called(sleepers, "keyed", after)[0] == REFUSED
    on.change("Secret", names.access_keys("keyed"), data={"default": None}, stringData={"other": after})
    assert (called(sleepers, "keyed", "dynq_none")[0], on.workload("keyed")["spec"]["replicas"]) == (REFUSED, 0)
    on.change("App", "keyed", metadata={"annotations": {names.KEYS_CHANGED_ANNOTATION: uuid.uuid4().hex}})
    eventually("the gate takes the new key", lambda: called(sleepers, "keyed", after) == answer("v1"), WITHIN, 0.2)
    until_asleep(on, "keyed")
    assert called(sleepers, "keyed", before)[0] == REFUSED
    assert on.workload("keyed")["spec"]["replicas"] == 0


def test_a_trigger_wakes_it(sleepers: Operated) -> None:
    on = sleepers.on
    until_asleep(on, "owned")
    soon = format_time(datetime.now(UTC) + timedelta(seconds=3))
    on.change("App", "owned", spec={"triggers": [{"name": "once", "runAt": soon}]})

    def ran() -> Manifest | None:
        return next((run for run in on.get("App", "owned").get("status", {}).get("triggers", []) if run["outcome"] != "Running"), None)

    assert eventually("the trigger has run", ran, WITHIN)["outcome"] == "Succeeded"
    until_asleep(on, "owned")


def test_a_call_through_the_api_wakes_it(sleepers: Operated, cluster: Cluster, tmp_path: Path) -> None:
    on = sleepers.on
    network, kubeconfig = in_network(cluster, rest.install(cluster, tmp_path), tmp_path)
    path = f"/v1/apps/{rest.uid(on.api, kinds.APP.kind, 'owned', on.namespace)}"
    token, port = rest.account(on.api, on.namespace, "viewer", "dynamiq-view"), free_port()

    def through_api(method: str, path: str, *options: str) -> tuple[str, str]:
        """Returns status and body of a call, made where the address of a Service leads to pods."""
        command = ["curl", "-sS", "-X", method, "-w", "\n%{http_code}", "-H", f"Authorization: Bearer {token}", *options]
        text, _, status = node_of(cluster).run(*command, f"http://127.0.0.1:{port}{path}").rpartition("\n")
        return status, text

    def is_ready() -> bool:
        with contextlib.suppress(LocalError):
            return through_api("GET", path)[0] == "200"
        return False

    body = ("-H", "Content-Type: application/json", "-d", '{"input": {}}')
    until_asleep(on, "owned")
    with rest.process(kubeconfig, tmp_path / "api.log", port, answers=is_ready, network_of=network):
        status, text = through_api("POST", f"{path}/invoke", *body)
        assert (status, "dynamiq-keys" in text, on.workload("owned")["spec"]["replicas"]) == ("403", True, 0)
        rest.bind(on.api, on.namespace, "viewer", "dynamiq-keys", on.namespace)
        assert through_api("POST", f"{path}/invoke", *body) == ("200", answer("v2")[1])
        assert through_api("GET", f"{path}/invoke/v1/nowhere?a=b")[0] == "404"
    until_asleep(on, "owned")


def test_the_chart_finds_the_gate_and_retires_it_for_which_apps_are_woken(sleepers: Operated, tmp_path: Path) -> None:
    """Runs the chart's hooks on the installed gate: `helm test`, and the one before `helm uninstall`. With the gate back, the App sleeps
    again.
    """
    on, hooks = sleepers.on, Helm(tmp_path).rendered({"api": {"enabled": False}}, namespace=sleepers.on.namespace)
    until_asleep(on, "owned")
    run_hook(sleepers, hooks, "test", "pod/dynamiq-test", "jsonpath={.status.phase}=Succeeded")
    try:
        run_hook(sleepers, hooks, "pre-delete", "job/dynamiq-retire-gate", "condition=Complete")
        eventually("the App says why it is awake", lambda: on.condition("owned", "Asleep")["reason"] == "GateDown")
        on.until_settled("owned")
        eventually("calls go to its pod", lambda: called(sleepers, "owned")[0] == ANSWERED, WITHIN, 0.2)
        assert slice_of(sleepers, "owned") is None, "nobody is led to the gate"
    finally:
        sleepers.gates.kubectl("scale", WORKLOAD, "--replicas=2", namespace=GATE)
    sleepers.gates.until_ready()
    until_asleep(on, "owned")


def run_hook(sleepers: Operated, hooks: list[Manifest], event: str, name: str, ends: str) -> None:
    """Runs an event's hooks like helm, until they succeed. Raises AssertionError with their output."""
    on, objects = sleepers.on, [each for each in hooks if each["metadata"].get("annotations", {}).get(HOOK) == event]
    on.kubectl("apply", "-f", "-", input=objects)
    try:
        waited = on.kubectl("wait", name, f"--for={ends}", "--timeout=240s", namespace=on.namespace, check=False, timeout=300)
        assert waited.returncode == 0, waited.stderr + on.kubectl("logs", name, namespace=on.namespace, check=False).stdout
    finally:
        on.kubectl("delete", "-f", "-", input=objects)
