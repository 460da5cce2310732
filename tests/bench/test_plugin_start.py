"""Measures the start of the plugin against a bare Python, and its reads and previews against `kubectl get` of the same rows.

All run in turn: the ratio does not depend on a machine's speed.
"""

from __future__ import annotations

import os
import statistics
import time
from pathlib import Path

from dynamiq_operator.desired.inputs import WorkloadInputs
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import workload_manifest
from dynamiq_operator.model.objects import App, Row
from local import dist
from local.clusters import Cluster
from tests.support import factories, made_rows
from tests.support.api import Api, fresh_namespace
from tests.support.cluster import Kubectl
from tests.support.factories import NAME
from tests.support.installed_plugin import InstalledPlugin, without_checkout
from tests.support.plugin import Plugin

ROWS = 50
ROUNDS = 15
GET = f"get ddep --field-selector=spec.app={NAME}"
READS = {
    f"history {NAME}": (ROWS + 1, 2.5),
    f"status {NAME}": (3, 2.5),
    f"deploy {NAME} --preview": (5, 3.5),
    f"rollback {NAME} --preview": (5, 4.0),
}
"""Commands against an API server: the least lines of the output, and the longest time relative to `kubectl get` of the App's rows."""

STARTS = {
    "--version": (0, 9.0),
    "history --help": (0, 9.0),
    "history chat": (1, 9.0),
    "status chat": (1, 10.0),
    "deploy chat": (1, 26.0),
    "rollback chat": (1, 26.0),
}
"""Commands that run without a cluster: the exit code, and the most processor time relative to a bare Python.

A command that needs a cluster runs until its first request, and ends since there is no kubectl.
"""


def test_commands_that_read_take_few_times_of_kubectl_get(cluster: Cluster, tmp_path: Path) -> None:
    with fresh_namespace(Api.of(cluster), "plugin-start") as namespace:
        _make_app(cluster, namespace)
        kubectl, plugin = Kubectl(cluster), Plugin(cluster, namespace, tmp_path)
        took: dict[str, list[float]] = {command: [] for command in (GET, *READS)}
        for _ in range(ROUNDS):
            for command, seconds in took.items():
                began = time.perf_counter()
                done = kubectl(*command.split(), namespace=namespace) if command == GET else plugin.process(*command.split())
                seconds.append(time.perf_counter() - began)
                assert (done.returncode, done.stderr) == (0, ""), command
                assert len(done.stdout.splitlines()) >= READS.get(command, (ROWS, 0))[0], done.stdout
    medians = {command: statistics.median(seconds) for command, seconds in took.items()}
    print()
    for command, median in medians.items():
        ratio, most = median / medians[GET], READS.get(command, (0, 1.0))[1]
        print(f"kubectl {command:45} {median * 1000:4.0f} ms; ratio {ratio:4.2f}, at most {most:g}")
    assert [command for command, (_, most) in READS.items() if medians[command] / medians[GET] > most] == []


def _make_app(cluster: Cluster, namespace: str) -> None:
    """Makes an App with its workload and `ROWS` rows, the last of which is live, and a release that is not deployed yet."""
    api, here = Api.of(cluster), factories.in_namespace(namespace)
    made = [
        factories.runtime_manifest(),
        factories.workflow_manifest(here),
        *(factories.version_manifest(version, here) for version in ("v1", "v2", "v3")),
        factories.app_manifest(here),
    ]
    created = [api.create(raw) for raw in made]
    assert [answer.message for answer in created if not answer.ok] == []
    app = App.of(created[-1].body)
    rows = [made_rows.row(namespace, NAME, app.meta.uid, number) for number in range(ROWS - 1)]
    live = made_rows.row(namespace, NAME, app.meta.uid, ROWS - 1, factories.live(ROWS, "v2"))
    pinned = Row.of(live).pinned
    assert pinned is not None
    made_rows.make(cluster, [*rows, live])
    workload = workload_manifest(app, WorkloadInputs("", Pins.of(pinned)))
    assert workload is not None
    answer = api.create(workload)
    assert answer.ok, answer.message


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
