"""The token for the recorder: from the flag, or from the login of the kubeconfig's user."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.cli.recorder import PROXY
from dynamiq_operator.model.recorder import TOKEN_HEADER
from tests.support import factories as given
from tests.support.scripted_plugin import ScriptedPlugin
from tests.support.scripted_recorder import RUN

V1 = "client.authentication.k8s.io/v1"


def sent(plugin: ScriptedPlugin, *options: str) -> str:
    """Returns the token that the recorder receives."""
    plugin.script.has_recorder = True
    done = plugin("run", RUN, *options)
    assert done.code == 0, done.err
    return str(plugin.script.recorded[-1].headers[TOKEN_HEADER])


def refused(plugin: ScriptedPlugin, *options: str) -> str:
    """Returns the error without a token: one sentence, and the only request was whether there is a recorder."""
    plugin.script.has_recorder = True
    done = plugin("run", RUN, *options)
    assert (done.code, {sent.path for sent in plugin.script.recorded}) == (1, {f"{PROXY}/healthz"})
    assert done.err.count("\n") == 1
    return done.err


def program(plugin: ScriptedPlugin, script: str) -> str:
    path = plugin.folder / "login"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)


def gives(**status: Any) -> str:
    return f"cat <<'END'\n{json.dumps({'apiVersion': V1, 'kind': 'ExecCredential', 'status': status})}\nEND"


def test_a_token_of_the_kubeconfig(plugin: ScriptedPlugin) -> None:
    plugin.logs_in({"token": "from-the-file"})
    assert sent(plugin) == "from-the-file"


def test_the_flag_comes_first(plugin: ScriptedPlugin) -> None:
    plugin.logs_in({"token": "from-the-file"})
    assert sent(plugin, "--token", "named") == "named"
    assert sent(plugin, "--token=named") == "named"


def test_a_file_with_a_token_is_newer_than_the_token_beside_it(plugin: ScriptedPlugin, monkeypatch: pytest.MonkeyPatch) -> None:
    (plugin.folder / "token").write_text("of-the-file\n")
    plugin.logs_in({"token": "stale", "tokenFile": str(plugin.folder / "token")})
    assert sent(plugin) == "of-the-file"
    plugin.logs_in({"tokenFile": "token"})
    monkeypatch.setenv("KUBECONFIG", f"/nowhere/config:{plugin.folder / 'kubeconfig'}")
    assert sent(plugin) == "of-the-file", "relative to the kubeconfig"


def test_a_program_that_logs_in(plugin: ScriptedPlugin) -> None:
    seen = plugin.folder / "seen"
    script = f'printf "%s\\n" "$1" "$MINE" "$KUBERNETES_EXEC_INFO" >{seen}\n{gives(token="from-a-program")}'
    login = {
        "apiVersion": V1,
        "command": program(plugin, script),
        "args": ["get-token"],
        "env": [{"name": "MINE", "value": "yes"}],
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": True,
    }
    plugin.logs_in({"exec": login}, server="https://api.example.com")
    assert sent(plugin) == "from-a-program"
    argument, variable, info = seen.read_text().splitlines()
    assert (argument, variable) == ("get-token", "yes")
    data = json.loads(info)
    assert (data["apiVersion"], data["kind"], data["spec"]["interactive"]) == (V1, "ExecCredential", False)
    assert data["spec"]["cluster"]["server"] == "https://api.example.com"


@pytest.mark.parametrize(
    ("script", "says"),
    [
        ("exit 3", "ended with 3 and gave no credential"),
        ("echo hello", "gave no credential"),
        (gives(clientCertificateData="x", clientKeyData="y"), "gives a certificate"),
    ],
)
def test_a_program_that_gives_no_token(plugin: ScriptedPlugin, script: str, says: str) -> None:
    plugin.logs_in({"exec": {"apiVersion": V1, "command": program(plugin, script)}})
    assert says in refused(plugin)


def test_a_missing_login_program_is_reported_with_its_installation(plugin: ScriptedPlugin) -> None:
    plugin.logs_in({"exec": {"apiVersion": V1, "command": "/none/login", "installHint": "Install login.\nMore."}})
    assert "/none/login, cannot be run: Install login." in refused(plugin)


@pytest.mark.parametrize(
    ("user", "says"),
    [({"client-certificate-data": "x"}, "with a client certificate"), ({"username": "a", "password": "b"}, "with no token")],
)
def test_a_caller_without_a_token_gets_the_command_that_creates_one(plugin: ScriptedPlugin, user: dict[str, str], says: str) -> None:
    plugin.logs_in(user)
    message = refused(plugin)
    assert says in message
    assert '--token "$(kubectl create token ACCOUNT)"' in message


def test_no_login_is_needed_without_a_recorder(plugin: ScriptedPlugin) -> None:
    seen = plugin.folder / "seen"
    plugin.logs_in({"client-certificate-data": "x"})
    assert "no recorder is installed in this cluster" in plugin("run", RUN).err
    plugin.logs_in({"exec": {"apiVersion": V1, "command": program(plugin, f"touch {seen}\n{gives(token='t')}")}})
    plugin.rows(given.stored(given.row_manifest("chat-a", given.live(1, "v1"))))
    assert "no recorder is installed in this cluster" in plugin("history", "chat", "-o", "wide").err
    assert not seen.exists()


def test_impersonation_is_refused_for_the_recorder(plugin: ScriptedPlugin) -> None:
    plugin.logs_in({"token": "mine"})
    assert "--as does not work with the recorder" in refused(plugin, "--as", "eve")


def test_another_context_logs_in_as_another_user(plugin: ScriptedPlugin) -> None:
    plugin.logs_in({"token": "mine"})
    path: Path = plugin.folder / "kubeconfig"
    known = json.loads(path.read_text())
    known["contexts"].append({"name": "other", "context": {"user": "bo", "cluster": "stand-in"}})
    known["users"].append({"name": "bo", "user": {"token": "of-bo"}})
    path.write_text(json.dumps(known))
    assert sent(plugin, "--context", "other") == "of-bo"
    assert sent(plugin, "--user", "bo") == "of-bo"
    assert sent(plugin) == "mine"


def test_a_kubeconfig_that_cannot_be_read(plugin: ScriptedPlugin) -> None:
    (plugin.folder / "kubeconfig").unlink()
    plugin.script.has_recorder = True
    assert "kubectl cannot read your kubeconfig" in plugin("run", RUN).err
