"""A bad version that went live is reverted by the operator. A good one is kept, and so is one without figures."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.row import Result, Source
from dynamiq_operator.plan.history.ledger import Ledger, LedgerRow
from dynamiq_operator.plan.observed.run_counts import RunCounts
from dynamiq_operator.plan.operations import CreateRow
from tests.support import factories as given
from tests.support.history_stage import stops
from tests.support.world import OPERATOR, PASSES, Stale, World, serving

BACK = names.revert_row(given.NAME, "b")
"""The row that reverts row `b`."""


def reverting(**policy: Any) -> given.Modifier:
    return given.with_spec(rollout={"revert": {"seconds": 100, "maxFailedPercent": 20, "minRuns": 20, **policy}})


def watched(*modifiers: given.Modifier, before: tuple[int, int] = (100, 0), **policy: Any) -> World:
    """Returns a world whose row `b` has just gone live with v2 after `a` with v1. `before`: v1's runs, succeeded and failed."""
    world = serving("v1", reverting(**policy), *modifiers)
    world.deploy("b", "v2")
    world.answered(*before)
    world.run()
    world.later(30)
    return world


def result(world: World, row: str) -> Result | None:
    outcome = world.rows[row].outcome
    return outcome.result if outcome is not None else None


def source(world: World, row: str) -> Source | None:
    pinned = world.rows[row].pinned
    return pinned.source if pinned is not None else None


def test_a_version_whose_runs_fail_is_reverted_with_its_figures() -> None:
    world = watched(before=(98, 2))
    world.answered(succeeded=17, failed=23)
    world.run()
    back = world.rows[BACK]
    assert back.spec.message == (
        "v2 (#2, b) was reverted: 23 of 40 runs failed within 30 s (57 %), more than 20 %; the version before: 2 %"
    )
    assert back.pinned is not None
    assert (back.spec.restores, back.pinned.source, back.spec.created_by) == ("a", Source.REVERT, OPERATOR)
    assert (world.serving, world.phases) == ("v1", {"a": "#1 Superseded", "b": "#2 Superseded", BACK: "#3 Live"})
    assert result(world, "b") is Result.SUCCEEDED, "it went live"
    assert (world.rows["b"].status.ending, world.rows["a"].status.ending) == ("Reverted", None)
    assert world.condition("Trial") == ("False", "Reverted")
    assert {"Reverted"} <= set(world.said("App")) & set(world.said())


def test_the_app_reports_that_a_row_is_watched_and_that_it_was_kept() -> None:
    world = watched()
    assert world.condition("Trial") == ("True", "Watching")
    assert world.condition("Ready")[0] == "True"
    world.answered(succeeded=400, failed=3)
    world.settle()
    assert world.app.status.trial is not None
    world.later(world.plan().requeue_after or 0)
    world.settle()
    assert (world.condition("Trial"), set(world.rows)) == (("False", "Kept"), {"a", "b"})
    world.answered(succeeded=400, failed=300)
    world.settle()
    assert set(world.rows) == {"a", "b"}, "the watch is over"


def few(world: World) -> None:
    world.answered(failed=19)


def below(world: World) -> None:
    world.answered(succeeded=81, failed=19)


def refused(world: World) -> None:
    world.answered(succeeded=5, failed=1, refused=500)


def silent(world: World) -> None:
    world.silent = {pod["metadata"]["uid"] for pod in world.pods}


@pytest.mark.parametrize("told", [few, below, refused, silent], ids=lambda told: told.__name__)
def test_version_is_kept_where_too_few_runs_are_known_to_have_failed(told: Callable[[World], None]) -> None:
    world = watched()
    told(world)
    world.run()
    assert set(world.rows) == {"a", "b"}


def test_pods_that_report_no_runs_are_shown() -> None:
    world = watched()
    silent(world)
    world.settle()
    assert world.condition("Trial") == ("Unknown", "NoRuns")


def test_version_is_kept_where_the_one_before_was_no_better() -> None:
    world = watched(before=(50, 50))
    world.answered(succeeded=60, failed=40)
    world.later(69)
    world.run()
    assert set(world.rows) == {"a", "b"}


def test_version_before_is_taken_by_how_it_did_while_the_new_one_came() -> None:
    """A service that both versions call has an outage: the previous version has failed lately, too."""
    world = serving("v1", reverting())
    world.answered(succeeded=100_000)
    world.deploy("b", "v2")
    world.settle()
    world.later(4)
    world.answered(succeeded=100_000, failed=60)
    world.settle()
    world.run()
    world.later(90)
    world.answered(succeeded=10, failed=90)
    world.run()
    assert set(world.rows) == {"a", "b"}


def test_a_report_from_before_the_row_is_no_look_of_its_watch() -> None:
    """Each pod is read once for its features, maybe hours before: what ran since then is not what ran since the row began."""
    world = serving("v1", reverting())
    world.answered(succeeded=1)
    world.later(7200)
    world.deploy("b", "v2")
    world.settle()
    world.answered(succeeded=100_000)
    world.settle()
    world.later(4)
    world.answered(succeeded=100_000, failed=60)
    world.settle()
    world.run()
    world.later(90)
    world.answered(succeeded=10, failed=90)
    world.run()
    assert set(world.rows) == {"a", "b"}


def test_limit_alone_counts_where_nothing_is_known_of_the_version_before() -> None:
    world = serving("v1", reverting())
    world.deploy("b", "v2")
    world.run()
    world.later(30)
    world.answered(failed=40)
    world.run()
    assert "the version before: unknown" in (world.rows[BACK].spec.message or "")


@pytest.mark.parametrize(("failed", "reverted"), [(6, False), (10, True)], ids=["may be chance", "is beyond chance"])
def test_last_look_reverts_what_chance_does_not_explain(failed: int, reverted: bool) -> None:
    world = watched()
    world.answered(succeeded=21 - failed, failed=failed)
    world.settle()
    assert set(world.rows) == {"a", "b"}, "looks that come again and again need more than the last one"
    world.later(65)
    world.settle()
    assert (BACK in world.rows) is reverted


def test_runs_in_flight_have_begun_and_have_not_failed() -> None:
    """Runs fail at once or succeed after 30 s: the first results say nothing about the rest."""
    world = watched(before=(95, 5))
    world.answered(succeeded=8, failed=12, in_flight=220)
    world.settle()
    assert set(world.rows) == {"a", "b"}
    world.later(2)
    world.answered(succeeded=8, failed=120, in_flight=112)
    world.settle()
    assert "120 of 240 runs failed within 32 s (50 %)" in (world.rows[BACK].spec.message or "")


def test_version_before_is_measured_with_its_runs_in_flight() -> None:
    world = serving("v1", reverting(maxFailedPercent=1))
    world.answered(succeeded=5, failed=20, in_flight=475)
    world.deploy("b", "v2")
    world.run()
    trial = world.app.status.trial
    assert trial is not None
    assert trial.previous_failed_percent == 4.0


def test_a_version_is_kept_if_the_former_one_had_too_few_runs_to_compare() -> None:
    """3 of 30 runs failed before, 16 % do now: chance explains both."""
    world = watched(before=(27, 3), maxFailedPercent=5)
    world.answered(succeeded=252, failed=48)
    world.later(65)
    world.settle()
    assert set(world.rows) == {"a", "b"}


@pytest.mark.parametrize("reported", [True, False], ids=["runtime reports how long failures took", "runtime of before"])
def test_runs_that_began_too_late_to_fail_do_not_count_at_the_last_look(reported: bool) -> None:
    """One call a second, each takes 120 s, and 40 % time out: of 286 started runs only 166 could have failed by now."""
    world = watched(seconds=300)
    for seconds, succeeded, failed in ((30, 0, 0), (166, 28, 18), (286, 100, 66)):
        world.answered(succeeded, failed, in_flight=seconds - succeeded - failed, failed_seconds=120.0 * failed if reported else None)
        world.settle()
        world.later(136 if seconds == 30 else 120)
    assert (BACK in world.rows) is reported
    if reported:
        assert "66 of 166 runs failed" in (world.rows[BACK].spec.message or "")


def test_runs_that_a_crash_cut_off_have_begun_too() -> None:
    world = watched()
    world.answered(failed=12, in_flight=228)
    world.settle()
    world.later(2)
    world.answered(failed=10, in_flight=50, began_anew=True)
    world.settle()
    assert set(world.rows) == {"a", "b"}, "22 of 300"


def test_a_watch_of_an_older_operator_is_still_read() -> None:
    """It has no number of runs of the previous version: the rate is used as it is."""
    world = watched(before=(50, 50))
    made = world.objects[(API_VERSION, "App", given.NAME)]
    made["status"]["trial"].pop("previousRuns")
    world.answered(succeeded=40, failed=60)
    world.later(69)
    world.run()
    assert set(world.rows) == {"a", "b"}
    world.answered(succeeded=0, failed=200)
    world.settle()
    assert BACK in world.rows


def test_an_app_reports_runs_that_take_longer_than_the_watch() -> None:
    world = watched()
    world.answered(succeeded=5, failed=2, in_flight=300)
    world.later(66)
    world.settle()
    world.later(4)
    world.settle()
    assert world.condition("Trial") == ("False", "Kept")
    message = next(each.message for each in world.app.status.conditions if each.type == "Trial")
    assert message.endswith("98 % of its runs had not ended by then: they take longer than revert.seconds, set it to more than 100")
    world.counts = RunCounts()
    world.later(3600)
    assert not world.plan().operations, "an operator that is started anew says the same"


@pytest.mark.parametrize("asked", [{"restores": "a"}, {"workflowVersion": "v2", "config": {"autoscaling": {"maxReplicas": 5}}}])
def test_row_that_restores_or_runs_the_same_is_not_watched(asked: Manifest) -> None:
    world = watched()
    world.later(100)
    world.deploy("c", **asked)
    world.run()
    world.later(30)
    world.answered(failed=100)
    world.run()
    assert set(world.rows) == {"a", "b", "c"}
    assert world.condition("Trial") == ("False", "NotWatched")


def ready(world: World) -> None:
    world.run()


def failing(world: World) -> None:
    world.settle()
    world.stall({"waiting": {"reason": "InvalidImageName"}}, old=1)
    world.run()


@pytest.mark.parametrize("version", ["v3", "v4"], ids=["rolled out", "waits"])
@pytest.mark.parametrize("step", [World.settle, ready, failing], ids=["in flight", "live", "failed"])
def test_no_row_is_passed_that_was_made_after_the_bad_one(version: str, step: Callable[[World], None]) -> None:
    world = watched()
    world.deploy("c", version)
    with contextlib.suppress(AssertionError):
        step(world)
    world.answered(failed=100)
    world.settle()
    assert BACK not in world.rows


def test_row_that_arrives_with_the_revert_is_not_passed() -> None:
    world = watched()
    world.answered(failed=100)
    plan = world.plan()
    world.deploy("aa", "v3")
    world.perform(plan.operations)
    world.run()
    assert world.serving == "v3"
    assert result(world, BACK) is Result.FAILED


def test_nothing_is_reverted_unless_it_is_configured() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.run()
    world.later(30)
    world.answered(failed=100)
    world.run()
    assert set(world.rows) == {"a", "b"}
    assert world.app.status.trial is None
    assert "Trial" not in {each.type for each in world.app.status.conditions}


def test_revert_goes_further_back_than_what_the_bad_row_restored_before() -> None:
    """After v1, v2, a rollback to v1 and a bad v3, v1 is restored: it is the newest that ran another pair than v3."""
    world = watched()
    world.answered(succeeded=100)
    world.later(100)
    world.deploy("c", restores="a")
    world.run()
    world.deploy("d", "v3")
    world.run()
    world.later(30)
    world.answered(failed=100)
    world.run()
    assert world.rows[names.revert_row(given.NAME, "d")].spec.restores == "c"
    assert world.serving == "v1"


def test_an_app_without_a_former_version_reports_it_once() -> None:
    world = serving("v1", reverting())
    world.later(30)
    world.answered(failed=40)
    world.settle()
    assert world.condition("Trial") == ("False", "NothingToRestore")
    world.later(2)
    world.answered(failed=60)
    assert not world.plan().operations
    assert [reason for reason in world.said("App") if reason == "NotReverted"] == ["NotReverted"]


# Counting.


def test_runs_that_pods_reported_before_a_restart_of_the_operator_count() -> None:
    world = watched(before=(80, 20))
    world.counts = RunCounts()
    world.answered(succeeded=6, failed=34)
    world.run()
    assert "85 %" in (world.rows[BACK].spec.message or "")
    assert "the version before: 20 %" in (world.rows[BACK].spec.message or "")


def test_runs_of_ended_containers_and_deleted_pods_count() -> None:
    world = watched()
    world.answered(failed=12)
    world.settle()
    world.later(2)
    world.answered(failed=4, began_anew=True)
    world.settle()
    world.pods[0]["metadata"] |= {"uid": "another", "creationTimestamp": world.pods[0]["metadata"]["creationTimestamp"]}
    world.later(2)
    world.answered(failed=4)
    world.settle()
    assert "20 of 20 runs" in (world.rows[BACK].spec.message or "")


def test_the_same_answer_counts_once() -> None:
    world = watched()
    world.answered(failed=10)
    for _ in range(5):
        world.settle()
    assert world.counts.begun.ended == 10


def test_calls_of_the_pods_that_are_left_do_not_count_for_the_new_version() -> None:
    world = serving("v1", reverting())
    world.deploy("b", "v2")
    world.settle()
    world.answered(succeeded=10, failed=500)
    world.settle()
    world.run()
    world.later(30)
    world.run()
    assert set(world.rows) == {"a", "b"}


# Crashes.

LOOP = {"waiting": {"reason": "CrashLoopBackOff"}}


def crashed(times: int, *, reason: str = "Error") -> Manifest:
    return {"state": LOOP, "restartCount": times, "lastState": {"terminated": {"exitCode": 1, "reason": reason}}}


def crash(world: World, pod: int, status: Manifest, ready: bool = False) -> None:
    made = world.pods[pod]["status"]
    made["containerStatuses"][0] |= {"ready": ready, **status}
    made["conditions"] = [each for each in made["conditions"] if each["type"] != "Ready"] + [{"type": "Ready", "status": str(ready)}]


def two_pods() -> World:
    world = watched(before=(100, 0))
    world.later(100)
    world.deploy("c", "v3", config={"autoscaling": {"minReplicas": 2}})
    world.settle()
    world.child("Deployment")["spec"]["replicas"] = 2
    world.run()
    world.later(30)
    return world


BACK_OF_C = names.revert_row(given.NAME, "c")


@pytest.mark.parametrize(
    ("first", "second", "taken_back"),
    [
        (crashed(2), None, True),
        (crashed(1), None, False),
        (crashed(1), crashed(1), True),
        (crashed(1, reason="OOMKilled"), None, False),
        ({"state": {"running": {}}, "restartCount": 2}, None, False),
        ({"state": {"waiting": {"reason": "ImagePullBackOff"}}, "restartCount": 3}, None, False),
    ],
    ids=["in a loop", "twice", "all of them", "memory", "runs again", "another reason"],
)
def test_a_version_whose_pods_crash_repeatedly_is_reverted(first: Manifest, second: Manifest | None, taken_back: bool) -> None:
    world = two_pods()
    crash(world, 0, first)
    if second is not None:
        crash(world, 1, second)
    world.settle()
    assert (BACK_OF_C in world.rows) is taken_back
    if taken_back:
        assert "crashed" in (world.rows[BACK_OF_C].spec.message or "")


def test_pods_that_were_evicted_or_drained_crash_nothing() -> None:
    world = two_pods()
    for number in (0, 1):
        crash(world, number, crashed(3))
        world.pods[number]["status"] |= {"phase": "Failed", "reason": "Evicted"}
    world.settle()
    assert BACK_OF_C not in world.rows


def test_former_crashes_of_a_standby_pod_are_no_crash_of_the_row() -> None:
    """With strategy Switch, a version may go live again in pods that have run for long."""
    policy = {"strategy": "Switch", "revert": {"seconds": 100}}
    world = serving("v1", given.with_spec(rollout=policy))
    for name, version in (("b", "v2"), ("c", "v1")):
        world.later(5)
        world.deploy(name, version)
        world.run()
    pins = world.selector[names.PINS_LABEL]
    (warm,) = (number for number, pod in enumerate(world.pods) if pod["metadata"]["labels"][names.PINS_LABEL] == pins)
    world.counts = RunCounts()
    crash(world, warm, {"restartCount": 5}, ready=True)
    world.settle()
    crash(world, warm, crashed(5))
    world.settle()
    assert BACK_OF_C not in world.rows
    crash(world, warm, crashed(7))
    world.settle()
    assert "crashed 3 times" in (world.rows[BACK_OF_C].spec.message or "")


# The operator is killed.


def revert_once(world: World, stop_at: int) -> bool:
    """Plans until nothing is left to do. The operator is killed once before the `stop_at`-th operation. Returns True if it got there."""
    done = 0
    for _ in range(PASSES):
        todo = world.plan().operations
        for operation in todo:
            if done == stop_at:
                done += 1
                world.counts = RunCounts()
                break
            done += 1
            with contextlib.suppress(Stale):
                world.perform([operation])
        if not todo:
            world.roll()
            if not world.plan().operations:
                break
    return done > stop_at


@pytest.mark.full_count
def test_operator_that_is_killed_at_any_point_makes_one_row() -> None:
    for stop_at in stops(0, 60):
        world = watched()
        world.answered(failed=40)
        came = revert_once(world, stop_at)
        assert set(world.rows) == {"a", "b", BACK}, stop_at
        assert world.serving == "v1", stop_at
        assert source(world, BACK) is Source.REVERT, stop_at
        if not came:
            return
    raise AssertionError("it is never over")


@pytest.mark.full_count
def test_operator_that_is_killed_when_a_row_goes_live_watches_it_all_the_same() -> None:
    for stop_at in stops(0, 60, 1):
        world = serving("v1", reverting())
        world.deploy("b", "v2")
        world.answered(succeeded=100)
        came = revert_once(world, stop_at)
        world.later(30)
        world.answered(failed=40)
        world.run()
        assert world.serving == "v1", stop_at
        if not came:
            return
    raise AssertionError("it is never over")


# Forged rows.


def test_row_of_that_name_that_a_user_made_is_the_users() -> None:
    world = watched()
    world.deploy(BACK, restores="a", createdBy="mallory")
    world.run()
    assert source(world, BACK) is Source.RECORD


@pytest.mark.parametrize("of", ["a", "x"], ids=["an older row", "no row"])
def test_a_row_of_the_operator_reverts_nothing_but_the_live_row(of: str) -> None:
    world = watched()
    world.deploy(names.revert_row(given.NAME, of), restores="a", createdBy=OPERATOR)
    world.run()
    assert world.phases[names.revert_row(given.NAME, of)].endswith("Failed")
    assert world.serving == "v2"


# Git.


def test_a_row_that_failed_or_was_deleted_after_the_history_was_read_is_not_the_newest() -> None:
    first, row = (given.a_row(name, given.progressing(number, source="Revert")) for number, name in ((1, "first"), (2, "row")))
    ledger = Ledger.of(LedgerRow.of(each) for each in (first, row))
    failed = ledger.having([given.a_row("row", given.failed(2, source="Revert"))])
    found = [each.newest(Source.REVERT) for each in (ledger, failed, ledger.without("row"), failed.without("first"))]
    assert [each.name if each is not None else None for each in found] == ["row", "first", "first", None]


def of_git(**deploy: str) -> given.Modifier:
    return given.with_deploy(**deploy)


def failing_for_git() -> World:
    """Returns a world in which Git deployed v1, then v2. v2 is bad, and the operator has not acted yet."""
    world = World(
        given.app_manifest(reverting(), of_git(workflowVersion="v1")),
        given.runtime_manifest(),
        *(given.version_manifest(version) for version in ("v1", "v2", "v3", "v4")),
    )
    world.run()
    git(world, workflowVersion="v2")
    world.run()
    world.later(30)
    world.answered(failed=40)
    return world


def taken_back() -> World:
    """Returns the same world after v2 was reverted."""
    world = failing_for_git()
    world.run()
    assert world.serving == "v1"
    assert world.condition("DeploySpecOverridden") == ("True", "Reverted")
    return world


def git(world: World, **deploy: str) -> None:
    made = next(found for (_, kind, _), found in world.objects.items() if kind == "App")
    made["spec"]["deploy"] = deploy
    world.written_by_ours(made)


def newest(world: World) -> str:
    return max(world.rows.values(), key=lambda row: row.sequence).name


def test_next_change_of_git_waits_until_somebody_deploys_by_hand() -> None:
    world = taken_back()
    git(world, workflowVersion="v2")
    assert not [each for each in world.plan().operations if isinstance(each, CreateRow)], "it asks for what it asked for"
    git(world, workflowVersion="v3")
    world.run()
    waits = newest(world)
    assert (world.serving, world.phases[waits]) == ("v1", f"#{world.rows[waits].sequence} Pending")
    assert world.condition("Progressing") == ("False", "Held")
    assert world.condition("Ready")[0] == "True"
    message = next(each.message for each in world.app.status.conditions if each.type == "Progressing")
    assert "`kubectl dynamiq resume chat -n demo`" in message
    assert message in next(each.message for each in world.app.status.conditions if each.type == "Ready")
    world.later(100_000)
    world.run()
    assert world.phases[waits].endswith("Pending"), "as long as it takes"
    world.deploy("by-hand", "v4")
    world.run()
    assert world.serving == "v4"
    assert result(world, waits) is Result.OVERTAKEN
    git(world, workflowVersion="v2")
    world.run()
    assert world.serving == "v2", "somebody has seen to it, and Git is heard again"


def test_the_last_change_of_git_waits_after_a_revert() -> None:
    world = taken_back()
    git(world, workflowVersion="v3")
    world.run()
    first = newest(world)
    git(world, workflowVersion="v4")
    world.run()
    assert (world.serving, world.phases[first]) == ("v1", f"#{world.rows[first].sequence} Superseded")
    assert world.phases[newest(world)].endswith("Pending")


def test_row_by_hand_that_fails_leaves_git_waiting() -> None:
    world = taken_back()
    world.deploy("by-hand", "v3")
    world.settle()
    world.stall({"waiting": {"reason": "InvalidImageName"}}, old=1)
    world.run()
    assert world.phases["by-hand"].endswith("Failed")
    git(world, workflowVersion="v4")
    world.run()
    assert world.serving == "v1"


def test_a_change_of_git_that_comes_with_the_failures_is_deployed_and_nothing_is_reverted() -> None:
    world = failing_for_git()
    git(world, workflowVersion="v3")
    world.run()
    assert world.serving == "v3"
    assert not [row for row in world.rows if "revert" in row]
