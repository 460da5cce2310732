"""The caller's own token, for the recorder: it answers behind the API server, which keeps to itself who asked.

It is that of --token, or what the kubeconfig's user logs in with: a token, a file with one, or a program that prints one (an exec plugin of
client.authentication.k8s.io). A certificate is for the API server alone, so whoever has nothing else gets a sentence.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from dynamiq_operator.cli.connection import NotConnected, kubectl
from dynamiq_operator.cli.kubectl_flags import CommandLine

IN_A_POD = Path("/var/run/secrets/kubernetes.io/serviceaccount/token")
LOGS_IN_WITHIN = 300.0
"""Seconds for a program that logs in, which may open a browser."""
AUTHENTICATION = "client.authentication.k8s.io/"
CLUSTER_FIELDS = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
CLUSTER_CONFIG = f"{AUTHENTICATION.rstrip('/')}/exec"
NEXT = 'give --token "$(kubectl create token ACCOUNT)" of a service account that may list the App\'s runs (dynamiq-view)'
Fields = Mapping[str, Any]


class NoToken(Exception):  # noqa: N818 - named as NotConnected
    """The caller has no token that the recorder could be asked with. The message is for the user."""


def token(given: CommandLine) -> str:
    """The token. Raises NoToken, and NotConnected where kubectl is not there."""
    for flag in ("--as", "--as-group", "--as-uid", "--as-user-extra"):
        if given.value_of(flag) is not None:
            raise NoToken(f"{flag} does not reach the recorder, which is asked with a token of your own: leave it out, or {NEXT}")
    if named := given.value_of("--token"):
        return named
    config = _config(given)
    user, cluster = _login(given, config)
    if not user and IN_A_POD.is_file() and not config.get("current-context"):
        return IN_A_POD.read_text().strip()
    if name := user.get("tokenFile"):
        path = next((place for place in _places(given, str(name)) if place.is_file()), None)
        if path is not None and (read := path.read_text().strip()):
            return read
    if text := user.get("token"):
        return str(text)
    if isinstance(program := user.get("exec"), Mapping):
        return _printed(given, program, cluster)
    how = "a client certificate" if _has_certificate(user) else "no token"
    raise NoToken(f"the recorder takes tokens, and your kubeconfig logs in with {how}: {NEXT}")


def _config(given: CommandLine) -> Fields:
    """The kubeconfig as kubectl reads it, with its secrets."""
    flags = [f"--kubeconfig={path}"] if (path := given.value_of("--kubeconfig")) else []
    command = [kubectl(), "config", "view", "--raw", "--output=json", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise NotConnected(f"kubectl cannot read your kubeconfig: {(done.stderr.splitlines() or ['it does not say why'])[-1]}")
    try:
        found = json.loads(done.stdout)
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {}


def _login(given: CommandLine, config: Fields) -> tuple[Fields, Fields]:
    """The user and the cluster of the context, or of the flags that name them."""
    context = _named(config, "contexts", "context", given.value_of("--context") or config.get("current-context"))
    user = _named(config, "users", "user", given.value_of("--user") or context.get("user"))
    return user, _named(config, "clusters", "cluster", given.value_of("--cluster") or context.get("cluster"))


def _named(config: Fields, kind: str, field: str, name: Any) -> Fields:
    found = next((each.get(field) for each in config.get(kind) or () if isinstance(each, dict) and each.get("name") == name), None)
    return found if isinstance(found, dict) else {}


def _places(given: CommandLine, name: str) -> Iterator[Path]:
    """Where a file of the kubeconfig may be: a relative path is relative to the file that has it, which kubectl does not tell."""
    listed = given.value_of("--kubeconfig") or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    yield from (Path(each).parent / name for each in listed.split(os.pathsep) if each)


def _has_certificate(user: Fields) -> bool:
    return any(user.get(field) for field in ("client-certificate", "client-certificate-data"))


def _printed(given: CommandLine, program: Fields, cluster: Fields) -> str:
    """What a program that logs in prints. Raises NoToken."""
    command = str(program.get("command") or "")
    if os.sep in command:
        command = str(next((place for place in _places(given, command) if place.is_file()), command))
    is_asked = program.get("interactiveMode") != "Never" and sys.stdin is not None and sys.stdin.isatty()
    asked: dict[str, Any] = {
        "apiVersion": program.get("apiVersion") or f"{AUTHENTICATION}v1",
        "kind": "ExecCredential",
        "spec": {"interactive": is_asked, **({"cluster": _told(cluster)} if program.get("provideClusterInfo") else {})},
    }
    named = {str(each["name"]): str(each["value"]) for each in program.get("env") or () if isinstance(each, dict)}
    environment = {**os.environ, **named, "KUBERNETES_EXEC_INFO": json.dumps(asked)}
    arguments = [command, *(str(each) for each in program.get("args") or ())]
    stdin = None if is_asked else subprocess.DEVNULL
    try:
        # What it says on standard error, such as where to log in, is for the user.
        done = subprocess.run(
            arguments, stdout=subprocess.PIPE, text=True, env=environment, stdin=stdin, timeout=LOGS_IN_WITHIN, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        hint = str(program.get("installHint") or "").strip().partition("\n")[0]
        raise NoToken(f"the program of your kubeconfig that logs in, {command}, cannot be run: {hint or error}") from None
    status = _status(done.stdout) if done.returncode == 0 else None
    if status is None:
        raise NoToken(f"the program of your kubeconfig that logs in, {command}, ended with {done.returncode} and gave no credential")
    if not (found := status.get("token")):
        raise NoToken(f"the recorder takes tokens, and the program of your kubeconfig that logs in, {command}, gives a certificate: {NEXT}")
    return str(found)


def _told(cluster: Fields) -> Fields:
    """What a program is told of the cluster that it logs in to."""
    told = {name: cluster[name] for name in CLUSTER_FIELDS if name in cluster}
    extensions = [each for each in cluster.get("extensions") or () if isinstance(each, dict) and each.get("name") == CLUSTER_CONFIG]
    return told | {"config": extensions[0].get("extension") if extensions else None}


def _status(printed: str) -> Fields | None:
    try:
        found = json.loads(printed)["status"]
    except (ValueError, KeyError, TypeError):
        return None
    return found if isinstance(found, dict) else None
