"""Whom a version may break, in the plugin's previews and in `policy check`: whole calls, with the recorder's answers as scripted."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynamiq_operator.cli import callers
from dynamiq_operator.cli.recorder import RECORDER
from dynamiq_operator.desired.base import SERVICE, WORKLOAD
from dynamiq_operator.kube.resources import BY_KIND, ROWS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Reply, listed
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.scripted_recorder import problem
from tests.support.waiting import IN_TIME
from tests.unit.support import rules

UID = given.an_app().meta.uid
SHAPES = f"{RECORDER.proxy}/v1/apps/{UID}/shapes"
ASKS = given.flow("v2").replace("return 'v2'", "return input_data.get('question')")
BREAKS = "v2 reads `question`, which 12 of the last 100 runs (7 days) did not send: key web (12)"
CONDITION: Manifest = {**rules.WOULD_AWAIT, "when": "Breaking"}


def shapes(sent: int = 88, **more: Any) -> dict[str, Any]:
    caller = {"key": "web", "trigger": None, "runs": 100, "others": 0, "fields": {"question": {"string": sent}}}
    return {"data": {"enabled": True, "days": 7, "recorded": 100, "runs": 100, "callers": [caller], **more}}


@pytest.fixture
def deployable(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> ScriptedPlugin:
    """Returns the plugin on App chat, which serves v1, and v2, which reads a new field. A preview waits for a busy machine."""
    monkeypatch.setattr(callers, "WITHIN", IN_TIME)
    plugin.app(given.stored(given.app_manifest()))
    plugin.rows(given.stored(given.row_manifest("chat-a", given.live(1, "v1"))))
    plugin.releases(given.stored(given.version_manifest("v1")), given.stored(given.version_manifest("v2", given.with_spec(flow=ASKS))))
    plugin.runtimes(given.stored(given.runtime_manifest()))
    plugin.flows("v1")
    for kind in (WORKLOAD, SERVICE):
        plugin.script.on("GET", BY_KIND[kind.kind].path(given.NAMESPACE), listed())
    plugin.records()
    plugin.script.on("GET", SHAPES, shapes())
    return plugin


def test_a_preview_names_the_callers_that_a_version_may_break(deployable: ScriptedPlugin) -> None:
    assert f"  {BREAKS}\n" in deployable("deploy", "chat", "--preview").out
    data = json.loads(deployable("deploy", "chat", "--preview", "-o", "json").out)["callers"]
    (change,) = data["changes"]
    assert (data["result"], change["message"], change["callers"]) == ("Breaking", BREAKS, [{"key": "web", "trigger": None, "runs": 12}])
    asked = [sent for sent in deployable.script.recorded if sent.path == SHAPES]
    assert [(sent.query.get("days"), sent.query.get("field")) for sent in asked] == [("7", "question")] * 2


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (problem(404, "there is no such App"), "you may not ask the recorder about this App, or it is older"),
        (problem(503, "away"), "the recorder does not answer"),
        (Reply(body={"data": {"callers": 7}}), "the recorder does not answer"),
        (Reply(body=shapes(enabled=False, callers=[])), "the App records no shapes (spec.runs.shapes)"),
    ],
)
def test_a_preview_without_the_count_is_whole_and_tells_why(deployable: ScriptedPlugin, answer: Reply, why: str) -> None:
    deployable.script.on("GET", SHAPES, answer)
    done = deployable("deploy", "chat", "--preview")
    assert done.code == 0
    assert f"  v2 reads `question`\n  how many callers it may break is unknown: {why}\n" in done.out


def test_without_a_recorder_callers_are_unknown(deployable: ScriptedPlugin) -> None:
    deployable.script.has_recorder = False
    assert "unknown: no recorder is installed, or you may not reach it\n" in deployable("deploy", "chat", "--preview").out


def test_a_login_without_a_token_is_told_what_is_missing(deployable: ScriptedPlugin) -> None:
    deployable.logs_in({"client-certificate-data": "Y2VydA=="})
    assert "unknown: the recorder needs a token, see --token\n" in deployable("deploy", "chat", "--preview").out


def test_a_version_that_reads_nothing_new_asks_no_recorder(deployable: ScriptedPlugin) -> None:
    deployable.releases(given.stored(given.version_manifest("v1")), given.stored(given.version_manifest("v2")))
    deployable("deploy", "chat", "--preview")
    assert not [sent for sent in deployable.script.recorded if sent.path.startswith(RECORDER.proxy)]


def guarded(plugin: ScriptedPlugin) -> None:
    plugin.app(given.stored(given.app_manifest(given.with_status(guards=[CONDITION]))))


def test_a_preview_waits_for_approvals_only_if_it_breaks(deployable: ScriptedPlugin) -> None:
    guarded(deployable)
    assert f"it would wait: {CONDITION['message']}" in deployable("deploy", "chat", "--preview").out
    deployable.script.on("GET", SHAPES, shapes(sent=100))
    done = deployable("deploy", "chat", "--preview").out
    assert "it would wait" not in done
    assert "  v2 reads `question`: all of the last 100 runs (7 days) sent it\n" in done


def test_what_was_previewed_is_deployed_although_nobody_breaks(deployable: ScriptedPlugin) -> None:
    """The row is planned again before it is made, and callers are not counted again."""
    guarded(deployable)
    deployable.script.on("GET", SHAPES, shapes(sent=100))
    deployable.script.on("POST", ROWS.path(given.NAMESPACE), given.stored(given.row_manifest("chat-new")))
    assert deployable("deploy", "chat", "--yes", "--no-wait").code == 0


def test_policy_check_tells_which_it_would_be(deployable: ScriptedPlugin) -> None:
    guarded(deployable)
    done = deployable("policy", "check", "chat")
    assert done.code == 3
    assert done.out.splitlines()[1:3] == [f"  Deploy      {CONDITION['message']}", f"              {BREAKS}"]
    deployable.script.on("GET", SHAPES, shapes(sent=100))
    safe = deployable("policy", "check", "chat", "--version", "v2")
    assert safe.code == 0
    assert safe.out.splitlines()[1:3] == [
        "  Deploy      it would not wait",
        "              v2 reads `question`: all of the last 100 runs (7 days) sent it",
    ]
    data = json.loads(deployable("policy", "check", "chat", "-o", "json").out)
    assert (data["version"], data["callers"]["result"], data["waits"]) == ("v2", "Compatible", [])
    assert deployable("policy", "check", "chat", "--for", "Promotion").code == 3, "of its version nothing is known"


def test_policy_check_without_a_condition_asks_no_recorder(deployable: ScriptedPlugin) -> None:
    deployable.app(given.stored(given.app_manifest(given.with_status(guards=[rules.WOULD_AWAIT]))))
    assert deployable("policy", "check", "chat").code == 3
    assert not [sent for sent in deployable.script.recorded if sent.path.startswith(RECORDER.proxy)]
