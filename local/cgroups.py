"""Creates and removes the cgroups of a cluster: one folder in each hierarchy of the machine, for both versions of cgroups.

It touches no cgroup outside the list of its caller.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path

from local.progress import wait_for

MOUNTS = Path("/proc/self/mounts")
UNIFIED_ROOT = Path("/sys/fs/cgroup")
INHERITED = ("cpuset.cpus", "cpuset.mems")  # empty in a new cpuset of version 1, which accepts no process until they are set
WEIGHT = {"cpu.shares": "10240", "cpu.weight": "1000"}
"""Ten times the weight of one process beside the cluster, in each version.

With equal weight, all pods together get as much as one process, and starve on a busy machine.
"""


def planned(slug: str) -> tuple[str, ...]:
    """Returns the folders that a cluster `slug` needs: one in the unified hierarchy, or one per hierarchy of version 1.

    With version 1, an empty version 2 is often mounted, too; runc makes its folders there as well.
    """
    mounted = [line.split()[1:3] for line in MOUNTS.read_text().splitlines()]
    if [str(UNIFIED_ROOT), "cgroup2"] in mounted:
        return (str(UNIFIED_ROOT / slug),)
    points = dict.fromkeys(Path(point) for point, kind in mounted if kind in ("cgroup", "cgroup2"))
    return tuple(str(point / slug) for point in points)


def create(folders: Iterable[str]) -> None:
    """Makes the folders; none may exist."""
    for folder in map(Path, folders):
        folder.mkdir()
        for name in INHERITED:
            if (folder.parent / "cpuset.cpus").exists() and (folder / name).exists() and (folder.parent / name).exists():
                (folder / name).write_text((folder.parent / name).read_text())
        write(folder, WEIGHT)


def write(folder: Path, settings: Mapping[str, str]) -> None:
    """Writes those of a cgroup's files that the machine's version has; `settings`: their content by name."""
    for name, text in settings.items():
        if (folder / name).exists():
            (folder / name).write_text(text)


def remove(folders: Iterable[str]) -> None:
    """Kills the processes in the folders and removes the folders with all below."""
    paths = [Path(folder) for folder in folders]

    def is_empty() -> bool:
        for folder in paths:
            for child in sorted((path for path in folder.rglob("*/")), reverse=True):
                _remove_one(child)
            _remove_one(folder)
        return not any(folder.exists() for folder in paths)

    wait_for("its cgroups to empty", is_empty, seconds=60, every=0.02)


def _remove_one(folder: Path) -> None:
    with contextlib.suppress(FileNotFoundError, OSError):
        for pid in (folder / "cgroup.procs").read_text().split():
            with contextlib.suppress(ProcessLookupError):
                os.kill(int(pid), signal.SIGKILL)
        folder.rmdir()
