"""Measures what a pod of engine `sdk` loads: a flow with lazy packages, as pods load it, beside the whole SDK. No cluster."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
from typing import Any

import pytest

from tests.support.cluster import REPOSITORY
from tests.support.measured import MEASURED, kept
from tests.support.preloaded import ROOTS

SDK = REPOSITORY / ".venv-sdk" / "bin" / "python"
TURNS = 5
MOST = {"without a model": (0.25, 0.25), "agent": (0.5, 0.45)}
"""Ratios of CPU and of memory, at most."""


@pytest.mark.timeout(1200)
def test_a_pod_loads_what_its_flow_names() -> None:
    assert SDK.exists(), "there is no .venv-sdk: `make bench` makes it"
    missed = []
    with kept(MEASURED / "sdk-start.txt") as say:
        say(f"make bench: {os.cpu_count()} cores; medians of {TURNS} processes each, in turn; a flow is loaded, and run once")
        for flow, (cpu_most, memory_most) in MOST.items():
            taken: dict[str, list[dict[str, Any]]] = {"plain": [], "lazy": []}
            for _ in range(TURNS + 1):  # the first one writes byte code
                for how, turns in taken.items():
                    turns.append(_started(how, flow))
            plain, lazy = (
                {key: statistics.median(each[key] for each in turns[1:]) for key in ("cpu", "memory", "modules")}
                for turns in taken.values()
            )
            cpu, memory = lazy["cpu"] / plain["cpu"], lazy["memory"] / plain["memory"]
            say(
                f"{flow}: CPU {plain['cpu']:.2f} -> {lazy['cpu']:.2f} s, ratio {cpu:.2f}, at most {cpu_most}; "
                f"memory {plain['memory']:.0f} -> {lazy['memory']:.0f} MiB, ratio {memory:.3f}, at most {memory_most}; "
                f"modules {plain['modules']:.0f} -> {lazy['modules']:.0f}"
            )
            new = sorted(set(taken["lazy"][-1]["first"]) - set(taken["plain"][-1]["first"]))
            say(f"  modules that the first run loads: {len(taken['plain'][-1]['first'])} -> {len(taken['lazy'][-1]['first'])}, new: {new}")
            missed += [flow] if cpu > cpu_most or memory > memory_most or new else []
    assert missed == []


def _started(how: str, flow: str) -> dict[str, Any]:
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": ROOTS}
    command = [str(SDK), "-W", "ignore", "-m", "tests.bench.sdk_start", how, flow]
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
