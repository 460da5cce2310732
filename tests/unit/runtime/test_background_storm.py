"""A storm on background runs: pods and the journal are killed again and again, and callers repeat what was not answered.

Three pods of one App have two flows. The control: the same calls under the same kills, whose callers wait for their answers.
"""

from __future__ import annotations

import random
import signal
import sqlite3
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any, NamedTuple

from dynamiq_recorder.journal.model import Place
from tests.support.background import Caller, lines, pod, steps_flow
from tests.support.journal import APP
from tests.support.journal_process import JournalProcess
from tests.support.runtime import Answer
from tests.support.waiting import IN_TIME, eventually

RUNS, NODES = 60, ("a", "b", "c", "d")
FLOWS = ("f1", "f2", "f1")
"""The flow of each pod; run n has that of pod n mod 3."""
POD_KILLS, POD_ENDS, JOURNAL_KILLS = 8, 4, 3
STARTS = len(FLOWS) + POD_KILLS + POD_ENDS
LEASE = 6.0
"""Seconds until a killed pod's runs are interrupted. A pod that missed its journal looks for it at least every 3."""
NODE_TAKES = 0.1
CALLERS = 6
AHEAD = 24 * len(NODES)
"""Nodes by which callers may be ahead of the pods."""
ENDS = {"run.completed", "run.failed", "run.canceled"}
REPEATED = 5
"""Each fifth call is sent twice."""

Node = tuple[str, str]
"""A node of a run: the run's idempotency key, and the node."""


class Line(NamedTuple):
    """A node's note of its begin. `flow`: the hash that its flow has."""

    order: str
    node: str
    flow: str
    pod: str


def place(number: int, flow: str) -> Place:
    return Place(APP.app_uid, APP.namespace, APP.app, f"{flow:0>16}", f"sha256:{flow}", f"chat-{number}")


def flow_of(order: str) -> str:
    """Returns the hash of the flow that an order was accepted for."""
    return f"sha256:{FLOWS[int(order.removeprefix('order-')) % len(FLOWS)]}"


class Storm:
    """Pods of both flows and their journal. Each may be ended by a signal, and another one takes its place."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self.folder, self.log = folder, folder / "noted"
        places = [place(number, flow) for number in range(1, STARTS + 1) for flow in set(FLOWS)]
        self.journal = JournalProcess(folder, {f"{each.workflow_hash} {each.pod}": each for each in places}, LEASE)
        self.under_way: Counter[Node] = Counter()
        """Nodes that were under way when their pods ended."""
        self._pods: dict[int, tuple[Caller, str, ExitStack]] = {}
        self._starts = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        try:
            self.journal.start()
            for index in range(len(FLOWS)):
                self._start(index)
            yield
        finally:
            for _, _, stack in self._pods.values():
                stack.close()
            self.journal.kill()

    def _start(self, index: int) -> None:
        """Starts a pod with a name and a token of its own, as any pod that takes another's place has them."""
        self._starts += 1
        flow, name = FLOWS[index], f"chat-{self._starts}"
        own = place(self._starts, flow)
        note = (
            f"    with io.open(inputs['noted'], 'a') as file:\n        file.write(f\"{{inputs['order']}} {{name}} {own.workflow_hash} {name}\\n\")\n"
            f"    time.sleep({NODE_TAKES})\n"
        )
        variables = {"DYNAMIQ_PINS": own.pins, "DYNAMIQ_MAX_CONCURRENT_RUNS": "8", "DYNAMIQ_DRAIN_SECONDS": "0"}
        stack = ExitStack()
        token, text = f"{own.workflow_hash} {name}", steps_flow(*NODES, code=note)
        served = stack.enter_context(pod(self.folder / name, text, self.journal, token=token, **variables))
        self._pods[index] = Caller(served), name, stack

    def end(self, index: int, by: int) -> None:
        """Ends a pod by a signal, notes which nodes were under way there, and starts another one."""
        caller, name, stack = self._pods.pop(index)
        caller.pod.process.send_signal(by)
        caller.pod.process.wait(IN_TIME)
        stack.close()
        own = {(line.order, line.node) for line in self.noted() if line.pod == name}
        self.under_way.update(own - self._stored(own))
        self._start(index)

    def _stored(self, nodes: set[Node]) -> set[Node]:
        """Returns those nodes that the journal has, with all nodes of runs that have ended."""
        with closing(sqlite3.connect(self.journal.database)) as database:
            parts = set(database.execute("SELECT idempotency_key, part.node FROM part JOIN run ON part.run = run.key"))
            ended = {order for (order,) in database.execute("SELECT idempotency_key FROM run WHERE ended_at IS NOT NULL")}
        return {each for each in nodes if each in parts or each[0] in ended}

    def noted(self) -> list[Line]:
        """Returns the nodes that began."""
        return [Line(*line.split()) for line in lines(self.log)]

    def pod_of(self, number: int) -> Caller:
        """Returns a pod that runs, and has the flow of a run."""
        flow = FLOWS[number % len(FLOWS)]

        def running() -> list[Caller]:
            return [caller for index, (caller, _, _) in sorted(self._pods.copy().items()) if FLOWS[index] == flow]

        pods = eventually(f"a pod of {flow} runs", running)
        return pods[number // len(FLOWS) % len(pods)]

    def ask(self, number: int, **fields: Any) -> Answer | None:
        """Sends a call once; None if its connection broke."""
        given = {"order": f"order-{number}", "noted": str(self.log), "log": "/dev/null"}
        headers = {"Idempotency-Key": f"order-{number}"} if fields else {}
        try:
            return self.pod_of(number).ask("POST", "/v1/runs", {"input": given, **fields}, headers)
        except (OSError, HTTPException):
            return None


def rage(storm: Storm, call: Callable[[int], Any], while_away: Callable[[int], None], progress: Callable[[], int]) -> list[Any]:
    """Sends all calls, and kills meanwhile. Returns the results of the calls.

    `while_away`: gets the numbers of the last calls before `call` does, each while the journal is away. `progress`: how many nodes were dealt
    with. Callers and kills keep their pace with it.
    """
    chance = random.Random(4711)  # noqa: S311
    ends = [signal.SIGKILL] * POD_KILLS + [signal.SIGTERM] * POD_ENDS + [None] * JOURNAL_KILLS
    chance.shuffle(ends)
    later = iter(range(RUNS - JOURNAL_KILLS, RUNS))

    def called(number: int) -> Any:
        eventually("the pods keep up", lambda: progress() >= number * len(NODES) - AHEAD)
        return call(number)

    def reached(due: int) -> bool:
        return progress() >= due

    with ThreadPoolExecutor(CALLERS) as threads:
        calls = [threads.submit(called, number) for number in range(RUNS - JOURNAL_KILLS)]
        for part, by in enumerate(ends):
            due = (RUNS - JOURNAL_KILLS) * len(NODES) * (part + 1) // (len(ends) + 2)
            eventually(f"{due} nodes have begun", partial(reached, due))
            if by is not None:
                storm.end(chance.randrange(len(FLOWS)), by)
                continue
            number = next(later)
            storm.journal.kill()
            while_away(number)
            storm.journal.start()
            calls.append(threads.submit(call, number))
        return [each.result() for each in calls]


def test_what_is_accepted_ends_once_whatever_is_killed(tmp_path: Path) -> None:
    storm = Storm(tmp_path / "storm")

    def taken(number: int) -> str | None:
        answer = storm.ask(number, background=True)
        return None if answer is None or answer.status != 202 else str(answer.body["data"]["id"])

    def accepted(number: int) -> str:
        return eventually(f"order {number} is accepted", partial(taken, number))

    def accept(number: int) -> str:
        run_id = accepted(number)
        if not number % REPEATED:
            assert accepted(number) == run_id
        return run_id

    def refuse(number: int) -> None:
        answer = storm.ask(number, background=True)
        assert answer is not None
        assert (answer.status, answer.body["error"]["code"]) == (503, "journal_away")

    with storm.running():
        ids = rage(storm, accept, refuse, lambda: len(storm.noted()))
        runs = [storm.pod_of(0).ended(run_id) for run_id in ids]
        events = [storm.pod_of(0).events(run_id) for run_id in ids]
        total = storm.pod_of(0).ask("GET", "/v1/runs").body["pagination"]["total_count"]
    assert (len(set(ids)), total) == (RUNS, RUNS)
    assert Counter((run["status"], tuple(run["output"] or ())) for run in runs) == {("completed", NODES): RUNS}
    assert [[event["sequence"] for _, event in each] for each in events] == [list(range(1, len(each) + 1)) for each in events]
    assert Counter(kind for each in events for kind, _ in each if kind in ENDS) == {"run.completed": RUNS}
    noted = storm.noted()
    assert [line for line in noted if line.flow != flow_of(line.order)] == []
    began = Counter((line.order, line.node) for line in noted)
    assert len(began) == RUNS * len(NODES)
    again = Counter({node: times - 1 for node, times in began.items() if times > 1})
    print(f"\n{RUNS} runs: {sum(again.values())} of {len(began)} nodes again, {storm.under_way.total()} under way as a pod ended")
    assert again - storm.under_way == Counter()
    assert storm.under_way, "no pod was killed in the middle of a node: the storm shows nothing"


def test_control_calls_whose_callers_wait_are_lost(tmp_path: Path) -> None:
    storm, results = Storm(tmp_path / "storm"), list[bool]()

    def ask(number: int) -> None:
        answer = storm.ask(number)
        results.append(answer is not None and answer.status == 200)

    with storm.running():
        rage(storm, ask, lambda _: None, lambda: len(results) * len(NODES))
    print(f"\n{results.count(False)} of {RUNS} calls are lost")
    assert results.count(False) > 0
