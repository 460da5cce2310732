"""Open runs of a rejected version are held, or canceled, and its App says so. Those of the live version go on."""

from __future__ import annotations

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.guard_objects import Rejection
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.observed.open_runs import OpenCount
from dynamiq_operator.plan.workloads.holding import Holding, holdings
from tests.support import factories as given
from tests.support.world import World
from tests.unit.support.finishing import (
    SOME,
    WAITING,
    deployed,
    digest_of,
    finishing_of,
    journal_leaves,
    label_of,
    lacking_room,
    open_runs,
    serving_with_journal,
    with_runs,
)
from tests.unit.support.rules import rejection


def reject(world: World, *versions: str) -> None:
    world.guards = ObservedGuards(rejections={given.flow_hash(each): Rejection.of(rejection(each)) for each in versions})


def held(world: World) -> list[Holding]:
    return list(holdings(world.snapshot(), world.app))


def message(world: World) -> str:
    return next((each.message for each in world.app.status.conditions if each.type == "Finishing"), "")


@pytest.mark.parametrize("count", [OpenCount(queued=1), OpenCount(running=1), WAITING], ids=str)
def test_open_runs_of_a_rejected_version_are_held_until_they_are(count: OpenCount) -> None:
    world = deployed(with_runs())
    open_runs(world, a=count)
    assert held(world) == []
    reject(world, "v1")
    assert held(world) == [Holding(digest_of(world, "a"), holds=True)]
    open_runs(world, a=OpenCount(held=2))
    assert held(world) == []


def test_they_are_canceled_if_the_app_says_so() -> None:
    world = deployed(with_runs(given.with_spec(runs={"durable": {"afterRejection": "Cancel"}})))
    reject(world, "v1")
    assert held(world) == [Holding(digest_of(world, "a"), holds=True, cancels=True)]
    open_runs(world, a=OpenCount(held=2))
    assert held(world) == [Holding(digest_of(world, "a"), holds=True, cancels=True, held=2)], "held before the App said so"


def test_runs_of_the_live_version_and_of_one_that_is_being_deployed_are_not_held() -> None:
    world = with_runs()
    reject(world, "v1", "v2")
    assert held(world) == []
    reject(world, "v1")
    world.deploy("b", "v2")
    world.settle()
    open_runs(world, a=SOME, b=OpenCount(queued=1))
    reject(world, "v2")
    assert held(world) == []


def test_they_go_on_once_the_rejection_is_withdrawn() -> None:
    world = deployed(with_runs())
    open_runs(world, a=OpenCount(held=2))
    reject(world, "v1")
    world.run()
    assert held(world) == []
    reject(world)
    assert held(world) == [Holding(digest_of(world, "a"), holds=False, held=2)]
    world.run()
    assert world.condition("Finishing") == ("True", "RunsHeld"), "until the journal has done it, or for another reason"
    open_runs(world, a=WAITING)
    world.run()
    assert (held(world), world.condition("Finishing")) == ([], ("True", "RunsWait"))


@pytest.mark.parametrize("what", ["counts", "rejections"])
def test_nothing_is_held_or_let_go_on_while_it_is_unknown_what_is_rejected_or_open(what: str) -> None:
    world = deployed(with_runs())
    if what == "counts":
        reject(world, "v1")
        journal_leaves(world)
    else:
        open_runs(world, a=OpenCount(held=1))
        world.guards = ObservedGuards(unknown="forbidden")
    assert held(world) == []


def test_the_version_of_held_runs_is_searched_for_in_the_history_if_nothing_names_it() -> None:
    """The operator was restarted: the App's status names the row, and not its flow."""
    world = serving_with_journal()
    open_runs(world, a=OpenCount(held=1))
    deployed(world)
    assert finishing_of(world, "a") is None
    assert list(world.snapshot().open_runs.rows) == [label_of(world, "a")]
    open_runs(world, a=WAITING)
    assert not world.snapshot().open_runs.rows, "no Rejection could concern it"
    reject(world, "v2", "v3")
    assert list(world.snapshot().open_runs.rows) == [label_of(world, "a")]


# What the App shows.


def test_the_app_shows_that_runs_are_held_and_who_has_to_do_what() -> None:
    world = deployed(with_runs())
    open_runs(world, a=OpenCount(held=2))
    reject(world, "v1")
    world.run()
    assert world.condition("Finishing") == ("True", "Rejected")
    assert message(world) == (
        "runs of v1 (#1) are held, since this version was rejected: `kubectl dynamiq runs chat --open -n demo` lists them; "
        "`restart-runs` or `cancel` each"
    )
    assert world.said(kinds.APP.kind).count("Rejected") == 1
    open_runs(world, a=OpenCount(held=1))
    world.run()
    assert world.said(kinds.APP.kind).count("Rejected") == 1, "not for each run"
    assert world.condition("Ready")[0] == "True"


def test_the_app_shows_that_runs_only_wait_and_need_no_pod() -> None:
    world = deployed(with_runs())
    assert world.condition("Finishing") == ("True", "RunsOpen")
    open_runs(world, a=WAITING)
    world.run()
    assert world.condition("Finishing") == ("True", "RunsWait")
    assert message(world) == ("background runs wait on v1 (#1): a person has to answer them, or their time has to come. They need no pod")
    assert world.said(kinds.APP.kind).count("RunsWait") == 1


@pytest.mark.parametrize("reason", ["ErrImagePull", "ImagePullBackOff", "InvalidImageName"])
def test_the_app_shows_that_the_image_of_an_earlier_version_is_gone(reason: str) -> None:
    world = deployed(with_runs())
    made = finishing_of(world, "a")
    assert made is not None
    world.stall({"waiting": {"reason": reason}}, of=made["metadata"]["name"])
    world.settle()
    assert world.condition("Finishing") == ("True", "RunsOpen")
    after = world.plan().requeue_after
    assert after is not None
    assert after <= 300
    world.later(300)
    world.settle()
    assert world.condition("Finishing") == ("True", "RuntimeGone")
    assert message(world) == (
        f"background runs of v1 (#1) do not go on, since their image {given.IMAGE} cannot be pulled: "
        "`kubectl dynamiq runs chat --open -n demo` lists them; `restart-runs` or `cancel` each"
    )
    assert "RuntimeGone" in world.said(kinds.APP.kind)


def test_the_app_shows_that_pods_of_an_earlier_version_have_no_room() -> None:
    world = deployed(with_runs())
    lacking_room(world, "a")
    world.settle()
    assert world.condition("Finishing") == ("True", "NoRoom")
    for _ in range(2):
        world.roll()
        world.settle()
        assert world.condition("Finishing") == ("True", "RunsOpen")
        lacking_room(world, "a")
        world.settle()
    assert world.said(kinds.APP.kind).count("NoRoom") == 1, "one an hour"
