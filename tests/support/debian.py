"""Provides programs of the distribution to tests without installing them: unpacks the package into the cache, which needs no root.

apt checks its downloads by the archive's signatures. Programs on PATH are used as they are.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local import builds
from local.errors import LocalError
from local.steps import CommandError, Step, Task

FOLDER = "debian"


@dataclass(frozen=True)
class Package:
    """A package of Debian's, and the programs of it that tests run."""

    name: str
    programs: Sequence[str]

    @property
    def folder(self) -> Path:
        """Returns the folder that it is unpacked into, as Debian's `/`."""
        return builds.cache_root() / FOLDER / self.name

    def program(self, name: str) -> str:
        """Returns the path of a program. If there is none, raises AssertionError with the package to install."""
        path = shutil.which(name) or shutil.which(name, path=str(self.folder / "usr" / "bin"))
        assert path is not None, f"tests run {name}: install it (Debian and Ubuntu: apt-get install {self.name}), or be on Debian"
        return path

    def missing(self) -> list[Step]:
        """Returns the step that unpacks it, if a program of it is missing. Raises LocalError if it can't be unpacked."""
        path = os.pathsep.join([os.environ.get("PATH", ""), str(self.folder / "usr" / "bin")])
        if all(shutil.which(each, path=path) for each in self.programs):
            return []
        if shutil.which("apt-get") is None or shutil.which("dpkg-deb") is None:
            raise LocalError(f"tests run {', '.join(self.programs)}, which is not on PATH, and there is no apt-get to get it with")
        return [Step(f"{self.name} of Debian", self._unpack)]

    def _unpack(self, task: Task) -> str:
        with builds.locked("packages"), tempfile.TemporaryDirectory(dir=builds.cache_root()) as temporary:
            into = Path(temporary)
            if not self._downloaded(task, into) and os.geteuid() == 0:  # apt knows no package before its first update
                task.run(["apt-get", "-qq", "update"], interruptible=False)
                self._downloaded(task, into)
            (file, *_) = (*into.glob("*.deb"), None)
            if file is None:
                raise LocalError(f"`apt-get download {self.name}` found no package: run `apt-get update` as root first")
            task.run(["dpkg-deb", "-x", str(file), str(into / "unpacked")])
            shutil.rmtree(self.folder, ignore_errors=True)
            self.folder.parent.mkdir(parents=True, exist_ok=True)
            (into / "unpacked").rename(self.folder)
        return file.name.split("_")[1].replace("%3a", ":")

    def _downloaded(self, task: Task, into: Path) -> bool:
        try:
            # The user for root's download: apt's own user cannot write to the folder.
            task.run(["apt-get", "-qq", "-o", "APT::Sandbox::User=root", "download", self.name], cwd=into, interruptible=False)
        except CommandError:
            return False
        return True
