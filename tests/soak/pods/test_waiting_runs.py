"""Runs that wait for a person, on an installation as `make demo` has it, through deploys, rollbacks, kills, and a backup that is restored.

Two Apps are called, of strategy Rolling and of Switch. Once all runs wait, on many versions, each gets its answer through the live App. The
result goes to docs/measured/waiting-runs.txt.
"""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import names
from local import clusters, gateway, operators
from local.clusters import Cluster
from local.transcript import Transcript
from tests.soak.support.background_storm import (
    LOOKS_EVERY,
    NODE_TAKES,
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
from tests.soak.support.restored_journal import back_up, restore
from tests.soak.support.resumed_on_live import resumed_on_live, versions_in
from tests.support.api import Manifest
from tests.support.cluster import REPOSITORY
from tests.support.factories import with_spec
from tests.support.history_stage import in_full
from tests.support.inside import node_of
from tests.support.load.sleepers import host_of
from tests.support.measured import Figures
from tests.support.stage import Stage, stage
from tests.support.waiting import eventually

ROLLING, SWITCH = "rolls", "switches"
NODES, ASKS = ("a", "b", "c"), "b"
"""The nodes, of which a person has to approve the second one."""
QUESTION = f"{ASKS}:1"
RUNS = 500 if in_full() else 50
BEGINS, ANSWERS = 2.5, 4.0  # runs a second
OF_SWITCH = 5
"""Each fifth run is of the App of strategy Switch."""
DEPLOYS = ("v2", "v3", None, "v4", "v5", None, "v6") if in_full() else ("v2", None, "v3")
"""Versions of the deploys; None is a rollback to the row before."""
KILLS = 4 if in_full() else 1
"""SIGKILLs of each program while runs begin, and as many while they are answered; pods get one more each time."""
KILLS_AT_REST = 2 if in_full() else 1
"""SIGKILLs of journal, operator and gate while all wait."""
AT_REST_FOR = 60 if in_full() else 20  # looks
IN_TIME = 600.0
FIGURES = Figures("waiting-runs")
ENDS = ("run.completed", "run.failed", "run.canceled", "run.expired")


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """Provides a cluster of its own, on which everything is installed."""
    name = f"t{os.getpid()}-waiting"
    try:
        yield clusters.start(name, "node", env={})
    finally:
        clusters.stop(name)


@pytest.mark.timeout(5400)
def test_what_waits_ends_once_on_its_version_whatever_happens_meanwhile(cluster: Cluster, tmp_path: Path) -> None:
    at = gateway.start(cluster)
    operators.install(cluster, Transcript(cluster, REPOSITORY), at)
    with stage(cluster, "waiting") as on, counting(node_of(cluster).first, tmp_path) as counter, ExitStack() as held:
        on.runtime("tiny", by_default=True, maxConcurrentRuns=THREADS)
        for number in range(1, 7):
            on.release(f"v{number}", text=flow(f"v{number}", NODES, ASKS))
        on.app(ROLLING)
        on.app(
            SWITCH, with_spec(rollout={"strategy": "Switch", "keepWarm": {"replicas": 0}})
        )  # a standby has pods for a rollback, whatever waits
        deploys, kills = Deploys(on, (ROLLING, SWITCH)), Kills(on, JournalFile.of(cluster), counter, random.Random(35))  # noqa: S311
        logs = held.enter_context(keeping_logs(cluster, on.namespace, tmp_path))
        deploys.deploy("v1")
        callers = {app: Caller(at, host_of(on, app), on.key(app)) for app in (ROLLING, SWITCH)}
        long_wait = LongWait(on, callers, deploys, kills)
        long_wait.begin()
        copy = long_wait.rest(tmp_path)
        long_wait.answer()
        result = Result(
            long_wait, counter, resumed_on_live(copy, tmp_path, deploys.live, QUESTION, partial(flow, nodes=NODES, asks=ASKS, notes=False))
        )
    result.tell(logs)


class LongWait:
    """Runs from their begin until after their answers. `ids`: of the accepted runs, by order. `at_rest`: what was seen while all waited."""

    def __init__(self, on: Stage, callers: dict[str, Caller], deploys: Deploys, kills: Kills) -> None:
        self.on, self.callers, self.deploys, self.kills = on, callers, deploys, kills
        self.ids: dict[str, str] = {}
        self.answered: list[str] = []
        self.killed: Counter[str] = Counter()
        self.at_rest = EarlierPods(on, deploys)
        self.most_finishing = 0
        self.began_in = self.answered_in = 0.0

    @staticmethod
    def app_of(number: int) -> str:
        return SWITCH if number % OF_SWITCH == OF_SWITCH - 1 else ROLLING

    def begin(self) -> None:
        """Returns once all runs wait."""
        pace = Pace(RUNS, BEGINS, self._begin, lambda: len(self.ids))
        deploys = pace.spread(0.4, [partial(self.deploys.deploy, version) for version in DEPLOYS])
        self.began_in = pace.keep([*deploys, *self._kills(pace)])
        journal = self.kills.journal
        eventually(lambda: f"all runs wait; they are {journal.states()}", lambda: journal.states() == {"waiting": RUNS}, IN_TIME)

    def rest(self, folder: Path) -> Path:
        """Kills programs while all wait, and restores a backup. Returns a copy of it."""
        eventually(lambda: f"no earlier version has a pod; there are {self.at_rest.now()}", lambda: not self.at_rest.now(), IN_TIME)
        with self.at_rest.watched():
            for _ in range(KILLS_AT_REST):
                for kind in ("journal", "operator", "gate"):
                    self._kill(kind)
            copy = back_up(self.on, self.kills.journal, folder)
            self._kill("journal")
            restore(self.on, self.kills.journal, copy)
            eventually("enough looks", lambda: self.at_rest.looks >= AT_REST_FOR, IN_TIME)
        assert self.kills.journal.states() == {"waiting": RUNS}
        return copy

    def answer(self) -> None:
        """Returns once every run has ended and no workload finishes runs any more, or what did not happen in time."""
        self._orders = sorted(self.ids)
        self.kills.chance.shuffle(self._orders)
        pace = Pace(RUNS, ANSWERS, self._answer, lambda: len(self.answered))
        self.answered_in = pace.keep(self._kills(pace), after=self._look)
        journal = self.kills.journal
        eventually(lambda: f"all runs end; they are {journal.states()}", lambda: not journal.open(), IN_TIME)
        eventually("no workload finishes runs", lambda: not finishing(self.on), IN_TIME)

    def _look(self) -> None:
        self.most_finishing = max(self.most_finishing, len(finishing(self.on)))

    def _begin(self, number: int) -> None:
        order = f"order-{number}"
        self.ids[order] = self.callers[self.app_of(number)].accepted(order)

    def _answer(self, number: int) -> None:
        order = self._orders[number]
        caller = self.callers[self.app_of(int(order.partition("-")[2]))]
        caller.approved(self.ids[order], QUESTION)
        self.answered.append(order)

    def _kills(self, pace: Pace) -> Iterator[Due]:
        for kind, phase, times in (("pod", 0.3, KILLS + 1), ("journal", 0.8, KILLS), ("operator", 0.1, KILLS), ("gate", 0.6, KILLS)):
            yield from pace.spread(phase, [partial(self._kill, kind)] * times)

    def _kill(self, kind: str) -> None:
        kills = self.kills
        {"pod": kills.pod, "journal": kills.of_the_journal, "operator": kills.operator, "gate": kills.gate}[kind]()
        self.killed[kind] += 1


class EarlierPods:
    """Looks at the pods of versions that are not live. `most`: at a time, in so many `looks`."""

    def __init__(self, on: Stage, deploys: Deploys) -> None:
        self._on, self._deploys = on, deploys
        self.most = self.looks = 0

    def now(self) -> list[str]:
        """Returns the names of these pods, whether they end or not."""
        return [pod["metadata"]["name"] for pod in self._on.api.get("Pod", "", self._on.namespace).body["items"] if self._is_earlier(pod)]

    def _is_earlier(self, pod: Manifest) -> bool:
        labels = pod["metadata"].get("labels") or {}
        app = str(labels.get(names.FINISHING_OF_LABEL) or labels.get(names.APP_LABEL))
        if app not in self._deploys.apps:
            return False
        variables = {each["name"]: each.get("value") for each in pod["spec"]["containers"][0].get("env", ())}
        return names.FINISHING_OF_LABEL in labels or variables["DYNAMIQ_WORKFLOW_VERSION"] != self._deploys.live(app)

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Looks each second while the block runs."""
        ended = threading.Event()

        def look() -> None:
            while not ended.wait(LOOKS_EVERY):
                self.most = max(self.most, len(self.now()))
                self.looks += 1

        thread = threading.Thread(target=look, daemon=True)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()


class Result:
    """The runs that the journal has, and what is wrong with them. `control`: the ends of the same runs, resumed on what is live."""

    def __init__(self, long_wait: LongWait, counter: NodeCounter, control: Mapping[str, Any]) -> None:
        self.waited, self.control = long_wait, control
        self.runs = long_wait.kills.journal.runs()
        self.version_of = long_wait.deploys.hashes()
        self.notes = counter.begun()
        times = Counter((each.order, each.node) for each in self.notes)
        self.begun = len(times)
        self.again = Counter({node: number - 1 for node, number in times.items() if number > 1})

    def _versions(self, order: str, run: StoredRun) -> set[str]:
        """Returns the versions of all nodes of a run, by their notes and by its output."""
        return {each.version for each in self.notes if each.order == order} | versions_in(run.output)

    def _is_other(self, order: str, run: StoredRun) -> bool:
        own = self.version_of[run.workflow_hash]
        return self._versions(order, run) != {own} or own not in self.waited.deploys.may_accept(run.app, run.accepted_at)

    def tell(self, logs: Path) -> None:
        waited, ids = self.waited, self.waited.ids
        runs = {order: self.runs[order] for order in ids if order in self.runs}
        lost = [order for order in ids if order not in runs or runs[order].state != "completed"]
        ends = {order: sum(kind in ENDS for _, kind in run.events) for order, run in runs.items()}
        twice = [order for order, number in ends.items() if number > 1] + [order for order in self.runs if order not in ids]
        other = [order for order, run in runs.items() if self._is_other(order, run)]
        gaps = [order for order, run in runs.items() if [n for n, _ in run.events] != list(range(1, len(run.events) + 1))]
        events = Counter(kind for run in runs.values() for _, kind in run.events)
        control = [order for order, output in self.control.items() if len(versions_in(output)) > 1]
        unexplained = self.again - waited.kills.under_way
        by_version = Counter(self.version_of[run.workflow_hash] for run in runs.values())
        FIGURES.note(
            f"{len(ids)} runs of {len(NODES)} nodes of {NODE_TAKES} s, of which node {ASKS} waits for an approval, accepted at {BEGINS}/s in "
            f"{waited.began_in:.0f} s through the gateway;",
            f"  App {ROLLING} (strategy Rolling) has {RUNS - RUNS // OF_SWITCH}, App {SWITCH} (Switch) {RUNS // OF_SWITCH}; "
            f"{len(DEPLOYS) - DEPLOYS.count(None)} deploys and {DEPLOYS.count(None)} rollbacks meanwhile; by version: "
            + ", ".join(f"{version} {number}" for version, number in sorted(by_version.items())),
            f"  once all wait, 1 backup and its restore, then {len(waited.answered)} answers at {ANSWERS}/s in {waited.answered_in:.0f} s at the "
            "live App's hostname",
            f"  SIGKILL while they begin, wait and are answered: {', '.join(f'{kind} {number}' for kind, number in sorted(waited.killed.items()))}",
            "",
            f"  {'lost':74}{len(lost)}",
            f"  {'ended twice, or accepted twice':74}{len(twice)}",
            f"  {'a node on another version than the one that accepted it':74}{len(other)}",
            f"  {'control: the backup, resumed by pods of what is live: on two versions':74}{len(control)} of {len(self.control)}",
            f"  {f'pods of earlier versions while all wait, in {waited.at_rest.looks} looks':74}{waited.at_rest.most}",
            f"  {'gaps in the sequences of ' + str(sum(events.values())) + ' events':74}{len(gaps)}",
            f"  {'questions asked / answers stored':74}{events['approval_request.created']} / {events['run.input_received']}",
            f"  {f'nodes executed twice, of {self.begun}':74}{self.again.total()}",
            f"  {'nodes under way as their pod was killed':74}{waited.kills.under_way.total()}",
            f"  {'nodes twice that were under way at no kill':74}{unexplained.total()}",
            f"  {'interrupted / handed back / resumed':74}{events['run.interrupted']} / {events['run.handed_back']} / {events['run.resumed']}",
            f"  {'finishing workloads while answers come: most at a time / at the end':74}{waited.most_finishing} / 0",
        )
        assert (len(runs), lost, twice, other, gaps) == (RUNS, [], [], [], [])
        assert (waited.at_rest.most, events["approval_request.created"], events["run.input_received"]) == (0, RUNS, RUNS)
        assert not unexplained, f"{unexplained}: logs of all pods: {logs}"
        assert control
