"""Retention deletes no row and no flow that an open background run needs, also while nobody knows which runs are open."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.model import names
from dynamiq_operator.plan.observed.archive import ArchiveAnswers
from dynamiq_operator.plan.observed.open_runs import OpenCount, OpenRuns
from dynamiq_operator.plan.rows.retention import RESTS
from tests.support import factories as given
from tests.support.world import World
from tests.unit.support.finishing import (
    SOME,
    deployed,
    finishing_of,
    journal_leaves,
    journal_returns,
    label_of,
    open_runs,
    serving_with_journal,
)

LIMIT = 10


def limited(*modifiers: given.Modifier, archive: bool = False) -> World:
    """Returns a world with a journal that serves v1, and keeps ten rows."""
    history = {"limit": LIMIT, **({"archive": True} if archive else {})}
    world = serving_with_journal(given.with_spec(history=history), *modifiers)
    world.settings = world.settings.model_copy(update={"recorder": "http://recorder.test"})
    return world


def deploy_many(world: World, rows: int, version: str = "v2", *, counts: dict[str, OpenCount] | None = None) -> None:
    """Deploys rows with other compute each. `counts`: given, each gets a run that stays open."""
    config = copy.deepcopy(given.CONFIG)
    for number in range(rows):
        config["resources"]["requests"]["cpu"] = f"{100 + number}m"
        world.deploy(f"r{number}", version, config=config)
        world.run()
        if counts is not None:
            counts[f"r{number}"] = OpenCount(waiting=1)
            open_runs(world, **counts)
    world.run()


def has_flow(world: World, version: str = "v1") -> bool:
    return (CONFIG_MAP.api_version, CONFIG_MAP.kind, names.flow(given.NAME, given.flow_hash(version))) in world.objects


@pytest.mark.parametrize("archive", [False, True], ids=["deleted", "archived"])
@pytest.mark.parametrize("is_away", [False, True], ids=["not asked yet", "away"])
def test_nothing_is_deleted_while_it_is_unknown_what_is_open(archive: bool, is_away: bool) -> None:
    """The operator was restarted while the journal was away: it has no counts, and the App's status shows none."""
    world = limited(archive=archive)
    world.open_runs = OpenRuns(is_away=is_away)
    deploy_many(world, 14)
    world.archive = _all_archived(world)
    world.run()
    assert (len(world.rows), has_flow(world)) == (15, True)
    after = world.plan().requeue_after
    assert after is not None
    assert after <= 60, "the App has no counts whose return would requeue it"
    journal_returns(world)
    open_runs(world, a=SOME)
    world.run()
    assert (len(world.rows), has_flow(world)) == (15, True)
    assert finishing_of(world, "a") is not None
    open_runs(world)
    world.later(60)
    world.run()
    assert (len(world.rows), "a" in world.rows, has_flow(world)) == (LIMIT, False, False)


def _all_archived(world: World) -> ArchiveAnswers:
    uids = [row.meta.uid for row in world.rows.values()]
    return ArchiveAnswers(frozenset(uids), dict.fromkeys(uids, world.now - RESTS))


def test_no_flow_whose_rows_went_before_is_deleted_while_counts_are_unknown() -> None:
    world = limited()
    deploy_many(world, 14)
    flow = given.flow_hash("v1")
    stray = copy.deepcopy(world.objects[(CONFIG_MAP.api_version, CONFIG_MAP.kind, names.flow(given.NAME, given.flow_hash("v2")))])
    stray["metadata"]["name"] = names.flow(given.NAME, flow)
    world.add(stray)
    journal_leaves(world)
    world.run()
    assert has_flow(world)
    journal_returns(world)
    world.run()
    assert not has_flow(world)


def test_retention_goes_on_without_a_journal_and_for_a_public_app() -> None:
    world = limited()
    world.settings = world.settings.model_copy(update={"journal": None})
    world.open_runs = OpenRuns(is_away=True)
    deploy_many(world, 14)
    assert len(world.rows) == LIMIT

    world = limited(given.public())
    world.open_runs = OpenRuns(is_away=True)
    deploy_many(world, 14)
    assert len(world.rows) == LIMIT


@pytest.mark.parametrize("archive", [False, True], ids=["deleted", "archived"])
@pytest.mark.parametrize("count", [OpenCount(waiting=1), OpenCount(held=1)], ids=["waiting", "held"])
def test_runs_that_need_no_pod_for_long_keep_their_row_and_their_flow(count: OpenCount, archive: bool) -> None:
    world = limited(archive=archive)
    open_runs(world, a=count)
    deploy_many(world, 14)
    world.archive = _all_archived(world)
    world.later(30 * 86400)
    world.run()
    assert finishing_of(world, "a") is None
    assert (len(world.rows), has_flow(world)) == (15, True)
    open_runs(world, a=OpenCount(queued=1))
    world.run()
    assert finishing_of(world, "a") is not None, "it can still go on"


def test_every_version_with_open_runs_stays_and_not_only_those_that_the_status_shows() -> None:
    world = limited()
    counts = {"a": SOME}
    open_runs(world, **counts)
    deploy_many(world, 25, counts=counts)
    assert len(world.app.status.finishing) == 20
    assert (len(world.rows), has_flow(world)) == (26, True)


def test_the_row_of_a_warm_standby_with_open_runs_stays() -> None:
    world = limited(given.with_spec(rollout={"strategy": "Switch"}))
    deployed(world)
    label = label_of(world, "a")
    open_runs(world, a=SOME)
    for number in range(14):
        deployed(world, f"r{number}")
    assert names.workload(given.NAME, label) in world.workloads
    assert (len(world.rows), finishing_of(world, "a")) == (16, None)
    open_runs(world)
    deployed(world, "last")
    assert len(world.rows) == LIMIT


def test_a_run_of_the_live_pins_keeps_no_older_row_of_the_same_pins() -> None:
    world = limited()
    counts = dict[str, OpenCount]()
    for number in range(14):
        world.deploy(f"r{number}", "v2" if number % 2 else "v1")
        world.run()
        counts = {f"r{number}": SOME}
        open_runs(world, **counts)
    world.open_runs = replace(world.open_runs, ended={})
    open_runs(world, r13=SOME)
    world.later(3600)
    world.run()
    assert len(world.rows) == LIMIT
