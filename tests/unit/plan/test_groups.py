"""The rest of a plan when a part of it is refused: everything that does not rely on that part, and no more."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.app_status import AppStatus
from dynamiq_operator.model.row import Result
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.operations import Operation
from tests.support import factories as given
from tests.support.world import World, a_world, serving
from tests.unit.support.plan_lines import shown

Refused = Callable[[Operation], bool]


def done_without(world: World, refused: Refused) -> operations.Plan:
    """Performs the next plan while the API server refuses every operation that `refused` matches. Returns the performed part."""
    undone: set[str] = set()
    done: list[operations.Group] = []
    for group in world.plan().groups:
        if group.after & undone:
            undone.add(group.name)
            continue
        kept = []
        for operation in group.operations:
            if refused(operation):
                undone.add(group.name)
                break
            kept.append(operation)
        done.append(operations.Group(group.name, tuple(kept), group.after))
    plan = operations.Plan(tuple(done))
    world.perform(plan.operations)
    return plan


def of_kind(*kinds: type[Operation]) -> Refused:
    return lambda operation: isinstance(operation, kinds)


def creates(kind: str) -> Refused:
    return lambda operation: isinstance(operation, operations.CreateChild) and operation.manifest["kind"] == kind


def arriving(network: Any = None) -> World:
    """Returns an App with keys whose first row was just created."""
    world = a_world(given.with_hostname("chat.example.test"), given.with_spec(network=network))
    world.perform(world.plan().of(operations.CreateAccessKeys))
    world.deploy("a", "v1")
    return world


def test_a_refused_child_leaves_the_others_and_the_statuses() -> None:
    lines = shown(done_without(arriving(), creates("Service")))
    assert "create Service" not in lines
    assert "a: #1 pinned v1" in lines
    assert "create HorizontalPodAutoscaler" in lines
    assert "create Deployment" in lines
    assert any(line.startswith("app: ") for line in lines)


@pytest.mark.parametrize("needed", [of_kind(operations.CreateFlow), creates("NetworkPolicy")])
def test_no_workload_is_made_before_what_its_pods_cannot_do_without(needed: Refused) -> None:
    lines = shown(done_without(arriving({"ingressFrom": []}), needed))
    assert "create Deployment" not in lines
    assert "create Service" in lines


def test_no_workload_is_made_before_the_keys_are_there() -> None:
    world = a_world()
    world.deploy("a", "v1")
    for _ in range(3):
        done_without(world, of_kind(operations.CreateAccessKeys))
        assert world.workload is None
    world.settle()
    assert world.workload is not None


def test_nothing_runs_a_row_that_could_not_be_pinned() -> None:
    lines = shown(done_without(arriving(), of_kind(operations.CompleteRow)))
    assert not [line for line in lines if line.startswith("create ") and line != "create access keys"]


def test_no_row_is_pinned_before_its_number_is_reserved() -> None:
    assert not [line for line in shown(done_without(arriving(), of_kind(operations.SetAppStatus))) if "pinned" in line]


def test_a_row_whose_pins_are_refused_holds_up_those_chained_to_it_alone() -> None:
    """The digest of each row's pins covers the digest of the row before it."""
    world = serving("v1")
    world.deploy("b", "v2")
    world.deploy("c", "missing")
    world.deploy("d", "v3")

    def refused(operation: Operation) -> bool:
        return isinstance(operation, operations.CompleteRow) and operation.row.name == "b"

    lines = shown(done_without(world, refused))
    assert "c: #3" in lines
    assert not [line for line in lines if "pinned" in line]


def test_no_status_is_ahead_of_the_outcome() -> None:
    world = arriving()
    world.settle()
    world.roll()
    lines = shown(done_without(world, of_kind(operations.EndRow)))
    assert lines == []
    assert world.phases == {"a": "#1 Progressing"}


def test_a_row_is_closed_after_its_app_names_the_live_row() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.settle()
    world.roll()
    done_without(world, of_kind(operations.SetAppStatus))
    assert world.phases == {"a": "#1 Live", "b": "#2 Live"}
    world.run()
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Live"}


def test_a_sequence_and_an_outcome_in_one_plan_reach_the_status_one_after_the_other() -> None:
    """If the outcome is refused, the App's status has the sequence, and not the outcome."""
    world = serving("v1")
    world.deploy("b", "v1")  # the template stays, so the row is complete as soon as it is pinned
    done_without(world, of_kind(operations.EndRow))
    status: AppStatus = world.app.status
    assert (status.last_sequence, status.live and status.live.row) == (2, "a")
    world.run()
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Live"}


def test_groups_rely_on_earlier_groups_alone_and_have_names_of_their_own() -> None:
    world = serving("v1", given.with_hostname("chat.example.test"))
    for number in range(4):
        world.deploy(f"r{number}", "v2")
    world.deploy("missing", "v9")
    groups = world.plan().groups
    names_so_far: set[str] = set()
    known = {group.name for group in groups}
    for group in groups:
        assert group.operations, group.name
        assert group.name not in names_so_far
        assert group.after & known <= names_so_far, group
        names_so_far.add(group.name)


@pytest.mark.parametrize(
    "kind",
    [
        operations.SetAppStatus,
        operations.SetRowStatus,
        operations.CompleteRow,
        operations.EndRow,
        operations.CreateChild,
        operations.ApplyChild,
        operations.DeleteChild,
        operations.CreateFlow,
        operations.CreateAccessKeys,
    ],
)
def test_any_operation_may_be_refused_for_a_while_and_the_end_is_the_same(kind: type[Operation]) -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.deploy("c", "v3")
    for _ in range(4):
        done_without(world, of_kind(kind))
        world.roll()
    world.run()
    assert world.phases == {"a": "#1 Superseded", "b": world.phases["b"], "c": world.phases["c"]}
    assert world.serving == "v3"
    ended = world.rows["b"].outcome
    assert ended is not None
    assert ended.result is Result.OVERTAKEN
    assert world.workload is not None
    assert world.workload["metadata"]["name"] == names.workload(given.NAME)
