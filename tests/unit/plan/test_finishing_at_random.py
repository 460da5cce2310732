"""At random: deploys, rollbacks, failures, changes of strategy, and a journal that leaves and returns. No run loses its last pods unseen."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from dynamiq_operator.desired.template_note import applied_pins
from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.plan.observed.open_runs import OpenCount
from tests.support import factories as given
from tests.unit.support.finishing import journal_leaves, journal_returns, open_runs, serving_with_journal

STORIES, STEPS = 25, 14


class Story:
    """A world in which everything may happen. `counts`: the open runs that the journal has, by row."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)  # noqa: S311 - no secret
        self.world = serving_with_journal(given.with_spec(rollout={"strategy": self.random.choice(["Rolling", "Switch"])}))
        self.counts: dict[str, OpenCount] = {}
        self.world.checks.append(self.check)
        self.rows = 1

    def step(self) -> None:
        steps = (self.deploy, self.deploy, self.fail, self.runs, self.runs, self.answer, self.end, self.strategy, self.leave, self.wait)
        self.random.choice(steps)()
        self.world.run()
        self.world.later(self.random.choice([1, 20, 61]))
        self.world.run()

    def deploy(self) -> None:
        self.rows += 1
        version = self.random.choice(["v1", "v2", "v3"])
        self.world.deploy(f"r{self.rows}", version)

    def fail(self) -> None:
        self.deploy()
        self.world.settle()
        name = self.random.choice(sorted(self.world.workloads))
        if not name.endswith("-fin"):
            self.world.stall({"waiting": {"reason": "CrashLoopBackOff"}}, old=1, of=name)
        self.world.settle()
        self.world.later(400)

    def runs(self) -> None:
        """Lets the live version accept runs."""
        live = self.world.app.status.live
        if live is not None:
            self.counts[live.row] = OpenCount(queued=self.random.randint(0, 2), waiting=1)
            self.tell()

    def answer(self) -> None:
        """Lets a person answer a run of any version."""
        if self.counts:
            self.counts[self.random.choice(sorted(self.counts))] = OpenCount(queued=1)
            self.tell()
            self.catch_up()

    def catch_up(self) -> None:
        """Lets pins that were not known to need pods get their workloads, one after the other."""
        self.world.checks.clear()
        self.world.run()
        self.world.checks.append(self.check)
        self.check()

    def end(self) -> None:
        if self.counts:
            del self.counts[self.random.choice(sorted(self.counts))]
            self.tell()

    def tell(self) -> None:
        if self.world.open_runs.is_known:
            open_runs(self.world, **self.counts)

    def strategy(self) -> None:
        app = self.world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]
        app["spec"]["rollout"] = {"strategy": self.random.choice(["Rolling", "Switch"])}
        self.world.written_by_ours(app)

    def leave(self) -> None:
        if self.world.open_runs.is_known:
            journal_leaves(self.world)
        else:
            journal_returns(self.world)
            self.tell()
            self.catch_up()

    def wait(self) -> None:
        self.world.open_runs = replace(self.world.open_runs, shown_since=self.world.now)
        self.world.later(300)

    def pins(self) -> set[str]:
        """Returns the labels of pins that a workload has."""
        return {(applied_pins(raw) or "")[:8] for raw in self.world.workloads.values()}

    def check(self) -> None:
        """Asserts after each write that all pins with runs that are known to need a pod have a workload."""
        missing = {label for label, count in self.world.open_runs.counts.items() if count.active} - self.pins()
        assert not missing, missing


@pytest.mark.parametrize("seed", range(STORIES))
def test_pins_whose_runs_need_a_pod_are_never_without_a_workload(seed: int) -> None:
    story = Story(seed)
    for _ in range(STEPS):
        story.step()
    story.counts.clear()
    if not story.world.open_runs.is_known:
        story.leave()
    story.tell()
    story.world.later(61)
    story.world.run()
    assert not [name for name in story.world.workloads if name.endswith("-fin")]
    assert story.world.app.status.finishing == ()
    assert story.world.condition("Ready")[0] == "True"
