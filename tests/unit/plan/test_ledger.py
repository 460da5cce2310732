"""Deploys from Git, restores, retention and hostnames: plans over whole histories."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.chain import verify
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.history.ledger import Ledger, LedgerRow
from tests.support import factories as given
from tests.support.world import World, a_world, begun, serving

RESTORING = names.RESTORING_ANNOTATION


def app_manifest(world: World) -> Manifest:
    return world.objects[("dynamiq.getdynamiq.ai/v1alpha1", kinds.APP.kind, given.NAME)]


def ask(world: World, version: str | None, **more: Any) -> None:
    """Changes `spec.deploy` as Git does."""
    made = app_manifest(world)
    made["spec"]["deploy"] = {**({"workflowVersion": version} if version else {}), **more}
    world.edited(made)


def limit(world: World, rows: int) -> None:
    made = app_manifest(world)
    made["spec"]["history"] = {"limit": rows}
    world.edited(made)


def in_order(world: World) -> list[str]:
    """Returns `version source` of each row, oldest first."""
    rows = sorted(world.rows.values(), key=lambda row: row.sequence)
    return [f"{row.pinned.workflow_version} {row.pinned.source.value}" if row.pinned else "-" for row in rows]


@pytest.mark.parametrize(
    ("asked", "rows"),
    [
        (["v1"], ["v1 App"]),
        (["v1", "v1"], ["v1 App"]),
        (["v1", "v2", "v1"], ["v1 App", "v2 App", "v1 App"]),
        (["v1", "v2", "v1", "v2", "v2"], ["v1 App", "v2 App", "v1 App", "v2 App"]),
        ([None, "v3"], ["v3 App", "v3 App"]),
    ],
)
def test_each_change_in_git_is_one_row(asked: list[str | None], rows: list[str]) -> None:
    world = a_world()
    for version in asked:
        ask(world, version)
        world.run()
        world.run()
    assert in_order(world) == rows


def test_a_change_after_each_action_of_the_row_before_makes_no_row_twice() -> None:
    done = stop = 0
    while done == stop:  # less, once there was no action more
        stop += 1
        world = serving("v1")
        ask(world, "v2")
        done = 0
        for _ in range(5):
            for action in world.plan().operations if done < stop else ():
                if done < stop:
                    world.perform([action])
                    done += 1
        ask(world, "v3")
        world.run()
        assert in_order(world)[0] == "v1 Record"
        assert in_order(world)[-1] == "v3 App"
        assert len(world.rows) <= 3, stop
    assert stop > 5


def test_a_request_is_new_by_its_fields_and_not_by_its_author() -> None:
    world = a_world()
    ask(world, "v1", changedBy="ada")
    world.run()
    ask(world, "v1", changedBy="bob")
    world.run()
    assert len(world.rows) == 1
    ask(world, "v1", config={"autoscaling": {"maxReplicas": 4}})
    world.run()
    ask(world, "v1", config={"autoscaling": {"maxReplicas": 4}}, message="again")
    world.run()
    assert in_order(world) == ["v1 App"] * 3


def test_a_row_by_hand_overrides_and_the_next_change_ends_that() -> None:
    world = a_world()
    ask(world, "v1")
    world.run()
    world.deploy("by-hand", "v2")
    world.run()
    assert (world.condition("DeploySpecOverridden"), world.serving) == (("True", "NewerRow"), "v2")
    ask(world, "v3")
    world.run()
    assert (world.condition("DeploySpecOverridden"), world.serving) == (("False", "AsDeclared"), "v3")
    app_manifest(world)["spec"]["suspend"] = True
    ask(world, "v1")
    world.run()
    assert (world.condition("DeploySpecOverridden"), world.serving) == (("True", "Waits"), "v3")


def test_a_row_by_hand_under_the_name_of_gits_row_is_reported_and_can_be_avoided() -> None:
    world = serving("v1")
    world.deploy(names.declared_row(given.NAME, {"workflowVersion": "v2"}, 0), "v3")
    world.run()
    ask(world, "v2")
    world.run()
    assert (world.condition("DeploySpecOverridden"), world.serving) == (("True", "NameTaken"), "v3")
    ask(world, "v2", message="as Git says")
    world.run()
    assert (world.condition("DeploySpecOverridden"), world.serving) == (("False", "AsDeclared"), "v2")


def test_a_restore_moves_nothing_until_its_stamp_is_off_and_then_decides_once() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.run()
    world.deploy("c", restores="a")
    world.run()
    specs = {name: row.raw_spec for name, row in world.rows.items()}
    world.forget_statuses()
    for key in [key for key in world.objects if key[0] in ("apps/v1", "autoscaling/v2", "policy/v1")]:
        del world.objects[key]
    app = app_manifest(world)
    app["metadata"]["annotations"] = {RESTORING: "true"}
    world.edited(app)
    assert world.plan() == operations.Plan()
    del app["metadata"]["annotations"][RESTORING]
    world.edited(app)
    assert not world.plan().of(operations.EndRow)
    world.run()
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Superseded", "c": "#3 Live"}
    assert {name: row.raw_spec for name, row in world.rows.items()} == specs
    assert world.serving == "v1"
    assert all(row.meta.owners == {world.app.meta.uid} for row in world.rows.values())


def test_restored_rows_without_their_app_report_it_and_keep_their_outcome() -> None:
    world = serving("v1")
    world.forget_statuses()
    world.remove(kinds.APP.kind, given.NAME)
    world.settle()
    row = world.rows["a"]
    assert world.phases == {"a": "#1 Pending"}
    assert row.status.conditions[0].message == "App chat does not exist in namespace demo"
    assert row.outcome is not None
    world.later(3600)
    assert world.plan().operations == ()
    world.add(given.app_manifest())
    world.run()
    assert world.phases == {"a": "#1 Live"}


def test_a_row_whose_app_does_not_come_in_time_fails() -> None:
    """A row with a typo in its App would otherwise wait for ever."""
    world = a_world()
    world.remove(kinds.APP.kind, given.NAME)
    world.deploy("early", "v1")
    world.settle()
    assert world.phases == {"early": "#0 Pending"}
    world.later(400)
    world.settle()
    row = world.rows["early"]
    late = "App chat does not exist in namespace demo, 300 s after the row was created: the row may be deleted"
    assert (world.phases, row.outcome) == ({"early": "#0 Failed"}, None), "a history has no outcome without a number"
    assert (row.status.conditions[0].status, row.status.conditions[0].message) == ("False", late)
    assert row.status.observed_generation == row.meta.generation, "it is done, for a GitOps tool"
    world.add(given.app_manifest())
    world.run()
    assert (world.phases, world.workload) == ({"early": "#0 Failed"}, None), "its deploy would come as a surprise"
    world.deploy("next", "v1")
    world.run()
    assert world.phases == {"early": "#0 Failed", "next": "#1 Live"}
    assert verified(world)


def test_a_row_that_an_operator_of_before_gave_up_is_left_as_it_is() -> None:
    """An upgrade writes no row. If its App is created, the row fails as it would have under the older operator."""
    world = a_world()
    world.remove(kinds.APP.kind, given.NAME)
    world.deploy("early", "v1")
    world.settle()
    world.later(400)
    given_up = {
        "type": "Succeeded",
        "status": "False",
        "reason": "AppMissing",
        "message": "App chat does not exist",
        "lastTransitionTime": "2026-11-24T12:05:00Z",
    }
    (key,) = [key for key in world.objects if key[1:] == (kinds.ROW.kind, "early")]
    world.written_by_ours(world.objects[key] | {"status": {"phase": "Pending", "conditions": [given_up]}})
    world.settle()
    assert (world.phases, world.rows["early"].outcome) == ({"early": "#0 Pending"}, None)
    world.add(given.app_manifest())
    world.run()
    row = world.rows["early"]
    assert (world.phases, row.meta.owners) == ({"early": "#1 Failed"}, frozenset({world.app.meta.uid}))
    assert row.outcome is not None
    assert row.outcome.reason == "App chat was created more than 300 s after the row"


def a_long_history(rows: int) -> World:
    """Returns an App with `rows` rows that were live in turn, v1 and v2 alternately, after one of v3."""
    return begun(_a_long_history, rows)


def _a_long_history(rows: int) -> World:
    world = serving("v3")
    for number in range(rows - 1):
        world.deploy(f"r{number}", f"v{number % 2 + 1}")
        world.run()
    return world


def test_the_chain_goes_on_from_the_newest_row_that_is_left() -> None:
    rows = [LedgerRow(name, name, sequence, {}, digest=f"of {name}") for sequence, name in enumerate("abc", start=1)]
    ledger = Ledger.of(rows)
    assert ledger.last_pinned == (3, "of c")
    assert ledger.without("c").last_pinned == (2, "of b")


def test_the_oldest_rows_above_the_limit_go_and_what_is_kept_verifies() -> None:
    world = a_long_history(14)
    limit(world, 10)
    world.run()
    assert [row.sequence for row in sorted(world.rows.values(), key=lambda row: row.sequence)] == list(range(5, 15))
    assert verified(world)
    flows = {name for _, kind, name in world.objects if kind == "ConfigMap"}
    assert flows == {names.flow(given.NAME, given.flow_hash(version)) for version in ("v1", "v2")}


def test_rows_once_live_are_kept_though_failed_ones_are_younger() -> None:
    world = a_long_history(6)
    for number in range(12):
        world.deploy(f"failed{number}", restores="none")
        world.later(400)
        world.run()
    limit(world, 10)
    world.run()
    succeeded = [row.sequence for row in world.rows.values() if row.outcome and row.outcome.result.value == "Succeeded"]
    assert (sorted(succeeded), len(world.rows)) == ([2, 3, 4, 5, 6], 10)


def test_the_last_row_of_git_is_kept_so_that_it_is_not_deployed_again() -> None:
    world = a_world()
    ask(world, "v3")
    world.run()
    for number in range(14):
        world.deploy(f"r{number}", f"v{number % 2 + 1}")
        world.run()
    limit(world, 10)
    world.run()
    assert in_order(world)[0] == "v3 App"
    assert len(world.rows) == 15, "newer rows stay with it, since a chain without them would not verify"
    ask(world, "v1")
    world.run()
    assert len(world.rows) == 10
    assert verified(world)


def test_a_failed_change_of_git_its_return_and_its_repetition_are_a_row_each() -> None:
    world = a_world()
    ask(world, "v1")
    world.run()
    ask(world, "v9")
    world.settle()
    assert world.condition("Progressing") == ("True", "Waiting")
    world.later(400)
    world.run()
    ask(world, "v9", changedBy="bob")
    world.run()
    assert (in_order(world), world.serving) == (["v1 App", "-"], "v1")
    ask(world, "v1")
    world.run()
    assert in_order(world) == ["v1 App", "-", "v1 App"]
    world.add(given.version_manifest("v9"))
    ask(world, "v9")
    world.run()
    assert in_order(world) == ["v1 App", "-", "v1 App", "v9 App"]
    assert "#4 Live" in world.phases.values()


def test_a_failed_change_of_git_is_not_deployed_again_when_older_rows_are_deleted() -> None:
    world = a_world()
    ask(world, "v1")
    world.run()
    ask(world, "v9")
    world.settle()
    world.later(400)
    world.run()
    assert world.phases[next(name for name, row in world.rows.items() if row.pinned is None)] == "#2 Failed"
    for number in range(14):
        world.deploy(f"r{number}", f"v{number % 2 + 1}")
        world.run()
    limit(world, 10)
    world.run()
    world.run()
    assert in_order(world)[:2] == ["v1 App", "-"], "the row that failed is known by the one before it"
    assert len(world.rows) == 16
    assert world.condition("DeploySpecOverridden") == ("True", "NewerRow")


def test_no_hole_is_torn_into_the_chain_by_failures_after_the_live_row() -> None:
    world = a_long_history(6)
    for number in range(8):
        world.deploy(f"failed{number}", "v2")
        world.settle()
        world.stall({"waiting": {"reason": "InvalidImageName"}}, old=1)
        world.run()
        world.deploy(f"never{number}", restores="none")
        world.later(400)
        world.run()
    limit(world, 10)
    world.run()
    assert verified(world)
    assert {"failed0", "r4"} <= set(world.rows)
    assert [name for name in world.rows if name.startswith("never")] == ["never5", "never6", "never7"], "of the 5 newest"


def verified(world: World) -> bool:
    return verify({"metadata": {"name": name}, "spec": row.raw_spec} for name, row in world.rows.items()).misfits == ()


def test_a_row_in_flight_and_what_it_restores_are_kept() -> None:
    world = a_long_history(14)
    world.deploy("back", restores="a")
    limit(world, 10)
    world.settle()
    assert {"a", "back"} <= set(world.rows)
    world.run()
    assert world.serving == "v3"
