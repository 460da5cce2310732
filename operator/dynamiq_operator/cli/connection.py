"""Connects to the API server by `kubectl proxy` on a unix socket: every way to log in is kubectl's own.

The socket is in a folder with mode 0700. The proxy runs under a shell that ends it, and removes the folder, however the plugin ends.
"""

from __future__ import annotations

import _thread
import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from dynamiq_operator.cli.kubectl_flags import CommandLine

# This module imports next to nothing: it runs before all other imports.
NO_KUBECTL = "kubectl is not on the PATH: install it, or name it in the variable KUBECTL"
DEFAULT_NAMESPACE = "default"

# Its standard input is a pipe from the plugin that is never written to: `read` returns when the plugin ends. The folder may be empty.
# With the plugin a terminal may end: its SIGHUP must not end `rm`.
GUARD_SCRIPT = """
folder=$1 input=$2; shift 2
trap 'trap "" INT HUP TERM; [ -z "$proxy" ] || kill "$proxy" 2>/dev/null; [ -z "$folder" ] || rm -rf "$folder"' EXIT
trap exit INT HUP TERM
"$@" <"$input" & proxy=$!
exec >/dev/null 2>&1
read -r _
"""


class NotConnected(Exception):  # noqa: N818 - named as the errors of kube/
    """kubectl cannot be started, or refuses its flags or its configuration. The message is for the user."""


@dataclass
class _Child:
    """A started process: its id, and the file descriptors of its two outputs."""

    process: int
    stdout: int
    stderr: int


class Connection:
    """`kubectl proxy`, started early and awaited by the first request. Leaving its context ends the proxy."""

    def __init__(self, command_line: CommandLine) -> None:
        self.command_line = command_line
        self._folder = self._why_not = ""
        self._guard_pipe = -1
        self._proxy: _Child | None = None
        self._namespace_query: _Child | None = None
        self._namespace = ""
        self._reading_namespace = _thread.allocate_lock()

    def start(self) -> None:
        """Starts the proxy, and `kubectl config view` if no flag names the namespace. `wait` and `namespace` raise their errors."""
        try:
            program = kubectl()
        except NotConnected:
            return
        try:
            self._folder = _make_folder()
        except OSError as error:
            self._why_not = (
                f"name a folder in the variable TMPDIR: the socket of kubectl proxy cannot be created, {error.strerror or error}"
            )
            return
        reading, self._guard_pipe = os.pipe()
        terminal = "/dev/tty" if os.isatty(0) else "/dev/null"  # for helpers that ask for a password
        proxy = [program, "proxy", *self.command_line.kubectl, f"--unix-socket={self.socket}"]
        self._proxy = _spawn(["/bin/sh", "-c", GUARD_SCRIPT, "sh", self._folder, terminal, *proxy], reading)
        os.close(reading)
        if self.command_line.namespace is None:
            view = ["config", "view", "--minify", "--output=jsonpath={..namespace}"]
            self._namespace_query = _spawn([program, *view, *self.command_line.kubectl], None)

    @property
    def socket(self) -> str:
        """The path of the socket at which the proxy listens."""
        return f"{self._folder}/s"

    def wait(self) -> int:
        """Waits until the proxy listens; returns the file descriptor of its standard error. Raises NotConnected with kubectl's message."""
        if self._proxy is None:
            kubectl()
            self.start()
        if self._why_not:
            raise NotConnected(self._why_not)
        assert self._proxy is not None  # noqa: S101 - for the type checker
        if not os.read(self._proxy.stdout, 1024):
            raise NotConnected(_error_message(_read_all(self._proxy.stderr)))
        return self._proxy.stderr

    def namespace(self) -> str:
        """Returns the namespace of the flag, else of the kubeconfig's context, else `default`. Raises NotConnected."""
        if self.command_line.namespace is None:
            with self._reading_namespace:  # threads that read ahead need it, too, and the pipe can be read once
                if self._namespace_query is None:
                    self.wait()
                assert self._namespace_query is not None  # noqa: S101 - for the type checker
                self._namespace = self._namespace or _read_all(self._namespace_query.stdout) or DEFAULT_NAMESPACE
                return self._namespace
        return self.command_line.namespace

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._guard_pipe >= 0:
            os.close(self._guard_pipe)
            self._guard_pipe = -1
        for child in filter(None, (self._proxy, self._namespace_query)):
            os.close(child.stdout)
            os.close(child.stderr)
        self._proxy = self._namespace_query = None


def kubectl() -> str:
    """Returns the path of kubectl: $KUBECTL, else the first on the PATH. Raises NotConnected."""
    name = os.environ.get("KUBECTL") or "kubectl"
    places = [""] if os.sep in name else os.environ.get("PATH", os.defpath).split(os.pathsep)
    for place in places:
        path = os.path.join(place, name) if place else name  # noqa: PTH118 - pathlib of a relative name would drop ./
        if os.access(path, os.X_OK) and not Path(path).is_dir():
            return path
    raise NotConnected(NO_KUBECTL)


def _make_folder() -> str:
    # Without tempfile, which takes longer to import than the folder to make.
    place = os.environ.get("XDG_RUNTIME_DIR") or ""
    if not os.access(place, os.W_OK | os.X_OK):
        place = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - mkdir fails where the name is taken
    folder = f"{place.rstrip('/')}/kubectl-dynamiq-{os.urandom(8).hex()}"
    Path(folder).mkdir(mode=0o700)
    return folder


def _spawn(command: list[str], stdin: int | None) -> _Child:
    # Without subprocess, which takes longer to import than the program to start.
    output, output_end = os.pipe()
    errors, errors_end = os.pipe()
    actions: list[tuple[int, ...] | tuple[int, int, str, int, int]] = [
        (os.POSIX_SPAWN_DUP2, stdin, 0) if stdin is not None else (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_DUP2, output_end, 1),
        (os.POSIX_SPAWN_DUP2, errors_end, 2),
    ]
    process = os.posix_spawn(command[0], command, os.environ, file_actions=actions)
    os.close(output_end)
    os.close(errors_end)
    return _Child(process, output, errors)


def _read_all(pipe: int) -> str:
    """Reads a pipe until its last writer closes it."""
    parts = []
    while part := os.read(pipe, 65536):
        parts.append(part)
    return b"".join(parts).decode(errors="replace").strip()


def _error_message(stderr: str) -> str:
    """Returns the last line of kubectl's standard error, with the next step."""
    last = stderr.splitlines()[-1] if stderr else "kubectl proxy ended without a message"
    last = last.removeprefix("error: ")
    if "context" in last:
        return f"{last}: `kubectl config get-contexts` lists the contexts"
    return f"kubectl cannot connect: {last}"
