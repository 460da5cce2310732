"""An App that becomes public keeps its open background runs, and no pod takes them: its condition says so, and it sleeps all the same."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.plan.observed.open_runs import OpenCount, OpenRuns
from tests.support import factories as given
from tests.support.world import World
from tests.unit.plan.test_background_sleep import asleep, fall_asleep, pods_of
from tests.unit.support.finishing import SOME, journal_leaves, journal_returns, open_runs, with_journal, with_runs
from tests.unit.support.production import Production

QUEUED = OpenCount(queued=3)


def change(world: World, access: str) -> None:
    made = world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]
    made["spec"]["access"] = {"type": access}
    world.edited(made)
    world.run()


def message(world: World) -> str:
    return next((each.message for each in world.app.status.conditions if each.type == "Finishing"), "")


@pytest.mark.parametrize("counts", [{"a": SOME}, {"a": QUEUED}, {"a": OpenCount(held=1)}], ids=["some", "queued", "held"])
def test_the_condition_of_an_app_that_became_public_says_who_must_do_what(counts: dict[str, Any]) -> None:
    world = with_runs()
    assert message(world) == "", "its own pods take them"
    open_runs(world, **counts)
    change(world, "public")
    assert world.condition("Finishing") == ("True", "RunsOpen")
    assert message(world) == (
        "background runs are open, and a public App's pods take none: set spec.access.type to private again, or cancel them with "
        "`kubectl dynamiq cancel chat --all-open -n demo`"
    )
    assert world.condition("Ready")[0] == "True"
    assert not world.plan().operations
    open_runs(world)
    world.run()
    assert message(world) == ""


def test_it_goes_once_the_app_is_private_again() -> None:
    world = with_runs()
    change(world, "public")
    change(world, "private")
    assert message(world) == ""


def test_it_stays_while_the_journal_is_away_and_after_a_restart_of_the_operator() -> None:
    world = with_runs()
    change(world, "public")
    shown = message(world)
    journal_leaves(world)
    world.run()
    assert message(world) == shown
    for is_away in (False, True):
        world.open_runs = OpenRuns(is_away=is_away)
        assert not world.plan().operations
    journal_returns(world)
    world.run()
    assert message(world) == ""


def test_pods_of_an_app_whose_new_access_waits_for_a_row_still_take_runs() -> None:
    world = Production()
    with_journal(world)
    world.deploy_approved("a")
    open_runs(world, a=SOME)
    world.run()
    change(world, "public")
    assert message(world) == ""


def test_a_public_app_does_not_wake_for_runs_that_its_pods_do_not_take() -> None:
    world = asleep(given.public())
    open_runs(world, a=QUEUED)
    world.settle()
    assert pods_of(world) == 0
    assert world.condition("Finishing") == ("True", "RunsOpen")


@pytest.mark.parametrize("count", [QUEUED, OpenCount(running=1)], ids=["queued", "running"])
def test_a_public_app_falls_asleep_all_the_same(count: OpenCount) -> None:
    world = asleep(given.public())
    world.scale(1)
    world.run()
    open_runs(world, a=count)
    fall_asleep(world)
    assert pods_of(world) == 0
