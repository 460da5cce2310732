"""Changes type, strategy and scaling in random order under load: no call fails, and no pod is created needlessly."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import pytest

from dynamiq_operator.model import names
from local.clusters import Cluster
from local.gateway import Gateway
from tests.support.gateway import until_answer
from tests.support.history_stage import counted
from tests.support.load.callers import calling
from tests.support.load.operated import operated
from tests.support.load.sleepers import host_of
from tests.support.load.switches import until_one_workload
from tests.support.load.watched import watching
from tests.support.measured import Figures
from tests.support.stage import Stage, restarts, uids
from tests.support.waiting import eventually

pytestmark = pytest.mark.long("a long draw of changes; one of each: tests/node/test_no_call_fails.py")

CHANGES = 200
SIDE_BY_SIDE = 4 if os.environ.get("SOAK") else 2
RATE = 10
"""Calls a second of each App, on new connections and on kept ones: it is never idle, so it never sleeps."""
ROOM = {"requests": {"cpu": "100m", "memory": "32Mi"}}
"""Enough that the load stays far below an autoscaler's threshold, and little enough that two sets of each App's pods fit on one node."""
CHANGED_WITHIN = 240.0
FIGURES = Figures("random-changes")
IN_FULL = bool(os.environ.get("SOAK"))


@pytest.fixture(scope="module")
def on(cluster: Cluster, at: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    with operated(cluster, at, "changes", tmp_path_factory.mktemp("changes")) as prepared:
        prepared.on.release("v1")
        prepared.on.runtime("roomy", by_default=True, resources=ROOM, drainSeconds=5)
        yield prepared.on


@dataclass
class Changed:
    """One App, its current settings, and the pods that were created for changes that need none."""

    on: Stage
    app: str
    chance: random.Random
    strategy: str = "Rolling"
    type: str = "server"
    done: list[str] = field(default_factory=list)
    needless: list[str] = field(default_factory=list)

    def change(self) -> None:
        """Makes one random change, and waits until it is complete."""
        kind = self.chance.choice(("strategy", "type", "scaling"))
        before = self.on.pods(self.app)
        if kind == "strategy":
            self.strategy = "Rolling" if self.strategy == "Switch" else "Switch"
            self.on.change("App", self.app, spec={"rollout": {"strategy": self.strategy}})
        else:
            config = self._typed() if kind == "type" else self._scaled()
            self.on.live(self.app, "v1", config=config)
        pinned = self.strategy == "Switch"
        until_one_workload(self.on, self.app, CHANGED_WITHIN, pinned=pinned)
        eventually(f"App {self.app} is Ready", lambda: self.on.condition(self.app, "Ready").get("status") == "True")
        after = self.on.pods(self.app)
        created, needed = uids(after) - uids(before), len(after) if kind == "strategy" else max(len(after) - len(before), 0)
        summary = f"{kind}: {self.strategy}, {self.type}, {len(before)} to {len(after)} pods, {len(created)} made"
        self.done.append(summary)
        if len(created) > needed or restarts(after):
            self.needless.append(summary)

    def _typed(self) -> dict[str, Any]:
        self.type = "server" if self.type == "serverless" else "serverless"
        return {"type": self.type}

    def _scaled(self) -> dict[str, Any]:
        if self.type == "serverless":
            return {"maxReplicas": self.chance.randint(2, 5), "idleSeconds": self.chance.randint(20, 60)}
        fewest = self.chance.randint(1, 2)
        return {"autoscaling": {"minReplicas": fewest, "maxReplicas": self.chance.randint(fewest, 4)}}


@pytest.mark.full_count
@pytest.mark.timeout(5400)
def test_changes_in_random_order_fail_no_call_and_restart_nothing_needlessly(on: Stage, cluster: Cluster, at: Gateway) -> None:
    seed = random.randrange(1 << 32)  # noqa: S311
    apps = [Changed(on, f"app{number}", random.Random(f"{seed} {number}")) for number in range(SIDE_BY_SIDE)]  # noqa: S311
    with watching(on.api, on.namespace) as watched, ThreadPoolExecutor(len(apps)) as pool:
        answers = [*pool.map(lambda each: changed(each, cluster, at, counted(CHANGES) // len(apps)), apps)]
    changes = [f"  {each.app} {summary}" for each in apps for summary in each.done]
    lines = [
        f"{len(changes)} changes in random order, seed {seed}",
        *(f"  {each.app}: {calls}" for each, calls in zip(apps, answers, strict=True)),
    ]
    FIGURES.note(*lines, *changes)
    for each, calls in zip(apps, answers, strict=True):
        assert not calls.failed, f"seed {seed}, {each.app}: {calls.why()}\n{watched.story(calls.failed[0].sent)}"
        assert each.needless == [], seed
        assert watched.without_ready(names.service(each.app)) == [], seed


def changed(each: Changed, cluster: Cluster, at: Gateway, changes: int) -> Any:
    """Changes an App so often; returns the answers to its callers meanwhile."""
    on = each.on
    on.app(each.app)
    on.live(each.app, "v1", config={"type": "server", "autoscaling": {"minReplicas": 1, "maxReplicas": 2}})
    until_answer(host_of(on, each.app), at, "v1", on.key(each.app))
    with calling(cluster, host_of(on, each.app), on.key(each.app), new=RATE, kept=RATE) as answers:
        for _ in range(changes):
            each.change()
    return answers
