"""Saves a record of the resources of a cluster before they are allocated: a later start can free them.

One folder per cluster, `<cache>/clusters/<name>/`, has `state.json` in it. It refuses names that could not be a node's, and never lists
anything as ours that is missing from the records.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, TextIO

from local import builds
from local.errors import LocalError
from local.progress import say

NAME = re.compile(r"[a-z]([-a-z0-9]{0,28}[a-z0-9])?")
DEFAULT_NAME = "dynamiq"
BOOT = Path("/proc/sys/kernel/random/boot_id")


@dataclass(frozen=True)
class Record:
    """The state of one cluster. Each process started for it has `token` in its environment, and all else has it in its name."""

    name: str
    profile: str
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    status: str = "starting"  # starting, ready
    boot: str = field(default_factory=lambda: boot_id())
    builds: tuple[str, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)
    cgroups: tuple[str, ...] = ()
    run: str = ""  # a folder for sockets, outside the state folder since a socket's path is at most 107 bytes
    context: str = ""  # the kube context, if the cluster is not ours, or is kind's
    default_limits: bool = False  # its controllers send requests as rarely as Kubernetes' defaults demand
    lean: bool = False  # without the controllers that are useless for simulated pods, see controlplane.IDLE
    owned: bool = True  # False: only forgotten at a stop, never deleted

    @property
    def folder(self) -> Path:
        return folder(self.name)

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def slug(self) -> str:
        """Returns a name that is unique on the machine: `dynamiq-<name>-<token>`."""
        return f"dynamiq-{self.name}-{self.token}"

    def save(self) -> Record:
        """Writes the record, replacing the previous one in one step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "state.json.partial"
        partial.write_text(json.dumps(asdict(self), indent=1))
        partial.replace(self.folder / "state.json")
        return self

    def with_(self, **changes: Any) -> Record:
        """Returns the record with `changes`, saved."""
        return replace(self, **changes).save()


def boot_id() -> str:
    """Returns an id that differs after each boot of the machine; empty if the kernel provides none."""
    return BOOT.read_text().strip() if BOOT.exists() else ""


def folder(name: str) -> Path:
    """Returns the state folder of cluster `name`. Raises LocalError for a name that can't be a cluster's."""
    if not NAME.fullmatch(name):
        raise LocalError(f"{name!r} can't name a cluster: use at most 30 lower-case letters, digits and dashes, a letter first")
    return builds.cache_root() / "clusters" / name


def load(name: str) -> Record | None:
    """Returns the record of cluster `name`, also one of an older version; None if there is none."""
    try:
        written = json.loads((folder(name) / "state.json").read_text())
    except FileNotFoundError:
        return None
    known = {item.name for item in fields(Record)}
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in written.items() if key in known}
    return Record(**values)


def names() -> list[str]:
    """Returns the clusters that have a record, sorted."""
    return sorted(path.parent.name for path in (builds.cache_root() / "clusters").glob("*/state.json"))


def forget(name: str) -> None:
    """Removes the state folder, the record last: the next start repeats a removal that was cut short."""
    base = folder(name)
    if not base.exists():
        return
    for path in base.iterdir():
        if path.name == "state.json":
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    shutil.rmtree(base)


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Locks cluster `name` against other starts and stops; prints a line if it has to wait for one."""
    folder(name).parent.mkdir(parents=True, exist_ok=True)
    path = folder(name).with_name(f".{name}.lock")
    with _hold(path, name):
        yield
        if not folder(name).exists():
            path.unlink()


def _hold(path: Path, name: str) -> TextIO:
    while True:
        handle = path.open("w")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"cluster {name} is being started or stopped by another process; waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        if path.exists() and os.path.samestat(path.stat(), os.fstat(handle.fileno())):
            return handle
        handle.close()  # its last holder has removed the file: a lock on it excludes no other process
