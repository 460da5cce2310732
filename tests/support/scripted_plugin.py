"""Runs the kubectl plugin on a script: its real entry, connection and transport, with a stand-in for the program `kubectl`.

The stand-in serves the script like `kubectl proxy --unix-socket`, prints the namespace of the context, and prints its arguments for all
other commands. `complains` makes it end like a kubectl that cannot connect.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

import pytest

from dynamiq_operator import cli
from dynamiq_operator.cli import completion
from dynamiq_operator.cli.recorder import JOURNAL, PROXY, RECORDER
from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.kube.resources import APPS, BY_KIND, REJECTIONS, ROWS, RUNTIMES, VERSIONS, WORKFLOWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from tests.support import scripted_journal, scripted_recorder
from tests.support.factories import NAME, NAMESPACE, flow, flow_hash
from tests.support.scripted import Answer, Reply, Script, ScriptedServer, Sent, failure, listed

KUBECTL = """#!/bin/sh
PATH=/usr/bin:/bin
case "$1" in
proxy)
    [ ! -e "$STAND_IN/complaint" ] || { cat "$STAND_IN/complaint" >&2; exit 1; }
    printf '%s ' "$@" >>"$STAND_IN/proxies"; echo >>"$STAND_IN/proxies"
    api=api
    for argument; do case "$argument" in --context=*) [ ! -S "$STAND_IN/api-${argument#*=}" ] || api="api-${argument#*=}";; esac; done
    for argument; do case "$argument" in --unix-socket=*) ln -s "$STAND_IN/$api" "${argument#*=}";; esac; done
    echo "Starting to serve on the socket"
    [ ! -e "$STAND_IN/says" ] || cat "$STAND_IN/says" >&2
    exec sleep 600;;
config) case "$*" in *--raw*) cat "$STAND_IN/kubeconfig";; *) cat "$STAND_IN/namespace";; esac;;
get) cat "$STAND_IN/get-$2";;
port-forward) echo $$ >"$STAND_IN/forwarder"; cat "$STAND_IN/forwarded"; cat "$STAND_IN/not-forwarded" >&2; [ ! -s "$STAND_IN/forwarded" ] || exec sleep 600;;
*) printf '%s\\n' "$@";;
esac
"""
RELEASES = {"columnDefinitions": [{"name": "Workflow"}, {"name": "Version"}, {"name": "Description"}, {"name": "Age"}]}


CtrlC = Callable[[Reply | Manifest], Answer]
"""An answer during which the user presses Ctrl-C."""


def press_ctrl_c() -> None:
    """Sends Ctrl-C like a terminal: it interrupts the main thread wherever it waits."""
    main = threading.main_thread().ident
    assert main is not None
    signal.pthread_kill(main, signal.SIGINT)


@dataclass(frozen=True)
class Ended:
    """The end of a call: its exit code, and its outputs."""

    code: int
    out: str
    err: str


class Keyboard(io.StringIO):
    """A standard input at a keyboard, with this typed text."""

    def isatty(self) -> bool:
        return True


class Display(io.StringIO):
    """An output stream that is a terminal."""

    def isatty(self) -> bool:
        return True


class PluginScript(Script):
    """A cluster without recorder and journal, or with those that have the small worlds of `scripted_recorder` and `scripted_journal`."""

    def __init__(self) -> None:
        super().__init__()
        self.has_recorder = self.has_journal = False

    def answer(self, sent: Sent) -> Reply:
        reply = super().answer(sent)
        server = next((each for each in (RECORDER, JOURNAL) if sent.path.startswith(each.proxy)), None)
        if server is None or not self.unscripted or self.unscripted[-1] is not sent:
            return reply
        self.unscripted.pop()
        if server is RECORDER and self.has_recorder:
            return scripted_recorder.answer(sent, server.proxy)
        if server is JOURNAL and self.has_journal:
            return scripted_journal.answer(sent, server.proxy)
        return failure(403, "Forbidden", f'services "http:{server.service}:http" is forbidden: User "anna" cannot get resource')

    @property
    def recorded(self) -> list[Sent]:
        """Returns the requests to the recorder, in order."""
        return [sent for sent in self.sent if sent.path.startswith(PROXY)]

    @property
    def kept(self) -> list[Sent]:
        """Returns the requests to the journal, in order."""
        return [sent for sent in self.sent if sent.path.startswith(JOURNAL.proxy)]


@dataclass
class ScriptedPlugin:
    """Calls `kubectl dynamiq` in this process. `typed`: the text typed at a terminal, if there is one. Use it as a context manager."""

    capture: pytest.CaptureFixture[str]
    patch: pytest.MonkeyPatch
    script: PluginScript = field(default_factory=PluginScript)
    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="plugin-", dir="/tmp")))
    _servers: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> ScriptedPlugin:
        kubectl = self.folder / "kubectl"
        kubectl.write_text(KUBECTL)
        kubectl.chmod(0o755)
        (self.folder / "namespace").write_text(NAMESPACE)
        self.logs_in({"client-certificate-data": "Y2VydA=="})
        for name, value in self.environment(kubectl).items():
            self.patch.setenv(name, value)
        self._servers.enter_context(ScriptedServer(self.script, unix=self.folder / "api"))
        return self

    def context(self, name: str) -> PluginScript:
        """Adds another cluster as this context of the kubeconfig."""
        script = PluginScript()
        self._servers.enter_context(ScriptedServer(script, unix=self.folder / f"api-{name}"))
        return script

    @property
    def proxies(self) -> list[list[str]]:
        """Returns the arguments of each started proxy."""
        return [line.split() for line in (self.folder / "proxies").read_text().splitlines()]

    def environment(self, kubectl: Path) -> Mapping[str, str]:
        """Returns the plugin's environment: no terminal's colours or width, no desktop."""
        own = {"KUBECTL": str(kubectl), "STAND_IN": str(self.folder), "XDG_RUNTIME_DIR": "", "TMPDIR": str(self.folder)}
        return own | {
            "COLUMNS": "",
            "NO_COLOR": "",
            "TERM": "xterm",
            "DISPLAY": "",
            "WAYLAND_DISPLAY": "",
            "KUBECTL_DYNAMIQ_TRACEBACK": "",
        }

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._servers.__exit__(kind, error, trace)
        shutil.rmtree(self.folder, ignore_errors=True)

    def __call__(self, *arguments: str, typed: str | None = None, terminal: bool = False) -> Ended:
        """Runs it by its entry. `typed`: at a keyboard; else it has none. `terminal`: its output is one."""
        return self._run(cli.main, ["kubectl-dynamiq", *arguments], typed, terminal)

    def complete(self, *arguments: str) -> list[str]:
        """Returns the lines that completion prints after `kubectl dynamiq` and these arguments."""
        return self._run(completion.main, ["kubectl_complete-dynamiq", *arguments], None, False).out.splitlines()

    def started(self, *arguments: str, stdout: int = subprocess.PIPE) -> subprocess.Popen[str]:
        """Starts it as a separate process, without a terminal, which receives Ctrl-C even if the tests run behind `nohup`."""
        hears = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
        command = [sys.executable, "-c", f"{hears}; import sys; from dynamiq_operator.cli import main; sys.exit(main())", *arguments]
        environment = dict(os.environ) | {"PYTHONPATH": os.pathsep.join(sys.path)}
        return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, text=True)

    def logs_in(self, user: Mapping[str, Any], **cluster: Any) -> None:
        """Sets the kubeconfig's user."""
        context = {"name": "stand-in", "context": {"user": "tester", "cluster": "stand-in"}}
        config = {
            "current-context": "stand-in",
            "contexts": [context],
            "users": [{"name": "tester", "user": dict(user)}],
            "clusters": [{"name": "stand-in", "cluster": cluster}],
        }
        (self.folder / "kubeconfig").write_text(json.dumps(config))

    def records(self) -> None:
        """Adds a recorder, and a token to the kubeconfig."""
        self.script.has_recorder = True
        self.logs_in({"token": "token-of-anna"})

    def keeps_runs(self, caller: str = "token-of-anna") -> None:
        """Adds a journal, and this token to the kubeconfig."""
        self.script.has_journal = True
        self.logs_in({"token": caller})

    def complains(self, text: str) -> None:
        """Makes `kubectl proxy` end with this text on standard error."""
        (self.folder / "complaint").write_text(text)

    def says(self, text: str) -> None:
        """Makes `kubectl proxy` print this on standard error while it serves."""
        (self.folder / "says").write_text(text)

    def forwards(self, port: int | None, complaint: str = "") -> None:
        """Makes `kubectl port-forward` lead to a port of this machine, or end with a complaint."""
        output = f"Forwarding from 127.0.0.1:{port} -> 8080\n" if port is not None else ""
        (self.folder / "forwarded").write_text(output)
        (self.folder / "not-forwarded").write_text(complaint)

    def gets(self, resource: str, *lines: str) -> None:
        """Makes `kubectl get` of a resource, as completion calls it, print these lines."""
        (self.folder / f"get-{resource}").write_text("".join(f"{line}\n" for line in lines))

    def _run(self, entry: Any, arguments: list[str], typed: str | None, terminal: bool) -> Ended:
        self.capture.readouterr()
        out, err = Display(), Display()
        with self.patch.context() as patch:
            patch.setattr(sys, "argv", arguments)
            if typed is not None:
                patch.setattr(sys, "stdin", Keyboard(typed))
            if terminal:
                patch.setattr(sys, "stdout", out)
                patch.setattr(sys, "stderr", err)
            try:
                code = entry()
            except SystemExit as end:  # argparse's own
                code = int(end.code or 0)
        if terminal:
            return Ended(code, out.getvalue(), err.getvalue())
        wrote = self.capture.readouterr()
        return Ended(code, wrote.out, wrote.err)

    # The cluster's objects.

    def rows(self, *rows: Manifest, namespace: str = NAMESPACE) -> None:
        """Scripts the rows of every App, in lists and one by one."""
        path = ROWS.path(namespace)
        self.script.on("GET", path, listed(*rows))
        open_ones = [row for row in rows if row["status"]["phase"] not in ("Superseded", "Failed")]
        self.script.on("GET", path, listed(*open_ones), query={"fieldSelector": f"spec.app={NAME},{ROWS.field_selector}"})
        for row in rows:
            self.script.on("GET", ROWS.path(namespace, row["metadata"]["name"]), row)

    def app(self, app: Manifest, namespace: str = NAMESPACE) -> None:
        self.script.on("GET", APPS.path(namespace, app["metadata"]["name"]), app)

    def flows(self, *versions: str, namespace: str = NAMESPACE) -> None:
        """Scripts ConfigMaps with the flows of versions of App chat."""
        for version in versions:
            name = names.flow(NAME, flow_hash(version))
            config_map = {"metadata": {"name": name}, "data": {FLOW_KEY: flow(version)}}
            self.script.on("GET", BY_KIND[CONFIG_MAP.kind].path(namespace, name), config_map)

    def keeps(self, *versions: str, rejections: Iterable[Manifest] = (), namespace: str = NAMESPACE) -> None:
        """Scripts the objects that rollbacks of App chat need: the ConfigMaps' metadata of these versions' flows, and nothing else."""
        flow_maps = [{"metadata": {"annotations": {names.FLOW_HASH_ANNOTATION: flow_hash(version)}}} for version in versions]
        self.script.on("GET", BY_KIND[CONFIG_MAP.kind].path(namespace), listed(*flow_maps))
        self.script.on("GET", VERSIONS.path(namespace), listed())
        self.script.on("GET", REJECTIONS.path(namespace), listed(*rejections))
        self.script.on("GET", RUNTIMES.path(), listed())

    def releases(self, *versions: Manifest, namespace: str = NAMESPACE) -> None:
        """Scripts WorkflowVersions, in lists as tables and one by one."""
        lines = [
            {"object": {"metadata": release["metadata"]}, "cells": [release["spec"]["workflow"], release["spec"]["version"], "", "1m"]}
            for release in versions
        ]
        self.script.on("GET", VERSIONS.path(namespace), {**RELEASES, "metadata": {}, "rows": lines})
        for release in versions:
            self.script.on("GET", VERSIONS.path(namespace, release["metadata"]["name"]), release)

    def runtimes(self, *runtimes: Manifest) -> None:
        self.script.on("GET", RUNTIMES.path(), listed(*runtimes))
        for runtime in runtimes:
            self.script.on("GET", RUNTIMES.path("", runtime["metadata"]["name"]), runtime)

    def draft(self, workflow: Manifest) -> None:
        self.script.on("GET", WORKFLOWS.path(NAMESPACE, workflow["metadata"]["name"]), workflow)
