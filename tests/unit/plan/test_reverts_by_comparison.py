"""A version that is slower or more expensive than the previous one is reverted, by the recorder's comparison, which is evaluated once."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.observed.comparison import Figure, RecordedComparison
from dynamiq_operator.plan.operations import Plan, SetAppStatus
from dynamiq_operator.plan.planner import make_plan
from dynamiq_operator.plan.revert.comparing import to_compare
from dynamiq_operator.plan.revert.fault import GRACE
from tests.support import factories as given
from tests.support.world import World, a_world

BACK = names.revert_row(given.NAME, "b")
RECORDER = "http://dynamiq-recorder.dynamiq-recorder.svc:8080"
UNTIL = 100
"""Seconds for which a row is watched."""
WORSE = Figure(1.42, regressed=True)
SAME = Figure(1.02)


def watched(*, recorder: str | None = RECORDER, **policy: Any) -> World:
    """Returns a world whose row `b`, v2, has been live for 30 s after `a`, v1. No run of it has failed."""
    limits = {"seconds": UNTIL, "minRuns": 100, "maxP95Ratio": 1.2, "maxCostRatio": 1.5, **policy}
    world = a_world(given.with_spec(rollout={"revert": {name: limit for name, limit in limits.items() if limit is not None}}))
    world.settings = world.settings.model_copy(update={"recorder": recorder})
    world.deploy("a", "v1")
    world.run()
    world.deploy("b", "v2")
    world.answered(succeeded=100)
    world.run()
    world.later(30)
    world.answered(succeeded=100)
    return world


def answer_comparison(world: World, *, runs: int = 100, p95: Figure = SAME, cost: Figure = SAME, **more: Any) -> None:
    """Sets the recorder's comparison of row `b`, and lets the operator act on it."""
    figures = {"too_few": False, "baseline": 1, **more}
    world.comparison = RecordedComparison(world.rows["b"].meta.uid, runs, p95=p95, cost=cost, **figures)
    world.settle()


def noted(world: World) -> None:
    """Lets the operator note that row `b` is worse, before it acts on it."""
    world.comparison = RecordedComparison(world.rows["b"].meta.uid, 100, too_few=False, baseline=1, p95=WORSE)
    world.perform(world.plan().operations)


def message(world: World) -> str:
    return next(each.message for each in world.app.status.conditions if each.type == "Trial")


def compared_row(world: World) -> str | None:
    question = to_compare(world.snapshot(), world.app)
    return question.row if question is not None else None


def compared(world: World) -> tuple[str, int | None]:
    trial = world.app.status.trial
    assert trial is not None
    assert trial.compared is not None
    return trial.compared.result.value, trial.compared.runs


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"p95": WORSE}, "p95 of its first 107 runs is 1.42 times that of #1 (at most 1.20)"),
        ({"cost": Figure(2.0, regressed=True)}, "the cost per run of its first 107 runs is 2.00 times that of #1 (at most 1.50)"),
        ({"p95": Figure(1.2004, regressed=True)}, "p95 of its first 107 runs is 1.2004 times that of #1 (at most 1.20)"),
        (
            {"p95": WORSE, "cost": Figure(1.61, regressed=True), "node": ("p95_ms", "Rank", 0.8)},
            "p95 of its first 107 runs is 1.42 times that of #1 (at most 1.20), 80 % of the change by node Rank; "
            "the cost per run of its first 107 runs is 1.61 times that of #1 (at most 1.50)",
        ),
    ],
    ids=["p95", "cost", "barely", "both"],
)
def test_a_worse_version_is_reverted_with_the_recorders_figures(figures: Any, why: str) -> None:
    world = watched()
    answer_comparison(world, runs=107, **figures)
    world.run()
    assert world.rows[BACK].spec.message == f"v2 (#2, b) was reverted: {why}"
    assert (world.rows[BACK].spec.restores, world.serving) == ("a", "v1")
    assert world.condition("Trial") == ("False", "Reverted")


@pytest.mark.parametrize(
    "figures",
    [
        {"p95": Figure(1.42), "cost": Figure(1.9)},
        {"p95": Figure(1.19, regressed=True), "cost": Figure(1.49, regressed=True)},
        {"p95": Figure(None, regressed=True), "cost": Figure()},
        {"baseline": None, "p95": Figure(), "cost": Figure()},
    ],
    ids=["chance", "below the limit", "not known", "nothing before"],
)
def test_version_is_kept_where_it_is_not_known_to_be_worse(figures: Any) -> None:
    world = watched()
    answer_comparison(world, **figures)
    assert (compared(world), set(world.rows)) == (("Kept", 100), {"a", "b"})
    assert world.condition("Trial") == ("True", "Watching")
    world.later(UNTIL)
    world.settle()
    assert (world.condition("Trial"), set(world.rows)) == (("False", "Kept"), {"a", "b"})


def test_only_the_limits_that_are_named_count() -> None:
    world = watched(maxCostRatio=None)
    answer_comparison(world, cost=Figure(9.0, regressed=True))
    assert (compared(world)[0], "cost" in message(world)) == ("Kept", False)


@pytest.mark.parametrize(
    ("before", "policy"),
    [({"runs": 99}, {}), ({"runs": 25, "too_few": True}, {"minRuns": 20}), ({"runs": 100, "too_few": True}, {})],
    ids=["too few for the App", "too few for a verdict", "too few of the version before"],
)
def test_it_waits_for_enough_runs(before: Any, policy: Any) -> None:
    world = watched(**policy)
    answer_comparison(world, p95=WORSE, **before)
    trial = world.app.status.trial
    assert (trial and trial.compared, set(world.rows)) == (None, {"a", "b"})
    assert compared_row(world) is not None
    answer_comparison(world, p95=WORSE, runs=120)
    assert BACK in world.rows


FEW = Figure(10.0, too_few=True)


@pytest.mark.parametrize(
    ("early", "late", "policy"),
    [
        ({"p95": FEW, "runs": 59}, {"p95": WORSE, "runs": 60}, {}),
        ({"cost": FEW, "runs": 45}, {"cost": Figure(2.0, True), "runs": 46}, {"maxP95Ratio": None}),
    ],
    ids=["p95 has no verdict below 60 runs", "few of the runs have a price"],
)
def test_a_figure_with_a_limit_is_waited_for(early: Any, late: Any, policy: Any) -> None:
    world = watched(minRuns=20, **policy)
    answer_comparison(world, **early)
    trial = world.app.status.trial
    assert (trial and trial.compared, compared_row(world) is not None) == (None, True)
    answer_comparison(world, **late)
    assert BACK in world.rows


def test_a_figure_that_has_no_limit_is_not_waited_for() -> None:
    world = watched(minRuns=20, maxP95Ratio=None)
    answer_comparison(world, p95=FEW, runs=31)
    assert compared(world) == ("Kept", 31)


@pytest.mark.parametrize(
    ("figures", "why"),
    [
        ({"p95": FEW}, "comparing p95 needs 60 runs of each version that were neither refused nor abandoned"),
        ({"cost": FEW}, "comparing cost needs 30 runs of each version whose price is known"),
    ],
    ids=["p95", "cost"],
)
def test_a_figure_without_a_result_at_the_end_of_the_watch_was_not_compared(figures: Any, why: str) -> None:
    world = watched()
    answer_comparison(world, **figures)
    world.later(UNTIL)
    world.settle()
    assert (world.condition("Trial"), compared(world)[0], set(world.rows)) == (("False", "NotCompared"), "NotCompared", {"a", "b"})
    assert message(world).endswith(f"could not be compared: {why}")


def test_a_figure_that_is_worse_counts_in_the_end_though_of_another_one_nothing_is_known() -> None:
    world = watched()
    answer_comparison(world, p95=WORSE, cost=FEW)
    assert BACK not in world.rows
    world.later(UNTIL)
    world.run()
    assert BACK in world.rows


def test_a_comparison_in_the_last_second_of_the_watch_reverts_the_row() -> None:
    world = watched()
    world.comparison = RecordedComparison(world.rows["b"].meta.uid, 100, too_few=False, baseline=1, p95=WORSE)
    world.later(UNTIL - 30)
    world.perform(world.plan().operations)
    assert (compared(world)[0], BACK in world.rows, world.condition("Trial")) == ("Regressed", False, ("False", "Reverting"))
    world.later(299)
    world.run()
    assert (world.rows[BACK].spec.restores, world.condition("Trial")) == ("a", ("False", "Reverted"))


@pytest.mark.parametrize("later", [GRACE.total_seconds(), 14 * 86400], ids=["grace", "weeks"])
def test_a_comparison_does_not_revert_long_after_the_watch(later: float) -> None:
    """Otherwise an operator that was down, or the first that acts on it, would revert a version that has served for weeks."""
    world = watched()
    world.comparison = RecordedComparison(world.rows["b"].meta.uid, 100, too_few=False, baseline=1, p95=WORSE)
    world.later(UNTIL - 30)
    world.perform(world.plan().operations)
    world.later(later)
    world.settle()
    assert (set(world.rows), world.serving, world.condition("Trial")) == ({"a", "b"}, "v2", ("False", "Kept"))
    assert "it is worse, and was not reverted in time; p95 of its first 100 runs is 1.42 times" in message(world)


def with_nothing_before() -> World:
    """Returns a world whose first row `a` was found to be worse, as after a deletion of older rows. Its watch is over."""
    world = a_world(given.with_spec(rollout={"revert": {"seconds": UNTIL, "minRuns": 100, "maxP95Ratio": 1.2}}))
    world.settings = world.settings.model_copy(update={"recorder": RECORDER})
    world.deploy("a", "v1")
    world.run()
    world.comparison = RecordedComparison(world.rows["a"].meta.uid, 100, too_few=False, baseline=1, p95=WORSE)
    world.settle()
    world.later(UNTIL)
    world.settle()
    return world


def planned_before_the_history_is_read(world: World) -> Plan:
    return make_plan(replace(world.snapshot(), ledger=Ledger()))


def test_the_condition_stays_until_a_new_operator_has_read_the_history() -> None:
    world = with_nothing_before()
    assert world.condition("Trial") == ("False", "NothingToRestore")
    assert not planned_before_the_history_is_read(world).operations
    world.settle()
    assert world.said("App").count("NotReverted") == 1


def test_no_row_is_reported_as_watched_after_the_watch() -> None:
    world = watched()
    noted(world)
    world.later(UNTIL)
    world.perform(one for one in planned_before_the_history_is_read(world).operations if isinstance(one, SetAppStatus))
    assert (world.condition("Trial"), "is to be reverted: p95" in message(world)) == (("False", "Reverting"), True)


def test_an_app_reports_that_there_is_nothing_to_restore_until_the_end_of_the_grace() -> None:
    world = with_nothing_before()
    world.later(world.plan().requeue_after or 0)
    world.settle()
    assert (world.condition("Trial"), world.plan().requeue_after) == (("False", "Kept"), None)


def test_a_revert_is_reported_until_it_is_done() -> None:
    world = watched()
    answer_comparison(world, p95=WORSE)
    world.later(UNTIL + GRACE.total_seconds())
    world.settle()
    assert world.condition("Trial") == ("False", "Reverting")


def test_a_noted_comparison_reverts_nothing_after_another_row_was_created() -> None:
    world = watched()
    noted(world)
    world.deploy("c", "v3")
    world.later(3600)
    world.settle()
    assert BACK not in world.rows


def test_it_is_looked_at_once() -> None:
    """Repeated evaluations would revert some version by chance alone."""
    world = watched()
    answer_comparison(world)
    assert compared_row(world) is None
    answer_comparison(world, runs=5000, p95=WORSE)
    assert (compared(world), set(world.rows)) == (("Kept", 100), {"a", "b"})


def test_a_comparison_of_another_row_does_not_count() -> None:
    world = watched()
    world.comparison = RecordedComparison("another", 500, too_few=False, baseline=1, p95=WORSE)
    world.settle()
    assert set(world.rows) == {"a", "b"}
    world.later(UNTIL)
    world.settle()
    assert world.condition("Trial") == ("False", "NotCompared")


def test_operator_that_is_killed_after_the_look_takes_it_back_by_what_was_noted() -> None:
    world = watched()
    noted(world)
    assert (compared(world)[0], BACK in world.rows) == ("Regressed", False)
    world.comparison = None
    world.settle()
    assert BACK in world.rows


@pytest.mark.parametrize(
    ("found", "why"),
    [
        ({}, "the recorder did not answer"),
        ({"unanswered": "the recorder takes longer than 2 s"}, "the recorder takes longer than 2 s"),
        ({"runs": 12}, "the recorder had 12 of its runs, and comparing needs 100"),
        ({"runs": 400, "too_few": True}, "the recorder had fewer than 30 runs of the version before"),
    ],
    ids=["none", "slow", "too few", "too few before"],
)
def test_without_an_answer_in_time_nothing_is_reverted_and_the_app_keeps_reporting_it(found: Any, why: str) -> None:
    world = watched()
    world.unanswered = found.pop("unanswered", "")
    if found:
        answer_comparison(world, p95=WORSE, **found)
    world.later(world.plan().requeue_after or 0)
    world.settle()
    assert (world.condition("Trial"), set(world.rows)) == (("False", "NotCompared"), {"a", "b"})
    assert message(world).endswith(f"and is kept; its p95 and cost could not be compared: {why}")
    world.unanswered, world.comparison = "", None
    world.later(3600)
    assert not world.plan().operations, "an operator that is started anew says the same"


def test_without_a_recorder_the_app_reports_it_at_once_and_is_watched_by_its_failures() -> None:
    world = watched(recorder=None)
    world.settle()
    assert (compared_row(world), world.condition("Trial")) == (None, ("Unknown", "NoRecorder"))
    assert "its p95 and cost cannot be compared: the operator has no recorder, set --recorder" in message(world)
    world.answered(succeeded=10, failed=190)
    world.settle()
    assert BACK in world.rows
    quiet = watched(recorder=None)
    quiet.later(UNTIL)
    quiet.settle()
    assert quiet.condition("Trial") == ("False", "NotCompared")


def test_only_the_watched_row_is_compared() -> None:
    world = watched()
    assert compared_row(world) == world.rows["b"].meta.uid
    assert compared_row(watched(maxP95Ratio=None, maxCostRatio=None)) is None
    world.later(UNTIL)
    assert compared_row(world) is None
    world.settle()
    world.deploy("c", restores="a")
    world.run()
    assert compared_row(world) is None, "what is restored is never taken back"


def test_the_condition_names_the_figures_during_the_watch() -> None:
    world = watched(maxCostRatio=None, minRuns=20)
    world.settle()
    assert message(world).endswith(
        ": it is reverted if more than 20 % of at least 20 runs fail, its pods crash again and again, or p95 of its first 60 runs is more than 1.20 "
        "times that of the version before"
    )
    answer_comparison(world, runs=61)
    assert message(world).endswith("or its pods crash again and again; p95 of its first 61 runs is 1.02 times that of #1")


# Runs that have not ended.


@pytest.mark.parametrize(
    ("told", "unended"),
    [
        ({"running": (29.0, 20.0, 19.9, 0.1)}, 2),
        ({"running": ()}, 0),
        ({"running": (99.0, 25.0)}, 1),
        ({"in_flight": 3}, 0),
        ({}, 0),
    ],
    ids=["old enough", "none", "begun before the row", "not reported", "none in flight"],
)
def test_the_question_to_the_recorder_counts_unended_runs(told: Any, unended: int | None) -> None:
    """A run counts 20 s after its start; the row is 30 s old."""
    world = watched()
    answer_comparison(world, runs=10, matures_seconds=20.0)
    world.answered(succeeded=200, **told)
    question = to_compare(world.snapshot(), world.app)
    assert question is not None
    assert question.unended == unended


def test_unended_runs_are_unknown_while_a_pod_or_the_recorder_has_not_answered() -> None:
    world = watched()
    world.answered(succeeded=200, running=(25.0,))
    answer_comparison(world, runs=10)
    question = to_compare(world.snapshot(), world.app)
    assert (question and question.unended) is None
    answer_comparison(world, runs=10, matures_seconds=20.0)
    world.activity.clear()
    question = to_compare(world.snapshot(), world.app)
    assert (question and question.unended) is None


def test_a_row_is_kept_only_once_its_runs_that_have_not_ended_count() -> None:
    """The first request is sent before it is known when runs count: until then a row with hanging runs does not look worse."""
    world = watched()
    answer_comparison(world, matures_seconds=20.0)
    trial = world.app.status.trial
    assert (trial and trial.compared, compared_row(world) is not None) == (None, True)
    answer_comparison(world, matures_seconds=20.0, unended=12, p95=WORSE)
    assert BACK in world.rows


def test_a_row_that_is_worse_without_its_unended_runs_is_reverted_at_once() -> None:
    world = watched()
    answer_comparison(world, matures_seconds=20.0, p95=WORSE)
    assert BACK in world.rows


def test_a_row_of_whose_runs_it_is_never_known_how_many_have_not_ended_was_not_compared() -> None:
    world = watched()
    answer_comparison(world, matures_seconds=20.0)
    world.later(UNTIL)
    world.settle()
    assert (world.condition("Trial"), compared(world)) == (("False", "NotCompared"), ("NotCompared", 100))
    assert message(world).endswith("could not be compared: not every pod of it reported how many of its runs have not ended")


def test_a_watch_in_which_no_run_counts_is_reported_during_it_and_after_it() -> None:
    world = watched()
    answer_comparison(world, runs=0, too_few=True, matures_seconds=120.0)
    assert world.condition("Trial") == ("True", "Watching")
    assert message(world).endswith(
        "; its p95 and cost cannot be compared: set revert.seconds to more than 120 s. A run counts only that long after it began, three times p99 of #1"
    )
    world.later(UNTIL)
    world.settle()
    assert (world.condition("Trial"), set(world.rows)) == (("False", "NotCompared"), {"a", "b"})
    assert message(world).endswith("the recorder had 0 of its runs that began 120 s before or earlier, and comparing needs 100")


def test_newer_row_is_never_passed() -> None:
    world = watched()
    world.deploy("c", "v3")
    world.settle()
    answer_comparison(world, p95=WORSE)
    world.run()
    assert BACK not in world.rows
