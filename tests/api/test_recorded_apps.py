"""A recorder is installed, moved and removed on the real API server. No pod is recreated for it, and each App shows whether it is recorded."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dynamiq_operator.desired.pod_template import recorder_of
from dynamiq_operator.model import kinds, names
from tests.support.api import Manifest
from tests.support.factories import public, with_spec, with_triggers
from tests.support.history_stage import APP, HistoryStage
from tests.support.operator import Operator
from tests.support.waiting import eventually

RECORDER = "http://dynamiq-recorder.dynamiq-recorder.svc:8080"
ELSEWHERE = "http://dynamiq-recorder.elsewhere.svc:8080"
FOLDER = "/var/run/secrets/dynamiq/recorder"


class Operators:
    """An operator that is restarted with other options."""

    def __init__(self, account: Path, folder: Path, namespace: str) -> None:
        self._account, self._folder, self._namespace = account, folder, namespace
        self.running: Operator | None = None

    def with_options(self, *options: str) -> Operator:
        self.stop()
        self.running = Operator(self._account, self._folder, [self._namespace], options)
        self.running.start()
        return self.running

    def stop(self) -> None:
        if self.running is not None:
            self.running.stop()
            self.running = None


@pytest.fixture
def operators(account: Path, stage: HistoryStage, tmp_path: Path) -> Iterator[Operators]:
    made = Operators(account, tmp_path, stage.namespace)
    yield made
    made.stop()


def template(stage: HistoryStage) -> Manifest:
    found: Manifest = stage.workload(APP)["spec"]["template"]
    return found


def pods(stage: HistoryStage) -> set[str]:
    return {pod["metadata"]["uid"] for pod in stage.pods(APP)}


def conditions(stage: HistoryStage) -> set[str]:
    return {each["type"] for each in stage.get(kinds.APP.kind, APP)["status"]["conditions"]}


def environment(stage: HistoryStage) -> dict[str, str]:
    return {each["name"]: each.get("value", "") for each in template(stage)["spec"]["containers"][0]["env"]}


def test_recorder_that_comes_moves_and_goes_makes_no_pod_anew_until_somebody_restarts_them(
    stage: HistoryStage, operators: Operators
) -> None:
    operators.with_options()
    stage.app(APP, public(), with_triggers({"name": "nightly", "schedule": "0 3 * * *"}), workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    name = names.trigger(APP, "nightly")
    made = eventually("there is a CronJob", lambda: stage.find("CronJob", name))
    before = (stage.workload(APP)["metadata"]["generation"], template(stage), pods(stage))
    for options, reason in (
        (("--recorder", RECORDER), "PodsNotRestarted"),
        (("--recorder", ELSEWHERE), "PodsNotRestarted"),
        ((), None),
    ):
        operators.with_options(*options)
        if reason is not None:
            stage.until_condition(APP, "Recorded", "False", reason=reason)
        else:
            eventually("the App says nothing of a recorder", lambda: "Recorded" not in conditions(stage))
        stage.quiet(APP)
        assert (stage.workload(APP)["metadata"]["generation"], template(stage), pods(stage)) == before, options
    operators.stop()
    made = stage.get("CronJob", name)
    made["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["env"] = []  # as an operator made it that named no triggers
    replaced = stage.api.replace(made)
    assert replaced.ok, replaced.message
    operators.with_options("--recorder", RECORDER)

    def has_name() -> bool:
        (found,) = stage.get("CronJob", name)["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        return {"name": "DYNAMIQ_TRIGGER", "value": "nightly"} in found.get("env", [])

    eventually("the CronJob says which trigger it is of", has_name)
    after = stage.get("CronJob", name)
    assert (after["metadata"]["uid"], after["metadata"]["generation"]) == (made["metadata"]["uid"], made["metadata"]["generation"] + 2)
    assert "lastScheduleTime" not in after.get("status", {})
    stage.until_condition(APP, "Recorded", "False", reason="PodsNotRestarted")
    stage.kubectl("rollout", "restart", f"deployment.apps/{APP}", namespace=stage.namespace)
    eventually("the new pods are told of it", lambda: recorder_of(template(stage)) == RECORDER)
    stage.until_condition(APP, "Recorded", "True")
    stage.quiet(APP)


def test_next_deploy_brings_what_a_pod_needs_to_send_its_runs_and_the_network_lets_them_out(
    stage: HistoryStage, operators: Operators
) -> None:
    operators.with_options("--recorder", RECORDER, "--metrics-from", "monitoring/app=prometheus,tools")
    runs = {"content": True, "redact": {"patterns": ["[0-9]{16}"]}}
    stage.app(APP, public(), with_spec(runs=runs, network={"ingressFrom": [], "egress": []}), workflow=APP)
    stage.live(APP, "v1", runtime=stage.default_runtime)
    env, spec = environment(stage), template(stage)["spec"]
    assert (env["DYNAMIQ_RECORDER"], env["DYNAMIQ_RECORDER_TOKEN"]) == (RECORDER, f"{FOLDER}/token")
    assert env["DYNAMIQ_RUNS"] == '{"content": true, "redact": {"patterns": ["[0-9]{16}"]}}'
    assert (len(env["DYNAMIQ_PINS"]), env["DYNAMIQ_APP_ID"]) == (16, stage.get(kinds.APP.kind, APP)["metadata"]["uid"])
    (source,) = next(each["projected"]["sources"] for each in spec["volumes"] if each["name"] == "recorder")
    assert source["serviceAccountToken"] == {"audience": "dynamiq-recorder", "expirationSeconds": 3600, "path": "token"}
    stage.until_condition(APP, "Recorded", "True", reason="PodsRecorded")
    stage.quiet(APP)
    assert stage.events(APP).get("Repaired") is None, "what the API server adds to the volume is nobody's edit"
    policy = eventually("there is a policy", lambda: stage.find("NetworkPolicy", APP))["spec"]
    namespaces = [each["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"] for each in policy["ingress"][1]["from"]]
    assert (namespaces, policy["ingress"][1]["ports"]) == (["dynamiq-system", "monitoring", "tools"], [{"protocol": "TCP", "port": 9090}])
    recorder = policy["egress"][1]
    assert recorder["to"][0]["podSelector"] == {"matchLabels": {"app.kubernetes.io/name": "dynamiq-recorder"}}
    assert recorder["ports"] == [{"protocol": "TCP", "port": 8080}]

    operators.with_options("--recorder", ELSEWHERE)
    message = stage.until_condition(APP, "Recorded", "False", reason="RecorderMoved")["message"]
    assert f"1 of 1 pods do not send their runs to {ELSEWHERE} yet" in message
    operators.with_options()

    def counts() -> list[int]:
        found = stage.get("NetworkPolicy", APP)["spec"]
        return [len(found["egress"]), len(found["ingress"][1]["from"])]

    eventually("both go with what named them", lambda: counts() == [1, 1])
