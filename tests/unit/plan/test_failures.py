"""Unreadable objects and failed operations: nothing is changed that may depend on them, and the App's status names them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Row, Unreadable, read
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.problems import ChildProblem, ProblemReason, ReconcileFailure
from dynamiq_operator.plan.operations import SetAppConditions, SetAppStatus
from dynamiq_operator.plan.output.groups import FAILURE
from dynamiq_operator.plan.planner import make_plan
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given
from tests.support.world import BAD_NAME, World, a_world, serving
from tests.unit.support.plan_lines import shown, told

LATER = "of a newer operator"


def unreadable_row(name: str = "b") -> Unreadable:
    found = read(Row, given.stored(given.row_manifest(name, given.asking(config={"type": "quantum"}))))
    assert isinstance(found, Unreadable)
    return found


def test_an_app_with_an_unreadable_row_stays_as_it_is_and_names_the_row_and_the_field() -> None:
    """It is so even if something needs a repair: the desired state may depend on that row."""
    world = serving("v1")
    world.deploy("b", "v2")
    frozen = replace(world.snapshot(), unreadable=(unreadable_row(),), children=ObservedChildren())
    plan = make_plan(frozen)
    assert shown(plan) == ["app: ReconcileFailed=True Unreadable"]
    assert told(plan) == ["app ReconcileFailed"]
    (group,) = plan.groups
    (_, written) = group.operations
    assert isinstance(written, SetAppConditions)
    assert "Deployment b" in written.conditions[-1]["message"]
    assert "config.type ('quantum')" in written.conditions[-1]["message"]
    world.perform(plan.operations)
    assert world.condition("Ready")[0] == "True", "what serves goes on serving"
    assert make_plan(replace(world.snapshot(), unreadable=(unreadable_row(),))).operations == (), "it says so once"
    world.run()
    assert "ReconcileFailed" not in {each.type for each in world.app.status.conditions}, "as soon as it can be read, all is as before"
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Live"}


def test_rows_of_an_app_that_cannot_be_read_wait_without_an_end_and_nothing_else_happens() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    app = Unreadable("App", world.app.meta, "access.type ('members')")
    world.later(100_000)
    plan = make_plan(replace(world.snapshot(), app=None, unreadable=(app,)))
    assert shown(plan) == ["app: ReconcileFailed=True Unreadable", "b reads Pending"]
    world.perform(plan.operations)
    (condition,) = world.rows["b"].status.conditions
    assert (condition.status, condition.reason) == ("Unknown", "Waiting"), "it has not failed"


def unknown_source(world: World, unknown: tuple[str, str]) -> Snapshot:
    snapshot = world.snapshot()
    return replace(snapshot, sources=replace(snapshot.sources, unknown={unknown: LATER}))


@pytest.mark.parametrize(
    ("asked", "unknown"),
    [
        ({"version": "v9"}, ("WorkflowVersion", "chat-v9")),
        ({"version": None}, ("WorkflowVersion", "chat-v9")),
        ({"version": "v2", "runtime": "python-9.0"}, ("Runtime", "python-9.0")),
        ({"version": "v2"}, ("Deployment", "b")),
    ],
    ids=["the release that it names", "a release that may be the newest", "its runtime", "the row that it promotes"],
)
def test_a_row_waits_without_an_end_for_what_cannot_be_read_and_others_are_deployed(
    asked: dict[str, str | None], unknown: tuple[str, str]
) -> None:
    world = serving("v1")
    world.deploy("b", **asked)
    world.later(100_000)
    world.perform(make_plan(unknown_source(world, unknown)).operations)
    assert world.phases["b"] == "#2 Pending"
    assert world.rows["b"].outcome is None
    world.deploy("c", "v3")
    world.perform(make_plan(unknown_source(world, unknown)).operations)
    assert world.rows["c"].pinned is not None


def failing(world: World, reason: str = "Refused") -> ReconcileFailure:
    return ReconcileFailure(reason, "row b: a webhook says no: tried again")


def after_failure(world: World) -> Snapshot:
    snapshot = world.snapshot()
    return replace(snapshot, operator=replace(snapshot.operator, failure=failing(world)))


def test_a_failure_of_the_last_pass_is_reported_before_the_status_waits_for_rows() -> None:
    """The App's whole status waits for the outcome that cannot be written; the condition does not."""
    world = a_world()
    world.deploy("b", "v1")
    world.settle()
    world.roll()
    plan = make_plan(after_failure(world))
    first = plan.groups[0]
    assert (first.name, first.after) == (FAILURE, frozenset())
    (status,) = plan.of(SetAppStatus)
    assert [each.type for each in status.status.conditions].count("ReconcileFailed") == 1, "and the whole status says so as well"


def test_a_failure_is_reported_once_and_its_condition_ends_with_it() -> None:
    world = serving("v1")
    world.perform(make_plan(after_failure(world)).operations)
    assert world.condition("ReconcileFailed") == ("True", "Refused")
    assert world.said("App") == ["ReconcileFailed"]
    assert make_plan(after_failure(world)).operations == ()
    world.settle()
    assert "ReconcileFailed" not in {each.type for each in world.app.status.conditions}


def test_a_time_that_no_other_can_be_reckoned_from_is_no_time() -> None:
    """An older version accepted such a trigger."""
    world = serving("v1", given.with_triggers({"name": "once", "runAt": "9999-12-31T23:59:59Z"}))
    assert world.condition("TriggersReady") == ("False", "Invalid")


def test_a_row_that_may_not_be_written_is_skipped_and_reported_until_it_may() -> None:
    world = serving("v1")
    world.deploy("odd", "v2")
    world.row_problems["odd"] = ChildProblem(ProblemReason.DENIED, "row odd is not allowed: not on a Friday", retry_in=100)
    world.later(1)
    world.deploy("after", "v3")
    world.run()
    assert world.phases == {"a": "#1 Superseded", "after": "#2 Live", "odd": "#0 Pending"}
    assert world.condition("ReconcileFailed") == ("True", "Denied")
    assert world.plan().requeue_after == 100
    world.row_problems["odd"] = replace(world.row_problems["odd"], retry_in=0)
    plan = world.plan()
    assert [line for line in shown(plan) if line.startswith("odd")] == ["odd: #3", "odd: Failed", "odd reads Failed"], (
        "not over a newer one"
    )
    world.perform(plan.operations)
    world.run()
    assert "ReconcileFailed" not in {each.type for each in world.app.status.conditions}


def test_the_first_row_of_an_app_that_may_not_be_written_fails_at_the_deadline() -> None:
    world = a_world(given.with_deadline(60))
    world.deploy("odd", "v1")
    world.row_problems["odd"] = ChildProblem(ProblemReason.REFUSED, "the API server refuses row odd", retry_in=100)
    world.settle()
    assert world.phases["odd"] == "#0 Pending"
    world.row_problems["odd"] = replace(world.row_problems["odd"], retry_in=0)
    world.later(61)
    world.run()
    assert world.phases["odd"] == "#1 Failed"


def test_app_whose_problems_are_more_than_a_condition_takes_comes_to_rest() -> None:
    """A part that the condition's length cuts off must not look like a change at every reconcile."""
    world = a_world()
    world.refused[("HorizontalPodAutoscaler", given.NAME)] = "x" * 5000
    world.refused[("PodDisruptionBudget", given.NAME)] = "y" * 5000
    world.deploy("a", "v1")
    world.settle()
    assert world.condition("ChildrenApplied") == ("False", "Refused")
    assert world.said("App").count("Hindered") == 2


def test_serving_pods_stay_after_their_row_was_deleted_until_the_next_deploy() -> None:
    world = serving("v1", given.with_spec(history={"limit": 10}))
    del world.objects[(API_VERSION, kinds.ROW.kind, "a")]
    before = set(world.objects)
    world.settle()
    assert world.serving == "v1"
    assert set(world.objects) == before, "nothing was deleted, its flow included"
    assert world.app.status.live is not None
    assert world.app.status.live.row == "a"
    assert world.condition("ReconcileFailed") == ("True", "LiveRowMissing")
    world.deploy("b", "v4")  # which is not released: it waits
    world.settle()
    assert world.serving == "v1"
    world.deploy("c", "v2")
    world.settle()
    world.stall(BAD_NAME, old=1)
    world.settle()
    assert world.workload is not None, "a deploy that fails has nothing to return to, and takes nothing away"
    world.deploy("d", "v3")
    world.run()
    assert (world.serving, world.condition("Live")) == ("v3", ("True", "Serving"))


def test_row_that_comes_back_is_what_the_app_serves_again() -> None:
    world = serving("v1")
    row = world.objects.pop((API_VERSION, kinds.ROW.kind, "a"))
    world.settle()
    world.objects[(API_VERSION, kinds.ROW.kind, "a")] = row
    world.run()
    assert (world.serving, world.condition("Ready")) == ("v1", ("True", "Serving"))
    assert all(each.type != "ReconcileFailed" for each in world.app.status.conditions)
