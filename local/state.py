"""The record of the resources that a cluster of ours uses, saved before they are allocated, so that a later start can free them.

One folder per cluster, `<cache>/clusters/<name>/`, with `state.json` in it. It refuses names that could not be a node's, and it
never lists anything as ours that is not in a record.
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
    """One cluster's record. `token` is in the environment of each process started for it, and in the name of all else."""

    name: str
    profile: str
    token: str = field(default_factory=lambda: secrets.token_hex(4))
    status: str = "starting"  # starting, ready
    boot: str = field(default_factory=lambda: boot_id())
    builds: tuple[str, ...] = ()
    ports: dict[str, int] = field(default_factory=dict)
    cgroups: tuple[str, ...] = ()
    run: str = ""  # a folder for sockets, outside the state folder since a socket's path is at most 107 bytes
    context: str = ""  # the kube context, where the cluster is not ours, or kind's
    default_limits: bool = False  # its controllers ask as rarely as Kubernetes' defaults let them
    lean: bool = False  # without controllers that do nothing useful where pods are simulated, see controlplane.IDLE
    owned: bool = True  # False: only forgotten at a stop, never deleted

    @property
    def folder(self) -> Path:
        return folder(self.name)

    @property
    def kubeconfig(self) -> Path:
        return self.folder / "kubeconfig"

    @property
    def slug(self) -> str:
        """Names what must be unique on the machine: `dynamiq-<name>-<token>`."""
        return f"dynamiq-{self.name}-{self.token}"

    def save(self) -> Record:
        """Writes the record, replacing the one before in one step."""
        self.folder.mkdir(parents=True, exist_ok=True)
        partial = self.folder / "state.json.partial"
        partial.write_text(json.dumps(asdict(self), indent=1))
        partial.replace(self.folder / "state.json")
        return self

    def with_(self, **changes: Any) -> Record:
        """The record with `changes`, saved."""
        return replace(self, **changes).save()


def boot_id() -> str:
    """Differs after each boot of the machine; empty where the kernel does not say."""
    return BOOT.read_text().strip() if BOOT.exists() else ""


def folder(name: str) -> Path:
    """The state folder of cluster `name`. Raises LocalError for a name that can't be a cluster's."""
    if not NAME.fullmatch(name):
        raise LocalError(f"{name!r} can't name a cluster: use at most 30 lower-case letters, digits and dashes, a letter first")
    return builds.cache_root() / "clusters" / name


def load(name: str) -> Record | None:
    """The record of cluster `name`, also of one that an older version wrote; None when there is none."""
    try:
        written = json.loads((folder(name) / "state.json").read_text())
    except FileNotFoundError:
        return None
    known = {item.name for item in fields(Record)}
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in written.items() if key in known}
    return Record(**values)


def names() -> list[str]:
    """The clusters that have a record, sorted."""
    return sorted(path.parent.name for path in (builds.cache_root() / "clusters").glob("*/state.json"))


def forget(name: str) -> None:
    """Removes the state folder; the record goes last, so that a removal cut short is repeated by the next start."""
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
    """Holds cluster `name` against other starts and stops; says so when it has to wait for one."""
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
