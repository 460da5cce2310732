"""Measures the machine's memory that pods use: what their processes have alone, and their share of the rest."""

from __future__ import annotations

import contextlib
from pathlib import Path

from tests.support.api import Manifest
from tests.support.load.sleepers import processes_of

KIB = 1024


def held(pod: Manifest) -> int:
    """Returns bytes: the proportional set size of the pod's processes, without the program that only keeps its namespaces."""
    total = 0
    for pid in processes_of(pod["metadata"]["uid"]):
        with contextlib.suppress(OSError):
            if b"dynamiq_runtime" in Path(f"/proc/{pid}/cmdline").read_bytes():
                rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
                total += next(int(line.split()[1]) * KIB for line in rollup.splitlines() if line.startswith("Pss:"))
    return total
