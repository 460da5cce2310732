"""`keys` and `invoke`: the keys of an App's callers, and a call of it."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.kube.resources import APPS, BY_KIND
from dynamiq_operator.model import names
from tests.support import factories as given
from tests.support.factories import NAME, NAMESPACE
from tests.support.scripted import Reply, Script, ScriptedServer, Sent, failure, listed, missing
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.waiting import IN_TIME, eventually
from tests.unit.support.called_apps import DEFAULT, LIVE, SECRET, secret, served
from tests.unit.support.workloads import plain, rolling

APP = APPS.path(NAMESPACE, NAME)
PATIENCE = IN_TIME


def written(plugin: ScriptedPlugin) -> list[Any]:
    return plugin.script.bodies("PATCH", SECRET)


def test_a_list_shows_no_key(keyed: ScriptedPlugin) -> None:
    for form in ((), ("-o", "json"), ("-o", "yaml"), ("-o", "name")):
        shown = keyed("keys", "list", NAME, *form).out
        assert "default" in shown
        assert DEFAULT not in shown
        assert "short" not in shown
    assert keyed("keys", "list", NAME).out == "NAME      KEY\nci        …\ndefault   a-lo…\n"


def test_a_new_key_is_printed_once_and_announced_to_the_app(keyed: ScriptedPlugin) -> None:
    done = keyed("keys", "create", NAME, "web")
    (body,) = written(keyed)
    key = base64.b64decode(body["data"]["web"]).decode()
    assert (done.code, done.out) == (0, f"{key}\n")
    assert key not in done.err
    assert len(key) >= 40
    assert body["metadata"] == {"uid": "u", "resourceVersion": "7"}
    (patch,) = keyed.script.bodies("PATCH", APP)
    assert list(patch["metadata"]["annotations"]) == [names.KEYS_CHANGED_ANNOTATION]
    assert "in a few seconds" in done.err
    assert json.loads(keyed("keys", "create", NAME, "web", "-o", "json").out)["name"] == "web"


def test_a_caller_who_may_not_change_the_app_gets_the_longer_delay(keyed: ScriptedPlugin) -> None:
    keyed.script.on("PATCH", APP, failure(403, "Forbidden"))
    done = keyed("keys", "create", NAME)
    assert (done.code, "within 60 to 90 s" in done.err, len(written(keyed))) == (0, True, 1)


def test_a_key_is_revoked_when_it_is_confirmed(keyed: ScriptedPlugin) -> None:
    assert keyed("keys", "revoke", NAME, "ci").code == 2, "without a terminal it takes --yes"
    assert (keyed("keys", "revoke", NAME, "ci", typed="n\n").code, written(keyed)) == (1, [])
    assert (keyed("keys", "revoke", NAME, "ci", "--dry-run").code, written(keyed)) == (0, [])
    assert keyed("keys", "revoke", NAME, "ci", "--yes").code == 0
    assert [body["data"] for body in written(keyed)] == [{"ci": None}]
    keyed.script.on("GET", SECRET, secret(default=DEFAULT))
    assert "it is the last one" in keyed("keys", "revoke", NAME, "default", "--dry-run").out


def test_others_who_change_the_keys_lose_none(keyed: ScriptedPlugin) -> None:
    keyed.script.on("PATCH", SECRET, failure(409, "Conflict", "modified"), {})
    assert keyed("keys", "create", NAME, "web").code == 0
    assert len(written(keyed)) == 2
    keyed.script.on("PATCH", SECRET, failure(409, "Conflict", "modified"))
    keyed.script.on("GET", SECRET, secret(ci="x"), secret(ci="x"), secret(ci="x", web="theirs"))
    done = keyed("keys", "create", NAME, "web")
    assert (done.code, "has a key web already" in done.err) == (1, True)


@pytest.mark.parametrize(
    ("asked", "says"),
    [
        (("create", NAME, "default"), "has a key default already"),
        (("create", NAME, "a/b"), "only letters, digits"),
        (("revoke", NAME, "none", "--yes"), "no key none; there are: ci, default"),
        (("revoke", NAME, "--yes"), "name the key to revoke"),
    ],
)
def test_an_impossible_request_for_a_key_is_refused(keyed: ScriptedPlugin, asked: tuple[str, ...], says: str) -> None:
    done = keyed("keys", *asked)
    assert (done.code, says in done.err, written(keyed)) == (1, True, [])


def test_before_the_first_deploy_there_are_no_keys(keyed: ScriptedPlugin) -> None:
    keyed.script.on("GET", SECRET, missing("secrets", names.access_keys(NAME)))
    assert "they are made with its first deploy" in keyed("keys", "list", NAME).err


# `invoke`.


def test_a_call_goes_out_with_a_key_and_prints_the_answer(keyed: ScriptedPlugin, pods: Script) -> None:
    done = keyed("invoke", NAME, '{"question": "Hello?"}')
    assert (done.code, json.loads(done.out), done.err) == (0, {"answer": "hello"}, "")
    (sent,) = pods.sent
    assert (sent.body, sent.headers["Authorization"]) == ({"input": {"question": "Hello?"}}, f"Bearer {DEFAULT}")
    keyed("invoke", NAME, "{}", "--key", "ci")
    assert pods.sent[-1].headers["Authorization"] == "Bearer short"
    assert keyed("invoke", NAME, "-", "-o", "jsonpath={.answer}", typed='{"a": 1}').out == "hello\n"
    assert pods.sent[-1].body == {"input": {"a": 1}}


def test_a_call_brings_a_key_while_the_pods_of_an_app_that_is_to_be_public_still_check_one(keyed: ScriptedPlugin, pods: Script) -> None:
    made = given.app_manifest(given.with_status(live=LIVE, conditions=[given.VARIABLES_HELD]), given.with_spec(access={"type": "public"}))
    keyed.app(given.stored(made))
    keyed.script.on("GET", BY_KIND[WORKLOAD.kind].path(NAMESPACE), listed(plain("v1")))
    assert keyed("invoke", NAME, "{}").code == 0
    assert pods.sent[0].headers["Authorization"] == f"Bearer {DEFAULT}"


def test_a_call_by_hostname_goes_where_the_gateway_is_called_from_outside(keyed: ScriptedPlugin) -> None:
    """It also works for a name of this machine that its resolver may not know."""
    with served() as (script, port):
        url = f"http://chat.demo.localhost:{port}"
        keyed.app(given.stored(given.app_manifest(given.with_status(live=LIVE, hostname="chat.demo.localhost", url=url))))
        done = keyed("invoke", NAME, "{}", "--by-hostname")
        assert (done.code, json.loads(done.out)) == (0, {"answer": "hello"})
        assert script.sent[0].headers["Host"] == f"chat.demo.localhost:{port}"


def test_an_error_of_the_app_is_shown_and_ends_with_1(keyed: ScriptedPlugin, pods: Script) -> None:
    pods.on("POST", "/", Reply(403, b"\x1b[31mno"))
    done = keyed("invoke", NAME, "{}")
    assert (done.code, done.out, done.err) == (1, "\\x1b[31mno\n", "error: chat answered 403\n")


def test_a_public_app_needs_no_key(keyed: ScriptedPlugin, pods: Script) -> None:
    keyed.app(given.stored(given.app_manifest(given.public(), given.with_status(live=LIVE))))
    keyed.script.on("GET", SECRET, failure(403, "Forbidden"))
    assert keyed("invoke", NAME, "{}").code == 0
    assert "Authorization" not in pods.sent[0].headers


def test_a_caller_who_may_not_read_keys_sets_one_in_a_variable(keyed: ScriptedPlugin, pods: Script) -> None:
    keyed.script.on("GET", SECRET, failure(403, "Forbidden"))
    assert "put one into the variable DYNAMIQ_ACCESS_KEY" in keyed("invoke", NAME, "{}").err
    keyed.patch.setenv("DYNAMIQ_ACCESS_KEY", "mine")
    assert keyed("invoke", NAME, "{}").code == 0
    assert pods.sent[-1].headers["Authorization"] == "Bearer mine"


@pytest.mark.parametrize("given_", ["nonsense", "[1]", "1"])
def test_an_input_that_is_no_object_is_not_sent(keyed: ScriptedPlugin, given_: str) -> None:
    done = keyed("invoke", NAME, given_)
    assert (done.code, "the input must be a JSON object" in done.err) == (1, True)


def test_an_app_without_pods_cannot_be_reached(keyed: ScriptedPlugin) -> None:
    keyed.forwards(None, "error: unable to forward port because pod is not running\n")
    done = keyed("invoke", NAME, "{}")
    assert (done.code, done.err) == (1, "error: chat cannot be reached: error: unable to forward port because pod is not running\n")
    assert "has no hostname" in keyed("invoke", NAME, "{}", "--by-hostname").err


def test_an_app_that_is_asleep_is_woken_by_no_port_forward(keyed: ScriptedPlugin, pods: Script) -> None:
    """kubectl would wait a minute for a pod that no call wakes. An App that woke after its status was written is called."""
    asleep = {"type": "Ready", "status": "True", "reason": "Asleep", "message": "", "lastTransitionTime": "2026-11-24T12:00:00Z"}
    keyed.app(given.stored(given.app_manifest(given.with_status(live=LIVE, conditions=[asleep]))))
    workloads = BY_KIND[WORKLOAD.kind].path(NAMESPACE)
    keyed.script.on("GET", workloads, listed(rolling(0, 0, 0, 0)))
    assert keyed("invoke", NAME, "{}").err == "error: chat is asleep, and a port-forward does not wake it: add --by-hostname\n"
    assert pods.sent == []
    for awake in (listed(rolling(1, 0, 1, 0)), failure(403, "Forbidden")):
        keyed.script.on("GET", workloads, awake)
        assert keyed("invoke", NAME, "{}").code == 0


def test_an_app_without_a_deploy_is_not_waited_for(keyed: ScriptedPlugin, pods: Script) -> None:
    keyed.app(given.stored(given.app_manifest()))
    done = keyed("invoke", NAME, "{}")
    assert (done.code, done.err) == (1, "error: nothing of chat is live in namespace demo: see `kubectl dynamiq history chat -n demo`\n")
    assert pods.sent == []


def test_a_key_that_is_only_looked_at_is_not_made(keyed: ScriptedPlugin) -> None:
    done = keyed("keys", "create", NAME, "web", "--dry-run")
    assert (done.code, done.out) == (0, f"create key web of {NAME} in {NAMESPACE}\n")
    assert json.loads(keyed("keys", "create", NAME, "web", "--dry-run", "-o", "json").out)["name"] == "web"
    assert written(keyed) == []


@pytest.mark.parametrize("ends", [signal.SIGTERM, signal.SIGKILL, signal.SIGINT])
def test_no_port_forward_outlives_the_plugin(keyed: ScriptedPlugin, ends: signal.Signals) -> None:
    came, over = threading.Event(), threading.Event()

    def hang(_: Sent) -> Reply:
        came.set()
        over.wait(PATIENCE)
        return Reply(cut=True)

    with ScriptedServer(Script().on("POST", "/", hang)) as app:
        keyed.forwards(int(app.url.rpartition(":")[2]))
        with keyed.started("invoke", NAME, "{}") as process:
            assert came.wait(PATIENCE)
            forwarder = int((keyed.folder / "forwarder").read_text())
            os.kill(forwarder, 0)
            process.send_signal(ends)
            process.wait(PATIENCE)
        over.set()
        eventually("the port-forward has ended", lambda: not _runs(forwarder))


def _runs(process: int) -> bool:
    try:
        return (Path("/proc") / str(process) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_characters_that_a_terminal_cannot_show_are_escaped(keyed: ScriptedPlugin) -> None:
    keyed.patch.setenv("PYTHONIOENCODING", "ascii")
    with keyed.started("keys", "list", NAME) as process:
        output = process.communicate(timeout=PATIENCE)
    assert (process.returncode, output[0]) == (0, "NAME      KEY\nci        \\u2026\ndefault   a-lo\\u2026\n")


def test_a_key_that_no_runtime_would_read_is_not_made(keyed: ScriptedPlugin) -> None:
    done = keyed("keys", "create", NAME, ".web")
    assert done.code == 1
    assert "does not begin with '.'" in done.err
    assert written(keyed) == []
