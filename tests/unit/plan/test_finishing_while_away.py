"""The journal is away: its last counts stand, nothing is deleted or scaled, and no deploy waits for it."""

from __future__ import annotations

import copy

from dynamiq_operator.model import names
from dynamiq_operator.plan.observed.open_runs import OpenRuns
from tests.support import factories as given
from tests.unit.support.finishing import (
    COLD,
    JOURNAL,
    SOME,
    deployed,
    finishing_names,
    finishing_of,
    journal_leaves,
    journal_returns,
    label_of,
    open_runs,
    serving_with_journal,
    with_runs,
)


def test_while_the_journal_is_away_nothing_is_deleted_or_scaled() -> None:
    world = deployed(with_runs())
    open_runs(world)
    journal_leaves(world)
    made = finishing_of(world, "a")
    assert made is not None
    made["spec"]["replicas"] = 3
    world.edited(made)
    world.later(3600)
    world.run()
    made = finishing_of(world, "a")
    assert made is not None
    assert made["spec"]["replicas"] == 3
    assert world.condition("Finishing") == ("True", "JournalAway")
    journal_returns(world)
    world.run()
    assert finishing_names(world), "not before it has been known for a minute"
    world.later(60)
    world.run()
    assert finishing_names(world) == []


def test_an_operator_without_the_journal_changes_neither_pods_nor_what_finishes_runs() -> None:
    """For a while the option is missing, as after a mistake in the operator's manifest; then it is back."""
    world = deployed(with_runs())
    before = copy.deepcopy((world.workloads, world.pods))
    world.settings, counts = world.settings.model_copy(update={"journal": None}), world.open_runs
    world.open_runs = OpenRuns()
    world.run()
    world.later(3600)
    world.run()
    assert (world.workloads, world.pods) == before
    world.settings, world.open_runs = world.settings.model_copy(update={"journal": JOURNAL}), counts
    world.run()
    assert (world.workloads, world.pods) == before
    open_runs(world)
    world.later(60)
    world.run()
    assert finishing_names(world) == []


def test_a_deploy_while_the_journal_is_away_goes_by_its_last_counts() -> None:
    world = with_runs()
    journal_leaves(world)
    deployed(world)
    assert (world.phases["b"], finishing_of(world, "a") is not None) == ("#2 Live", True)


def test_while_the_journal_is_away_a_rollback_ends_no_pod_that_could_not_hand_its_runs_back() -> None:
    world = deployed(with_runs())
    journal_leaves(world)
    deployed(world, "c", "v1")
    assert (world.phases["c"], finishing_of(world, "a") is not None) == ("#3 Live", True)
    journal_returns(world)
    world.run()
    assert finishing_names(world) == []


def test_runs_that_nobody_knew_of_get_their_workload_once_the_journal_answers() -> None:
    """The operator was restarted while the journal was away, and then two versions were deployed."""
    world = serving_with_journal()
    world.open_runs = OpenRuns()
    deployed(deployed(world), "c", "v3")
    assert finishing_names(world) == []
    journal_returns(world)
    open_runs(world, a=SOME)
    world.run()
    assert finishing_of(world, "a") is not None
    assert [(each.row, each.sequence, each.version) for each in world.app.status.finishing] == [("a", 1, "v1")]


def test_an_old_workload_of_switch_stays_while_it_is_unknown_what_is_open() -> None:
    world = serving_with_journal(COLD)
    deployed(world)  # its template knows the journal
    journal_leaves(world)
    deployed(world, "c", "v3")
    old = names.workload(given.NAME, label_of(world, "b"))
    assert (world.phases["c"], old in world.workloads) == ("#3 Live", True)
    after = world.plan().requeue_after
    assert after is not None
    assert after <= 15, "the App has no counts whose return would requeue it"
    journal_returns(world)
    world.run()
    assert old not in world.workloads
    assert finishing_names(world) == []


def test_a_restart_of_the_operator_writes_nothing_before_the_journal_was_asked() -> None:
    world = deployed(with_runs())
    shown = world.app.status.finishing
    assert shown
    world.open_runs = OpenRuns()
    assert not world.plan().operations
    journal_leaves(world)
    world.run()
    assert (world.app.status.finishing, world.condition("Finishing")) == (shown, ("True", "JournalAway"))
