"""The journal is told which version a conversation may belong to, and what a rejection, a revert or a row has moved."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dynamiq_operator.desired.base import SERVICE
from dynamiq_operator.model import names
from dynamiq_operator.model.guard_objects import Rejection
from dynamiq_operator.model.journal import placement_digest
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.operations import Emit, Plan
from dynamiq_operator.plan.planner import make_plan
from dynamiq_operator.plan.workloads.placement import Placing, placing
from tests.support import factories as given
from tests.support.world import World
from tests.unit.support.finishing import WAITING, digest_of, journal_leaves, label_of, open_runs, serving_with_journal
from tests.unit.support.rules import rejection


def with_sessions(**rollout: Any) -> World:
    """Returns a world whose App has conversations and serves v1."""
    return serving_with_journal(given.with_spec(rollout={"strategy": "Switch", "keepWarm": {"replicas": 0}, **rollout}, sessions={}))


def after(version: str = "v2", **rollout: Any) -> World:
    """Returns such a world in which row `b` is live after `a`, of whose pins the row is known."""
    world = with_sessions(**rollout)
    world.deploy("b", version)
    world.answered(100, 0)
    world.run()
    open_runs(world, a=WAITING)
    return world


def placed(world: World) -> Placing:
    found = placing(world.snapshot(), world.app)
    assert found is not None
    return found


def services_of(world: World) -> set[str]:
    """Returns the names of the Services that there are."""
    return {name for kind, name in world.snapshot().children.observed if kind == SERVICE.kind}


def row(world: World, name: str) -> dict[str, Any]:
    of, service = world.rows[name], names.turns(given.NAME, label_of(world, name))
    assert of.pinned is not None
    is_there = service in services_of(world)
    return {"sequence": of.sequence, "service": service if is_there else None, "workflow_hash": of.pinned.workflow_hash}


def reject(world: World, *versions: str) -> None:
    world.guards = ObservedGuards(rejections={given.flow_hash(each): Rejection.of(rejection(each)) for each in versions})


def events_of(plan: Plan) -> list[Emit]:
    each = (operation for group in plan.groups for operation in group.operations)
    return [one for one in each if isinstance(one, Emit) and one.reason == "SessionsMoved"]


def test_it_has_the_live_pins_and_the_newest_row_of_each() -> None:
    world = after()
    one, two = digest_of(world, "a"), digest_of(world, "b")
    body: dict[str, Any] = {"live": two, "rows": {one: row(world, "a"), two: row(world, "b")}, "closed": [], "taken": None}
    assert placed(world).body == body
    assert placed(world).digest == placement_digest(body)
    world.deploy("c", "v2")
    world.run()
    open_runs(world, a=WAITING)
    assert placed(world).body["rows"][two]["sequence"] == 3


def test_a_service_is_named_once_it_is_there() -> None:
    world = after()
    service = names.turns(given.NAME, label_of(world, "a"))
    snapshot = world.snapshot()
    others = {child: raw for child, raw in snapshot.children.observed.items() if "-turns-" not in child[1]}
    children = replace(snapshot.children, observed={**others, SERVICE.key(service): {"metadata": {"name": service}}})
    found = placing(replace(snapshot, children=children), world.app)
    assert found is not None
    services = {pins: each["service"] for pins, each in found.body["rows"].items()}
    assert services == {digest_of(world, "a"): service, digest_of(world, "b"): None}


def test_nothing_is_placed_without_sessions_or_while_what_decides_it_is_unknown() -> None:
    world = after()
    reject(world)
    world.guards = replace(world.guards, unknown="Rejections cannot be listed")
    assert placing(world.snapshot(), world.app) is None
    reject(world)
    journal_leaves(world)
    assert placing(world.snapshot(), world.app) is None, "the journal is away"
    without = serving_with_journal(given.with_spec(rollout={"strategy": "Switch"}))
    assert placing(without.snapshot(), without.app) is None


def test_rejected_pins_are_closed_unless_they_are_live_or_being_deployed() -> None:
    world = after()
    reject(world, "v1", "v2")
    assert placed(world).body["closed"] == [digest_of(world, "a")]
    reject(world)
    world.deploy("c", "v3")
    world.settle()
    reject(world, "v1", "v3")
    assert world.phases["c"] == "#3 Progressing"
    assert placed(world).body["closed"] == [digest_of(world, "a")]
    reject(world)
    assert placed(world).body["closed"] == []


@pytest.mark.parametrize("is_read", [True, False], ids=["its row is read", "only the status names it"])
def test_reverted_pins_are_closed(is_read: bool) -> None:
    world = after(revert={"seconds": 100, "maxFailedPercent": 20, "minRuns": 20})
    world.later(30)
    new = next(at for at, pod in enumerate(world.pods) if pod["metadata"]["labels"][names.PINS_LABEL] == label_of(world, "b"))
    world.answered(succeeded=17, failed=23, pod=new)
    world.run()
    open_runs(world, b=WAITING)
    if not is_read:
        world.run()
        assert [each.row for each in world.app.status.finishing] == ["b"]
    assert placed(world).body["live"] == digest_of(world, "a")
    assert placed(world).body["closed"] == [digest_of(world, "b")]
    assert list(placed(world).closed_by.values()) == ["v2 was reverted"]


def test_a_live_row_that_takes_conversations_takes_those_of_before_it_was_live() -> None:
    world = with_sessions()
    world.deploy("b", "v2", takeSessions=True)
    world.settle()
    assert placed(world).body["taken"] is None
    world.run()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert placed(world).body["taken"] == {"pins": digest_of(world, "b"), "before": outcome.at}
    world.deploy("c", "v1")
    world.run()
    assert placed(world).body["taken"] is None


def test_what_was_moved_is_said_once_of_the_app_and_its_live_row() -> None:
    world = after()
    reject(world, "v1")
    one, two = digest_of(world, "a"), digest_of(world, "b")
    moved = placed(world).moved({one: 12, two: 0, "f" * 16: 1}, "now")
    texts = [
        "12 conversations of v1 (#1) were moved to v2 (#2): v1 was rejected",
        "1 conversation of an earlier version was moved to v2 (#2): it was deployed with --take-sessions",
    ]
    assert [each.message for each in moved] == texts
    plan = make_plan(replace(world.snapshot(), moved=moved))
    said = [(type(each.about).__name__, each.message) for each in events_of(plan)]
    assert said == [(about, text) for text in texts for about in ("Row", "App")]
    assert len({each.names for each in events_of(plan)}) == 4
    assert not events_of(make_plan(world.snapshot()))
