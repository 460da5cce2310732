"""Earlier versions have as many pods as their runs need: none while all wait, and by age if there is no room for all."""

from __future__ import annotations

import pytest

from dynamiq_operator.model import names
from dynamiq_operator.plan.observed.open_runs import OpenCount, OpenRuns
from dynamiq_operator.plan.workloads import finishing
from dynamiq_operator.plan.workloads.finishing_pods import CONCURRENT_RUNS
from dynamiq_runtime import settings
from tests.support import factories as given
from tests.support import managed_fields
from tests.support.world import World
from tests.unit.support.finishing import (
    COLD,
    SWITCH,
    WAITING,
    deployed,
    finishing_names,
    finishing_of,
    journal_leaves,
    journal_returns,
    label_of,
    lacking_room,
    open_runs,
    queued,
    replicas_of,
    serving_with_journal,
    with_history,
    with_runs,
    written_workloads,
)


def durable(**fields: object) -> given.Modifier:
    return given.with_spec(runs={"durable": fields})


# How many pods.


@pytest.mark.parametrize(
    ("count", "limit", "pods"),
    [
        (OpenCount(queued=1), {}, 1),
        (OpenCount(queued=10, running=6), {}, 1),
        (OpenCount(queued=10, running=7, waiting=50), {}, 2),
        (OpenCount(queued=1000), {}, 2),
        (OpenCount(queued=1000), {"pods": 7}, 7),
        (OpenCount(queued=1000), {"pods": 1}, 1),
    ],
    ids=str,
)
def test_an_earlier_version_has_the_pods_that_its_runs_need_up_to_the_limit(count: OpenCount, limit: dict[str, int], pods: int) -> None:
    world = deployed(with_runs(durable(**limit)))
    open_runs(world, a=count)
    world.run()
    assert replicas_of(world, "a") == pods


def test_a_pod_has_half_of_the_runs_of_its_runtime_as_the_runtime_itself_takes_them() -> None:
    assert settings.from_environment({"DYNAMIQ_FLOW": "/flow"}).concurrent_runs == CONCURRENT_RUNS
    world = serving_with_journal()
    small = given.runtime_manifest(given.with_spec(maxConcurrentRuns=3), name="small")
    world.add(small)
    world.deploy("b", "v1", runtime="small")
    world.run()
    open_runs(world, b=OpenCount(queued=2))
    deployed(world, "c", "v2")
    assert replicas_of(world, "b") == 2


def test_pods_that_are_no_longer_needed_stay_for_a_minute_and_new_ones_come_at_once() -> None:
    world = deployed(with_runs(durable(pods=3)))
    open_runs(world, a=OpenCount(queued=48))
    world.run()
    world.later(3600)
    open_runs(world, a=OpenCount(running=1, waiting=47))
    world.run()
    assert replicas_of(world, "a") == 3
    after = world.plan().requeue_after
    assert after is not None
    assert after <= 60
    world.later(59)
    world.run()
    assert replicas_of(world, "a") == 3
    world.later(1)
    world.run()
    assert replicas_of(world, "a") == 1
    open_runs(world, a=OpenCount(queued=17))
    world.run()
    assert replicas_of(world, "a") == 2


# None while all runs wait.


@pytest.mark.parametrize("count", [WAITING, OpenCount(held=3)], ids=["waiting", "held"])
@pytest.mark.parametrize("strategy", [given.with_spec(), SWITCH, COLD], ids=["Rolling", "Switch", "Switch, cold"])
def test_a_deploy_makes_no_workload_for_runs_that_wait_and_does_not_wait_for_one(strategy: given.Modifier, count: OpenCount) -> None:
    world = serving_with_journal(strategy)
    open_runs(world, a=count)
    world.run()
    deployed(deployed(world), "c", "v3")
    assert (world.phases["c"], finishing_names(world)) == ("#3 Live", [])
    assert [(each.row, each.open_runs) for each in world.app.status.finishing] == [("a", count.total)]


def test_a_workload_whose_runs_all_wait_has_no_pod_after_a_minute_and_stays() -> None:
    world = deployed(with_runs())
    world.later(3600)
    open_runs(world, a=WAITING)
    world.run()
    assert replicas_of(world, "a") == 1
    world.later(60)
    world.run()
    assert replicas_of(world, "a") == 0
    world.later(30 * 86400)
    world.run()
    assert replicas_of(world, "a") == 0
    open_runs(world)
    world.later(60)
    world.run()
    assert finishing_names(world) == []


@pytest.mark.parametrize("has_workload", [False, True], ids=["is made", "is scaled up"])
def test_an_answer_is_taken_by_a_pod_of_the_version_that_asked(has_workload: bool) -> None:
    world = with_runs()
    open_runs(world, a=OpenCount(running=1) if has_workload else WAITING)
    deployed(world)
    open_runs(world, a=WAITING)
    world.later(60)
    world.run()
    assert replicas_of(world, "a") == (0 if has_workload else None)
    open_runs(world, a=OpenCount(queued=1, waiting=1))
    world.run()
    assert replicas_of(world, "a") == 1
    made = finishing_of(world, "a")
    assert made is not None
    assert made["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] == names.flow(given.NAME, given.flow_hash("v1"))


def woken_by_the_gate(world: World) -> None:
    """Scales the workload of v1 up, as the gate does for an answer."""
    made = finishing_of(world, "a")
    assert made is not None
    made["spec"]["replicas"] = 1
    entry = managed_fields.entry({"f:spec": {"f:replicas": {}}}, names.GATE_MANAGER, "Update", subresource="scale")
    made["metadata"]["managedFields"] = [*made["metadata"]["managedFields"], entry]
    world.written_by_ours(made)


@pytest.mark.parametrize("is_counted", [True, False], ids=["and it is counted", "before the answer is counted"])
def test_the_operator_agrees_with_the_gate_that_woke_a_version(is_counted: bool) -> None:
    world = deployed(with_runs())
    open_runs(world, a=WAITING)
    world.later(60)
    world.run()
    woken_by_the_gate(world)
    world.written.clear()
    if is_counted:
        open_runs(world, a=OpenCount(queued=1))
    world.settle()
    world.roll()
    world.later(59)
    world.settle()
    assert (written_workloads(world), replicas_of(world, "a")) == ([], 1)


def test_a_restart_of_the_operator_starts_no_pod_and_writes_nothing_for_runs_that_wait() -> None:
    world = with_history(3)
    open_runs(world, r1=OpenCount(running=1), r2=WAITING, r3=OpenCount(held=1))
    world.run()
    open_runs(world, r1=WAITING, r2=WAITING, r3=OpenCount(held=1))
    world.later(60)
    world.run()
    counts, world.open_runs = world.open_runs, OpenRuns()
    assert not world.plan().operations, "not asked yet"
    world.open_runs = OpenRuns(counts.counts, counts.digests, known_since=world.now)
    assert not world.plan().operations
    world.later(3600)
    assert not world.plan().operations
    assert [replicas_of(world, row) for row in ("r1", "r2", "r3")] == [0, None, None]


def test_no_number_of_pods_changes_while_the_journal_is_away() -> None:
    world = deployed(with_runs())
    open_runs(world, a=OpenCount(queued=40))
    world.run()
    open_runs(world, a=WAITING)
    journal_leaves(world)
    world.later(3600)
    world.run()
    assert replicas_of(world, "a") == 2
    journal_returns(world)
    world.run()
    assert replicas_of(world, "a") == 2, "not before it has been known for a minute"
    world.later(60)
    world.run()
    assert replicas_of(world, "a") == 0


def test_an_answer_during_a_deploy_is_not_held_up_until_it_ends() -> None:
    world = deployed(with_runs())
    open_runs(world, a=WAITING)
    world.later(60)
    world.run()
    world.deploy("c", "v3")
    world.settle()
    world.stall({"running": {}}, old=0)
    open_runs(world, a=OpenCount(queued=1))
    world.settle()
    assert (world.phases["c"], replicas_of(world, "a")) == ("#3 Progressing", 1)


# No room for all.


def test_a_workload_without_anything_to_do_makes_place_for_a_version_that_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(finishing, "MOST", 3)
    world = with_history(4)
    rows = ["r1", "r2", "r3"]
    open_runs(world, **{row: queued(age=1) for row in rows})
    world.run()
    open_runs(world, **dict.fromkeys(rows, WAITING))
    world.later(60)
    world.run()
    assert len(finishing_names(world)) == 3
    open_runs(world, **dict.fromkeys(rows, WAITING), r4=queued(age=0))
    world.run()
    assert (replicas_of(world, "r4"), len(finishing_names(world))) == (1, 3)
    assert finishing_of(world, "r1") is None, "the oldest of those that have nothing to do"


def test_answers_to_more_versions_than_there_is_room_for_are_served_by_age_and_none_is_left() -> None:
    world, room = with_history(12), 2
    left = {f"r{number}": queued(age=(number * 7) % 12) for number in range(1, 13)}
    by_age = sorted(left, key=lambda row: left[row].due or world.now)
    served: list[str] = []
    for _ in range(12):
        open_runs(world, **left)
        world.settle()
        world.roll()
        with_pods = [row for row in by_age if replicas_of(world, row)]
        assert len(with_pods) <= room + 5, "no more than may start"
        running = sorted(with_pods, key=lambda row: (row not in served, by_age.index(row)))[:room]
        lacking_room(world, *(row for row in with_pods if row not in running))
        served += [row for row in running if row not in served]
        left = {row: count for row, count in left.items() if row not in running}
        world.later(6)
    assert served == by_age
    assert left == {}


def test_a_version_whose_pod_fits_nowhere_holds_up_no_other() -> None:
    world = with_history(7)
    open_runs(world, **{f"r{number}": queued(age=100 - number) for number in range(1, 8)})
    world.settle()
    assert [replicas_of(world, f"r{number}") for number in range(1, 8)] == [1, 1, 1, 1, 1, None, None]
    lacking_room(world, *(f"r{number}" for number in range(1, 6)))
    world.settle()
    assert world.condition("Finishing") == ("True", "NoRoom")
    assert finishing_of(world, "r6") is None
    after = world.plan().requeue_after
    assert after is not None
    assert after <= 300
    world.later(300)
    world.settle()
    assert [replicas_of(world, f"r{number}") for number in range(1, 8)] == [1] * 7


def test_a_version_that_was_woken_out_of_turn_and_has_no_room_waits_for_its_turn() -> None:
    world = with_history(7)
    rows = [f"r{number}" for number in range(1, 8)]
    open_runs(world, **dict.fromkeys(rows, OpenCount(running=1)))
    world.run()
    open_runs(world, **dict.fromkeys(rows, WAITING))
    world.later(60)
    world.run()
    open_runs(world, **{row: queued(age=100 - number) for number, row in enumerate(rows)})
    for row in rows:  # by the gate
        made = finishing_of(world, row)
        assert made is not None
        made["spec"]["replicas"] = 1
        world.written_by_ours(made)
    lacking_room(world, *rows)
    world.settle()
    assert [replicas_of(world, row) for row in rows] == [1, 1, 1, 1, 1, None, None]


def test_pods_that_have_runs_are_not_taken_for_older_ones() -> None:
    world = with_history(2)
    open_runs(world, r2=queued(age=1))
    world.run()
    open_runs(world, r1=queued(age=100), r2=OpenCount(running=1))
    world.settle()
    lacking_room(world, "r1")
    world.later(600)
    world.settle()
    assert (replicas_of(world, "r1"), replicas_of(world, "r2")) == (1, 1)
    open_runs(world, r1=queued(age=100), r2=WAITING)
    world.later(5)
    world.settle()
    assert (replicas_of(world, "r1"), replicas_of(world, "r2")) == (1, 0), "it gives way at once"


def test_a_quota_that_refuses_pods_counts_as_no_room() -> None:
    world = deployed(with_runs())
    world.refuse_pods(names.finishing(given.NAME, label_of(world, "a")), "pods is forbidden: exceeded quota: small")
    world.settle()
    assert world.condition("Finishing") == ("True", "NoRoom")
