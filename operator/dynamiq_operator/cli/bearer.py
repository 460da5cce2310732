"""Finds the caller's own token for the recorder, or the journal, which is behind the API server's proxy and does not learn who calls.

It is --token, or that of the kubeconfig's user: a token, a file, or an exec plugin (client.authentication.k8s.io). A client certificate
does not reach them: callers with nothing else get an error.
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
"""Seconds that a login program may take. It may open a browser."""
AUTHENTICATION = "client.authentication.k8s.io/"
CLUSTER_FIELDS = ("server", "tls-server-name", "insecure-skip-tls-verify", "certificate-authority-data", "proxy-url")
CLUSTER_CONFIG = f"{AUTHENTICATION.rstrip('/')}/exec"
NEXT = 'add --token "$(kubectl create token ACCOUNT)" of a service account that may list the App\'s runs (dynamiq-view)'
Fields = Mapping[str, Any]


class NoToken(Exception):  # noqa: N818 - named as NotConnected
    """The caller has no token for a server. The message is for the user."""


def token(command_line: CommandLine, server: str = "recorder", *, asks: bool = True) -> str:
    """Returns the token for a server of this name. `asks`: a login program may ask the user. Raises NoToken, and NotConnected if kubectl is missing."""
    for flag in ("--as", "--as-group", "--as-uid", "--as-user-extra"):
        if command_line.value_of(flag) is not None:
            raise NoToken(f"{flag} does not work with the {server}, which needs your own token: leave it out, or {NEXT}")
    if named := command_line.value_of("--token"):
        return named
    config = _config(command_line)
    user, cluster = _login(command_line, config)
    if not user and IN_A_POD.is_file() and not config.get("current-context"):
        return IN_A_POD.read_text().strip()
    if name := user.get("tokenFile"):
        path = next((place for place in _places(command_line, str(name)) if place.is_file()), None)
        if path is not None and (read := path.read_text().strip()):
            return read
    if text := user.get("token"):
        return str(text)
    if isinstance(program := user.get("exec"), Mapping):
        return _run_login(command_line, program, cluster, server, asks=asks)
    how = "a client certificate" if _has_certificate(user) else "no token"
    raise NoToken(f"the {server} needs a token, but your kubeconfig logs in with {how}: {NEXT}")


def _config(command_line: CommandLine) -> Fields:
    """Returns the kubeconfig as kubectl reads it, secrets included. Raises NotConnected."""
    flags = [f"--kubeconfig={path}"] if (path := command_line.value_of("--kubeconfig")) else []
    command = [kubectl(), "config", "view", "--raw", "--output=json", *flags]
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode != 0:
        raise NotConnected(f"kubectl cannot read your kubeconfig: {(done.stderr.splitlines() or ['it gave no reason'])[-1]}")
    try:
        parsed = json.loads(done.stdout)
    except ValueError:
        parsed = None
    return parsed if isinstance(parsed, dict) else {}


def _login(command_line: CommandLine, config: Fields) -> tuple[Fields, Fields]:
    """Returns the user and the cluster of the context, or of the flags that override them."""
    context = _entry(config, "contexts", "context", command_line.value_of("--context") or config.get("current-context"))
    user = _entry(config, "users", "user", command_line.value_of("--user") or context.get("user"))
    return user, _entry(config, "clusters", "cluster", command_line.value_of("--cluster") or context.get("cluster"))


def _entry(config: Fields, kind: str, field: str, name: Any) -> Fields:
    entry = next((each.get(field) for each in config.get(kind) or () if isinstance(each, dict) and each.get("name") == name), None)
    return entry if isinstance(entry, dict) else {}


def _places(command_line: CommandLine, name: str) -> Iterator[Path]:
    """Yields the paths at which a file of the kubeconfig may be."""
    # A relative path is relative to the file that names it, and kubectl does not tell which one that is.
    listed = command_line.value_of("--kubeconfig") or os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    yield from (Path(each).parent / name for each in listed.split(os.pathsep) if each)


def _has_certificate(user: Fields) -> bool:
    return any(user.get(field) for field in ("client-certificate", "client-certificate-data"))


def _run_login(command_line: CommandLine, program: Fields, cluster: Fields, server: str, *, asks: bool) -> str:
    """Runs a login program; returns the token that it prints. Raises NoToken."""
    command = str(program.get("command") or "")
    if os.sep in command:
        command = str(next((place for place in _places(command_line, command) if place.is_file()), command))
    is_interactive = asks and program.get("interactiveMode") != "Never" and sys.stdin is not None and sys.stdin.isatty()
    request: dict[str, Any] = {
        "apiVersion": program.get("apiVersion") or f"{AUTHENTICATION}v1",
        "kind": "ExecCredential",
        "spec": {"interactive": is_interactive, **({"cluster": _cluster_info(cluster)} if program.get("provideClusterInfo") else {})},
    }
    variables = {str(each["name"]): str(each["value"]) for each in program.get("env") or () if isinstance(each, dict)}
    environment = {**os.environ, **variables, "KUBERNETES_EXEC_INFO": json.dumps(request)}
    arguments = [command, *(str(each) for each in program.get("args") or ())]
    stdin = None if is_interactive else subprocess.DEVNULL
    try:
        # Its standard error, such as where to log in, goes to the user.
        done = subprocess.run(
            arguments, stdout=subprocess.PIPE, text=True, env=environment, stdin=stdin, timeout=LOGS_IN_WITHIN, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        hint = str(program.get("installHint") or "").strip().partition("\n")[0]
        raise NoToken(f"the login program of your kubeconfig, {command}, cannot be run: {hint or error}") from None
    status = _status(done.stdout) if done.returncode == 0 else None
    if status is None:
        raise NoToken(f"the login program of your kubeconfig, {command}, ended with {done.returncode} and gave no credential")
    if not (printed := status.get("token")):
        raise NoToken(f"the {server} needs a token, but the login program of your kubeconfig, {command}, gives a certificate: {NEXT}")
    return str(printed)


def _cluster_info(cluster: Fields) -> Fields:
    """Returns the facts about the cluster that a login program gets."""
    info = {name: cluster[name] for name in CLUSTER_FIELDS if name in cluster}
    extensions = [each for each in cluster.get("extensions") or () if isinstance(each, dict) and each.get("name") == CLUSTER_CONFIG]
    return info | {"config": extensions[0].get("extension") if extensions else None}


def _status(printed: str) -> Fields | None:
    try:
        status = json.loads(printed)["status"]
    except (ValueError, KeyError, TypeError):
        return None
    return status if isinstance(status, dict) else None
