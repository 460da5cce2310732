"""Failures on the way to the API server: one sentence with the next step, and an exit code."""

from __future__ import annotations

import os
import threading

import pytest

from dynamiq_operator.kube.resources import ROWS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import Answer, Reply, Sent, failure, listed
from tests.support.scripted_plugin import CtrlC, ScriptedPlugin
from tests.support.waiting import IN_TIME, eventually

PATH = ROWS.path(given.NAMESPACE)
INSTALL = "this cluster does not know Apps: install the operator (README.md, `kubectl apply -k`), or name another cluster by --context"
LOG_IN = "the cluster does not accept your login: log in again; `kubectl auth whoami` shows your user"
NO_CLUSTER = "nothing answers at localhost:8080, where kubectl looks when it knows no cluster: set KUBECONFIG, or give --kubeconfig"


def text(status: int, said: str) -> Reply:
    """Returns a plain text, as `kubectl proxy` itself answers."""
    return Reply(status, f"{said}\n".encode())


@pytest.mark.parametrize(
    ("answer", "sentence"),
    [
        (failure(404, "NotFound", "the server could not find the requested resource"), INSTALL),
        (text(404, "404 page not found"), INSTALL),
        (failure(401, "Unauthorized", "Unauthorized"), f"{LOG_IN} (Unauthorized)"),
        (text(500, "getting credentials: exec: executable helper not found\nmore"), f"{LOG_IN} (getting credentials: exec: executable helper not found)"),
        (
            failure(403, "Forbidden", 'deployments is forbidden: User "eve" cannot list'),
            'deployments is forbidden: User "eve" cannot list: ask for the ClusterRole that allows it, view to read and edit to deploy'
            " (`kubectl auth can-i --list`)",
        ),
        (failure(403, "Forbidden", "quota exceeded"), "quota exceeded"),
        (failure(409, "Conflict", "the object was changed"), "the object was changed: somebody else changed it first, try again"),
        (failure(503, "ServiceUnavailable", "etcd is gone"), "the API server does not answer: etcd is gone; see `kubectl cluster-info`"),
        (text(502, "dial tcp 127.0.0.1:8080: connect: connection refused"), NO_CLUSTER),
        (text(502, "dial tcp 10.0.0.1:443: i/o timeout"), "the API server does not answer: dial tcp 10.0.0.1:443: i/o timeout; see `kubectl cluster-info`"),
        (Reply(500, b""), "the API server does not answer: HTTP 500; see `kubectl cluster-info`"),
        (Reply(200, b"[]"), "the API server does not answer: []; see `kubectl cluster-info`"),
        (failure(400, "BadRequest", "a\x1b[31m field selector"), r"a\x1b[31m field selector"),
        (
            Reply(cut=True),
            "the API server does not answer: kubectl proxy ended: Remote end closed connection without response; see `kubectl cluster-info`",
        ),
    ],
)  # fmt: skip
def test_an_error_of_the_api_server_is_one_sentence(plugin: ScriptedPlugin, answer: Answer, sentence: str) -> None:
    plugin.script.on("GET", PATH, answer)
    done = plugin("history", "chat")
    assert (done.code, done.out, done.err) == (1, "", f"error: {sentence}\n")


def test_an_api_server_that_is_silent_is_given_up(plugin: ScriptedPlugin) -> None:
    ended = threading.Event()

    def silent(_: Sent) -> Reply:
        ended.wait(IN_TIME)
        return Reply(cut=True)

    plugin.script.on("GET", PATH, silent)
    done = plugin("history", "chat", "--request-timeout=20ms")
    ended.set()
    assert done.err == "error: the API server does not answer: no answer within 0.02 s; see `kubectl cluster-info`\n"


@pytest.mark.parametrize(
    ("complaint", "sentence"),
    [
        (
            'error: context "none" does not exist\n',
            'context "none" does not exist: `kubectl config get-contexts` lists the contexts',
        ),
        ("warning\nerror: stat /none: no such file\n", "kubectl cannot connect: stat /none: no such file"),
        ("", "kubectl cannot connect: kubectl proxy ended without a message"),
    ],
)
def test_kubectl_that_does_not_start(plugin: ScriptedPlugin, complaint: str, sentence: str) -> None:
    plugin.complains(complaint)
    done = plugin("history", "chat", "--context", "none")
    assert (done.code, done.err) == (1, f"error: {sentence}\n")


def test_no_kubectl_at_all(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = "error: kubectl is not on the PATH: install it, or name it in the variable KUBECTL\n"
    monkeypatch.setenv("KUBECTL", "/none/kubectl")
    done = plugin("history", "chat")
    assert (done.code, done.err) == (1, sentence)
    monkeypatch.setenv("KUBECTL", "")
    monkeypatch.setenv("PATH", "/none")
    assert plugin("history", "chat").err == sentence
    monkeypatch.setenv("PATH", f"/none:{plugin.folder}")
    plugin.rows(given.stored(given.row_manifest("chat-a", given.live(1, "v1"))))
    assert plugin("history", "chat").code == 0


def test_the_namespace_is_that_of_the_flag_else_of_the_context_else_default(plugin: ScriptedPlugin) -> None:
    for folder, options, namespace in (("demo", (), "demo"), ("demo", ("-n", "mine"), "mine"), ("", (), "default")):
        (plugin.folder / "namespace").write_text(folder)
        plugin.script.on("GET", ROWS.path(namespace), listed(given.stored(given.row_manifest("chat-a", given.live(1, "v1")))))
        plugin.script.sent.clear()
        assert plugin("history", "chat", *options).code == 0
        assert [sent.path for sent in plugin.script.sent] == [ROWS.path(namespace)]


def test_the_socket_is_private_and_is_deleted_with_the_plugin(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    where: list[os.stat_result] = []
    home = plugin.folder / "run"
    home.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(home))

    def look(_: object) -> Reply:
        (folder,) = home.glob("kubectl-dynamiq-*")
        where.append(folder.stat())
        return Reply(body=listed(given.stored(given.row_manifest("chat-a", given.live(1, "v1")))))

    plugin.script.on("GET", PATH, look)
    assert plugin("history", "chat").code == 0
    assert [found.st_mode & 0o777 for found in where] == [0o700]


def test_the_prompts_of_kubectl_are_passed_on_without_its_log(plugin: ScriptedPlugin) -> None:
    prompt = "To sign in, open https://login.example\n"
    plugin.says(f"{prompt}E1124 12:00:00.000000 1 proxy.go:1] connection refused\n")
    seen: list[str] = []

    def once_it_is_seen(_: Sent) -> Manifest:
        def read() -> bool:
            seen.append(plugin.capture.readouterr().err)
            return prompt in "".join(seen)

        eventually("the question is on standard error", read)
        return listed(given.stored(given.row_manifest("chat-a", given.live(1, "v1"))))

    plugin.script.on("GET", PATH, once_it_is_seen)
    assert plugin("history", "chat").code == 0
    assert "".join(seen) == prompt


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        ("histry x", "argument COMMAND: unknown: histry; did you mean history?"),
        ("history x -o xml", "argument -o/--output: must be one of wide, name, json, yaml or jsonpath=TEMPLATE, got xml"),
        ("history", "the following arguments are required: APP"),
        ("status x --conf y", "unknown argument: --conf y"),
        ("deploy x --mesage why", "unknown argument: --mesage why; did you mean --message?"),
        ("runs x --status suceeded", "argument --status: unknown: suceeded; did you mean succeeded?"),
        ("policy chek x", "argument ACTION: unknown: chek; did you mean check?"),
        ("rollback x --to 3", "argument --to: 3 is not a version: --to v3 takes the newest row of v3, --to-row 3 takes row #3"),
        ("deploy x --idle-seconds 2", "argument --idle-seconds: must be 5 to 86400 seconds, got 2"),
        ("deploy x --min none", "argument --min: must be 1 to 1000, got none"),
        ("deploy x --timeout soon", "argument --timeout: must be a duration such as 90s or 5m, got soon"),
        ("history x -n", "argument -n: expected one argument"),
        ("history x --context", "argument --context: expected one argument"),
        ("rollback x --to v1 --to-row 2", "argument --to-row: not allowed with argument --to"),
    ],
)
def test_wrong_usage_is_one_sentence_and_ends_with_2(plugin: ScriptedPlugin, command: str, sentence: str) -> None:
    done = plugin(*command.split())
    (line,) = done.err.splitlines()
    assert (done.code, done.out) == (2, "")
    assert line.startswith(f"error: {sentence}")
    assert line.endswith("--help`")
    assert plugin.script.sent == []


@pytest.mark.parametrize("command", ["", "help", "--help", "help history", "history --help"])
def test_help_needs_no_cluster(plugin: ScriptedPlugin, command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECTL", "/none/kubectl")
    done = plugin(*command.split())
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith("usage: kubectl dynamiq")


def test_a_failure_of_the_plugin_itself_asks_for_a_report(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin.script.on("GET", PATH, listed({"metadata": {}}))
    done = plugin("history", "chat")
    assert done.code == 1
    assert done.err.startswith("error: the plugin itself failed, KeyError(")
    assert done.err.endswith(": please report it, with what KUBECTL_DYNAMIQ_TRACEBACK=1 shows\n")
    monkeypatch.setenv("KUBECTL_DYNAMIQ_TRACEBACK", "1")
    with pytest.raises(KeyError):
        plugin("history", "chat")


def test_ctrl_c_ends_with_130_and_no_traceback(plugin: ScriptedPlugin, ctrl_c: CtrlC) -> None:
    plugin.script.on("GET", PATH, ctrl_c(listed()))
    done = plugin("history", "chat")
    assert (done.code, done.out, done.err) == (130, "", "")


def test_a_reader_that_goes_away_ends_it_quietly(plugin: ScriptedPlugin) -> None:
    plugin.rows(*(given.stored(given.row_manifest(f"chat-{at}", given.superseded(at, "v1"))) for at in range(1, 4)))
    reading, writing = os.pipe()
    os.close(reading)
    with plugin.started("history", "chat", stdout=writing) as process:
        os.close(writing)
        _, err = process.communicate(timeout=IN_TIME)
    assert (process.returncode, err) == (141, "")


def test_no_proxy_outlives_a_plugin_that_is_killed(plugin: ScriptedPlugin) -> None:
    plugin.rows(given.stored(given.row_manifest("chat-a", given.live(1, "v1"))))
    ended = threading.Event()
    plugin.script.on("GET", PATH, lambda _: Reply(stream=(ended.wait(IN_TIME) for _ in range(1))), query={"watch": "1"})
    with plugin.started("history", "chat", "--watch") as process:
        assert process.stdout is not None
        process.stdout.readline()
        (folder,) = plugin.folder.glob("kubectl-dynamiq-*")
        process.kill()
        process.communicate(timeout=IN_TIME)
    ended.set()
    eventually("the folder of its socket is gone", lambda: not folder.exists())


def test_a_folder_that_cannot_be_created_is_reported(plugin: ScriptedPlugin) -> None:
    plugin.patch.setenv("TMPDIR", "/proc/nothing/of/the/kind")
    done = plugin("history", "chat")
    assert (done.code, done.out) == (1, "")
    assert "name a folder in the variable TMPDIR" in done.err
    assert "Traceback" not in done.err
