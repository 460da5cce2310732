"""`list`, `version`, and the formats of `-o`."""

from __future__ import annotations

import json
import re
import threading

import pytest

from dynamiq_operator.cli import patience
from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.manifests import GROUP
from tests.support import factories as given
from tests.support.factories import NAMESPACE
from tests.support.scripted import failure, listed
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.waiting import eventually

LIVE = {"row": "chat-a", "sequence": 1, "workflowVersion": "v1", "runtime": "1.0.0"}
READY = {"type": "Ready", "status": "True", "reason": "Serving"}


@pytest.fixture
def apps(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on a serving App, one in its first rollout, and one of another namespace with a hostile reason."""
    rolling = [
        {"type": "Ready", "status": "False", "reason": "NotDeployed"},
        {"type": "Progressing", "status": "True", "reason": "Deploying"},
    ]
    here = [
        given.stored(given.app_manifest(given.with_status(live=LIVE, hostname="chat.example.com", conditions=[READY]))),
        given.stored(given.app_manifest(given.with_status(conditions=rolling), name="new")),
    ]
    hostile = [{"type": "Ready", "status": "False", "reason": "\x1b[31mred"}]
    there = given.stored(given.app_manifest(given.in_namespace("other"), given.with_status(conditions=hostile), name="far"))
    plugin.script.on("GET", APPS.path(NAMESPACE), listed(*here)).on("GET", APPS.path(), listed(*here, there))
    return plugin


def test_the_apps_of_a_namespace(apps: ScriptedPlugin) -> None:
    done = apps("list")
    lines = [re.sub(r" +", " ", line) for line in done.out.splitlines()]
    assert (done.code, lines[0]) == (0, "NAME VERSION STATUS HOSTNAME AGE")
    assert lines[1].startswith("chat v1 Ready chat.example.com ")
    assert lines[2].startswith("new NotDeployed, Deploying ")
    assert len(lines) == 3


def test_wide_output_adds_the_live_row_and_a_limit_cuts_the_list(apps: ScriptedPlugin) -> None:
    header, first, second = (re.sub(r" +", " ", line) for line in apps("list", "-o", "wide").out.splitlines())
    assert header == "NAME VERSION STATUS HOSTNAME AGE ROW RUNTIME URL"
    assert first.endswith(" #1 chat-a 1.0.0")
    assert second.startswith("new NotDeployed")
    assert [app["name"] for app in json.loads(apps("list", "--limit", "1", "-o", "json").out)] == ["chat"]
    assert apps.script.sent[-1].query["limit"] == "1", "the API server sends no more than is shown"


def test_an_app_that_sleeps_has_the_status_asleep(plugin: ScriptedPlugin) -> None:
    asleep = given.stored(given.app_manifest(given.with_status(live=LIVE, conditions=[{**READY, "reason": "Asleep"}])))
    plugin.script.on("GET", APPS.path(NAMESPACE), listed(asleep))
    assert json.loads(plugin("list", "-o", "json").out)[0]["status"] == "Asleep"


def test_a_waiting_row_is_shown_beside_the_status(plugin: ScriptedPlugin) -> None:
    for reason, shown in (("AwaitingApproval", "Ready, AwaitingApproval"), ("Settled", "Ready")):
        held = [READY, {"type": "Progressing", "status": "False", "reason": reason}]
        plugin.script.on(
            "GET", APPS.path(NAMESPACE), listed(given.stored(given.app_manifest(given.with_status(live=LIVE, conditions=held))))
        )
        assert json.loads(plugin("list", "-o", "json").out)[0]["status"] == shown


def test_the_apps_of_every_namespace(apps: ScriptedPlugin) -> None:
    shown = apps("list", "-A").out
    assert shown.startswith("NAMESPACE ")
    assert "\\x1b[31mred" in shown
    assert "\x1b" not in shown
    names = apps("list", "-A", "-o", "name").out.splitlines()
    assert names == [f"app.{GROUP}/{name}" for name in ("chat", "new", "far")]
    assert apps("list", "-A", "-o", "jsonpath={range [*]}{.namespace}/{.name} {end}").out == "demo/chat demo/new other/far \n"
    (first, *_) = json.loads(apps("list", "-o", "json").out)
    assert (first["name"], first["version"], first["row"], first["status"]) == ("chat", "v1", "chat-a", "Ready")


def test_no_app_at_all(apps: ScriptedPlugin) -> None:
    apps.script.on("GET", APPS.path(NAMESPACE), listed())
    done = apps("list")
    assert (done.code, done.out, done.err) == (0, "", "no App in namespace demo\n")
    assert apps("list", "-o", "json").out == "[]\n"


def test_an_invalid_template_is_refused_before_any_request(apps: ScriptedPlugin) -> None:
    done = apps("deploy", "chat", "--yes", "-o", "jsonpath={.name")
    assert (done.code, "an unmatched brace" in done.err) == (2, True)
    assert apps.script.sent == []


def test_the_versions(plugin: ScriptedPlugin) -> None:
    container = {"image": "registry.test/operator:0.1.0"}
    found = {"metadata": {"namespace": "system"}, "spec": {"template": {"spec": {"containers": [container]}}}}
    plugin.script.on("GET", "/apis/apps/v1/deployments", listed(found))
    plugin.script.on("GET", f"/apis/{GROUP}", {"versions": [{"version": "v1alpha1"}]})
    plugin.script.on("GET", "/version", {"gitVersion": "v1.37.0"})
    shown = plugin("version").out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in shown[1:]] == ["registry.test/operator:0.1.0 in system", f"{GROUP}/v1alpha1", "v1.37.0"]
    plugin.script.on("GET", "/apis/apps/v1/deployments", failure(403, "Forbidden"))
    plugin.script.on("GET", f"/apis/{GROUP}", failure(404, "NotFound"))
    data = json.loads(plugin("version", "-o", "json").out)
    assert (data["operator"], data["resources"], data["kubernetes"]) == (None, [], "v1.37.0")
    shown = plugin("version").out.splitlines()
    assert [line.split(maxsplit=1)[1] for line in shown[1:3]] == ["you may not read it (Deployments of its namespace)", "not installed"]


def test_rows_by_name_and_by_a_template(plugin: ScriptedPlugin) -> None:
    plugin.rows(*(given.stored(given.row_manifest(f"chat-{n}", given.superseded(n, "v1"))) for n in (1, 2)))
    assert plugin("history", "chat", "-o", "name").out == f"deployment.{GROUP}/chat-2\ndeployment.{GROUP}/chat-1\n"
    assert plugin("history", "chat", "-o", "jsonpath={[0].sequence}").out == "2\n"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(patience, "FIRST", 0.05)
    monkeypatch.setattr(patience, "THEN", 0.05)


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_takes_long_is_waited_for_aloud(plugin: ScriptedPlugin) -> None:
    row, printed = given.stored(given.row_manifest("chat-1", given.superseded(1, "v1"))), threading.Event()

    def late(_: object) -> dict[str, object]:
        printed.wait(0.3)  # nobody sets it: the answer comes late
        return listed(row)

    plugin.script.on("GET", ROWS.path(NAMESPACE), late)

    def said_aloud() -> bool:
        done = plugin("history", "chat")
        assert (done.code, len(done.out.splitlines())) == (0, 2)
        return re.match(r"waiting for the API server, \d+ s so far\n", done.err) is not None

    eventually("it is waited for aloud", said_aloud)  # a machine at a stand may say it too late
