"""Conversations stay on the version that they began on: its workload stays for them, and turns reach it."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from dynamiq_operator.desired.base import AUTOSCALER, DISRUPTION_BUDGET, NETWORK_POLICY, SERVICE
from dynamiq_operator.desired.workload import environment_digest, template_digest
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.activity import Activity
from dynamiq_operator.plan.observed.conversations import Conversations
from dynamiq_operator.plan.observed.open_runs import OpenCount
from dynamiq_operator.plan.operations import ApplyChild, CreateChild
from dynamiq_operator.plan.rows.retention import expired
from tests.support import factories as given
from tests.support.world import World
from tests.unit.support.conversations import COLD, left, pods_of, reject, talking, turns, turns_of, with_sessions
from tests.unit.support.finishing import (
    deployed,
    finishing_names,
    journal_leaves,
    journal_returns,
    open_runs,
    serving_with_journal,
    written_workloads,
)
from tests.unit.support.switching import edit_app, of, scale, selected

MANY = 700
"""Conversations with a turn lately that need three pods, of 32 runs at a time."""
WIDE, NARROW = (
    {**given.CONFIG, "autoscaling": {"minReplicas": 1, "maxReplicas": most, "targetCPUUtilizationPercentage": 80}} for most in (2, 1)
)
MORE = {"requests": {"cpu": "333m", "memory": "256Mi"}, "limits": {"cpu": "1", "memory": "512Mi"}}


def settled(world: World, seconds: float = 0) -> World:
    world.later(seconds)
    world.run()
    return world


# Without sessions, everything is as before.


def test_an_app_without_sessions_gets_nothing_whatever_the_journal_counts() -> None:
    world = serving_with_journal(given.with_spec(rollout={"strategy": "Switch", "keepWarm": {"replicas": 0}}))
    talking(world, a=3)
    world.run()
    deployed(world)
    assert (list(world.workloads), turns(world), world.app.status.finishing) == ([of(world, "b")], {}, ())


def test_a_change_of_sessions_or_of_callback_hosts_writes_no_workload() -> None:
    world = with_sessions()
    digests = [template_digest(world.app, pins) for pins in [Context.of(world.snapshot(), world.app).target_pins] if pins is not None]
    before = environment_digest(world.app)
    world.written.clear()
    edit_app(world, given.with_spec(sessions={"idleSeconds": 600}, runs={"durable": {"callbackHosts": ["hooks.example.com"]}}))
    world.run()
    pins = Context.of(world.snapshot(), world.app).target_pins
    assert pins is not None
    assert ([template_digest(world.app, pins)], environment_digest(world.app)) == (digests, before)
    assert written_workloads(world) == []


# Which workloads there are, and how many pods they have.


def test_the_pods_that_have_begun_stay_while_they_have_conversations() -> None:
    world = left()
    assert (world.phases["b"], pods_of(world, "a"), pods_of(world, "b"), finishing_names(world)) == ("#2 Live", 1, 1, [])
    assert world.child(AUTOSCALER.kind)["spec"]["scaleTargetRef"]["name"] == of(world, "b")
    assert world.child(DISRUPTION_BUDGET.kind)["spec"]["selector"]["matchLabels"] == world.selector
    assert selected(world) == of(world, "b")


def test_it_has_no_pod_once_no_turn_came_for_a_minute_and_one_for_a_turn_that_waits() -> None:
    world = left()
    talking(world, a=Conversations(3, 0, world.now))
    settled(world, 59)
    assert pods_of(world, "a") == 1
    settled(world, 2)
    assert pods_of(world, "a") == 0
    talking(world, a=Conversations(3, 0, world.now, turns_wait=True))
    settled(world)
    assert pods_of(world, "a") == 1


def test_a_pod_that_the_gate_started_stays_until_its_turn_is_counted() -> None:
    world = left()
    talking(world, a=Conversations(3, 0, world.now))
    settled(world, 61)
    scale(world, of(world, "a"), 1)
    settled(world, 30)
    assert (pods_of(world, "a"), (world.plan().requeue_after or 99) <= 30) == (1, True)
    settled(world, 31)
    assert pods_of(world, "a") == 0


def test_old_pods_stay_for_a_minute_after_the_switch_even_if_no_conversation_is_counted_yet() -> None:
    world = with_sessions()
    deployed(world)
    settled(world, 59)
    assert pods_of(world, "a") == 1
    settled(world, 2)
    assert pods_of(world, "a") is None


def test_it_goes_a_minute_after_its_last_conversation_and_its_service_with_it() -> None:
    world = left()
    assert turns(world) == turns_of(world, "a", "b")
    talking(world)
    settled(world, 59)
    assert pods_of(world, "a") == 1
    assert (world.plan().requeue_after or 99) <= 1
    settled(world, 2)
    assert (pods_of(world, "a"), turns(world)) == (None, turns_of(world, "b"))


def test_a_workload_without_a_pod_goes_a_minute_after_its_last_conversation_ended() -> None:
    world = left()
    talking(world, a=Conversations(3, 0, world.now))
    settled(world, 300)
    talking(world)
    settled(world, 59)
    assert (pods_of(world, "a"), (world.plan().requeue_after or 99) <= 1) == (0, True)
    settled(world, 2)
    assert pods_of(world, "a") is None


def test_it_is_made_again_for_conversations_whose_workload_is_missing() -> None:
    world = left()
    del world.objects[("apps/v1", "Deployment", of(world, "a"))]
    settled(world)
    assert pods_of(world, "a") == 1
    assert world.workloads[of(world, "a")]["spec"]["template"] != world.workloads[of(world, "b")]["spec"]["template"]


@pytest.mark.parametrize(("config", "most"), [(WIDE, 2), (NARROW, 1)], ids=["two", "one"])
def test_pods_are_as_many_as_conversations_need_and_the_row_allows(config: Manifest, most: int) -> None:
    world = with_sessions()
    world.deploy("b", "v2", config=config)
    world.run()
    deployed(world, "c", "v3")
    talking(world, b=MANY, a=1)
    settled(world, 90)
    assert (pods_of(world, "b"), pods_of(world, "a")) == (most, 1)


def test_it_comes_down_from_what_it_had() -> None:
    world = with_sessions()
    world.deploy("b", "v2", config=WIDE)
    world.run()
    scale(world, of(world, "b"), 2)
    talking(world, b=MANY)
    deployed(world, "c", "v3")
    settled(world, 90)
    talking(world, b=3)
    settled(world, 59)
    assert (pods_of(world, "b"), (world.plan().requeue_after or 99) <= 1) == (2, True)
    settled(world, 2)
    assert pods_of(world, "b") == 1


@pytest.mark.parametrize("restarted", [False, True])
def test_while_counts_are_unknown_nothing_is_scaled_or_deleted(restarted: bool) -> None:
    world = left()
    talking(world)
    journal_leaves(world)
    if restarted:
        world.open_runs = replace(world.open_runs, talks={}, digests={})
    world.written.clear()
    settled(world, 3600)
    assert (written_workloads(world), turns(world)) == ([], turns_of(world, "a", "b"))
    journal_returns(world)
    settled(world, 90)
    assert (pods_of(world, "a"), turns(world)) == (None, turns_of(world, "b"))


def test_at_most_twenty_versions_have_a_workload_those_with_the_newest_turns() -> None:
    world, config = with_sessions(), copy.deepcopy(given.CONFIG)
    for number in range(1, 23):
        config["resources"]["requests"]["cpu"] = f"{100 + number}m"
        world.add(given.row_manifest(f"r{number}", given.superseded(number + 1, "v1", config=config)))
    counts = {f"r{number}": Conversations(1, 1, world.now.replace(minute=number)) for number in range(1, 23)}
    talking(world, **counts)
    settled(world)
    assert [row for row in counts if pods_of(world, row) is None] == ["r1", "r2"]


def test_a_standby_answers_its_conversations_and_is_scaled_for_them() -> None:
    world = with_sessions(rollout={"strategy": "Switch", "keepWarm": {"replicas": 1}})
    world.deploy("b", "v2", config=WIDE)
    world.run()
    talking(world, b=MANY)
    deployed(world, "c", "v3")
    settled(world, 90)
    assert pods_of(world, "b") == 2


def test_background_runs_of_these_pins_are_executed_by_these_pods() -> None:
    world = left()
    talking(world, a=Conversations(3, 0, world.now))
    settled(world, 61)
    talks = world.open_runs.talks
    open_runs(world, a=OpenCount(queued=40))
    world.open_runs = replace(world.open_runs, talks=talks)
    world.written.clear()
    settled(world)
    assert not [name for _, name in written_workloads(world) if name.endswith("-fin")]
    assert pods_of(world, "a") == 2, "40 runs need three pods, and runs.durable.pods allows two"


def test_a_deploy_that_lacks_room_takes_pods_without_a_turn_lately_first() -> None:
    world = left()
    deployed(world, "c", "v3")
    talking(world, a=3, b=Conversations(3, 0, world.now))
    settled(world, 90)
    scale(world, of(world, "b"), 1)
    scale(world, of(world, "a"), 2)
    world.deploy("d", "v3", config={**given.CONFIG, "resources": MORE})
    world.settle()
    target = world.workloads[of(world, "d")]
    target["status"] = {"conditions": [{"type": "ReplicaFailure", "status": "True", "message": "exceeded quota: cpu"}]}
    world.settle()
    assert (pods_of(world, "b"), pods_of(world, "a")) == (0, 1)


# By what turns reach them.


def test_the_service_for_turns_is_there_before_the_apps_own_goes_to_other_pins() -> None:
    world = with_sessions()
    assert turns(world) == turns_of(world, "a")
    talking(world, a=3)
    world.deploy("b", "v2")
    world.settle()
    own = [name for name in turns(world) if name not in turns_of(world, "a")]
    del world.objects[("v1", SERVICE.kind, own[0])]
    world.roll()
    world.written.clear()
    world.perform(world.plan().operations)
    assert selected(world) == of(world, "a")
    assert own == [each.manifest["metadata"]["name"] for each in world.written if isinstance(each, CreateChild)]
    world.run()
    assert (selected(world), turns(world)) == (of(world, "b"), turns_of(world, "a", "b"))


def test_no_turn_reaches_pods_that_are_not_verified_yet() -> None:
    verify = {"cases": [{"name": "refund", "input": "{}", "expect": {"status": 200}}]}
    world = with_sessions()
    edit_app(world, given.with_spec(rollout={**COLD, "verify": verify}))
    world.deploy("b", "v2")
    world.settle()
    world.roll()
    world.settle()
    assert (pods_of(world, "b"), turns(world)) == (1, turns_of(world, "a"))


def test_a_row_that_failed_writes_no_service_for_turns() -> None:
    world = with_sessions()
    world.deploy("b", "v2")
    world.settle()
    world.stall({"running": {}}, of=of(world, "b"))
    world.later(700)
    world.run()
    assert world.phases["b"] == "#2 Failed"
    written = {each.manifest["metadata"]["name"] for each in world.written if isinstance(each, ApplyChild)}
    assert not written & turns_of(world, "a", "b").keys()


def test_a_rejected_version_has_neither_service_nor_workload_unless_it_is_live() -> None:
    world = left()
    reject(world, "v1")
    settled(world)
    assert (turns(world), pods_of(world, "a")) == (turns_of(world, "b"), None)
    reject(world, "v1", "v2")
    settled(world)
    assert turns(world) == turns_of(world, "b")


def test_without_sessions_again_services_and_workloads_go_and_the_apps_own_service_stays() -> None:
    world = left()
    edit_app(world, lambda made: made["spec"].pop("sessions"))
    settled(world)
    assert (turns(world), list(world.workloads), selected(world)) == ({}, [of(world, "b")], of(world, "b"))


def test_pods_of_the_app_may_reach_each_other_only_with_sessions() -> None:
    limits: Manifest = {"ingressFrom": [], "egress": []}
    own = {"podSelector": {"matchLabels": names.pod_selector(given.NAME)}}
    world = with_sessions(given.with_spec(network=limits))
    spec = world.child(NETWORK_POLICY.kind)["spec"]
    assert own in spec["ingress"][0]["from"]
    assert {"to": [own], "ports": [{"protocol": "TCP", "port": "http"}, {"protocol": "TCP", "port": 80}]} in spec["egress"]
    edit_app(world, lambda made: made["spec"].pop("sessions"))
    world.run()
    spec = world.child(NETWORK_POLICY.kind)["spec"]
    assert own not in spec["ingress"][0]["from"]
    assert not [each for each in spec["egress"] if own in each["to"]]


# What is shown, and kept.


def test_the_status_shows_conversations_and_finishing_is_not_for_them_alone() -> None:
    world = left()
    (entry,) = world.app.status.finishing
    assert (entry.row, entry.sequence, entry.sessions, entry.open_runs) == ("a", 1, 3, 0)
    assert "Finishing" not in {each.type for each in world.app.status.conditions}
    talking(world)
    settled(world)
    assert world.app.status.finishing == ()


def test_counts_alone_are_written_every_thirty_seconds() -> None:
    world = left()
    world.open_runs = replace(world.open_runs, shown_since=world.now)
    talking(world, a=5)
    settled(world, 29)
    assert [each.sessions for each in world.app.status.finishing] == [3]
    settled(world, 2)
    assert [each.sessions for each in world.app.status.finishing] == [5]


def test_a_version_with_runs_alone_shows_no_number_of_conversations() -> None:
    world = serving_with_journal()
    open_runs(world, a=OpenCount(waiting=2))
    deployed(world)
    (entry,) = world.app.status.finishing
    assert "sessions" not in entry.as_json()


def test_the_row_of_conversations_stays() -> None:
    world = left()
    for number, row in enumerate("cdefghij"):
        deployed(world, row, "v2" if number % 2 else "v3")
    snapshot = world.snapshot()
    unshown = App(world.app.meta, world.app.spec, world.app.status.model_copy(update={"finishing": ()}))
    kept = Context.of(replace(snapshot, open_runs=replace(snapshot.open_runs, rows={"": world.rows["a"]})), unshown)
    assert "a" not in {row.name for row in expired(kept, 5, 50)}
    talking(world)
    settled(world)
    assert "a" in {row.name for row in expired(Context.of(world.snapshot(), world.app), 5, 50)}


@pytest.mark.parametrize(("able", "status"), [(("background", "sessions"), "True"), (("background",), "False")])
def test_durable_says_whether_pods_keep_conversations(able: tuple[str, ...], status: str) -> None:
    world = with_sessions()
    world.deploy("b", "v2")  # its pods know the journal
    world.run()
    world.activity = {pod["metadata"]["uid"]: Activity(world.now, 1.0, 1.0, 0, False, capabilities=able) for pod in world.pods}
    world.run()
    assert world.condition("Durable")[0] == status
