"""The kubectl plugin against a cluster: called in this process, or as users start it, `kubectl dynamiq …`, with pipes or on a terminal."""

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
"""How a line begins that a busy machine adds: what takes over two seconds says so."""
REPLACES_ITSELF = "logs"
"""A command that becomes kubectl, and would take this process along."""
SHARED_PROXY = Path(__file__).with_name("shared_proxy.sh")
"""A stand-in of kubectl, but for its proxies kubectl itself."""


def without_progress(shown: str) -> str:
    """What was shown but for the lines that a busy machine adds."""
    return re.sub(rf"{PROGRESS}[^\r\n]*\r?\n", "", shown)


@dataclass(frozen=True)
class Plugin:
    """Runs the plugin in a namespace. `flags`: kubectl's, put at the end of each call."""

    cluster: Cluster
    namespace: str
    folder: Path
    flags: tuple[str, ...] = ()
    more: Mapping[str, str] = field(default_factory=dict)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Calls it in this process, without a terminal, by a `kubectl proxy` that all calls with one login share."""
        command, environment = self._arguments(*arguments), self.environment()
        given = kubectl_flags.split(command)
        if given.rest[:1] == (REPLACES_ITSELF,):
            return self.process(*arguments)
        if given.needs_cluster:
            try:
                environment |= self._shared(given.kubectl, environment["KUBECONFIG"])
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
        """What it prints. Raises AssertionError where it does not end well."""
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def data(self, *arguments: str) -> Any:
        """The JSON that it prints."""
        return json.loads(self.said(*arguments, "-o", "json"))

    def refused(self, *arguments: str, code: int = 1) -> str:
        """The one sentence by which it refuses, on standard error and with nothing beside it."""
        done = self(*arguments)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        lines = [line for line in done.stderr.splitlines() if not line.startswith(PROGRESS)]
        assert lines[-1:] == lines, lines
        assert lines[0].startswith("error: ")
        assert "Traceback" not in done.stderr
        return lines[0].removeprefix("error: ")

    @contextlib.contextmanager
    def started(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """It running beside, its output in pipes; it is ended when the block is left."""
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
        """It running on a terminal, which takes what is typed."""
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
        """Variables by which a call finds the proxy that runs already, which is started where none does. Raises NotConnected."""
        kubectl = str(self.cluster.kubectl)
        shared = _shared_proxy(flags, kubeconfig, kubectl, _incarnation(kubeconfig))
        flags = ("proxy", *flags)
        return {"KUBECTL": str(SHARED_PROXY), "REAL_KUBECTL": kubectl, "SHARED_FLAGS": " ".join(flags), "SHARED_SOCKET": shared.socket}

    def environment(self, **environment: str) -> dict[str, str]:
        """The plugin and kubectl are on the PATH; the proxy's socket lies in a folder of the test's own."""
        path = os.pathsep.join([str(Path(sys.executable).parent), str(Path(self.cluster.kubectl).parent), os.environ["PATH"]])
        known = {"PATH": path, "KUBECONFIG": str(self.cluster.kubeconfig), "TMPDIR": str(self.folder), "XDG_RUNTIME_DIR": ""}
        return {**os.environ, **SHORT_LIVED, **known, "COLUMNS": "", **self.more, **environment}

    def leftovers(self) -> list[str]:
        """Proxies of this plugin that still run, by their command lines, and the folders of their sockets."""
        found = [str(path) for path in self.folder.glob("kubectl-dynamiq-*")]
        for entry in Path("/proc").iterdir():
            with contextlib.suppress(OSError):
                line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace") if entry.name.isdecimal() else ""
                if str(self.folder) in line and "--unix-socket" in line:
                    found.append(line)
        return found

    def nothing_left(self) -> None:
        """Waits until neither proxy nor socket is left."""
        eventually("no proxy and no socket is left", lambda: not self.leftovers())


@functools.cache
def _shared_proxy(flags: tuple[str, ...], kubeconfig: str, kubectl: str, _incarnation: int) -> Connection:
    """A `kubectl proxy` with these flags of kubectl's, which ends with this process, however it ends. Raises NotConnected."""
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
    """What tells logins apart that had one file, one after the other."""
    path = Path(kubeconfig)
    return path.stat().st_mtime_ns if path.is_file() else 0


@dataclass
class Terminal:
    """A program on a terminal: what it printed so far, and its keyboard."""

    process: int
    control: int
    shown: str = ""
    code: int | None = None

    def until(self, pattern: str, seconds: float = ENDS_WITHIN) -> str:
        """All that was printed, once it matches. Raises AssertionError with it."""
        deadline = time.monotonic() + seconds
        while not re.search(pattern, self.shown):
            if not self._read(deadline):
                raise AssertionError(f"never on the terminal: {pattern}; it showed {self.shown!r}")
        return self.shown

    def press(self, keys: str) -> None:
        os.write(self.control, keys.encode())

    def end(self, seconds: float = ENDS_WITHIN) -> int:
        """The exit code, once it has ended by itself."""
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
        """Reads what is there, waiting for it; False at the end or after the deadline."""
        waiting = select.poll()
        waiting.register(self.control, select.POLLIN)
        try:
            part = os.read(self.control, 65536) if waiting.poll(max(deadline - time.monotonic(), 0) * 1000) else b""
        except OSError:  # how a terminal says that nobody has it open any more
            part = b""
        self.shown += part.decode(errors="replace")
        return bool(part)
