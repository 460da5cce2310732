"""`logs` and `open`: kubectl is started with the right pods, and the address is printed."""

from __future__ import annotations

import json
import webbrowser

import pytest

from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import template_digest
from dynamiq_operator.kube.resources import PODS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import listed
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.waiting import IN_TIME
from tests.unit.support.workloads import pod

LIVE = given.row_manifest("chat-b", given.live(2, "v2"))
APP = given.app_manifest()


@pytest.fixture
def running(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat, which serves v2 after v1. Pods run."""
    plugin.app(given.stored(APP))
    plugin.rows(
        given.stored(given.row_manifest("chat-a", given.superseded(1, "v1"))),
        given.stored(LIVE),
        given.stored(given.row_manifest("chat-c", given.never_deployed(3))),
    )
    plugin.script.on("GET", PODS.path(NAMESPACE), listed(pod("old", "v1"), pod("new", "v2")))
    return plugin


def selector(version: str) -> str:
    row = given.a_row("chat-b", given.live(2, version))
    assert row.pinned is not None
    return f"{names.APP_LABEL}={NAME},{names.TEMPLATE_LABEL} in ({template_digest(given.an_app(), Pins.of(row.pinned))})"


def test_logs_becomes_kubectl_logs_of_the_live_rows_pods(running: ScriptedPlugin) -> None:
    with running.started("logs", "chat", "-f", "--since", "10m", "--tail=5", "--as=anna") as process:
        out, err = process.communicate(timeout=IN_TIME)
    assert (process.returncode, err) == (0, "")
    assert out.splitlines() == [
        "logs",
        "--as=anna",
        "--namespace=demo",
        f"--selector={selector('v2')}",
        "--prefix",
        "--max-log-requests=50",
        "--follow",
        "--since=10m",
        "--tail=5",
    ]


def test_logs_of_another_row_whose_pods_still_run(running: ScriptedPlugin) -> None:
    with running.started("logs", "chat", "--row", "1") as process:
        out, _ = process.communicate(timeout=IN_TIME)
    assert out.splitlines()[1:] == ["--namespace=demo", f"--selector={selector('v1')}", "--prefix", "--max-log-requests=50"]


def test_logs_of_pods_that_have_other_variables_than_the_app(running: ScriptedPlugin) -> None:
    """Changed variables of the App may wait for a row: its pods continue with those that they were created with."""
    running.app(given.stored(given.app_manifest(given.with_variables({"name": "TONE", "value": "rude"}))))
    with running.started("logs", "chat") as process:
        out, _ = process.communicate(timeout=IN_TIME)
    assert f"--selector={selector('v2')}" in out.splitlines()


def test_logs_of_pods_that_only_finish_the_background_runs_of_a_row(running: ScriptedPlugin) -> None:
    finishing = pod("old-fin", "v1")
    finishing["metadata"]["labels"][names.FINISHING_OF_LABEL] = finishing["metadata"]["labels"].pop(names.APP_LABEL)
    pinned = given.a_row("chat-a", given.superseded(1, "v1")).pinned
    assert pinned is not None
    shown = {"row": "chat-a", "sequence": 1, "version": "v1", "pins": Pins.of(pinned).digest}
    running.app(given.stored(given.app_manifest(given.with_status(finishing=[shown]))))
    live, its = ({"labelSelector": f"{label}=chat,{names.MANAGED_SELECTOR}"} for label in (names.APP_LABEL, names.FINISHING_OF_LABEL))
    running.script.on("GET", PODS.path(NAMESPACE), listed(pod("new", "v2")), query=live)
    running.script.on("GET", PODS.path(NAMESPACE), listed(finishing), query=its)
    with running.started("logs", "chat", "--row", "1") as process:
        out, _ = process.communicate(timeout=IN_TIME)
    assert f"--selector={selector('v1').replace(names.APP_LABEL, names.FINISHING_OF_LABEL)}" in out.splitlines()


def test_logs_of_pods_that_are_not_there(running: ScriptedPlugin) -> None:
    running.script.on("GET", PODS.path(NAMESPACE), listed())
    done = running("logs", "chat")
    assert (done.code, done.err) == (
        1,
        "error: no pod of chat v2 (#2, chat-b) runs in namespace demo: see `kubectl dynamiq status chat -n demo`\n",
    )
    assert running("logs", "chat", "--row", "3").err == "error: row chat-c was never rolled out, so it had no pods\n"
    running.rows()
    assert running("logs", "chat").err == "error: nothing of chat is live in namespace demo: see `kubectl dynamiq history chat -n demo`\n"


@pytest.mark.parametrize(
    ("exposure", "hostname", "out", "err"),
    [
        (None, "chat.example.com", "http://chat.example.com\n", ""),
        ({"type": "Ingress", "tls": {"secretName": "chat-tls"}}, "chat.example.com", "https://chat.example.com\n", ""),
        (
            None,
            "chat.demo.svc",
            "http://chat.demo.svc\n",
            "this address works only inside the cluster; from here: `kubectl port-forward -n demo service/chat 8080:80`\n",
        ),
        (
            {"type": "ClusterIP"},
            "chat.internal",
            "http://chat.internal\n",
            "this address works only inside the cluster; from here: `kubectl port-forward -n demo service/chat 8080:80`\n",
        ),
    ],
)
def test_open_prints_the_address(plugin: ScriptedPlugin, exposure: Manifest | None, hostname: str, out: str, err: str) -> None:
    modifiers = [given.with_status(hostname=hostname), *([given.with_spec(exposure=exposure)] if exposure else [])]
    plugin.app(given.stored(given.app_manifest(*modifiers)))
    done = plugin("open", "chat")
    assert (done.code, done.out, done.err) == (0, out, err)


def test_open_prints_what_is_called_from_outside(plugin: ScriptedPlugin) -> None:
    plugin.app(given.stored(given.app_manifest(given.with_status(hostname="chat.demo.localhost", url="http://chat.demo.localhost:8080"))))
    done = plugin("open", "chat")
    assert (done.out, done.err) == ("http://chat.demo.localhost:8080\n", "")


def test_on_a_desktop_the_browser_opens_it(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    plugin.app(given.stored(given.app_manifest(given.with_status(hostname="chat.example.com"))))
    assert plugin("open", "chat", terminal=True).out == "http://chat.example.com\n"
    assert opened == []
    assert json.loads(plugin("open", "chat", "-o", "json").out) == {"namespace": "demo", "app": "chat", "url": "http://chat.example.com"}
    monkeypatch.setenv("DISPLAY", ":0")
    assert plugin("open", "chat").code == 0
    assert opened == [], "whoever reads the address by a program opens it, or does not"
    assert plugin("open", "chat", terminal=True).code == 0
    assert opened == ["http://chat.example.com"]


def test_open_before_there_is_an_address(plugin: ScriptedPlugin) -> None:
    plugin.app(given.stored(APP))
    done = plugin("open", "chat")
    assert (done.code, done.err) == (1, "error: chat has no address yet: see `kubectl dynamiq status chat -n demo`\n")
