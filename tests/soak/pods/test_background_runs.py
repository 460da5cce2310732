"""Background runs on an installation as `make demo` has it, through deploys and rollbacks, while pods, journal and operator are killed.

Two Apps are called at a steady pace, of strategy Rolling and of Switch. Each background run has a control: the same call, whose caller waits
for the answer. The result goes to docs/measured/background-runs.txt.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from pathlib import Path

import pytest

from local import clusters, gateway, operators, recorder
from local.clusters import Cluster
from local.gateway import Gateway
from local.transcript import Transcript
from tests.soak.support.background_storm import (
    ANSWERED,
    NODE_TAKES,
    NODES,
    THREADS,
    Caller,
    JournalFile,
    Kills,
    StoredRun,
    finishing,
    flow,
    keeping_logs,
)
from tests.soak.support.deploys import Deploys
from tests.soak.support.node_counter import NodeCounter, counting
from tests.soak.support.paces import Due, Pace
from tests.support.cluster import REPOSITORY
from tests.support.factories import with_spec
from tests.support.history_stage import in_full
from tests.support.inside import node_of
from tests.support.load.recording.identities import Reader, account, app_uid
from tests.support.load.sleepers import host_of
from tests.support.measured import Figures
from tests.support.stage import Stage, stage
from tests.support.waiting import eventually

ROLLING, SWITCH = "rolls", "switches"
RUNS = 1_000 if in_full() else 100
RATE = 2.5  # calls a second, and as many of the control
OF_SWITCH = 5
"""Each fifth run is of the App of strategy Switch."""
REPEATED = 5
"""Each fifth is sent twice."""
DEPLOYS = ("v2", "v3", None, "v4", "v5", None, "v6") if in_full() else ("v2", None, "v3")
"""Versions of the deploys; None is a rollback to the row before."""
KILLS = {"pod": 30, "journal": 10, "operator": 3} if in_full() else {"pod": 6, "journal": 2, "operator": 1}
FINISHED_WITHIN = 300.0
FIGURES = Figures("background-runs")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Provides a cluster of its own, on which everything is installed."""
    name = f"t{os.getpid()}-background"
    try:
        yield clusters.start(name, "node", env={})
    finally:
        clusters.stop(name)


@pytest.mark.timeout(3600)
def test_what_is_accepted_ends_once_on_its_version_whatever_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    transcript = Transcript(cluster, REPOSITORY)
    at = gateway.start(cluster)
    operators.install(cluster, transcript, at)
    with stage(cluster, "background") as on, counting(node_of(cluster).first, tmp_path) as counter, ExitStack() as held:
        on.runtime("tiny", by_default=True, maxConcurrentRuns=THREADS)
        for number in range(1, 7):
            on.release(f"v{number}", text=flow(f"v{number}"))
        on.app(ROLLING)
        on.app(SWITCH, with_spec(rollout={"strategy": "Switch"}))
        deploys, kills = Deploys(on, (ROLLING, SWITCH)), Kills(on, JournalFile.of(cluster), counter, random.Random(34))  # noqa: S311
        logs = held.enter_context(keeping_logs(cluster, on.namespace, tmp_path))
        deploys.deploy("v1")
        callers = {app: Caller(at, host_of(on, app), on.key(app)) for app in (ROLLING, SWITCH)}
        for app, caller in callers.items():
            eventually(f"App {app} answers", lambda caller=caller: caller.post("first", background=False)[0] == ANSWERED)  # type: ignore[misc]
        storm = Storm(on, callers, deploys, kills)
        storm.rage()
        result = Result(storm, counter)
        result.check_recorder(recorder.reached(cluster, transcript), at)
        result.tell(logs)


class Storm:
    """Calls, deploys and kills. `ids`: of the accepted runs, by order. `control`: if a call whose caller waited was answered, by order."""

    def __init__(self, on: Stage, callers: dict[str, Caller], deploys: Deploys, kills: Kills) -> None:
        self.on, self.callers, self.deploys, self.kills = on, callers, deploys, kills
        self.ids: dict[str, str] = {}
        self.control: dict[str, bool] = {}
        self.sent_twice = self.most_finishing = 0
        self.pace = Pace(RUNS, RATE, self._both, lambda: len(self.ids))
        self.took = self.finished_after = 0.0

    def app_of(self, number: int) -> str:
        return SWITCH if number % OF_SWITCH == OF_SWITCH - 1 else ROLLING

    def rage(self) -> None:
        """Returns once every run has ended and no workload finishes runs any more, or what did not happen in time."""
        deploys = self.pace.spread(0.4, [partial(self.deploys.deploy, version) for version in DEPLOYS])
        self.took = self.pace.keep([*deploys, *self._kills()], after=self._look)
        eventually("all runs end", lambda: not self.kills.journal.open(), FINISHED_WITHIN)
        eventually("no workload finishes runs", lambda: not finishing(self.on), FINISHED_WITHIN)
        self.finished_after = time.time() - self.pace.began - self.took

    def _look(self) -> None:
        self.most_finishing = max(self.most_finishing, len(finishing(self.on)))

    def _both(self, number: int) -> None:
        """Begins a run, and its control at the same time."""
        with ThreadPoolExecutor(1) as beside:
            control = beside.submit(self._control, number)
            self._call(number)
            control.result()

    def _call(self, number: int) -> None:
        caller, order = self.callers[self.app_of(number)], f"order-{number}"
        run_id = caller.accepted(order)
        if not number % REPEATED:
            self.sent_twice += 1
            assert caller.accepted(order) == run_id, f"{order} sent twice is two runs"
        self.ids[order] = run_id

    def _control(self, number: int) -> None:
        order = f"control-{number}"
        self.control[order] = self.callers[self.app_of(number)].post(order, background=False)[0] == ANSWERED

    def _kills(self) -> Iterator[Due]:
        kinds = {"pod": (0.2, self.kills.pod), "journal": (0.8, self.kills.of_the_journal), "operator": (0.1, self.kills.operator)}
        for kind, (phase, kill) in kinds.items():
            yield from self.pace.spread(phase, [kill] * KILLS[kind])


class Result:
    """The runs that the journal and the recorder have, and what is wrong with them."""

    def __init__(self, storm: Storm, counter: NodeCounter) -> None:
        self.storm = storm
        self.runs = storm.kills.journal.runs()
        self.notes = begun = [each for each in counter.begun() if each.order in storm.ids]
        times = Counter((each.order, each.node) for each in begun)
        self.begun = len(times)
        self.again = Counter({node: number - 1 for node, number in times.items() if number > 1})
        self.recorded: Counter[str] = Counter()

    def check_recorder(self, url: str | None, at: Gateway) -> None:
        """Reads the recorder until it has every run, or no more come."""
        assert url is not None
        reader = Reader(url, account(self.storm.on, "reader", "dynamiq-view"))
        uids, ids = [app_uid(self.storm.on, app) for app in (ROLLING, SWITCH)], set(self.storm.ids.values())

        def is_complete() -> bool:
            lines = [run for uid in uids for run in reader.lines(f"/v1/apps/{uid}/runs.jsonl")]
            self.recorded = Counter(run["id"] for run in lines if run["id"] in ids)
            return self.recorded.keys() >= ids

        eventually(lambda: f"every run is recorded; {len(self.recorded)} of {len(ids)} are", is_complete, FINISHED_WITHIN, 2)

    def _wrong_version(self, order: str, run: StoredRun) -> bool:
        versions = {str(each).partition("@")[2] for each in run.output or []}
        return len(versions) != 1 or not versions <= self.storm.deploys.may_accept(run.app, run.accepted_at)

    def _story(self, order: str, node: str) -> str:
        """Returns what happened around a node that ran twice, in seconds since the begin."""
        own = [(each.at, f"{order} begins {each.node}") for each in self.notes if each.order == order]
        of_run = [(at, f"{order} is {kind}") for at, kind in self.runs[order].moments]
        deployed = [(at, f"{app} {version} is live") for app, times in self.storm.deploys.times.items() for _, at, version in times]
        since = self.storm.pace.began
        return f"{node} of {order}: " + ", ".join(
            f"{at - since:.1f} {what}" for at, what in sorted([*own, *of_run, *deployed, *self.storm.kills.moments])
        )

    def tell(self, logs: Path) -> None:
        storm, ids = self.storm, self.storm.ids
        runs = {order: self.runs[order] for order in ids if order in self.runs}
        lost = [order for order in ids if order not in runs or runs[order].state != "completed"]
        ends = {
            order: sum(kind in ("run.completed", "run.failed", "run.canceled") for _, kind in run.events) for order, run in runs.items()
        }
        twice = [order for order, number in ends.items() if number > 1] + [o for o, run in self.runs.items() if o not in ids]
        other = [order for order, run in runs.items() if self._wrong_version(order, run)]
        gaps = [order for order, run in runs.items() if [n for n, _ in run.events] != list(range(1, len(run.events) + 1))]
        events = Counter(kind for run in runs.values() for _, kind in run.events)
        recorded_twice = [run_id for run_id, number in self.recorded.items() if number > 1]
        unexplained = self.again - storm.kills.under_way
        lost_control = [order for order, answered in storm.control.items() if not answered]
        rollbacks = DEPLOYS.count(None)
        FIGURES.note(
            f"{len(ids)} background runs of {len(NODES)} nodes of {NODE_TAKES} s, accepted at {RATE}/s in {storm.took:.0f} s through the gateway, "
            f"{storm.sent_twice} of them sent twice;",
            f"  App {ROLLING} (strategy Rolling) has {RUNS - RUNS // OF_SWITCH}, App {SWITCH} (Switch) {RUNS // OF_SWITCH}, each with 2 pods, "
            f"{len(DEPLOYS) - rollbacks} deploys and {rollbacks} rollbacks",
            f"  SIGKILL: pods of Apps {KILLS['pod']}, the journal {KILLS['journal']}, the operator {KILLS['operator']}",
            "",
            f"  {'lost':58}{len(lost)}",
            f"  {'ended twice, or accepted twice':58}{len(twice)}",
            f"  {'on another version than the one that accepted it':58}{len(other)}",
            f"  {'gaps in the sequences of ' + str(sum(events.values())) + ' events':58}{len(gaps)}",
            f"  {f'nodes executed twice, of {self.begun}':58}{self.again.total()}",
            f"  {'nodes under way as their pod was killed':58}{storm.kills.under_way.total()}",
            f"  {'nodes twice that were under way at no kill':58}{unexplained.total()}",
            f"  {'recorded once / twice':58}{len(self.recorded) - len(recorded_twice)} / {len(recorded_twice)}",
            f"  {'interrupted / handed back / resumed':58}{events['run.interrupted']} / {events['run.handed_back']} / {events['run.resumed']}",
            f"  {'finishing workloads: most at a time / at the end':58}{storm.most_finishing} / 0",
            f"  {'the last run and the last of these workloads ended after':58}{storm.finished_after:.0f} s",
            f"  {f'control: of {len(storm.control)} calls whose callers waited are lost':58}{len(lost_control)}",
        )
        assert (len(ids), lost, twice, other, gaps) == (RUNS, [], [], [], [])
        assert not unexplained, "\n".join([f"logs of all pods: {logs}", *(self._story(*node) for node in unexplained)])
        assert (len(self.recorded), recorded_twice) == (RUNS, [])
        assert lost_control
