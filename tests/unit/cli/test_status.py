"""`status` and `diff`: the current state, and the changes from one row to another."""

from __future__ import annotations

import json
import threading

import pytest
import yaml

from dynamiq_operator.desired.base import CONFIG_MAP, SERVICE, WORKLOAD
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROWS, VERSIONS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import Reply, Sent, failure, listed, missing
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.waiting import IN_TIME
from tests.unit.support.workloads import of_pins, rolling, service

STATUS = """\
chat in demo
  Live        v1 (#1, chat-a), runtime 1.0.0, 1 to 2 pods at 80 % CPU, by anna, 2026-11-24T12:00:00Z
  Pending     (chat-d)
  Progressing v3 (#3, chat-c), by bo
  Failed      (#2, chat-b): no pod became Ready
  hostname    chat.example.com
  url         http://chat.example.com:8080
  pods        1 of 2 ready, 1 new, 1 old
  Ready is True (Live)
  HostnameReady is False (Taken): another App has it
"""
ADDRESS = {"hostname": "chat.example.com", "url": "http://chat.example.com:8080"}
SINCE = "2026-11-24T12:00:00Z"
LIVE_PODS = BY_KIND[WORKLOAD.kind].path(NAMESPACE)


def row(name: str, *modifiers: given.Modifier) -> Manifest:
    return given.stored(given.row_manifest(name, *modifiers))


@pytest.fixture
def deploying(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat: v1 serves, v2 has failed, v3 is in progress, and no operator has seen the waiting row."""
    conditions = [
        {"type": "Ready", "status": "True", "reason": "Live", "lastTransitionTime": SINCE},
        {"type": "HostnameReady", "status": "False", "reason": "Taken", "message": "another App has it", "lastTransitionTime": SINCE},
    ]
    failed = {"row": "chat-b", "sequence": 2, "reason": "no pod became Ready"}
    plugin.app(given.stored(given.app_manifest(given.with_status(**ADDRESS, failed=failed, conditions=conditions))))
    plugin.rows(
        row("chat-a", given.live(1, "v1"), given.asking(createdBy="anna")),
        row("chat-b", given.failed(2, "v2")),
        row("chat-c", given.progressing(3, "v3"), given.asking(createdBy="bo")),
        row("chat-d", given.with_status(phase="Pending")),
    )
    plugin.script.on("GET", LIVE_PODS, listed(rolling(2, 1, 1, 1)))
    return plugin


def test_wide_output_adds_the_live_row(deploying: ScriptedPlugin) -> None:
    added = set(deploying("status", "chat", "-o", "wide").out.splitlines()) - set(STATUS.splitlines())
    assert {line.split()[0] for line in added} == {"compute", "digest", "row"}
    assert "  row         chat-a" in added


def test_status_shows_live_rows_rows_under_way_and_failures(deploying: ScriptedPlugin) -> None:
    done = deploying("status", "chat")
    assert (done.code, done.out, done.err) == (0, STATUS, "")


def test_colours_are_for_terminals(deploying: ScriptedPlugin) -> None:
    shown = deploying("status", "chat", terminal=True).out
    assert shown.startswith("\x1b[1mchat in demo\x1b[0m\n  \x1b[32m●\x1b[0m Live")
    assert "\x1b[33m●\x1b[0m Progressing" in shown
    assert "\x1b[31m●\x1b[0m Failed" in shown


@pytest.mark.parametrize("how", ["json", "yaml"])
def test_json_and_yaml_have_every_part_of_the_status(deploying: ScriptedPlugin, how: str) -> None:
    out = deploying("status", "chat", "-o", how).out
    data = json.loads(out) if how == "json" else yaml.safe_load(out)
    assert list(data) == [
        "app",
        "namespace",
        "hostname",
        "url",
        "live",
        "underWay",
        "failed",
        "strategy",
        "suspended",
        "holds",
        "guards",
        "asleep",
        "finishing",
        "pods",
        "beside",
        "conditions",
    ]
    assert (data["app"], data["namespace"], data["hostname"], data["url"]) == ("chat", "demo", *ADDRESS.values())
    assert (data["live"]["name"], [each["name"] for each in data["underWay"]]) == ("chat-a", ["chat-d", "chat-c"])
    assert data["failed"] == {"row": "chat-b", "sequence": 2, "reason": "no pod became Ready"}
    assert data["pods"] == {"wanted": 2, "ready": 1, "new": 1, "old": 1}


SWITCH = """\
chat in demo
  Live        v2 (#2, chat-b), runtime 1.0.0, 1 to 2 pods at 80 % CPU, 2026-11-24T12:00:00Z
  Progressing v3 (#3, chat-c)
  strategy    Switch
  revert      above 5 % failed runs within 60 s; chat-b is watched until 2026-11-24T12:01:00Z
  pods        2 of 2 ready, 2 new, 0 old
  starting    v3, {v3}: 1 of 2 pods ready
  warm        v1, {v1}: 2 of 2 pods ready
"""


def test_under_switch_status_shows_starting_pods_and_the_standby(plugin: ScriptedPlugin) -> None:
    rollout = {"strategy": "Switch", "revert": {"seconds": 60, "maxFailedPercent": 5}}
    trial = {"row": "chat-b", "until": "2026-11-24T12:01:00Z"}
    plugin.app(given.stored(given.app_manifest(given.with_spec(rollout=rollout), given.with_status(trial=trial))))
    plugin.rows(row("chat-b", given.live(2, "v2")), row("chat-c", given.progressing(3, "v3")))
    made = {"v1": of_pins("v1", 2, 2, warm=True), "v2": of_pins("v2", 2, 2, serves=True), "v3": of_pins("v3", 2, 1)}
    plugin.script.on("GET", LIVE_PODS, listed(*made.values()))
    plugin.script.on("GET", BY_KIND[SERVICE.kind].path(NAMESPACE, NAME), service("v2"))
    called = {version: workload["metadata"]["name"] for version, workload in made.items()}
    out = plugin("status", "chat").out
    assert sorted(out.splitlines()) == sorted(SWITCH.format(**called).splitlines())
    data = json.loads(plugin("status", "chat", "-o", "json").out)
    assert (data["strategy"], data["pods"]["ready"]) == ("Switch", 2)
    assert {"role": "warm", "name": called["v1"], "version": "v1", "ready": 2, "wanted": 2} in data["beside"]


def test_asleep(plugin: ScriptedPlugin) -> None:
    asleep = {"type": "Ready", "status": "True", "reason": "Asleep", "message": "it sleeps", "lastTransitionTime": SINCE}
    plugin.app(given.stored(given.app_manifest(given.with_status(conditions=[asleep]))))
    plugin.rows(row("chat-a", given.live(1, "v1", config={"type": "serverless", "idleSeconds": 60, "maxReplicas": 1, "holdSeconds": 9})))
    plugin.script.on("GET", LIVE_PODS, listed(rolling(0, 0, 0, 0)))
    out = plugin("status", "chat").out
    assert "serverless, 0 to 1 pods, asleep after 60 s, a call waits 9 s" in out
    assert "  asleep      the next call wakes it\n  pods        0 of 0 ready, 0 new, 0 old\n" in out
    assert json.loads(plugin("status", "chat", "-o", "json").out)["asleep"] is True


def test_status_shows_a_reverted_version_with_its_figures(plugin: ScriptedPlugin) -> None:
    why = "v2 (#2, chat-b) failed 14 of 20 runs"
    plugin.app(given.stored(given.app_manifest()))
    plugin.rows(row("chat-r", given.live(3, "v1", source="Revert", restores={"row": "chat-a", "sequence": 1}), given.asking(message=why)))
    plugin.script.on("GET", LIVE_PODS, listed(rolling(1, 1, 1, 0)))
    assert f"  reverted    {why}\n" in plugin("status", "chat").out
    live = json.loads(plugin("status", "chat", "-o", "json").out)["live"]
    assert (live["source"], live["provenance"]) == ("Revert", "revert, restores #1")


def test_before_the_first_deploy(plugin: ScriptedPlugin) -> None:
    plugin.app(given.stored(given.app_manifest()))
    plugin.rows()
    plugin.script.on("GET", LIVE_PODS, listed())
    assert plugin("status", "chat").out.splitlines()[:2] == ["chat in demo", "  nothing is live"]
    assert json.loads(plugin("status", "chat", "-o", "json").out)["live"] is None


def test_a_caller_who_may_not_read_the_workload_gets_the_rest(deploying: ScriptedPlugin) -> None:
    deploying.script.on("GET", LIVE_PODS, failure(403, "Forbidden", "deployments.apps is forbidden"))
    done = deploying("status", "chat")
    assert (done.code, "  pods " in done.out, "Live        v1" in done.out) == (0, False, True)


def test_status_reads_the_app_its_rows_and_its_workloads_together(deploying: ScriptedPlugin) -> None:
    begun = threading.Barrier(3)

    def together(path: str) -> None:
        answer = deploying.script.answer(Sent("GET", path, {"fieldSelector": f"spec.app={NAME},{ROWS.field_selector}"}, {}, None))

        def wait(_: Sent) -> Reply:
            begun.wait(IN_TIME)
            return answer

        deploying.script.on("GET", path, wait)

    for path in (APPS.path(NAMESPACE, NAME), ROWS.path(NAMESPACE), LIVE_PODS):
        together(path)
    done = deploying("status", "chat")
    assert (done.code, done.out, done.err) == (0, STATUS, "")


def test_no_such_app(plugin: ScriptedPlugin) -> None:
    names_there = listed(*({"metadata": {"name": f"app-{number:02}"}} for number in range(12)))
    plugin.script.on("GET", APPS.path(NAMESPACE, "chat"), missing("apps", "chat")).on("GET", APPS.path(NAMESPACE), names_there)
    done = plugin("status", "chat")
    there = ", ".join(f"app-{number:02}" for number in range(10))
    assert (done.code, done.err) == (1, f"error: no App chat in namespace demo; Apps there: {there} and 2 more\n")


# `diff`.


@pytest.fixture
def changed(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on two rows that ran, with two flows and two configs, and one that was never rolled out."""
    scaled = {**given.CONFIG, "autoscaling": {"minReplicas": 3, "maxReplicas": 3, "targetCPUUtilizationPercentage": 80}}
    plugin.rows(
        row("chat-a", given.superseded(1, "v1")),
        row("chat-b", given.live(2, "v2", config=scaled)),
        row("chat-c", given.never_deployed(3)),
    )
    plugin.flows("v1", "v2")
    plugin.app(given.stored(given.app_manifest()))
    return plugin


def test_two_rows_by_number_and_by_name(changed: ScriptedPlugin) -> None:
    done = changed("diff", "chat", "1", "chat-b")
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(
        "chat: #1 chat-a → #2 chat-b\n"
        "  version  v1 → v2\n"
        "  runtime  1.0.0\n"
        "  config   1 to 2 pods at 80 % CPU → 3 pods at 80 % CPU\n"
        "\n"
        "--- v1 (#1)\n"
        "+++ v2 (#2)\n"
    )
    assert "-  code: \"def run(input_data): return 'v1'\"\n" in done.out
    assert changed("diff", "chat", "#1", "#2").out == done.out
    data = json.loads(changed("diff", "chat", "1", "2", "-o", "json").out)
    assert (data["before"]["version"], data["after"]["version"], data["sameFlow"]) == ("v1", "v2", False)
    assert data["flowDiff"].startswith("--- v1 (#1)")


def test_diff_shows_different_runtimes_and_compute(changed: ScriptedPlugin) -> None:
    other = given.a_runtime(given.with_image("registry.test/other@sha256:" + "2" * 64), name="other")
    config = {**given.CONFIG, "resources": {"requests": {"cpu": "2", "memory": "256Mi"}}}
    changed.rows(row("chat-a", given.superseded(1, "v1")), row("chat-b", given.live(2, "v1", runtime=other, config=config)))
    out = changed("diff", "chat", "1", "2").out
    assert f"  runtime  1.0.0 (tiny-1, {given.IMAGE}) → 1.0.0 (other, registry.test/other@sha256:{'2' * 64})\n" in out
    assert "  compute  100m CPU and 256Mi memory → 2 CPU and 256Mi memory\n" in out


def test_diff_shows_that_the_flow_is_the_same(changed: ScriptedPlugin) -> None:
    assert changed("diff", "chat", "1", "1").out.endswith("  the flow is the same\n")


def test_diff_reports_a_flow_that_no_longer_exists(changed: ScriptedPlugin) -> None:
    name = names.flow(NAME, given.flow_hash("v1"))
    changed.script.on("GET", BY_KIND[CONFIG_MAP.kind].path(NAMESPACE, name), missing("configmaps", name))
    changed.script.on("GET", VERSIONS.path(NAMESPACE, "chat-v1"), failure(403, "Forbidden", "forbidden"))
    last = changed("diff", "chat", "1", "2").out.splitlines()[-1]
    assert last == "  the flows differ, and one of them is in no ConfigMap and no WorkflowVersion that you may read"
    changed.script.on("GET", VERSIONS.path(NAMESPACE, "chat-v1"), given.stored(given.version_manifest("v1")))
    assert "--- v1 (#1)" in changed("diff", "chat", "1", "2").out, "the WorkflowVersion has it, too"


def test_rows_that_cannot_be_compared(changed: ScriptedPlugin) -> None:
    done = changed("diff", "chat", "1", "3")
    assert (done.code, done.err) == (1, "error: row chat-c was never rolled out, so there is nothing to compare\n")
    changed.script.on("GET", ROWS.path(NAMESPACE, "none"), missing("deployments", "none"))
    assert changed("diff", "chat", "none", "1").err.startswith("error: no row none of chat in namespace demo; see")
    changed.script.on("GET", ROWS.path(NAMESPACE, "other-a"), row("other-a", given.live(1, "v1"), given.of_app("other")))
    assert changed("diff", "chat", "other-a", "1").err.startswith("error: no row other-a of chat in namespace demo; see")
