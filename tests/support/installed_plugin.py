"""The plugin as `pipx` installs it: its wheel in an environment of its own, with what its lock names and nothing else."""

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
    """`folder`: of the environment."""

    folder: Path

    @classmethod
    def of(cls, wheel: Path, folder: Path) -> InstalledPlugin:
        """Makes the environment in a new folder; what the lock names comes from the registry that pip is set to, or its cache."""
        run(sys.executable, "-m", "venv", "--without-pip", str(folder))
        made = cls(folder)
        made.pip("install", "--quiet", "--no-deps", "--require-hashes", "--only-binary", ":all:", "-r", str(LOCK))
        made.pip("install", "--quiet", "--no-deps", "--no-index", str(wheel))
        return made

    @property
    def program(self) -> str:
        return self.path("kubectl-dynamiq")

    def path(self, name: str) -> str:
        """One of the environment's programs."""
        return str(self.folder / "bin" / name)

    def pip(self, *arguments: str) -> str:
        return run(sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", self.path("python"), *arguments)

    @property
    def package(self) -> Path:
        """Where its modules are installed."""
        (found,) = self.folder.glob("lib/python*/site-packages/dynamiq_operator")
        return found


def run(*command: str) -> str:
    """What a program prints that finds nothing of this checkout. Raises AssertionError with what it says."""
    done = subprocess.run(command, env=without_checkout(), cwd="/", stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def without_checkout() -> dict[str, str]:
    """The environment of programs that find nothing of this checkout on Python's path."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
