"""Retention of an App with an archive: no row is deleted before the archive has acknowledged it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.observed.archive import ArchiveAnswers
from dynamiq_operator.plan.rows import retention
from dynamiq_operator.plan.rows.retention import RESTS, RESTS_LEAST, hand_over
from tests.support import factories as given
from tests.support.world import World
from tests.unit.plan.test_ledger import a_long_history, verified

RECORDER = "http://recorder.test"


def keep(world: World, **policy: Any) -> None:
    made = world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]
    made["spec"]["history"] = policy
    world.edited(made)


@pytest.fixture
def world() -> World:
    """Returns an App with 14 rows that keeps 10 in the cluster, and the others in the archive."""
    made = a_long_history(14)
    made.settings = made.settings.model_copy(update={"recorder": RECORDER})
    keep(made, limit=10, archive=True)
    return made


def requested(world: World) -> list[int]:
    """Returns the sequences of the rows that the archive should acknowledge."""
    return [row.sequence for row in hand_over(world.snapshot(), world.app).to_acknowledge]


def acknowledge(world: World, *sequences: int, ago: timedelta = RESTS, by: bool = True) -> None:
    """Stores these rows in the archive since `ago`. `by`: it has also acknowledged them just now."""
    uids = {row.meta.uid for row in world.rows.values() if row.sequence in sequences}
    stored = dict.fromkeys(uids, world.snapshot().now - ago)
    archive = world.archive
    world.archive = ArchiveAnswers(frozenset(uids if by else ()), {**archive.stored, **stored}, archive.problem)


def kept(world: World) -> list[int]:
    return sorted(row.sequence for row in world.rows.values())


def test_rows_beyond_the_limit_are_archived_and_stay_until_they_are_acknowledged(world: World) -> None:
    assert requested(world) == [1, 2, 3, 4]
    world.run()
    assert kept(world) == list(range(1, 15))
    acknowledge(world, 1, 2, 3, 4)
    world.run()
    assert kept(world) == list(range(5, 15))
    assert requested(world) == []
    assert verified(world)


def test_an_archived_row_rests_for_a_day_and_then_goes_once_it_is_acknowledged_again(world: World) -> None:
    """A database that fails over may have lost its last acknowledgements."""
    acknowledge(world, 1, 2, 3, 4, ago=RESTS - timedelta(seconds=60))
    assert requested(world) == []
    assert world.plan().requeue_after == 60
    world.run()
    assert kept(world) == list(range(1, 15))

    acknowledge(world, 1, 2, ago=RESTS, by=False)
    assert requested(world) == [1, 2]
    world.run()
    assert kept(world) == list(range(1, 15))
    acknowledge(world, 1, 2, ago=RESTS)
    world.run()
    assert kept(world) == list(range(3, 15))


def test_a_row_whose_archive_lost_it_meanwhile_rests_anew(world: World) -> None:
    acknowledge(world, 1, 2, 3, 4, ago=timedelta(seconds=1))
    world.run()
    assert kept(world) == list(range(1, 15))


@pytest.mark.parametrize("since", [RESTS_LEAST, None], ids=["ten minutes", "a recorder that does not say since when"])
def test_a_limited_number_of_archived_rows_rests_and_the_others_are_deleted(
    world: World, since: timedelta | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "RESTING_MOST", 3)
    acknowledge(world, 1, 2, 3, 4, ago=timedelta(seconds=10))
    world.run()
    assert kept(world) == list(range(1, 15)), "what was stored just now stays, however many there are"
    acknowledge(world, 1, 2, 3, 4, ago=since or RESTS)
    if since is None:
        world.archive = replace(world.archive, stored=dict.fromkeys(world.archive.stored))
    assert requested(world) == [1]
    world.run()
    assert kept(world) == list(range(2, 15))


def test_flows_that_no_row_names_go_while_archived_rows_rest(world: World) -> None:
    acknowledge(world, 1)
    world.run()
    acknowledge(world, 2, 3, 4, ago=timedelta(seconds=1))
    world.run()
    world.run()
    flows = {name for _, kind, name in world.objects if kind == "ConfigMap"}
    assert flows == {names.flow(given.NAME, row.pinned.workflow_hash) for row in world.rows.values() if row.pinned is not None}


def test_rows_go_from_the_oldest_on_up_to_the_first_that_is_not_there(world: World) -> None:
    """The rest in the cluster is one chain, and so is the archive."""
    acknowledge(world, 1, 2, 4)
    world.run()
    assert kept(world) == list(range(3, 15))
    assert verified(world)


def test_while_the_archive_does_not_answer_the_history_grows_and_deploys_go_on(world: World) -> None:
    world.archive = ArchiveAnswers(problem="the recorder cannot be reached")
    for number in range(5):
        world.deploy(f"night{number}", f"v{number % 2 + 1}")
        world.run()
    assert kept(world) == list(range(1, 20))
    assert world.condition("Live") == ("True", "Serving")
    assert world.condition("Archived") == ("False", "NotAcknowledged")
    assert world.condition("Ready")[0] == "True"


def test_an_app_reports_the_state_of_its_archive(world: World) -> None:
    world.run()
    assert world.condition("Archived") == ("True", "HandedOver")
    world.settings = world.settings.model_copy(update={"recorder": None})
    world.run()
    assert world.condition("Archived") == ("False", "NoRecorder")
    assert kept(world) == list(range(1, 15))


def test_without_an_archive_rows_beyond_the_limit_are_deleted_as_before(world: World) -> None:
    world.archive = ArchiveAnswers(problem="the recorder cannot be reached")
    keep(world, limit=10, archive=False)
    world.run()
    assert kept(world) == list(range(5, 15))
    assert "Archived" not in [each.type for each in world.app.status.conditions]


def test_a_flow_stays_as_long_as_a_row_that_waits_for_the_archive_names_it(world: World) -> None:
    flows = {name for _, kind, name in world.objects if kind == "ConfigMap"}
    plan = world.plan()
    assert not plan.of(operations.DeleteRow)
    assert not plan.of(operations.DeleteChild)
    world.run()
    assert {name for _, kind, name in world.objects if kind == "ConfigMap"} == flows


def test_without_a_limit_nothing_is_handed_over(world: World) -> None:
    keep(world, archive=True)
    assert requested(world) == []


def let_go(world: World) -> None:
    """Leaves the four oldest rows in the archive alone. The first, `a`, ran v3, whose flow is no longer in the cluster."""
    acknowledge(world, 1, 2, 3, 4)
    first = world.rows["a"]
    world.run()
    world.run()
    del world.objects[(API_VERSION, kinds.WORKFLOW_VERSION.kind, f"{given.NAME}-v3")]
    assert first.name not in world.rows
    world.archive = ArchiveAnswers(rows={first.name: first}, flows={given.flow_hash("v3"): given.flow("v3")})


def test_a_rollback_to_an_archived_row_restores_its_flow(world: World) -> None:
    let_go(world)
    world.deploy("back", restores="a")
    world.run()
    assert world.serving == "v3"
    assert world.condition("Live") == ("True", "Serving")
    pinned = world.rows["back"].pinned
    assert pinned is not None
    assert pinned.restores is not None
    assert (pinned.restores.row, pinned.restores.sequence) == ("a", 1)
    assert "a" not in world.rows, "it stays where it is"
    assert verified(world)


def test_a_rollback_to_a_row_whose_flow_is_missing_fails(world: World) -> None:
    let_go(world)
    world.archive = ArchiveAnswers(rows=world.archive.rows)
    world.deploy("back", restores="a")
    world.run()
    assert world.rows["back"].pinned is None
    assert world.serving != "v3"
