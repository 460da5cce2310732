"""Runs the kubectl plugin on a cluster: in this process, or as users start it, `kubectl dynamiq …`, with pipes or on a terminal."""

from __future__ import annotations

import contextlib
import functools
import io
import json
import os
import pty
import re
import select
import signal
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

from dynamiq_operator import cli
from dynamiq_operator.cli import kubectl_flags
from dynamiq_operator.cli.connection import Connection, NotConnected
from local.clusters import Cluster
from tests.support.cluster import SHORT_LIVED
from tests.support.waiting import IN_TIME, eventually

ENDS_WITHIN = IN_TIME
COLUMNS = 160
PROGRESS = "waiting for "
"""The beginning of lines that only a busy machine prints: waits of over two seconds."""
REPLACES_ITSELF = "logs"
"""A command that becomes kubectl, and would replace this process."""
SHARED_PROXY = Path(__file__).with_name("shared_proxy.sh")
"""A stand-in for kubectl, which runs the real one for all but its proxies."""


def without_progress(shown: str) -> str:
    """Returns the output without the lines that only a busy machine prints."""
    return re.sub(rf"{PROGRESS}[^\r\n]*\r?\n", "", shown)


@dataclass(frozen=True)
class Plugin:
    """The plugin in a namespace. `flags`: kubectl's, at the end of each call."""

    cluster: Cluster
    namespace: str
    folder: Path
    flags: tuple[str, ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Calls it in this process, without a terminal, by a `kubectl proxy` that all calls with one login share."""
        command, environment = self._arguments(*arguments), self.environment()
        flags_of_kubectl = kubectl_flags.split(command)
        if flags_of_kubectl.rest[:1] == (REPLACES_ITSELF,):
            return self.process(*arguments)
        if flags_of_kubectl.needs_cluster:
            try:
                environment |= self._shared(flags_of_kubectl.kubectl, environment["KUBECONFIG"])
            except NotConnected:
                return self.process(*arguments)
        out, err = io.StringIO(), io.StringIO()
        with (
            mock.patch.dict(os.environ, environment, clear=True),
            mock.patch.object(sys, "argv", ["kubectl-dynamiq", *command]),
            mock.patch.object(sys, "stdin", io.StringIO()),
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
        ):
            try:
                code = cli.main()
            except SystemExit as end:  # argparse's own
                code = int(end.code or 0)
        return subprocess.CompletedProcess(command, code, out.getvalue(), err.getvalue())

    def process(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Runs it by kubectl, without a terminal."""
        command, env = self.command(*arguments), self.environment(**environment)
        return subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=ENDS_WITHIN, check=False)

    def said(self, *arguments: str) -> str:
        """Returns its output. Raises AssertionError if it fails."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def data(self, *arguments: str) -> Any:
        """Returns the JSON that it prints."""
        return json.loads(self.said(*arguments, "-o", "json"))

    def refused(self, *arguments: str, code: int = 1) -> str:
        """Returns the one sentence by which it refuses, on standard error with nothing else."""
        done = self(*arguments)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        lines = [line for line in done.stderr.splitlines() if not line.startswith(PROGRESS)]
        assert lines[-1:] == lines, lines
        assert lines[0].startswith("error: ")
        assert "Traceback" not in done.stderr
        return lines[0].removeprefix("error: ")

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Runs it beside the block, its output in pipes, and ends it afterwards."""
        process = subprocess.Popen(
            self.command(*arguments),
            env=self.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            process.communicate(timeout=ENDS_WITHIN)

    @contextlib.contextmanager
    def on_terminal(self, *arguments: str, **environment: str) -> Iterator[Terminal]:
        """Runs it on a terminal, which accepts typed text."""
        command, env = self.command(*arguments), self.environment(**{"TERM": "xterm", **environment})
        process, control = pty.fork()
        if process == 0:
            try:
                for number in (signal.SIGINT, signal.SIGHUP):  # a shell's background job, or nohup, ignores them, and so would it
                    signal.signal(number, signal.SIG_DFL)
                os.execve(command[0], command, env)  # noqa: S606 - no shell is wanted
            finally:
                os._exit(127)  # a second pytest must not go on here
        termios.tcsetwinsize(control, (40, COLUMNS))
        terminal = Terminal(process, control)
        try:
            yield terminal
        finally:
            terminal.close()

    def command(self, *arguments: str) -> list[str]:
        return [str(self.cluster.kubectl), "dynamiq", *self._arguments(*arguments)]

    def _arguments(self, *arguments: str) -> list[str]:
        context = [f"--context={os.environ['CLUSTER']}"] if self.cluster.profile == "context" else []
        return [*arguments, *self.flags, *([f"-n={self.namespace}"] if self.namespace else []), *context]

    def _shared(self, flags: tuple[str, ...], kubeconfig: str) -> dict[str, str]:
        """Returns the variables with which a call finds the shared proxy; starts it if none runs. Raises NotConnected."""
        kubectl = str(self.cluster.kubectl)
        shared = _shared_proxy(flags, kubeconfig, kubectl, _incarnation(kubeconfig))
        flags = ("proxy", *flags)
        return {"KUBECTL": str(SHARED_PROXY), "REAL_KUBECTL": kubectl, "SHARED_FLAGS": " ".join(flags), "SHARED_SOCKET": shared.socket}

    def environment(self, **environment: str) -> dict[str, str]:
        """Returns its environment: the plugin and kubectl are on the PATH; the proxy's socket is in a folder of the test's own."""
        path = os.pathsep.join([str(Path(sys.executable).parent), str(Path(self.cluster.kubectl).parent), os.environ["PATH"]])
        known = {"PATH": path, "KUBECONFIG": str(self.cluster.kubeconfig), "TMPDIR": str(self.folder), "XDG_RUNTIME_DIR": ""}
        return {**os.environ, **SHORT_LIVED, **known, "COLUMNS": "", **self.more, **environment}

    def leftovers(self) -> list[str]:
        """Returns proxies of this plugin that still run, by their command lines, and the folders of their sockets."""
        remains = [str(path) for path in self.folder.glob("kubectl-dynamiq-*")]
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace") if entry.name.isdecimal() else ""
                if str(self.folder) in line and "--unix-socket" in line:
                    remains.append(line)
        return remains

    def nothing_left(self) -> None:
        """Waits until no proxy and no socket remains."""
        eventually("no proxy and no socket is left", lambda: not self.leftovers())


@functools.cache
def _shared_proxy(flags: tuple[str, ...], kubeconfig: str, kubectl: str, _incarnation: int) -> Connection:
    """Runs a `kubectl proxy` with these flags of kubectl's, which ends with this process, however it ends. Raises NotConnected."""
    folder = tempfile.gettempdir()
    known = {"KUBECONFIG": kubeconfig, "KUBECTL": kubectl, "XDG_RUNTIME_DIR": "", "TMPDIR": folder}
    with mock.patch.dict(os.environ, known):
        connection = Connection(kubectl_flags.CommandLine(flags, "", ()))
        connection.start()
        try:
            connection.wait()
        except NotConnected:
            connection.__exit__(None, None, None)
            raise
    return connection


def _incarnation(kubeconfig: str) -> int:
    """Returns a number that differs between successive logins in one file."""
    path = Path(kubeconfig)
    return path.stat().st_mtime_ns if path.is_file() else 0


@dataclass
class Terminal:
    """A program on a terminal: its output so far, and its keyboard."""

    process: int
    control: int
    shown: str = ""
    code: int | None = None

    def until(self, pattern: str, seconds: float = ENDS_WITHIN) -> str:
        """Returns all output, once it matches. Raises AssertionError with it."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.shown):
            if not self._read(deadline):
                raise AssertionError(f"never on the terminal: {pattern}; it showed {self.shown!r}")
        return self.shown

    def press(self, keys: str) -> None:
        os.write(self.control, keys.encode())

    def end(self, seconds: float = ENDS_WITHIN) -> int:
        """Returns the exit code, once it has ended by itself."""
        deadline = time.monotonic() + seconds
        while self._read(deadline):
            pass
        ended, status = os.waitpid(self.process, os.WNOHANG if time.monotonic() > deadline else 0)
        assert ended, f"it has not ended after {seconds:g} s; it showed {self.shown!r}"
        self.code = os.waitstatus_to_exitcode(status)
        return self.code

    def close(self) -> None:
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process, signal.SIGKILL)
            os.waitpid(self.process, 0)
        os.close(self.control)

    def _read(self, deadline: float) -> bool:
        """Reads available output, waiting for it; False at the end or after the deadline."""
        waiting = select.poll()
        waiting.register(self.control, select.POLLIN)
        try:
            part = os.read(self.control, 65536) if waiting.poll(max(deadline - time.monotonic(), 0) * 1000) else b""
        except OSError:  # a terminal without an open end raises this
            part = b""
        self.shown += part.decode(errors="replace")
        return bool(part)
