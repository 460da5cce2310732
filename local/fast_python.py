"""Links a virtual environment to the fastest build of its Python that this machine has: `python local/fast_python.py .venv`.

A Python built by pyenv or a plain `./configure` can be a quarter slower than that of a distribution, which was built with a profile. Both
run the same packages if major and minor version are the same. `make venv` calls this if the caller named no Python. It runs before anything
is installed, so it uses only the standard library.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

VERSION = f"{sys.version_info.major}.{sys.version_info.minor}"
NAMES = (f"python{VERSION}", "python3")
ROUNDS = 4
WORTH = 0.9
"""The most that another Python may take of this one's time to be chosen: a smaller gain may be chance."""

PROBE = f"""
import ctypes, json, sqlite3, ssl, sys, time, venv, zlib
if "%d.%d" % sys.version_info[:2] != "{VERSION}":
    sys.exit(1)
def work():
    began = time.process_time()
    known = {{str(number): [number] for number in range(20_000)}}
    for name, value in known.items():
        value.append(sum(value) + len(name))
    json.loads(json.dumps(known))
    sorted(known, key=lambda name: known[name][1])
    return time.process_time() - began
print(min(work() for _ in range(10)))
"""


def seconds(python: Path) -> float | None:
    """Returns the time of a little work on `python`; None if it has another version, or lacks a module that we need."""
    probe = subprocess.run([python, "-I", "-c", PROBE], capture_output=True, text=True, check=False)
    return float(probe.stdout) if probe.returncode == 0 else None


def others() -> Iterator[Path]:
    """Yields the Pythons on PATH that are not this one, each once."""
    known = {Path(sys.executable).resolve()}
    for place in (Path(folder, name) for folder in os.get_exec_path() for name in NAMES):
        if os.access(place, os.X_OK) and place.resolve() not in known:
            known.add(place.resolve())
            yield place


def fastest() -> tuple[float, Path] | None:
    """Returns the fastest other Python and its part of this one's time; None if none is fast enough."""
    own, *rest = (Path(sys.executable), *others())
    least: dict[Path, float] = {}
    for _ in range(ROUNDS):  # in turn: how fast a machine is differs from moment to moment
        for place in (own, *rest):
            if (took := seconds(place)) is not None:
                least[place] = min(took, least.get(place, took))
    fastest_ = min(((least[place] / least[own], place) for place in rest if place in least and own in least), default=None)
    return fastest_ if fastest_ is not None and fastest_[0] <= WORTH else None


def main() -> None:
    environment = Path(sys.argv[1])
    if (faster := fastest()) is None:
        return
    part, python = faster
    for name in ("python", *NAMES):
        (environment / "bin" / name).unlink(missing_ok=True)
    subprocess.run([python, "-m", "venv", "--without-pip", environment], check=True)  # what is installed there stays
    print(f"{environment}: runs on {python}, which takes {part:.0%} of the time of {sys.base_prefix}")


if __name__ == "__main__":
    main()
