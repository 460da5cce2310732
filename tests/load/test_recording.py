"""Records runs by the runtime's own sender during failures of all else: each acknowledged run is stored once, and missing ones are counted.

The figures of the full counts go to docs/measured/recording.txt.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from local import components
from local.clusters import Cluster
from tests.load.support.otelcol import passing_on
from tests.load.support.recording.accounts import Books, Told
from tests.load.support.recording.relay import Relay, relaying
from tests.load.support.recording.storm import PROGRAM, Failure, Pods, storm
from tests.support import factories, postgres
from tests.support import stage as stages
from tests.support.cluster import REPOSITORY
from tests.support.collector import attributes_of
from tests.support.history_stage import counted, in_full
from tests.support.load.recording.identities import Reader, RecordedPod, account, app_uid, pods_of
from tests.support.load.recording.recorders import RecorderProcess, Volume, recording, volume
from tests.support.measured import Figures
from tests.support.stage import Stage
from tests.support.waiting import eventually

pytestmark = [
    pytest.mark.long("minutes of faults behind the sender; one fault each: tests/unit/runtime and tests/unit/recorder"),
    pytest.mark.full_count,
    pytest.mark.timeout(3600),
]
APP = "support"
RUNS, RATE = 100_000, 500  # in all, and a second
PROCESSES, NODES = 4, 5  # nodes of a run
QUEUE = 11_000  # runs that a process may have in its hands: its queue, and the batch that it sends
KILLS, ROLLS, RESTARTS = 20, 20, 5
REPLICAS = 3
DISK = 1024  # MiB
SILENT = 200.0  # seconds, for which a process may be silent before it counts as cut off
FULL_FOR = 2000  # runs
NOWHERE = "http://127.0.0.1:9"
"""The operator's recorder. Processes that stand in for pods of the App use the tested one instead."""
FIGURES = Figures("recording")


@pytest.fixture(scope="module")
def stage(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Provides an App with two pods; the processes of the test send with these pods' tokens."""
    folder = tmp_path_factory.mktemp("recording")
    with stages.stage(cluster, "recording") as staged, stages.operator(staged, folder=folder, options=[f"--recorder={NOWHERE}"]):
        staged.runtime("tiny", by_default=True)
        staged.release("v1")
        staged.app(APP, factories.public())
        staged.live(APP, "v1", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 2}})
        yield staged


@pytest.fixture
def pods(stage: Stage, tmp_path: Path) -> list[RecordedPod]:
    return pods_of(stage, APP, tmp_path)


@pytest.fixture(scope="module")
def reader(stage: Stage) -> str:
    """Provides the token of a user who may see runs."""
    return account(stage, "reader", "dynamiq-view")


def test_on_sqlite_each_acknowledged_run_is_stored_once(
    cluster: Cluster, stage: Stage, pods: list[RecordedPod], reader: str, tmp_path: Path
) -> None:
    with volume(tmp_path / "volume", DISK) as disk:
        options = (f"--kubeconfig={cluster.kubeconfig}", f"--store=sqlite://{disk.path / 'runs.db'}")
        with recording(tmp_path, options) as recorders, relaying([recorders[0].url]) as relay:
            sent = Pods(tmp_path, [pods[place % len(pods)].variables(relay.url) for place in range(PROCESSES)], RATE)
            failures = [
                Failure("its volume was full", 1, lambda _: _fill(disk, relay, sent)),
                Failure("the recorder was killed", counted(KILLS), recorders[0].kill),
            ]
            _storm("SQLite", stage, sent, relay, recorders, reader, failures)


def test_on_postgresql_with_three_recorders_each_acknowledged_run_is_stored_once(
    cluster: Cluster, stage: Stage, pods: list[RecordedPod], reader: str, tmp_path: Path
) -> None:
    with postgres.running(settings=()) as server:
        options = (f"--kubeconfig={cluster.kubeconfig}", f"--store={server.database()}")

        def restart(_: int) -> None:
            server.stop(kill=True)
            server.start()

        with recording(tmp_path, options, REPLICAS) as recorders, relaying([each.url for each in recorders]) as relay:
            sent = Pods(tmp_path, [pods[place % len(pods)].variables(relay.url) for place in range(PROCESSES)], RATE)
            failures = [
                Failure("PostgreSQL was killed", counted(RESTARTS), restart),
                Failure("a recorder was killed", counted(KILLS), lambda number: recorders[number % REPLICAS].kill()),
            ]
            _storm(f"PostgreSQL, {REPLICAS} recorders", stage, sent, relay, recorders, reader, failures)


def test_an_opentelemetry_collector_takes_all_that_a_pod_sends(tmp_path: Path) -> None:
    """OpenTelemetry's own collector passes all on; the attributes of runs have the names of its conventions."""
    runs, log = counted(RUNS) // 10, tmp_path / "pod.log"
    (tmp_path / "token").write_text("a-token")
    with passing_on(tmp_path) as (collector, endpoint):
        variables = {"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY / "operator"), "DYNAMIQ_APP": APP}
        variables |= {"DYNAMIQ_RECORDER": endpoint, "DYNAMIQ_RECORDER_TOKEN": str(tmp_path / "token")}
        subprocess.run([sys.executable, str(PROGRAM), str(log), str(RATE), str(runs)], env=variables, check=True)
        acknowledged = Told.of(log)
        assert acknowledged is not None
        eventually("all of it was passed on", lambda: len({span.span_id for span in collector.spans}) >= runs * (1 + NODES))
    spans = list({span.span_id: span for span in collector.spans}.values())  # the sender repeats a request whose answer was too late
    attributes = [attributes_of(span) for span in spans]
    assert {each["dynamiq.run.id"] for each in attributes if "dynamiq.run.id" in each} == set(acknowledged.ids)
    assert (len(spans), acknowledged.dropped) == (runs * (1 + NODES), 0)
    of_models = [each for each in attributes if each.get("gen_ai.request.model")]
    assert len(of_models) == runs
    names = ("gen_ai.provider.name", "gen_ai.usage.input_tokens", "gen_ai.usage.output_tokens", "gen_ai.usage.cache_read.input_tokens")
    assert {tuple(each[name] for name in names) for each in of_models} == {("openai", 1000, 500, 600)}
    assert {resource["service.name"] for resource in collector.resources} == {APP}
    FIGURES.note(f"OpenTelemetry's collector {components.OTELCOL.version}: {runs} runs, {len(spans)} spans sent, all passed on")


def _storm(
    title: str, stage: Stage, pods: Pods, relay: Relay, recorders: Sequence[RecorderProcess], token: str, failures: list[Failure]
) -> None:
    failures += [
        Failure("a pod was rolled", counted(ROLLS), lambda number: pods.roll(number % PROCESSES)),
        Failure("a pod was killed", counted(ROLLS), lambda number: pods.kill(number % PROCESSES)),
    ]
    with pods:
        done, rate = storm(pods, counted(RUNS), failures)
        acknowledged = pods.stop()
    for recorder in recorders:
        recorder.until_ready()
    relay.until_answered()
    reader, uid = Reader(recorders[0].url, token), app_uid(stage, APP)
    stored: dict[str, list[str]] = {}
    ours = {each.instance for each in acknowledged}
    for run in reader.lines(f"/v1/apps/{uid}/runs.jsonl"):
        if run["instance"] in ours:
            stored.setdefault(run["instance"], []).append(run["id"])
    if in_full():
        _leave(stage, reader, uid)
    state = reader.get(f"/v1/apps/{uid}/recorder")["data"]
    books = Books(acknowledged, stored, frozenset(relay.acknowledged), frozenset(relay.goodbyes), state["missing"], state["cut_off"])
    FIGURES.note(
        f"{title}: {books.given} runs of 5 nodes at {rate:.0f}/s by {PROCESSES} processes of the runtime's sender; "
        + ", ".join(f"{failure} {times} times" for failure, times in done.items()),
        *books.report(),
        f"  {relay.lost} answers of the recorder were lost on their way; answers by status: {dict(sorted(relay.statuses.items()))}",
    )
    assert not (wrong := books.wrong(QUEUE)), wrong


def _leave(stage: Stage, reader: Reader, uid: str) -> None:
    """Deletes the pods whose processes were killed: until then these may send more."""
    for pod in stage.pods(APP):
        stage.delete("Pod", pod["metadata"]["name"])
    eventually("processes that were killed count as cut off", lambda: reader.get(f"/v1/apps/{uid}/recorder")["data"]["cut_off"], SILENT, 5)
    stage.until_settled(APP)


def _fill(disk: Volume, relay: Relay, pods: Pods) -> None:
    """Fills the disk, until the recorder refuses, and while some more runs end."""
    refused = _refusals(relay)
    disk.fill()
    try:
        eventually("the recorder refuses, since its disk is full", lambda: _refusals(relay) > refused)
        until = pods.given + counted(FULL_FOR)
        eventually("some runs ended meanwhile", lambda: pods.given > until)
    finally:
        disk.empty()


def _refusals(relay: Relay) -> int:
    return sum(number for status, number in relay.statuses.items() if status in (429, 503, 507))
