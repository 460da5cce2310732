"""Stops the control plane of a cluster of ours as a failure of its machine does, and starts it again as it was."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import urllib3

from local import processes, state
from local.clusters import Cluster
from tests.support.api import Api
from tests.support.waiting import IN_TIME, eventually

SERVERS = ("etcd", "kube-apiserver")
CONTROLLERS = ("kube-controller-manager", "kube-scheduler")
"""These end if no API server runs, and nothing restarts them."""
CONTROL_PLANE = (*SERVERS, *CONTROLLERS)
BACK_WITHIN = IN_TIME


@contextlib.contextmanager
def down(cluster: Cluster, *names: str) -> Iterator[None]:
    """Kills programs of the control plane; at the end of the block, starts them again as they were.

    Controllers follow when the API server is ready.
    """
    commands = {name: _kill(cluster, name) for name in names}
    try:
        yield
    finally:
        for name in (name for name in SERVERS if name in commands):
            cluster.add_daemon(name, commands[name])
        eventually("the API server is ready", lambda: is_ready(Api.of(cluster)), BACK_WITHIN)
        for name in (name for name in CONTROLLERS if name in commands):
            cluster.add_daemon(name, commands[name])


def is_ready(api: Api) -> bool:
    try:
        return api.request("GET", "/readyz").ok
    except (OSError, urllib3.exceptions.HTTPError):
        return False


def _kill(cluster: Cluster, name: str) -> list[str | Path]:
    """Kills a program of the cluster without a signal to end; returns its command."""
    record = state.load(cluster.name)
    assert record is not None, f"cluster {cluster.name} is none of ours"
    commands = {pid: command for pid in processes.find(record.token) if (command := _command(pid)) and Path(command[0]).name == name}
    assert len(commands) == 1, f"of {name} there are {len(commands)} processes"
    ((pid, command),) = commands.items()
    os.kill(pid, signal.SIGKILL)
    eventually(f"{name} is gone", lambda: not _command(pid))
    return list(command)


def _command(pid: int) -> list[str]:
    """Returns the command of a process; empty if it has ended."""
    try:
        return [part for part in Path(f"/proc/{pid}/cmdline").read_text().split("\0") if part]
    except OSError:
        return []
