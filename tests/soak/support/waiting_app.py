"""Prepares an App whose runs wait on v1 while v2 is live, and measures how soon one goes on after its answer."""

from __future__ import annotations

import copy
import time
from typing import Any

from local.gateway import Gateway
from tests.soak.support.background_storm import Caller, JournalFile, finishing
from tests.support.background import noting, waiting_flow
from tests.support.load.sleepers import host_of
from tests.support.stage import ONE_POD, Stage, is_ready
from tests.support.waiting import eventually

WITHIN = 1200.0  # seconds
LOOK_EVERY = 0.02
STAYS = 3.0
"""Seconds for which v1 has to be without a pod, until an answer is measured."""
QUESTION = "b:1"
NEXT = (
    "SELECT min(event.at) FROM event JOIN run ON event.run = run.key WHERE idempotency_key = ? AND event.type LIKE 'node.%' AND sequence > "
    "(SELECT max(sequence) FROM event given WHERE given.run = run.key AND given.type = 'run.input_received')"
)
"""When the first event of a node came after the answer; no line or NULL before."""


def asks(version: str) -> str:
    """Returns a flow whose second node a person has to approve."""
    approval = {"enabled": True, "feedback_method": "stream", "msg_template": "Go on?"}
    return waiting_flow(noting("a", "in"), noting("b", "a", approval=approval), noting(version, "b"), output=version)


class WaitingApp:
    """An App with so many runs that wait on v1, which has no pod. `row`: more fields of its rows."""

    def __init__(self, on: Stage, at: Gateway, journal: JournalFile, app: str, runs: int, **row: Any) -> None:
        self.on, self.journal = on, journal
        for version in ("v1", "v2"):
            on.release(version, text=asks(version))
        on.app(app)
        row = {"config": ONE_POD, **row}
        on.live(app, "v1", WITHIN, **row)
        self._caller = Caller(at, host_of(on, app), on.key(app))
        self._orders = [f"{on.namespace}-{number}" for number in range(runs)]
        self._ids = {order: self._caller.accepted(order) for order in self._orders}
        eventually(lambda: f"all wait: {self._states()}", lambda: self._states() == ["waiting"] * runs, WITHIN)
        on.live(app, "v2", WITHIN, **row)
        eventually("only v2 has a pod", lambda: len(self._pods()) == 1, WITHIN)

    def answered(self) -> float:
        """Answers a run; returns the seconds until the journal has an event of its next node. Before, v1 has no pod."""
        self._until_v1_has_no_pod()
        order = self._orders.pop(0)
        began = time.time()
        self._caller.approved(self._ids[order], QUESTION)
        at: int = eventually(f"{order} goes on", lambda: self.journal.ask(NEXT, order)[0][0], WITHIN, LOOK_EVERY)
        return at / 1e6 - began

    def _until_v1_has_no_pod(self) -> None:
        """Scales v1 down once no run is under way. The operator may not know that yet, and scale it up again."""
        eventually(lambda: f"no run is under way: {self._states()}", lambda: set(self._states()) <= {"waiting", "completed"}, WITHIN)
        since = time.monotonic()

        def stays_down() -> bool:
            nonlocal since
            if len(self._pods()) > 1:
                since = time.monotonic()
                for name in finishing(self.on):
                    _scale(self.on, name, 0)
            return time.monotonic() - since > STAYS

        eventually("v1 has no pod", stays_down, WITHIN, 0.5)

    def all_end(self) -> None:
        assert not self._orders, "each run has its answer"
        eventually(lambda: f"all end: {self._states()}", lambda: set(self._states()) == {"completed"}, WITHIN)

    def bare(self) -> Bare:
        """Returns the pods of v1 as a workload that no operator knows."""
        (name,) = finishing(self.on)
        return Bare(self.on, self.on.get("Workload", name)["spec"]["template"])

    def _states(self) -> list[str]:
        return [state for (state,) in self.journal.ask("SELECT state FROM run WHERE namespace = ?", self.on.namespace)]

    def _pods(self) -> list[str]:
        pods = self.on.api.get("Pod", "", self.on.namespace).body["items"]
        return [pod["metadata"]["name"] for pod in pods if Bare.LABEL not in pod["metadata"]["labels"]]


class Bare:
    """A workload with a pod template that no operator knows, at 0."""

    LABEL = "bare"

    def __init__(self, on: Stage, template: dict[str, Any]) -> None:
        self._on = on
        template = copy.deepcopy(template)
        template["metadata"]["labels"] = labels = {self.LABEL: "yes"}
        on.create(on.named("Workload", self.LABEL) | {"spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": template}})

    def started(self) -> float:
        """Returns the seconds from `scale 0 → 1` until its pod is Ready; then scales down again, and waits for the pod's end."""
        began = time.time()
        _scale(self._on, self.LABEL, 1)
        eventually("it is Ready", lambda: any(map(is_ready, self._pods())), WITHIN, LOOK_EVERY)
        took = time.time() - began
        _scale(self._on, self.LABEL, 0)
        eventually("it has no pod", lambda: not self._pods(), WITHIN)
        return took

    def _pods(self) -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = self._on.api.get("Pod", "", self._on.namespace, labelSelector=self.LABEL).body["items"]
        return items


def _scale(on: Stage, name: str, replicas: int) -> None:
    scaled = on.api.merge(on.named("Workload", name), {"spec": {"replicas": replicas}}, subresource="/scale")
    assert scaled.ok, scaled.message
