"""Strategy Switch: plans from a deploy to the switch, and the standby afterwards."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from dynamiq_operator.desired.base import AUTOSCALER, ENDPOINT_SLICE, SERVICE
from dynamiq_operator.model import names
from dynamiq_operator.model.guard_objects import Rejection
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.background.readings import due
from dynamiq_operator.plan.observed.activity import Activity
from dynamiq_operator.plan.operations import CreateChild, EndRow, ScaleWorkload
from tests.support import factories as given
from tests.support.world import World, serving
from tests.unit.support.plan_lines import shown, told
from tests.unit.support.switching import edit_app, guarded, of, scale, scale_target, selected, standby, switched, switching

RUNNING: Manifest = {"running": {}}
CRASHED: Manifest = {"waiting": {"reason": "CrashLoopBackOff"}}


def ready_unfollowed(world: World, row: str, version: str) -> None:
    """Deploys a row whose pods are ready, while the Service's EndpointSlices are no longer updated."""
    world.deploy(row, version)
    world.settle()
    world.roll()
    world.follow = False


def test_each_set_of_pins_has_a_workload_of_its_own_and_the_service_selects_the_live_one() -> None:
    world = serving("v1", switching())
    name = of(world, "a")
    assert list(world.workloads) == [name]
    made = world.workloads[name]
    label = name.removeprefix(f"{given.NAME}-")
    assert made["spec"]["selector"]["matchLabels"] == world.selector == guarded(world)
    assert made["spec"]["template"]["metadata"]["labels"][names.PINS_LABEL] == world.selector[names.PINS_LABEL] == label
    assert (scale_target(world), world.phases) == (name, {"a": "#1 Live"})
    (container,) = made["spec"]["template"]["spec"]["containers"]
    env = {each["name"]: each["value"] for each in container["env"]}
    assert env["DYNAMIQ_POD_ANNOTATIONS"] == "/etc/dynamiq/pod/annotations"
    assert {"name": "pod", "mountPath": "/etc/dynamiq/pod", "readOnly": True} in container["volumeMounts"]


def test_the_service_stays_until_all_new_pods_are_available_and_goes_to_them_at_once() -> None:
    world = serving(
        "v1",
        switching(),
    )
    scale(world, of(world, "a"), 2)
    world.deploy("b", "v2")
    world.settle()
    assert (selected(world), scale_target(world)) == (of(world, "a"), of(world, "a"))
    assert world.workloads[of(world, "b")]["spec"]["replicas"] == 2
    world.stall(RUNNING, of=of(world, "b"))
    world.settle()
    assert selected(world) == of(world, "a")
    world.roll()
    assert (shown(world.plan())[0], told(world.plan())) == ("apply Service for .spec.selector.dynamiq.getdynamiq.ai/pins", [])
    world.settle()
    assert (selected(world), scale_target(world), guarded(world)) == (of(world, "b"), of(world, "b"), world.selector)
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Live"}
    assert standby(world) == {of(world, "a")}


@pytest.mark.parametrize("which", ["status", "pods"])
def test_the_service_stays_until_workload_and_pods_both_report_all_available(which: str) -> None:
    world = serving("v1", switching())
    scale(world, of(world, "a"), 2)
    world.deploy("b", "v2")
    world.settle()
    world.roll()
    if which == "status":
        world.workloads[of(world, "b")]["status"]["availableReplicas"] = 1
    else:
        pod = next(pod for pod in world.pods if pod["metadata"]["name"].startswith(of(world, "b")))
        pod["status"]["conditions"][1]["status"] = "False"
    world.settle()
    assert selected(world) == of(world, "a")


def test_the_service_leaves_a_workload_once_that_notes_that_it_served() -> None:
    world = switched()
    world.deploy("c", restores="a")
    for _ in range(9):
        plan = world.plan().operations
        ends = [place for place, each in enumerate(plan, 1) if isinstance(each, EndRow)]
        world.perform(plan[: ends[0]] if ends else plan)
        if ends:
            break  # here the operator ends
    world.deploy("d", restores="b")
    for _ in range(9):
        served = (world.workloads[of(world, row)]["metadata"]["annotations"][names.SERVED_ANNOTATION] for row in ("a", "b"))
        world.perform(world.plan().operations)
        if selected(world) == of(world, "b"):
            break
    assert [note.split(" ")[0] for note in served] == ["3", "2"]


def test_a_row_is_live_once_callers_reach_its_pods_alone() -> None:
    world = serving("v1", switching())
    ready_unfollowed(world, "b", "v2")
    world.settle()
    assert (selected(world), world.phases["b"]) == (of(world, "b"), "#2 Progressing")
    assert standby(world) == {of(world, "a")}, "pods learn at once that they were left"
    world.later(3600)
    world.settle()
    assert world.phases["b"] == "#2 Progressing", "a deploy does not fail for what nobody can see"
    world.follow = True
    world.settle()
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Live"}


def test_a_rollback_to_the_standby_is_one_reconcile_and_starts_no_pod() -> None:
    world = switched()
    pods = {pod["metadata"]["uid"] for pod in world.pods}
    world.deploy("c", restores="a")
    lines = shown(world.plan())
    assert lines[:4] == [
        "app: Ready=True Serving, last #3",
        "c: #3 pinned v1",
        "apply Service for .spec.selector.dynamiq.getdynamiq.ai/pins",
        f"tell {of(world, 'a')}-0 that it serves",
    ]
    world.perform(world.plan().operations)
    assert selected(world) == of(world, "a")
    world.settle()
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Superseded", "c": "#3 Live"}
    assert {pod["metadata"]["uid"] for pod in world.pods} <= pods
    assert not [each for each in world.written[-30:] if isinstance(each, CreateChild | ScaleWorkload)]


def test_a_version_that_was_rolled_back_is_no_standby() -> None:
    world = switched()
    world.deploy("c", restores="a")
    world.run()
    assert (world.phases["c"], set(world.workloads), standby(world)) == ("#3 Live", {of(world, "a")}, set())
    assert said_of_warm(world)[:2] == ("False", "NothingWarm")


def test_after_a_rollback_the_former_version_is_the_standby() -> None:
    """Its pods ended when the bad version went live, so they are started again: a second rollback is as quick as the first."""
    world = switched()
    world.deploy("c", "v3")
    world.run()
    world.deploy("d", restores="b")
    world.run()
    assert (world.phases["d"], set(world.workloads)) == ("#4 Live", {of(world, "a"), of(world, "b")})
    assert said_of_warm(world) == ("True", "KeptWarm", "v1 is the standby: 1 pod")
    pods = {pod["metadata"]["uid"] for pod in world.pods}
    world.deploy("e", restores="a")
    world.run()
    assert (world.phases["e"], selected(world)) == ("#5 Live", of(world, "a"))
    assert {pod["metadata"]["uid"] for pod in world.pods} <= pods


def test_a_standby_is_not_started_during_a_deploy() -> None:
    world = switched()
    world.deploy("c", "v3")
    world.run()
    world.deploy("d", restores="b")
    while world.phases.get("d") != "#4 Live":
        world.settle()
        assert of(world, "a") not in world.workloads or world.phases["d"] == "#4 Live"
        world.roll()
    world.deploy("e", "v2", config={"autoscaling": {"maxReplicas": 7}})
    world.run()
    assert set(world.workloads) == {of(world, "a"), of(world, "b")}, "a row that scales changes nothing of it"


def test_the_standby_at_an_upgrade_stays_until_the_next_row() -> None:
    """The older operator kept what served last as the standby, whatever had become of it."""
    world = switched()
    world.guards = replace(world.guards, rejections={given.flow_hash("v1"): Rejection.of(given.rejection_manifest())})
    edit_app(world, lambda app: app["status"].pop("lastGood"))
    pods = {pod["metadata"]["uid"] for pod in world.pods}
    world.run()
    assert ({pod["metadata"]["uid"] for pod in world.pods}, standby(world)) == (pods, {of(world, "a")})
    world.deploy("c", "v2", config={"autoscaling": {"maxReplicas": 7}})
    world.run()
    assert set(world.workloads) == {of(world, "b")}


def test_the_workload_that_served_last_is_the_standby_and_older_ones_are_deleted() -> None:
    world = switched()
    first = of(world, "a")
    world.deploy("c", "v3")
    world.run()
    assert set(world.workloads) == {of(world, "b"), of(world, "c")}
    assert first not in world.workloads
    assert standby(world) == {of(world, "b")}


def test_a_row_that_only_scales_starts_nothing_and_is_live_at_once() -> None:
    world = switched()
    world.deploy("c", "v2", config={"autoscaling": {"maxReplicas": 7}})
    world.settle()
    assert (world.phases["c"], world.child(AUTOSCALER.kind)["spec"]["maxReplicas"]) == ("#3 Live", 7)
    assert set(world.workloads) == {of(world, "a"), of(world, "b")}
    assert standby(world) == {of(world, "a")}


def test_a_failed_deploy_leaves_what_serves_as_it_was_and_its_pods_go() -> None:
    world = switched()
    before = {key: made["metadata"]["uid"] for key, made in world.objects.items() if key[1] in ("Service", "Deployment")}
    world.deploy("c", "v3", config={"autoscaling": {"minReplicas": 2, "maxReplicas": 9}})
    world.settle()
    assert world.child(AUTOSCALER.kind)["spec"]["maxReplicas"] == 2, "the autoscaler of what serves keeps its limits"
    world.stall({"waiting": {"reason": "InvalidImageName"}}, of=of(world, "c"))
    gone = of(world, "c")
    world.settle()
    world.roll()
    world.settle()
    assert world.phases["c"] == "#3 Failed"
    assert (selected(world), gone in world.workloads) == (of(world, "b"), False)
    assert set(world.workloads) == {of(world, "a"), of(world, "b")}
    assert all(made["metadata"]["uid"] == before[key] for key, made in world.objects.items() if key in before)


def test_pods_of_a_version_that_is_left_are_no_failure_of_the_next() -> None:
    world = switched()
    world.deploy("c", "v3")
    world.settle()
    world.stall({"waiting": {"reason": "InvalidImageName"}}, of=of(world, "a"))
    world.stall({"waiting": {"reason": "InvalidImageName"}}, of=of(world, "b"))
    world.settle()
    assert world.phases["c"] == "#3 Progressing"


def test_the_new_workload_has_as_many_pods_as_serve_before_the_switch() -> None:
    world = serving(
        "v1",
        switching(),
    )
    world.deploy("b", "v2", config={"autoscaling": {"maxReplicas": 9}})
    world.settle()
    scale(world, of(world, "a"), 7)
    for expected in (2, 4, 6, 7):
        world.settle()
        assert (world.workloads[of(world, "b")]["spec"]["replicas"], selected(world)) == (expected, of(world, "a"))
        world.roll()
    world.settle()
    assert selected(world) == of(world, "b")


def test_the_standby_scales_with_the_serving_workload() -> None:
    world = switched()
    scale(world, of(world, "b"), 5)
    world.run()
    assert world.workloads[of(world, "a")]["spec"]["replicas"] == 5
    scale(world, of(world, "b"), 1)
    world.run()
    assert world.workloads[of(world, "a")]["spec"]["replicas"] == 1


@pytest.mark.parametrize(("warm", "left"), [({"replicas": 1}, 1), ({"replicas": 3}, 3), ({"replicas": 0}, None)])
def test_the_standby_has_as_many_pods_as_the_app_sets(warm: dict[str, Any], left: int | None) -> None:
    world = serving("v1", switching(**warm))
    scale(world, of(world, "a"), 2)
    world.deploy("b", "v2")
    world.run()
    found = world.workloads.get(of(world, "a"))
    assert (found["spec"]["replicas"] if found else None) == left


def test_a_rollback_to_a_smaller_standby_starts_the_other_pods_before_the_switch() -> None:
    world = serving("v1", switching(replicas=1))
    scale(world, of(world, "a"), 2)
    world.deploy("b", "v2")
    world.run()
    world.deploy("c", restores="a")
    world.settle()
    assert (selected(world), world.workloads[of(world, "a")]["spec"]["replicas"]) == (of(world, "b"), 2)
    world.run()
    assert (selected(world), world.phases["c"]) == (of(world, "a"), "#3 Live")


def test_the_standby_is_deleted_after_its_time() -> None:
    world = serving("v1", switching(seconds=600))
    world.deploy("b", "v2")
    world.run()
    assert of(world, "a") in world.workloads
    assert world.plan().requeue_after == pytest.approx(600)
    world.later(601)
    world.run()
    assert set(world.workloads) == {of(world, "b")}


def test_a_changed_variable_rolls_the_serving_workload_and_the_standby_in_place() -> None:
    world = switched()
    before = {name: made["spec"]["template"]["metadata"]["labels"][names.TEMPLATE_LABEL] for name, made in world.workloads.items()}
    edit_app(world, given.with_spec(variables=[{"name": "MODEL", "value": "large"}]))
    world.settle()
    for name, made in world.workloads.items():
        template = made["spec"]["template"]
        assert template["metadata"]["labels"][names.TEMPLATE_LABEL] != before[name]
        assert {"name": "MODEL", "value": "large"} in template["spec"]["containers"][0]["env"]
    assert set(world.workloads) == {of(world, "a"), of(world, "b")}
    assert world.workloads[of(world, "a")]["spec"]["template"]["spec"]["volumes"][0]["configMap"]["name"] == names.flow(
        given.NAME, given.flow_hash("v1")
    )


def test_keys_are_announced_to_the_standby_too() -> None:
    world = switched()
    world.later(600)
    secret = world.child("Secret", names.access_keys(given.NAME))
    world.edited(secret)
    world.settle()
    version = secret["metadata"]["resourceVersion"]
    assert {pod["metadata"]["annotations"].get(names.KEYS_ANNOTATION) for pod in world.pods} == {version}


def test_a_candidate_that_loses_its_pods_before_it_is_live_gives_the_callers_back() -> None:
    world = serving("v1", switching())
    ready_unfollowed(world, "b", "v2")
    world.settle()
    assert selected(world) == of(world, "b")
    world.follow = True
    world.stall(CRASHED, of=of(world, "b"))
    world.settle()
    assert selected(world) == of(world, "a")


def test_an_edited_selector_is_repaired() -> None:
    world = switched()
    for selector in (
        {names.APP_LABEL: given.NAME},
        {**world.selector, names.PINS_LABEL: "00000000"},
        {**world.selector, names.PINS_LABEL: of(world, "a").removeprefix(f"{given.NAME}-")},
        {"app": "other"},
    ):
        service = world.child(SERVICE.kind)
        service["spec"]["selector"] = selector
        world.events.clear()
        world.edited(service)
        world.run()
        assert (selected(world), world.said("App")) == (of(world, "b"), ["Repaired"])
        assert set(world.workloads) == {of(world, "a"), of(world, "b")}


def test_a_workload_that_somebody_deleted_is_made_again_and_the_service_waits_for_it() -> None:
    world = switched()
    name = of(world, "b")
    del world.objects[("apps/v1", "Deployment", name)]
    world.roll()
    world.settle()
    assert (selected(world), name in world.workloads) == (name, True)
    world.run()
    assert (selected(world), scale_target(world)) == (name, name)
    assert standby(world) == {of(world, "a")}


def test_a_quota_without_room_for_both_fails_the_row_soon_and_touches_nothing_that_serves() -> None:
    world = serving("v1", switching())
    name, before = of(world, "a"), dict(world.workloads[of(world, "a")]["spec"])
    world.deploy("b", "v2")
    world.settle()
    world.refuse_pods(of(world, "b"), 'pods "chat-1" is forbidden: exceeded quota: pods, requested: pods=1, used: pods=1, limited: pods=1')
    world.settle()
    assert world.phases["b"] == "#2 Progressing"
    world.later(61)
    world.settle()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert "exceeded quota" in outcome.reason
    assert (selected(world), world.workloads[name]["spec"]) == (name, before)
    assert set(world.workloads) == {name}


def test_the_standby_is_deleted_if_a_quota_has_room_for_two_workloads_only() -> None:
    world = switched()
    world.deploy("c", "v3")
    world.settle()
    assert set(world.workloads) == {of(world, "a"), of(world, "b"), of(world, "c")}
    world.refuse_pods(of(world, "c"), 'pods "chat-1" is forbidden: exceeded quota: pods')
    plan = world.plan()
    assert told(plan) == ["app StandbyGivenUp"]
    world.settle()
    assert set(world.workloads) == {of(world, "b"), of(world, "c")}
    world.run()
    assert world.phases["c"] == "#3 Live"
    assert set(world.workloads) == {of(world, "b"), of(world, "c")}


def test_pods_that_end_slowly_make_room_and_the_controllers_are_made_to_look_once_they_have() -> None:
    world = switched()
    world.deploy("c", "v3")
    world.settle()
    world.refuse_pods(of(world, "c"), 'pods "chat-1" is forbidden: exceeded quota: pods')
    world.settle()
    (leaving,) = (pod for pod in world.pods if pod["metadata"]["name"].startswith(of(world, "a")))
    leaving["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    world.settle()
    assert world.workloads[of(world, "c")]["metadata"]["annotations"][names.ROOM_ANNOTATION] == "3 1"
    world.later(100)
    world.pods.remove(leaving)
    world.settle()
    assert world.workloads[of(world, "c")]["metadata"]["annotations"][names.ROOM_ANNOTATION] == "3 0"
    assert world.phases["c"] == "#3 Progressing"
    world.run()
    assert world.phases["c"] == "#3 Live"


def test_the_workload_of_an_overtaken_row_is_deleted_and_the_last_live_one_is_the_standby() -> None:
    world = switched()
    ready_unfollowed(world, "c", "v3")
    world.settle()
    assert selected(world) == of(world, "c")
    world.follow = True
    world.deploy("d", "v1", config={"resources": {"requests": {"cpu": "200m"}}})
    world.run()
    assert (world.phases["c"], world.phases["d"]) == ("#3 Superseded", "#4 Live")
    assert set(world.workloads) == {of(world, "b"), of(world, "d")}
    assert standby(world) == {of(world, "b")}


def test_a_workload_that_served_for_a_moment_is_deleted_when_no_caller_reaches_it() -> None:
    world = switched()
    ready_unfollowed(world, "c", "v3")
    world.settle()
    world.follow = True
    world.deploy("d", "v1", config={"resources": {"requests": {"cpu": "200m"}}})
    world.plan()
    world.follow = False
    world.run()
    assert (selected(world), of(world, "c") in world.workloads) == (of(world, "d"), True)
    world.follow = True
    world.run()
    assert of(world, "c") not in world.workloads


def test_copies_of_workloads_are_not_taken_for_them() -> None:
    world = switched()
    before = set(world.workloads)
    for name in before:
        world.copy_workload(name)
    assert shown(world.plan()) == []
    assert before < set(world.workloads)


def test_slices_that_may_no_longer_be_listed_do_not_show_which_pods_callers_reach() -> None:
    world = serving("v1", switching(replicas=0))
    world.deploy("b", "v2")
    world.run()
    old = of(world, "a")
    world.unlisted.add(ENDPOINT_SLICE.kind)
    world.follow = False
    for row, version in (("c", "v1"), ("d", "v2")):  # what the slices said last is true of the second
        world.deploy(row, version)
        world.settle()
        world.roll()
        world.settle()
    assert selected(world) == of(world, "d")
    assert world.phases["d"] == "#4 Progressing"
    assert old in world.workloads, "callers may be at its pods"
    world.unlisted.clear()
    world.follow = True
    world.run()
    assert (world.phases["d"], set(world.workloads)) == ("#4 Live", {of(world, "d")})


def test_pods_of_a_deleted_workload_are_not_notified() -> None:
    world = serving("v1", switching(replicas=0))
    old = of(world, "a")
    world.deploy("b", "v2")
    world.settle()
    world.roll()
    world.settle()
    assert set(world.workloads) == {of(world, "b")}
    assert standby(world) == {old}, "they close connections until they have ended"
    assert shown(world.plan()) == []


def test_nothing_goes_while_it_cannot_be_seen_where_callers_end_up() -> None:
    world = switched()
    ready_unfollowed(world, "c", "v3")
    world.run()
    assert set(world.workloads) == {of(world, "a"), of(world, "b"), of(world, "c")}


def test_at_rest_nothing_is_written() -> None:
    world = switched()
    world.later(30)
    assert world.plan().operations == ()


def said_of_warm(world: World) -> tuple[str, str, str]:
    found = next(each for each in world.app.status.conditions if each.type == "Warm")
    return found.status, found.reason, found.message.split(";")[0]


def test_the_app_names_its_standby() -> None:
    world = serving("v1", switching())
    assert said_of_warm(world) == ("False", "NothingWarm", "there is no standby: no version was replaced yet, or its time is over")
    world.deploy("b", "v2")
    world.run()
    assert said_of_warm(world) == ("True", "KeptWarm", "v1 is the standby: 1 pod")
    world.stall(CRASHED, of=of(world, "a"))
    world.settle()
    assert said_of_warm(world)[:2] == ("False", "NotReady")
    edit_app(world, switching(replicas=0))
    world.run()
    assert said_of_warm(world)[2] == "there is no standby: keepWarm.replicas is 0"
    assert world.condition("Ready") == ("True", "Serving")


def test_an_app_under_strategy_rolling_reports_no_standby() -> None:
    assert {"Warm", "StrategyChanging"}.isdisjoint(each.type for each in serving("v1").app.status.conditions)


@pytest.mark.parametrize("knows", [True, False, None], ids=["it knows standby", "it does not", "it says nothing"])
def test_the_app_reports_a_runtime_without_standby(knows: bool | None) -> None:
    world = switched()
    (left,) = (pod["metadata"]["uid"] for pod in world.pods if pod["metadata"]["name"].startswith(of(world, "a")))
    question = due(world.snapshot(), world.app)
    assert question == {left: world.now + timedelta(seconds=15)}, "once the kubelet has had time to tell the pod"
    world.later(16)
    if knows is None:
        world.silent = {pod["metadata"]["uid"] for pod in world.pods}
    else:
        world.activity[left] = Activity(world.now, 60.0, 30.0, 0, standby=knows)
    world.settle()
    assert due(world.snapshot(), world.app) == {}
    message = next(each.message for each in world.app.status.conditions if each.type == "Warm")
    assert message.startswith("v1 is the standby: 1 pod")
    assert bool(knows) is not ("does not close the connections" in message)
