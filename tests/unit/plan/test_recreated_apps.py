"""An App that is deleted and recreated under its name: plans over the objects that the first one left."""

from __future__ import annotations

from dataclasses import replace

from dynamiq_operator.desired.base import SERVICE, WORKLOAD, child
from dynamiq_operator.model import ownership
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.observed.rows import ObservedRows, OrphanedRow
from dynamiq_operator.plan.planner import make_plan
from tests.support import factories as given
from tests.support.world import World, a_world, serving

FIRST = given.an_app(given.with_meta(uid="uid-first"))


def left(world: World, name: str) -> OrphanedRow:
    """Adds a row that the deleted App had not numbered."""
    world.add(given.row_manifest(name))
    return OrphanedRow(world.rows[name].meta, FIRST.meta.uid)


def test_rows_of_a_deleted_app_get_it_as_owner_and_no_sequence() -> None:
    world = a_world()
    found = left(world, "old")
    rows = tuple(row for row in world.snapshot().rows.observed if row.name != "old")
    plan = make_plan(replace(world.snapshot(), rows=ObservedRows(rows, orphaned=(found,))))
    assert plan.of(operations.LeaveRow) == (operations.LeaveRow(found.meta, given.NAME, "uid-first"),)
    assert not plan.of(operations.CompleteRow)
    world.perform(plan.of(operations.LeaveRow))
    assert world.rows["old"].meta.owners == {"uid-first"}


def test_they_do_so_too_where_no_app_has_the_name() -> None:
    world = a_world()
    found = left(world, "old")
    plan = make_plan(replace(world.snapshot(), app=None, rows=ObservedRows(orphaned=(found,))))
    assert plan.operations == (operations.LeaveRow(found.meta, given.NAME, "uid-first"),)


def test_nothing_waits_for_rows_that_are_left() -> None:
    """If one of them cannot be released, the App deploys anyway."""
    world = serving("v1")
    found = left(world, "old")
    ask = given.row_manifest("new", given.asking(workflowVersion="v2"))
    world.add(given.version_manifest("v2"))
    world.add(ask)
    snapshot = world.snapshot()
    rows = tuple(row for row in snapshot.rows.observed if row.name != "old")
    plan = make_plan(replace(snapshot, rows=ObservedRows(rows, orphaned=(found,))))
    (group,) = (each for each in plan.groups if isinstance(each.operations[0], operations.LeaveRow))
    assert all(group.name not in each.after for each in plan.groups)
    assert [each.row.name for each in plan.of(operations.CompleteRow)] == ["new"]


def test_children_of_the_deleted_app_are_neither_adopted_nor_deleted() -> None:
    world = a_world()
    for kind in (SERVICE, WORKLOAD):
        world.add(child(FIRST, kind, given.NAME, spec={"replicas": 1, "selector": {}}))
    world.add(given.row_manifest("new"))
    world.settle()
    written = [each for each in world.written if isinstance(each, (operations.ApplyChild, operations.DeleteChild, operations.OwnChild))]
    assert not written
    assert all(ownership.owners(world.child(kind.kind)) == ("uid-first",) for kind in (SERVICE, WORKLOAD))


def test_row_that_the_operator_makes_is_its_apps_from_the_beginning() -> None:
    world = a_world()
    made = world.objects[("dynamiq.getdynamiq.ai/v1alpha1", "App", given.NAME)]
    made["spec"]["deploy"] = {"workflowVersion": "v1"}
    world.edited(made)
    (created,) = world.plan().of(operations.CreateRow)
    world.perform([created])
    assert world.rows[created.name].meta.owners == {world.app.meta.uid}
