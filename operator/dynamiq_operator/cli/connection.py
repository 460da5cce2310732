"""The way to the API server: `kubectl proxy` on a unix socket, so that every way to log in is kubectl's own.

It imports next to nothing, since it is begun before all else. The socket lies in a folder that nobody but the user may enter.
A shell stands between: it ends the proxy and removes the folder when the plugin is gone, in whatever way that came about.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from dynamiq_operator.cli.kubectl_flags import CommandLine

NO_KUBECTL = "kubectl is not on the PATH: install it, or name it in the variable KUBECTL"
DEFAULT_NAMESPACE = "default"

# Its standard input is a pipe from the plugin that nothing is written to: `read` returns when the plugin is gone.
GUARD = """
folder=$1 input=$2; shift 2
trap '[ -z "$proxy" ] || kill "$proxy" 2>/dev/null; rm -rf "$folder"' EXIT
trap exit INT HUP TERM
"$@" <"$input" & proxy=$!
exec >/dev/null 2>&1
read -r _
"""


class NotConnected(Exception):  # noqa: N818 - it says what is so
    """kubectl cannot be started, or refuses its flags or its configuration: the message is for the user."""


@dataclass
class _Child:
    """A program that was started: the ends of the pipes from its outputs."""

    process: int
    output: int
    errors: int


class Connection:
    """Begun at once, awaited when it is needed. Use it as a context manager: it ends the proxy."""

    def __init__(self, given: CommandLine) -> None:
        self.given = given
        self._folder = ""
        self._held = -1
        self._proxy: _Child | None = None
        self._asked: _Child | None = None

    def begin(self) -> None:
        """Starts kubectl, twice where the namespace has to be asked for. What goes wrong is said by whoever waits for it."""
        try:
            program = kubectl()
        except NotConnected:
            return
        self._folder = _make_folder()
        reading, self._held = os.pipe()
        terminal = "/dev/tty" if os.isatty(0) else "/dev/null"  # for helpers that ask for a password
        proxy = [program, "proxy", *self.given.kubectl, f"--unix-socket={self.socket}"]
        self._proxy = _spawn(["/bin/sh", "-c", GUARD, "sh", self._folder, terminal, *proxy], reading)
        os.close(reading)
        if self.given.namespace is None:
            view = ["config", "view", "--minify", "--output=jsonpath={..namespace}"]
            self._asked = _spawn([program, *view, *self.given.kubectl], None)

    @property
    def socket(self) -> str:
        """Where the proxy listens."""
        return f"{self._folder}/s"

    def wait(self) -> int:
        """Waits until the proxy listens; returns the pipe of its messages. Raises NotConnected with what kubectl says."""
        if self._proxy is None:
            kubectl()
            self.begin()
        assert self._proxy is not None  # noqa: S101 - for the type checker
        if not os.read(self._proxy.output, 1024):
            raise NotConnected(_complaint(_all(self._proxy.errors)))
        return self._proxy.errors

    def namespace(self) -> str:
        """The namespace to work in: that of the flag, else that of the kubeconfig's context. Raises NotConnected."""
        if self.given.namespace is None:
            if self._asked is None:
                self.wait()
            assert self._asked is not None  # noqa: S101 - for the type checker
            return _all(self._asked.output) or DEFAULT_NAMESPACE
        return self.given.namespace

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._held >= 0:
            os.close(self._held)
            self._held = -1


def kubectl() -> str:
    """The path of kubectl: $KUBECTL, else the first on the PATH. Raises NotConnected."""
    given = os.environ.get("KUBECTL") or "kubectl"
    places = [""] if os.sep in given else os.environ.get("PATH", os.defpath).split(os.pathsep)
    for place in places:
        path = os.path.join(place, given) if place else given  # noqa: PTH118 - pathlib of a relative name would drop ./
        if os.access(path, os.X_OK) and not Path(path).is_dir():
            return path
    raise NotConnected(NO_KUBECTL)


def _make_folder() -> str:
    """A folder for nobody but the user. tempfile would do, and takes longer to import than to make one."""
    place = os.environ.get("XDG_RUNTIME_DIR") or ""
    if not os.access(place, os.W_OK | os.X_OK):
        place = os.environ.get("TMPDIR") or "/tmp"  # noqa: S108 - mkdir fails where the name is taken
    folder = f"{place.rstrip('/')}/kubectl-dynamiq-{os.urandom(8).hex()}"
    Path(folder).mkdir(mode=0o700)
    return folder


def _spawn(command: list[str], stdin: int | None) -> _Child:
    """Starts a program. subprocess would do, and takes longer to import than to start one."""
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


def _all(pipe: int) -> str:
    """What is written to a pipe until its writers are gone."""
    parts = []
    while part := os.read(pipe, 65536):
        parts.append(part)
    return b"".join(parts).decode(errors="replace").strip()


def _complaint(said: str) -> str:
    """kubectl's last sentence of why it did not start, with the next step."""
    last = said.splitlines()[-1] if said else "kubectl proxy ended and did not say why"
    last = last.removeprefix("error: ")
    if "context" in last:
        return f"{last}: `kubectl config get-contexts` lists those that there are"
    return f"kubectl cannot connect: {last}"
