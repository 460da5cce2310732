"""Reads that begin before their results are needed: each once, errors unchanged, and never in place of a later read."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.model.manifests import Manifest
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import Sent, failure, listed
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.waiting import IN_TIME

APP = given.stored(given.app_manifest())
LIVE = given.stored(given.row_manifest("chat-a", given.live(1, "v1")))
REVIEWS = "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews"


@pytest.fixture
def serving(plugin: ScriptedPlugin) -> ScriptedPlugin:
    """Returns a plugin on App chat, which serves v1; v2 is released."""
    plugin.app(APP)
    plugin.rows(LIVE)
    plugin.flows("v1", "v2")
    plugin.releases(*(given.stored(given.version_manifest(version)) for version in ("v1", "v2")))
    plugin.runtimes(given.stored(given.runtime_manifest()))
    return plugin


@pytest.mark.parametrize("options", [(), ("--version", "v2")])
def test_a_preview_of_a_deploy_sends_each_request_once(serving: ScriptedPlugin, options: tuple[str, ...]) -> None:
    assert serving("deploy", "chat", "--preview", *options).code == 0
    sent = Counter((each.method, each.path, str(sorted(each.query.items())), str(each.body)) for each in serving.script.sent)
    assert [request for request, times in sent.items() if times > 1] == []


def test_a_preview_of_a_deploy_reads_app_rows_and_rights_together(serving: ScriptedPlugin) -> None:
    begun = threading.Barrier(4)
    allowed = {"status": {"allowed": True}}
    for method, path, answer in (
        ("GET", APPS.path(NAMESPACE, NAME), APP),
        ("GET", ROWS.path(NAMESPACE), listed(LIVE)),
        ("POST", REVIEWS, allowed),
    ):

        def wait(_: Sent, answer: Manifest = answer) -> Manifest:
            begun.wait(IN_TIME)
            return answer

        serving.script.on(method, path, wait)
    assert serving("deploy", "chat", "--preview").code == 0


def test_a_confirmed_deploy_reads_again(serving: ScriptedPlugin) -> None:
    other = given.stored(given.row_manifest("chat-b", given.live(2, "v2")))
    serving.script.on("GET", ROWS.path(NAMESPACE), listed(LIVE), listed(other))
    done = serving("deploy", "chat", "--yes")
    assert (done.code, "has changed after the preview" in done.err) == (4, True)
    assert serving.script.bodies("POST", ROWS.path(NAMESPACE)) == []


@pytest.mark.parametrize("command", [("status", "chat"), ("deploy", "chat", "--preview"), ("rollback", "chat", "--preview")])
def test_what_cannot_be_read_is_the_same_error(serving: ScriptedPlugin, command: tuple[str, ...]) -> None:
    serving.script.on("GET", ROWS.path(NAMESPACE), failure(500, "InternalError", "etcd is full"))
    assert serving(*command).err == "error: the API server does not answer: etcd is full; see `kubectl cluster-info`\n"


@pytest.mark.parametrize("command", [("status", "chat"), ("deploy", "chat", "--preview"), ("rollback", "chat", "--preview")])
def test_a_cluster_that_cannot_be_reached_is_one_message(plugin: ScriptedPlugin, command: tuple[str, ...]) -> None:
    plugin.complains("error: no such file\n")
    assert plugin(*command).err == "error: kubectl cannot connect: no such file\n"
