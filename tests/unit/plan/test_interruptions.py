"""A plan that is stopped after any of its actions, and a plan from stale data, lead to the same end.

The end is each row's spec without times, its phase, the children and the App's status. Reserved and unused sequences may differ.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from dynamiq_operator.model import digests, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.row import Result
from dynamiq_operator.plan.operations import ApplyChild
from tests.support.history_stage import counted, stops
from tests.support.world import BAD_NAME, PASSES, Stale, World, a_world, serving

Step = Callable[[World], None]


def deploy(name: str, version: str, **asking: Any) -> Step:
    return lambda world: world.deploy(name, version, **asking)


def restore(name: str, of: str) -> Step:
    return lambda world: world.deploy(name, restores=of)


def roll(world: World) -> None:
    world.roll()


def stall(world: World) -> None:
    world.stall(BAD_NAME, old=1)


def together(*steps: Step) -> Step:
    def step(world: World) -> None:
        for one in steps:
            one(world)

    return step


def wait(seconds: float) -> Step:
    return lambda world: world.later(seconds)


SCENARIOS: dict[str, tuple[Step, ...]] = {
    "deploy, redeploy, rollback": (deploy("a", "v1"), roll, deploy("b", "v2"), roll, restore("c", "a"), roll),
    "a first deploy fails, the next does not": (deploy("a", "v1"), stall, deploy("b", "v2"), roll),
    "a redeploy fails": (deploy("a", "v1"), roll, deploy("b", "v2"), stall, roll),
    "three rows at once": (deploy("a", "v1"), roll, together(deploy("b", "v2"), deploy("c", "v3"), deploy("d", "v2")), roll),
    "one that waits is overtaken": (deploy("a", "v1"), roll, deploy("b", "v4"), deploy("c", "v2"), roll),
    "one waits for ever": (deploy("a", "v1"), roll, deploy("b", "v4"), wait(300), roll),
    "only the scaling changes": (deploy("a", "v1"), roll, deploy("b", "v1", config={"autoscaling": {"maxReplicas": 7}}), roll),
}


def play(scenario: tuple[Step, ...], settle: Callable[[World], None]) -> World:
    world = a_world()
    for step in scenario:
        step(world)
        settle(world)
    world.run()
    return world


def stopping_after(count: int) -> Callable[[World], None]:
    """Returns a function that performs plans, and once stops before the `count`-th action since the start of the world."""

    def settle(world: World) -> None:
        for _ in range(PASSES):
            todo = world.plan().operations
            if not todo:
                return
            left = count - len(world.written)
            world.perform(todo[:left] if 0 < left < len(todo) else todo)
        raise AssertionError("no rest")

    return settle


def end_of(world: World) -> dict[str, Any]:
    """Returns the parts of the end that must be the same on every way to it."""
    order = sorted(world.rows.values(), key=lambda row: row.sequence)
    return {
        "rows": [
            (row.name, row.phase, row.outcome and (row.outcome.result, row.outcome.reason.replace(f"#{row.sequence}", "#")), version(row))
            for row in order
        ],
        "serving": world.serving,
        "children": sorted(key[1:] for key in world.objects if key[0] != API_VERSION),
        "conditions": [(condition.type, condition.status, condition.reason) for condition in world.app.status.conditions],
        "failed": world.app.status.failed and world.app.status.failed.row,
        "live": world.app.status.live and world.app.status.live.row,
        "said": sorted({(kind, reason) for kind, reason, _ in world.events.values()}),
    }


def version(row: Any) -> str | None:
    return row.pinned.workflow_version if row.pinned else None


def require_sound(world: World) -> None:
    """Asserts unique sequences, correct digests in a chain by sequence, and status Live for the live row alone."""
    rows = sorted(world.rows.values(), key=lambda row: row.sequence)
    sequences = [row.sequence for row in rows]
    assert len(set(sequences)) == len(sequences)
    assert (world.app.status.last_sequence or 0) >= max(sequences, default=0)
    previous = None
    for row in rows:
        if row.pinned is not None:
            assert row.pinned.digest == digests.row_digest(row.raw_spec), row.name
            assert row.pinned.previous_digest == previous, row.name
            previous = row.pinned.digest
        assert row.outcome is not None, row.name
    succeeded = [row for row in rows if row.outcome and row.outcome.result is Result.SUCCEEDED]
    assert [row.name for row in rows if row.phase == "Live"] == [row.name for row in succeeded[-1:]]


def without_numbers(end: dict[str, Any]) -> dict[str, Any]:
    """Removes the reasons, which quote sequences: a gap in the sequences changes them."""
    return {**end, "rows": [(name, phase, outcome and outcome[0], pins) for name, phase, outcome, pins in end["rows"]]}


@pytest.mark.full_count
@pytest.mark.parametrize("name", SCENARIOS)
def test_stopped_before_any_action_it_ends_the_same(name: str) -> None:
    undisturbed = play(SCENARIOS[name], World.settle)
    require_sound(undisturbed)
    for count in stops(1, len(undisturbed.written) + 1, list(SCENARIOS).index(name)):
        world = play(SCENARIOS[name], stopping_after(count))
        require_sound(world)
        assert without_numbers(end_of(world)) == without_numbers(end_of(undisturbed)), f"stopped after action {count}"


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_paused_replica_that_wakes_up_with_an_old_plan_completes_nothing_twice(name: str) -> None:
    undisturbed = play(SCENARIOS[name], World.settle)

    def behind(world: World) -> None:
        old = world.plan().operations
        world.settle()
        with contextlib.suppress(Stale):
            world.perform([action for action in old if hasattr(action, "row") or hasattr(action, "status")])
        world.settle()

    world = play(SCENARIOS[name], behind)
    require_sound(world)
    assert without_numbers(end_of(world)) == without_numbers(end_of(undisturbed))


def test_when_all_is_well_nothing_is_done() -> None:
    world = serving("v1")
    assert world.plan().operations == ()
    world.later(3600)
    assert (world.plan().operations, world.plan().requeue_after) == ((), None)


@pytest.mark.full_count
@pytest.mark.parametrize("seed", range(counted(40)))
def test_any_sequence_of_rows_comes_to_a_sound_end(seed: int) -> None:
    """Rows of any kind are created in any order. Pods become ready or not, and the operator is killed in between."""
    chance = random.Random(seed)  # noqa: S311 - a seed per test, so that a failure can be repeated
    world = a_world()
    for number in range(12):
        event = chance.choice(["deploy", "deploy", "restore", "missing", "roll", "stall", "kill", "time"])
        if event == "deploy":
            world.deploy(f"r{number}", chance.choice(["v1", "v2", "v3", None]))
        elif event == "restore" and world.rows:
            world.deploy(f"r{number}", restores=chance.choice(sorted(world.rows)))
        elif event == "missing":
            world.deploy(f"r{number}", "v4")
        elif event == "stall" and world.workload is not None:
            world.stall(BAD_NAME, old=1)
        elif event == "time":
            world.later(chance.choice([1, 70, 400]))
        elif event == "roll":
            world.roll()
        if event == "kill":
            todo = world.plan().operations
            world.perform(todo[: chance.randrange(len(todo) + 1)])
        else:
            world.settle()
    world.run()
    world.later(400)
    world.run()
    require_sound(world)


@pytest.mark.parametrize("asked", [{}, {"config": {"autoscaling": {"maxReplicas": 7}}}], ids=["the same scaling", "another scaling"])
def test_objects_that_an_abandoned_row_would_have_changed_get_a_newer_version(asked: dict[str, Any]) -> None:
    """An earlier leader's write for that row may still be on its way. It names an old version of the object, which is gone by then."""
    world = serving("v1")
    before = {kind: world.child(kind)["metadata"]["resourceVersion"] for kind in ("Deployment", "HorizontalPodAutoscaler")}
    world.deploy("b", "v2", **asked)
    todo = [each for each in world.plan().operations if not isinstance(each, ApplyChild)]
    world.perform(todo)
    world.deploy("c", restores="a")
    world.run()
    assert (world.phases["b"], world.phases["c"], world.serving) == ("#2 Superseded", "#3 Live", "v1")
    for kind, version in before.items():
        assert world.child(kind)["metadata"]["resourceVersion"] != version, kind
    assert not [event for event in world.events.values() if event[1] == "Repaired"]
    world.deploy("d", "v2")
    world.run()
    assert world.plan().operations == ()


def test_a_note_of_a_row_that_was_given_up_that_is_no_number_of_a_row_is_none() -> None:
    world = serving("v1")
    world.child("Deployment")["metadata"]["annotations"][names.GIVEN_UP_ANNOTATION] = "9" * 5000
    world.deploy("b", "v2")
    world.run()
    assert world.serving == "v2"
