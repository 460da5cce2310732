"""Measures the start of the plugin against a bare Python, and `kubectl dynamiq history` against `kubectl get` of the same rows.

Both run in turn: the ratio does not depend on a machine's speed.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

from local import dist
from local.clusters import Cluster
from tests.support import factories
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.installed_plugin import InstalledPlugin, without_checkout
from tests.support.plugin import Plugin

ROWS = 50
ROUNDS = 15
RATIO_MOST = 4.0
STARTS = {
    "--version": (0, 9.0),
    "history --help": (0, 9.0),
    "history chat": (1, 10.0),
    "status chat": (1, 27.0),
    "deploy chat": (1, 29.0),
}
"""Commands that run without a cluster: the exit code, and the most processor time relative to a bare Python.

A command that needs a cluster runs until its first request, and ends since there is no kubectl.
"""


def test_history_starts_within_four_times_of_kubectl_get(cluster: Cluster, tmp_path: Path) -> None:
    api = Api.of(cluster)
    with fresh_namespace(api, "plugin-start") as namespace:
        for number in range(1, ROWS + 1):
            raw = factories.row_manifest(f"chat-{number}", factories.in_namespace(namespace), factories.superseded(number))
            created = api.create(raw)
            assert created.ok, created.message
        kubectl, plugin = Kubectl(cluster), Plugin(cluster, namespace, tmp_path)
        took: dict[str, list[float]] = {"get": [], "history": []}
        for _ in range(ROUNDS):
            began = time.perf_counter()
            listed = kubectl("get", "ddep", "--field-selector=spec.app=chat", namespace=namespace).stdout
            took["get"].append(time.perf_counter() - began)
            began = time.perf_counter()
            shown = plugin.process("history", "chat").stdout
            took["history"].append(time.perf_counter() - began)
            assert len(listed.splitlines()) == len(shown.splitlines()) == ROWS + 1
    get, history = (statistics.median(took[name]) * 1000 for name in ("get", "history"))
    print(
        f"\nkubectl get of {ROWS} rows {get:.0f} ms; kubectl dynamiq history {history:.0f} ms; ratio {history / get:.2f}, at most {RATIO_MOST}"
    )
    assert history / get <= RATIO_MOST


def test_the_installed_plugin_starts_in_few_times_of_a_bare_python(tmp_path: Path) -> None:
    plugin = InstalledPlugin.of(dist.build_plugin(tmp_path), tmp_path / "plugin")
    commands = {start: [plugin.program, *start.split()] for start in STARTS}
    bare = [plugin.path("python"), "-c", "pass"]
    took: dict[str, list[tuple[float, float]]] = {start: [] for start in ("bare", *STARTS)}
    for _ in range(ROUNDS):
        took["bare"].append(_times(bare, 0))
        for start, command in commands.items():
            took[start].append(_times(command, STARTS[start][0]))
    cpu, wall = ({start: min(each[at] for each in times) for start, times in took.items()} for at in (0, 1))
    print()
    for start, seconds in cpu.items():
        ratio, most = seconds / cpu["bare"], STARTS.get(start, (0, 1.0))[1]
        print(f"{start:15} {wall[start] * 1000:4.0f} ms, of the processor {seconds * 1000:4.0f} ms; ratio {ratio:4.1f}, at most {most:g}")
    assert [start for start, (_, most) in STARTS.items() if cpu[start] / cpu["bare"] > most] == []


def _times(command: list[str], code: int) -> tuple[float, float]:
    """Returns the seconds of the processor, and those on the clock, of a program without a kubectl. Raises AssertionError.

    The least of several is the best: a machine's other work only adds to them.
    """
    quiet = [(os.POSIX_SPAWN_OPEN, number, os.devnull, os.O_RDWR, 0) for number in (0, 1, 2)]
    began = time.perf_counter()
    process = os.posix_spawn(command[0], command, without_checkout() | {"KUBECTL": "/no/kubectl"}, file_actions=quiet)
    _, status, used = os.wait4(process, 0)
    assert os.waitstatus_to_exitcode(status) == code, command
    return used.ru_utime + used.ru_stime, time.perf_counter() - began
