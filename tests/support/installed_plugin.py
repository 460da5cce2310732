"""Installs the plugin as `pipx` does: its wheel in an environment of its own, with its locked packages and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from local import images

LOCK = images.REPOSITORY / "locks" / "kubectl.txt"


@dataclass(frozen=True)
class InstalledPlugin:
    """An environment with the plugin, in `folder`."""

    folder: Path

    @classmethod
    def of(cls, wheel: Path, folder: Path) -> InstalledPlugin:
        """Makes the environment in a new folder; locked packages come from pip's registry, or its cache."""
        run(sys.executable, "-m", "venv", "--without-pip", str(folder))
        installed = cls(folder)
        installed.pip("install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK))
        installed.pip("install", "--quiet", "--no-deps", "--no-index", str(wheel))
        return installed

    @property
    def program(self) -> str:
        return self.path("kubectl-dynamiq")

    def path(self, name: str) -> str:
        """Returns the path of one of the environment's programs."""
        return str(self.folder / "bin" / name)

    def pip(self, *arguments: str) -> str:
        return run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.path("python"), *arguments)

    @property
    def package(self) -> Path:
        """Returns the folder of its installed modules."""
        (folder,) = self.folder.glob("lib/python*/site-packages/dynamiq_operator")
        return folder


def run(*command: str) -> str:
    """Returns the output of a program that finds nothing of this checkout. Raises AssertionError with its errors."""
    done = subprocess.run(command, env=without_checkout(), cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_checkout() -> dict[str, str]:
    """Returns the environment of programs that find nothing of this checkout on Python's path."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
