"""Starts the processes of a cluster and finds them again by the token in their environment.

The token is saved before the first process starts, so none can be lost, and a reused process id is never mistaken for ours. It refuses to
signal a process that does not carry the token.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from local.errors import LocalError
from local.progress import wait_for
from local.state import Record

MARK = "DYNAMIQ_LOCAL_CLUSTER"
SYSTEM_FOLDERS = "/usr/local/sbin:/usr/sbin:/sbin"  # not in the PATH of every user
PASSED_ON = ("GOGC",)
"""Sets how often Go's programs collect garbage. Tests lower it: their clusters are short-lived."""
LOG_TAIL = 2000  # bytes of a daemon's log that an error shows


@dataclass
class Daemons:
    """The daemons that this launcher started; they outlive it. `prefix` precedes each command (nsenter with its options)."""

    record: Record
    prefix: tuple[str, ...] = ()
    started: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start(
        self, name: str, command: Sequence[str | Path], *, fds: Sequence[int] = (), env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Starts `command` in a session of its own, logging to `logs/<name>.log`; `fds` stay open in it."""
        logs = self.record.folder / "logs"
        logs.mkdir(parents=True, exist_ok=True)
        inherited = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        inherited |= {"PATH": search_path(), "HOME": str(self.record.folder)}
        with (logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [*self.prefix, *map(str, command)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                pass_fds=fds,
                cwd="/",
                env=inherited | dict(env or {}) | {MARK: self.record.token},
            )
        self.started[name] = process
        return process

    def require_alive(self) -> None:
        """Raises LocalError with the end of its log if a daemon has ended."""
        for name, process in self.started.items():
            if process.poll() is not None:
                log = self.record.folder / "logs" / f"{name}.log"
                tail = log.read_bytes()[-LOG_TAIL:].decode(errors="replace")
                raise LocalError(f"{name} ended with status {process.returncode}; the end of {log}:\n{tail}")


def search_path() -> str:
    """Returns PATH with the system's folders in it."""
    return f"{os.environ.get('PATH', os.defpath)}:{SYSTEM_FOLDERS}"


def find(token: str) -> list[int]:
    """Returns the ids of the living processes that carry `token`."""
    mark = f"{MARK}={token}".encode()
    return [pid for pid in _all() if mark in _environment(pid)]


def end(token: str, first: int | None = None, seconds: float = 15) -> None:
    """Kills every process that carries `token`, `first` before the others, and waits until all have ended."""

    def none_left() -> bool:
        pids = find(token)
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        return not pids

    if first is not None and first in find(token):
        with contextlib.suppress(ProcessLookupError):
            os.kill(first, signal.SIGKILL)
    wait_for("its processes to end", none_left, seconds=seconds, every=0.02)


def memory(token: str) -> int:
    """Bytes of memory held by the processes that carry `token`, shared pages counted in proportion."""
    total = 0
    for pid in find(token):
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
            total += sum(int(line.split()[1]) * 1024 for line in rollup.splitlines() if line.startswith("Pss:"))
    return total


def _all() -> Iterator[int]:
    return (int(entry.name) for entry in os.scandir("/proc") if entry.name.isdigit())


def _environment(pid: int) -> list[bytes]:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # ended, or another user's: then it is not ours
        return []
