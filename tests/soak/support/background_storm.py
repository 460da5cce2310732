"""A storm on background runs of real pods: kills programs of an installation, and reads what its journal has.

It kills a container's process by SIGKILL. It decides nothing about the result.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sqlite3
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from dynamiq_operator.model import names
from local import journal, operators, state
from local.clusters import Cluster
from local.gateway import Gateway
from tests.soak.support.node_counter import URL, NodeCounter
from tests.support.api import Manifest
from tests.support.background import steps_flow
from tests.support.gateway import ThroughTheGateway
from tests.support.load.sleepers import processes_of
from tests.support.stage import Stage, is_ready
from tests.support.waiting import IN_TIME, SOON, eventually

NODES = ("a", "b", "c", "d")
NODE_TAKES = 1.2  # seconds
THREADS = 16
"""Runs at a time in one pod; half of them may be background runs. A pod that is away leaves a queue."""
TIMEOUT = 60.0
LOOKS_EVERY = 1.0  # seconds
ANSWERED, ACCEPTED = 200, 202

Node = tuple[str, str]
"""A node of a run: the run's idempotency key, and the node."""


def flow(version: str, nodes: Sequence[str] = NODES, asks: str | None = None, *, notes: bool = True) -> str:
    """Returns a flow whose nodes note that they begin, and take a while, and whose output has the version of each node.

    `asks`: the node that a person has to approve. `notes`: False for nodes that do nothing else.
    """
    note = (
        "    import urllib.request\n"
        f"    urllib.request.urlopen('{URL}/' + inputs['order'] + '/' + name + '/{version}', timeout=30).read()\n"
        f"    time.sleep({NODE_TAKES})\n"
    )
    code = (note if notes else "") + f"    name = name + '@{version}'\n"
    made = json.loads(steps_flow(*nodes, code=code))
    for node in made["nodes"]:
        if node["id"] == asks:
            node["approval"] = {"enabled": True, "feedback_method": "stream", "msg_template": "Go on with {{input_data.order}}?"}
    return json.dumps(made)


@dataclass(frozen=True)
class StoredRun:
    """A run as the journal has it. `events`: sequences and types. `moments`: Unix seconds of what happened to the run itself.

    `workflow_hash`: of the flow on which it began.
    """

    id: str
    app: str
    state: str
    accepted_at: float
    output: Any
    events: list[tuple[int, str]]
    moments: list[tuple[float, str]]
    workflow_hash: str


@dataclass(frozen=True)
class JournalFile:
    """The database of the journal of a cluster, read beside it."""

    path: Path

    @classmethod
    def of(cls, cluster: Cluster) -> JournalFile:
        record = state.load(cluster.name)
        assert record is not None
        return cls(record.folder / "var/lib/volumes/journal/journal.db")

    def ask(self, sql: str, *parameters: object) -> list[Any]:
        with contextlib.closing(sqlite3.connect(f"file:{self.path}?mode=ro", uri=True, timeout=IN_TIME)) as database:
            return list(database.execute(sql, parameters))

    def holders(self) -> Counter[str]:
        """Returns the pods that have runs, and how many."""
        return Counter(dict(self.ask("SELECT holder, count(*) FROM run WHERE state = 'running' GROUP BY holder")))

    def states(self) -> Counter[str]:
        """Returns how many runs are in each state."""
        return Counter(dict(self.ask("SELECT state, count(*) FROM run GROUP BY state")))

    def open(self) -> int:
        return int(self.ask("SELECT count(*) FROM run WHERE ended_at IS NULL")[0][0])

    def under_way(self, pod: str, counter: NodeCounter) -> set[Node]:
        """Returns the nodes that a pod has begun since it took their runs, and that the journal does not have."""
        since = dict(
            self.ask(
                "SELECT idempotency_key, max(at) FROM run JOIN event ON event.run = run.key "
                "WHERE holder = ? AND state = 'running' AND type IN ('run.started', 'run.resumed') GROUP BY run.key",
                pod,
            )
        )
        stored = set(self.ask("SELECT idempotency_key, part.node FROM part JOIN run ON part.run = run.key WHERE holder = ?", pod))
        begun = {(each.order, each.node) for each in counter.begun() if each.at * 1e6 >= since.get(each.order, float("inf"))}
        return begun - stored

    def runs(self) -> dict[str, StoredRun]:
        """Returns all runs by their idempotency keys."""
        events: dict[int, list[tuple[int, str]]] = defaultdict(list)
        moments: dict[int, list[tuple[float, str]]] = defaultdict(list)
        for key, sequence, kind, at in self.ask("SELECT run, sequence, type, at FROM event ORDER BY run, sequence"):
            events[key].append((sequence, kind))
            if kind.startswith("run."):
                moments[key].append((at / 1e6, kind.removeprefix("run.")))
        outputs = {key: json.loads(data) for key, data in self.ask("SELECT run, data FROM content WHERE name = 'output'")}
        lines = self.ask("SELECT idempotency_key, key, lower(hex(id)), app, state, accepted_at, workflow_hash FROM run")
        return {
            order: StoredRun(run_id, app, now, accepted / 1e6, outputs.get(key), events[key], moments[key], flow_hash)
            for order, key, run_id, app, now, accepted, flow_hash in lines
        }


@contextlib.contextmanager
def keeping_logs(cluster: Cluster, namespace: str, folder: Path) -> Iterator[Path]:
    """Keeps the logs of all pods of a namespace while the block runs, also of pods that end. Yields their folder.

    It links the files, which then have all later lines. Cache and `folder` must be on one file system, or there are none.
    """
    record, ended = state.load(cluster.name), threading.Event()
    assert record is not None
    source, kept = record.folder / "var/log/pods", folder / "logs"
    kept.mkdir()

    def keep() -> None:
        while not ended.wait(LOOKS_EVERY):
            for path in source.glob(f"{namespace}_*/*/*.log"):
                with contextlib.suppress(OSError):
                    os.link(path.resolve(), kept / f"{path.parts[-3].split('_')[1]}.{path.name}")

    thread = threading.Thread(target=keep, daemon=True)
    thread.start()
    try:
        yield kept
    finally:
        ended.set()
        thread.join()


@dataclass
class Kills:
    """Kills programs. `under_way`: the nodes that were under way when their pods were killed."""

    on: Stage
    journal: JournalFile
    counter: NodeCounter
    chance: random.Random
    under_way: Counter[Node] = field(default_factory=Counter)
    moments: list[tuple[float, str]] = field(default_factory=list)
    """Unix seconds of each kill, and what was killed."""

    def pod(self) -> None:
        """Kills the runtime of a pod that has runs; its container is started again in the same pod."""
        pods = eventually("a pod has runs", self._busy)
        pod = self.chance.choice(pods)
        (pid,) = _programs(pod, b"dynamiq_runtime")
        os.kill(pid, signal.SIGKILL)
        self.moments.append((time.time(), pod["metadata"]["name"]))
        eventually("the process is gone", lambda: not Path(f"/proc/{pid}").exists())
        self.under_way.update(self.journal.under_way(pod["metadata"]["name"], self.counter))

    def _busy(self) -> list[Manifest]:
        """Returns the pods that have runs and whose programs run."""
        holders = self.journal.holders()
        pods = self.on.api.get("Pod", "", self.on.namespace).body["items"]
        return [pod for pod in pods if pod["metadata"]["name"] in holders and len(_programs(pod, b"dynamiq_runtime")) == 1]

    def of_the_journal(self) -> None:
        """Kills the journal, once no pod is on its way out: such a pod hands its runs back, and could not without a journal."""
        eventually("no pod is on its way out", lambda: not self._ending(), every=SOON)
        pod = self._journal()
        uid = pod["metadata"]["uid"]
        self.moments.append((time.time(), "journal"))
        self._end(pod, b"dynamiq_recorder")
        eventually("another journal serves", lambda: (now := self._journal())["metadata"].get("uid") != uid and is_ready(now))
        self.moments.append((time.time(), "another journal serves"))

    def _ending(self) -> list[Manifest]:
        pods = self.on.api.get("Pod", "", self.on.namespace).body["items"]
        return [pod for pod in pods if "deletionTimestamp" in pod["metadata"]]

    def _journal(self) -> Manifest:
        body: Manifest = self.on.api.get("Pod", "dynamiq-journal-0", journal.NAMESPACE).body
        return body if "uid" in body["metadata"] else {"metadata": {}, "status": {}}

    def operator(self) -> None:
        """Kills the operator that leads."""
        self.moments.append((time.time(), "operator"))
        self._end(eventually("an operator leads", self._leader), b"dynamiq_operator")

    def _leader(self) -> Manifest | None:
        lease = self.on.api.get("Lease", "dynamiq-operator", operators.NAMESPACE, api_version="coordination.k8s.io/v1").body
        return next(
            (pod for pod in self._ready(operators.NAMESPACE) if pod["metadata"]["name"] in (lease["spec"].get("holderIdentity") or "")),
            None,
        )

    def gate(self) -> None:
        """Kills one of the gates, while there is another one."""
        gates = eventually("two gates are ready", lambda: both if len(both := self._ready(operators.GATE_NAMESPACE)) > 1 else None)
        self.moments.append((time.time(), "gate"))
        self._end(self.chance.choice(gates), b"dynamiq_operator")

    def _ready(self, namespace: str) -> list[Manifest]:
        pods = self.on.api.get("Pod", "", namespace).body["items"]
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"] and is_ready(pod)]

    def _end(self, pod: Manifest, program: bytes) -> None:
        """Kills the program of a pod, which is created again: a container that ends again and again is started later each time."""
        for pid in _programs(pod, program):
            os.kill(pid, signal.SIGKILL)
        name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
        self.on.kubectl("delete", "pod", name, "--grace-period=0", "--force", "--wait=false", namespace=namespace)


def _programs(pod: Manifest, name: bytes) -> list[int]:
    """Returns the processes of a pod that run a program of ours."""
    found = []
    for pid in processes_of(pod["metadata"]["uid"]):
        with contextlib.suppress(OSError):
            if name in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return found


def finishing(on: Stage) -> list[str]:
    """Returns the names of the workloads that finish runs of earlier versions."""
    workloads = on.api.get("Deployment", "", on.namespace, api_version="apps/v1").body["items"]
    return [raw["metadata"]["name"] for raw in workloads if names.FINISHING_OF_LABEL in raw["spec"]["selector"]["matchLabels"]]


@dataclass(frozen=True)
class Caller:
    """A caller of an App by its hostname."""

    at: Gateway
    host: str
    key: str

    def post(self, order: str, *, background: bool) -> tuple[int, Any]:
        """Sends a run once; the status is 0 if nothing answered."""
        body: dict[str, Any] = {"input": {"order": order, "log": "/dev/null"}}
        if background:
            return self._send("/v1/runs", body | {"background": True}, {"Idempotency-Key": order})
        return self._send("/v1/runs", body, {})

    def accepted(self, order: str) -> str:
        """Sends a background run until it is accepted. Returns its id."""

        def taken() -> str | None:
            status, body = self.post(order, background=True)
            return str(body["data"]["id"]) if status == ACCEPTED else None

        return eventually(f"{order} is accepted", taken)

    def approved(self, run_id: str, question: str) -> None:
        """Sends an approval until it is stored."""
        body = {"type": "approval_request", "data": {"request_id": question, "is_approved": True}}
        path, last = f"/v1/runs/{run_id}/input", [0, None]

        def is_stored() -> bool:
            last[:] = self._send(path, body, {})
            return last[0] == ANSWERED

        eventually(lambda: f"the answer to run {run_id} is stored; the last result is {last}", is_stored)

    def _send(self, path: str, body: Mapping[str, Any], more: Mapping[str, str]) -> tuple[int, Any]:
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self.key}", **more}
        with contextlib.closing(ThroughTheGateway(self.host, self.at, TIMEOUT)) as connection:
            try:
                connection.request("POST", path, json.dumps(body), headers)
                answer = connection.getresponse()
                return answer.status, json.loads(answer.read())
            except (OSError, HTTPException, ValueError) as error:
                return 0, repr(error)
