"""Serverless Apps: they fall asleep behind the gate and wake up. At no moment does a call reach nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dynamiq_operator.desired.base import AUTOSCALER, DISRUPTION_BUDGET, ENDPOINT_SLICE, SERVICE
from dynamiq_operator.desired.template_note import applied_pins
from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.gates import PORTS, GateNote, GateState
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.background.readings import due
from dynamiq_operator.plan.observed.activity import SECONDS_MAX
from dynamiq_operator.plan.observed.endpoints import Gate
from dynamiq_operator.plan.operations import CreateChild, Group, Plan
from tests.support import factories as given
from tests.support.world import World, a_world, begun
from tests.unit.support.plan_lines import shown, told

SLICE = names.gate_slice(given.NAME)
GATES = ("gate-a", "gate-b")
IDLE = 60
SLEEPY = {"type": "serverless", "idleSeconds": IDLE}
CREATED, DELETED = f"create {ENDPOINT_SLICE.kind}", f"delete {ENDPOINT_SLICE.kind}"


def serverless(*modifiers: given.Modifier, config: Manifest | None = None) -> World:
    """Returns a world whose serverless row `a` is live with one pod, and at rest."""
    return _serverless(*modifiers, config=config) if modifiers or config else begun(_serverless)


def _serverless(*modifiers: given.Modifier, config: Manifest | None = None) -> World:
    world = a_world(given.public(), *modifiers)
    world.install_gate(*GATES)
    world.deploy("a", "v1", config=config or SLEEPY)
    world.run()
    world.say_idle(0)  # its runtime's features are known
    world.run()
    world.activity.clear()
    world.events.clear()
    world.written.clear()
    return world


def leads(world: World) -> bool:
    """Returns True if the gate's slice exists."""
    return (ENDPOINT_SLICE.api_version, ENDPOINT_SLICE.kind, SLICE) in world.objects


def led_to_gate(world: World) -> World:
    """Lets the App be idle until the gate's slice exists and has the gate."""
    world.later(IDLE)
    world.say_idle(IDLE)
    world.settle()
    world.lead_to(*GATES)
    world.settle()
    return world


def asleep(world: World | None = None) -> World:
    return begun(_asleep) if world is None else _asleep(world)


def _asleep(world: World | None = None) -> World:
    world = led_to_gate(world or serverless())
    world.later(3)
    world.say_idle(IDLE + 3)
    world.settle()
    world.roll()
    world.settle()
    assert replicas(world) == 0
    world.written.clear()
    return world


def replicas(world: World) -> int:
    assert world.workload is not None
    found: int = world.workload["spec"]["replicas"]
    return found


def pins(world: World, workload: str = given.NAME) -> str:
    """Returns the pins of a workload's pods."""
    return applied_pins(world.workloads[workload]) or "none"


def shown_of_all(world: World) -> list[str]:
    """Returns the operations that were done so far."""
    return shown(Plan((Group("all", tuple(world.written)),)))


def edit_app(world: World, **spec: Any) -> None:
    app = world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]
    app["spec"] = {key: value for key, value in {**app["spec"], **spec}.items() if value is not None}
    app["metadata"]["generation"] += 1
    world.edited(app)


# Falling asleep.


def test_an_app_that_is_called_stays_awake_and_asks_for_nothing() -> None:
    world = serverless()
    for idle, in_flight in ((IDLE - 1, 0), (0, 1), (None, 0)):
        world.say_idle(idle, in_flight=in_flight)
        assert world.plan().operations == ()
    world.activity.clear()
    world.later(3600)
    assert world.plan().operations == (), "what is not known is not idle"
    assert world.condition("Asleep") == ("False", "InUse")


def test_its_service_is_watched_and_its_autoscaler_goes_from_one_to_the_most() -> None:
    world = serverless(config={**SLEEPY, "maxReplicas": 7})
    assert world.child(SERVICE.kind)["metadata"]["labels"][names.ENDPOINTS_LABEL] == names.WATCHED_ENDPOINTS
    spec = world.child(AUTOSCALER.kind)["spec"]
    assert (spec["minReplicas"], spec["maxReplicas"], spec["metrics"][0]["resource"]["target"]["averageUtilization"]) == (1, 7, 80)
    assert world.child(DISRUPTION_BUDGET.kind)


def test_idle_for_long_enough_it_is_led_to_the_gate_first_with_all_that_the_gate_is_to_know() -> None:
    world = serverless(config={**SLEEPY, "holdSeconds": 30})
    world.later(IDLE)
    world.say_idle(IDLE)
    assert shown(world.plan()) == [CREATED]
    world.settle()
    made = world.child(ENDPOINT_SLICE.kind, SLICE)
    assert made["metadata"]["labels"] == {
        names.MANAGED_BY: names.FIELD_MANAGER,
        names.APP_LABEL: given.NAME,
        names.SERVICE_OF_SLICE_LABEL: given.NAME,
        names.SLICE_MANAGER_LABEL: names.FIELD_MANAGER,
        names.GATE_LABEL: "slice",
        names.ENDPOINTS_LABEL: names.WATCHED_ENDPOINTS,
    }
    assert (made["addressType"], made["endpoints"]) == ("IPv4", [])
    ((port),) = made["ports"]
    assert (port["name"], port["protocol"], port["port"] in PORTS) == ("http", "TCP", True)
    note = GateNote.model_validate_json(made["metadata"]["annotations"][names.GATE_ANNOTATION])
    assert note == GateNote(workload=given.NAME, app_id=world.app.meta.uid, pins=pins(world), hold_seconds=30, private=False, port=8080)
    assert "origins" not in made["metadata"]["annotations"][names.GATE_ANNOTATION], "an App without origins has the note of before"
    assert replicas(world) == 1


def test_it_sleeps_once_everybody_knows_the_gate_and_it_is_idle_still() -> None:
    world = led_to_gate(serverless())
    assert replicas(world) == 1
    world.later(3)
    assert world.plan().operations == (), "what pods said before the gate was there is not enough"
    world.say_idle(IDLE + 3)
    assert shown(world.plan())[0] == "scale to 0"
    assert told(world.plan()) == ["app Asleep"]
    world.settle()
    world.roll()
    world.settle()
    assert (replicas(world), leads(world)) == (0, True)
    assert world.plan().operations == ()


def test_a_call_meanwhile_keeps_it_awake_and_the_gate_goes_again() -> None:
    world = led_to_gate(serverless())
    world.later(3)
    world.say_idle(0, in_flight=1)
    assert shown(world.plan()) == [DELETED]
    world.settle()
    assert (replicas(world), leads(world)) == (1, False)
    assert world.plan().operations == ()


def waiting_for_the_gate() -> World:
    """Returns a world whose slice exists without a pod of the gate."""
    world = serverless()
    world.later(IDLE)
    world.say_idle(IDLE)
    world.settle()
    assert leads(world)
    return world


def test_an_app_stays_awake_while_no_pod_of_the_gate_serves_it_and_reports_it() -> None:
    world = waiting_for_the_gate()
    for _ in range(20):
        world.later(30)
        world.say_idle(IDLE)
        world.settle()
        assert (replicas(world), leads(world)) == (1, True), "an empty slice leads nobody anywhere"
    assert world.condition("Asleep") == ("False", "GateSilent")
    assert DELETED not in shown_of_all(world)


def test_an_app_whose_port_another_one_has_gets_another() -> None:
    world = waiting_for_the_gate()
    (port,) = (each["port"] for each in world.child(ENDPOINT_SLICE.kind, SLICE)["ports"])
    world.gate_ports = frozenset({port})
    world.later(9)
    world.say_idle(IDLE + 9)
    assert world.plan().operations == ()
    assert world.plan().requeue_after == 1
    world.later(1)
    world.say_idle(IDLE + 10)
    world.settle()
    (then,) = (each["port"] for each in world.child(ENDPOINT_SLICE.kind, SLICE)["ports"])
    assert (then != port, replicas(world)) == (True, 1)


def test_a_slice_of_deleted_pods_of_the_gate_is_deleted() -> None:
    world = led_to_gate(serverless())
    world.install_gate("gate-c")
    world.later(10)
    world.say_idle(0, in_flight=1)
    assert shown(world.plan())[0] == DELETED


def test_ports_of_other_apps_are_left_alone() -> None:
    world = serverless()
    world.later(IDLE)
    world.say_idle(IDLE)
    (first,) = (each.manifest["ports"][0]["port"] for each in world.plan().of(CreateChild))
    world.gate_ports = frozenset({first, first + 1})
    (second,) = (each.manifest["ports"][0]["port"] for each in world.plan().of(CreateChild))
    assert second == first + 2


def test_pods_that_do_not_answer_keep_an_app_awake_and_it_reports_them() -> None:
    world = serverless()
    world.silent = {pod["metadata"]["uid"] for pod in world.pods}
    world.settle()
    assert world.condition("Asleep") == ("False", "NoIdleTime")
    assert "reports no idle time, so it never sleeps" in next(each.message for each in world.app.status.conditions if each.type == "Asleep")
    world.silent = set()
    assert world.plan().operations == (), "an operator that was started again says nothing else before it knows better"
    world.say_idle(5)
    world.settle()
    assert world.condition("Asleep") == ("False", "InUse")


def test_one_pod_of_several_that_is_in_use_keeps_all() -> None:
    world = serverless()
    world.scale(2)
    world.run()
    world.later(IDLE)
    world.say_idle(IDLE)
    busy = world.pods[1]["metadata"]["uid"]
    world.activity[busy] = world.activity[busy].__class__(world.now, 90.0, 0.0, 1, False)
    assert world.plan().operations == ()


def test_an_app_with_reverts_sleeps_only_after_the_watch() -> None:
    world = serverless(given.with_spec(rollout={"revert": {"seconds": 600}}))
    world.deploy("b", "v2")
    world.run()
    world.later(IDLE)
    world.say_idle(IDLE)
    assert CREATED not in shown(world.plan())
    world.later(600)
    world.settle()
    world.say_idle(IDLE + 600)
    assert CREATED in shown(world.plan())


# Asleep.


def test_an_app_that_sleeps_is_ready_with_the_reason_asleep() -> None:
    world = asleep()
    assert world.condition("Ready") == ("True", "Asleep")
    ready = next(each for each in world.app.status.conditions if each.type == "Ready")
    assert "asleep" in ready.message
    assert "v1" in ready.message
    assert world.condition("Asleep") == ("True", "Asleep")
    assert ready.observed_generation == world.app.meta.generation
    assert world.phases == {"a": "#1 Live"}


def test_asleep_for_a_day_nothing_is_done_and_nothing_is_looked_at() -> None:
    world = asleep()
    for _ in range(24):
        world.later(3600)
        plan = world.plan()
        assert (plan.operations, plan.requeue_after) == ((), None)
    assert world.phases == {"a": "#1 Live"}


def test_a_server_that_was_scaled_to_nothing_is_scaled_back_as_ever() -> None:
    world = serverless(config={"type": "server"})
    world.scale(0)
    world.run()
    assert replicas(world) == 1
    assert "Scaled" in world.said(kinds.APP.kind)


def test_a_serverless_app_that_somebody_scales_to_nothing_is_woken() -> None:
    world = serverless()
    world.scale(0)
    world.roll()
    assert shown(world.plan())[:1] == ["scale to 1"]
    world.run()
    assert (replicas(world), world.condition("Ready")) == (1, ("True", "Serving"))


# Waking.


def test_woken_by_the_gate_it_keeps_the_gate_until_everybody_knows_its_pod() -> None:
    world = asleep()
    world.later(600)
    world.scale(1)
    world.settle()
    assert world.condition("Ready") == ("True", "Serving"), "the gate holds its calls"
    world.roll()
    world.settle()
    assert leads(world)
    assert world.plan().requeue_after is not None
    world.later(2)
    assert DELETED not in shown(world.plan())
    world.later(1)
    assert shown(world.plan()) == [DELETED]
    world.settle()
    assert (replicas(world), leads(world)) == (1, False)
    assert world.condition("Asleep") == ("False", "InUse")


def test_an_ending_pod_takes_no_caller_from_the_gate() -> None:
    """The pod's state may be newer than that of its workload and its Service, which do not yet know that it ends."""
    world = led_to_gate(serverless())
    world.later(3)
    (pod,) = world.pods
    pod["metadata"]["deletionTimestamp"] = "2026-11-24T12:00:00Z"
    assert DELETED not in shown(world.plan())


def test_while_the_pods_of_a_woken_app_fail_the_gate_stays_and_the_app_reports_the_cause() -> None:
    world = asleep()
    world.scale(1)
    world.stall({"waiting": {"reason": "ErrImagePull", "message": "not found"}})
    world.settle()
    assert world.condition("Available") == ("False", "ErrImagePull")
    world.later(600)
    assert DELETED not in shown(world.plan())


@pytest.mark.parametrize("gate", [Gate(GateState.DOWN), Gate(GateState.ABSENT)])
def test_without_a_gate_the_operator_wakes_it_and_with_one_again_it_may_sleep(gate: Gate) -> None:
    world = asleep()
    world.gate = gate
    assert shown(world.plan())[:1] == ["scale to 1"]
    assert "app Woken" in told(world.plan())
    world.run()
    world.later(10)
    world.run()
    assert (replicas(world), leads(world)) == (1, False)
    assert world.condition("Asleep")[1] in ("GateDown", "GateMissing")
    world.later(IDLE)
    world.say_idle(IDLE + 10)
    assert world.plan().operations == ()
    world.install_gate(*GATES)
    asleep(world)


def test_a_gate_that_cannot_be_read_wakes_nothing_and_lets_nothing_fall_asleep() -> None:
    world = asleep()
    world.gate = Gate.of(None)
    assert not [line for line in shown(world.plan()) if line.startswith("scale")]
    world.settle()
    assert world.condition("Ready") == ("True", "Asleep")
    world = led_to_gate(serverless())
    world.gate = Gate.of(None)
    world.later(3)
    world.say_idle(IDLE + 3)
    world.settle()
    assert replicas(world) == 1


def test_slices_that_may_not_be_listed_any_more_change_nothing() -> None:
    world = asleep()
    world.unlisted.add(ENDPOINT_SLICE.kind)
    assert not [line for line in shown(world.plan()) if line.startswith("scale")]
    world = serverless()
    world.unlisted.add(ENDPOINT_SLICE.kind)
    world.later(IDLE)
    world.say_idle(IDLE)
    world.settle()
    assert world.condition("Asleep") == ("False", "Denied")
    assert not leads(world)


def test_deleted_replicas_of_the_gate_do_not_count() -> None:
    world = asleep()
    world.install_gate("gate-c")
    assert shown(world.plan())[:1] == ["scale to 1"]
    world = asleep()
    world.install_gate("gate-b", "gate-c")
    assert world.plan().operations == ()


# Rows, and changes of the App.


@pytest.mark.parametrize("config", [SLEEPY, {"type": "server"}, None], ids=["serverless", "server", "left out"])
def test_a_new_row_wakes_it_on_the_version_that_was_live_and_only_then_is_rolled_out(config: Manifest | None) -> None:
    world = asleep()
    world.later(600)
    world.deploy("b", "v2", config=config)
    world.settle()
    assert (replicas(world), world.serving) == (1, "v1")
    assert world.phases["b"] == "#2 Progressing"
    world.roll()
    world.settle()
    assert world.serving == "v2"
    world.later(3)
    world.run()
    assert world.phases["b"] == "#2 Live"
    world.later(10)
    world.run()
    assert not leads(world)


def test_a_bad_row_leaves_callers_what_they_had() -> None:
    world = asleep()
    world.deploy("b", "v2")
    world.settle()
    world.roll()
    world.settle()
    world.stall({"waiting": {"reason": "InvalidImageName"}}, old=1)
    world.settle()
    assert world.phases == {"a": "#1 Live", "b": "#2 Failed"}
    assert world.serving == "v1"
    world.run()
    assert replicas(world) == 1


def test_a_version_that_cannot_wake_any_more_keeps_no_row_waiting() -> None:
    world = asleep()
    world.deploy("b", "v2")
    world.settle()
    world.stall({"waiting": {"reason": "ErrImagePull"}})
    world.settle()
    assert world.serving == "v2", "the cure is rolled out over what does not start"
    world.run()
    assert world.phases["b"] == "#2 Live"


def test_a_change_of_type_restarts_nothing() -> None:
    world = serverless(config={"type": "server"})
    before = [pod["metadata"]["uid"] for pod in world.pods]
    for name, kind in (("b", "serverless"), ("c", "server"), ("d", "serverless")):
        world.deploy(name, "v1", config={"type": kind})
        world.run()
        assert world.phases[name].endswith("Live")
        assert [pod["metadata"]["uid"] for pod in world.pods] == before
        assert "Repaired" not in world.said(kinds.APP.kind)


def test_variables_that_change_while_it_sleeps_are_rolled_out_over_pods_that_serve() -> None:
    world = asleep()
    edit_app(world, variables=[{"name": "MODEL", "value": "other"}])
    world.settle()
    assert replicas(world) == 1
    (container,) = world.workload["spec"]["template"]["spec"]["containers"] if world.workload else []
    assert "MODEL" not in {each["name"] for each in container["env"]}
    world.run()
    (container,) = world.workload["spec"]["template"]["spec"]["containers"] if world.workload else []
    assert "MODEL" in {each["name"] for each in container["env"]}


def test_callers_that_are_limited_wake_an_app_and_it_reports_the_cause() -> None:
    world = asleep()
    edit_app(world, network={"ingressFrom": [{"podSelector": {}}]})
    world.run()
    world.later(10)
    world.run()
    assert (replicas(world), leads(world)) == (1, False)
    assert world.condition("Asleep") == ("False", "CallersLimited")
    world.later(IDLE)
    world.say_idle(IDLE)
    assert world.plan().operations == ()
    edit_app(world, network=None)
    asleep(world)


def test_the_gate_knows_the_pins_of_a_later_version_by_the_next_sleep() -> None:
    world = asleep()
    before = pins(world)
    world.deploy("b", "v2", config=SLEEPY)
    world.run()
    world.later(10)
    world.run()
    world.later(IDLE)
    asleep(world)
    note = GateNote.model_validate_json(world.child(ENDPOINT_SLICE.kind, SLICE)["metadata"]["annotations"][names.GATE_ANNOTATION])
    assert note.pins == pins(world) != before


def test_an_upgrade_of_the_operator_wakes_nothing() -> None:
    world = asleep()
    made = world.child(ENDPOINT_SLICE.kind, SLICE)
    note = json.loads(made["metadata"]["annotations"][names.GATE_ANNOTATION])
    del note["atOnce"], note["pins"]
    made["metadata"]["annotations"][names.GATE_ANNOTATION] = json.dumps({**note, "of": "another version"}, indent=1)
    assert world.plan().operations == ()


def test_the_gate_gives_a_pod_no_more_calls_than_its_runtime_takes() -> None:
    world = a_world(given.public())
    world.install_gate(*GATES)
    slow = given.runtime_manifest(name="slow")
    slow["spec"]["maxConcurrentRuns"] = 3
    world.add(slow)
    world.deploy("a", "v1", config=SLEEPY, runtime="slow")
    world.run()
    led_to_gate(world)
    note = json.loads(world.child(ENDPOINT_SLICE.kind, SLICE)["metadata"]["annotations"][names.GATE_ANNOTATION])
    assert note["atOnce"] == 12


def test_a_restored_slice_is_no_reason_to_sleep() -> None:
    world = asleep()
    made = world.child(ENDPOINT_SLICE.kind, SLICE)
    made["metadata"].pop("ownerReferences")
    assert shown(world.plan())[:1] == ["scale to 1"]
    world.run()
    world.later(10)
    world.run()
    assert not leads(world)


def test_a_restore_without_statuses_converges_whatever_came_back_asleep() -> None:
    world = asleep()
    world.forget_statuses()
    world.run()
    world.later(10)
    world.run()
    world.later(IDLE)
    asleep(world)
    assert world.phases == {"a": "#1 Live"}


def test_events_of_many_cycles_are_sent_once_an_hour() -> None:
    world = serverless()
    for _ in range(5):
        asleep(world)
        world.scale(1)
        world.run()
        world.later(3)
        world.run()
    assert world.said(kinds.APP.kind).count("Asleep") == 1
    assert world.said(kinds.APP.kind).count("Awake") == 1


# Access Keys.


def private() -> World:
    world = a_world()
    world.install_gate(*GATES)
    world.deploy("a", "v1", config=SLEEPY)
    world.run()
    return world


def version_of_keys(world: World) -> str:
    found: str = world.objects[("v1", "Secret", names.access_keys(given.NAME))]["metadata"]["resourceVersion"]
    return found


def test_the_gate_knows_who_may_call_before_anybody_is_led_there() -> None:
    world = private()
    assert world.gate_keys == version_of_keys(world)
    world.gate_keys = ""
    world.later(IDLE)
    world.say_idle(IDLE)
    assert shown(world.plan())[0] == "WriteGateKeys"
    assert CREATED not in shown(world.plan())
    world.settle()
    assert leads(world)
    note = GateNote.model_validate_json(world.child(ENDPOINT_SLICE.kind, SLICE)["metadata"]["annotations"][names.GATE_ANNOTATION])
    assert note.private


def test_keys_that_change_during_sleep_go_to_the_gate_and_wake_no_pod() -> None:
    world = asleep(private())
    keys = world.objects[("v1", "Secret", names.access_keys(given.NAME))]
    keys["stringData"] = {"default": "another"}
    world.edited(keys)
    assert "WriteGateKeys" in shown(world.plan())
    world.settle()
    assert (world.gate_keys, replicas(world)) == (version_of_keys(world), 0)


def test_an_app_stays_as_it_is_while_the_keys_of_the_gate_are_unknown() -> None:
    world = private()
    world.gate_keys = None
    world.later(IDLE)
    world.say_idle(IDLE)
    world.settle()
    assert (leads(world), world.condition("Asleep")) == (False, ("False", "KeysUnknown"))
    world = asleep(private())
    world.gate_keys = None
    world.settle()
    assert replicas(world) == 0


def test_an_app_that_becomes_private_wakes_and_sends_its_keys_to_the_gate() -> None:
    world = asleep()
    edit_app(world, access={"type": "private"})
    world.run()
    assert replicas(world) == 1
    world.later(10)
    world.run()
    world.later(IDLE)
    asleep(world)
    note = GateNote.model_validate_json(world.child(ENDPOINT_SLICE.kind, SLICE)["metadata"]["annotations"][names.GATE_ANNOTATION])
    assert note.private


def test_without_a_gate_no_digests_are_written() -> None:
    world = private()
    world.gate_keys, world.gate = "", Gate()
    assert "WriteGateKeys" not in shown(world.plan())


# Strategy Switch.


def test_under_strategy_switch_the_serving_workload_and_its_standby_sleep() -> None:
    world = serverless(given.with_spec(rollout={"strategy": "Switch"}))
    world.deploy("b", "v2")
    world.run()
    assert len(world.workloads) == 2
    world.later(10)
    world.run()
    led_to_gate(world)
    note = GateNote.model_validate_json(world.child(ENDPOINT_SLICE.kind, SLICE)["metadata"]["annotations"][names.GATE_ANNOTATION])
    assert note.workload in world.workloads
    assert note.pins == pins(world, note.workload)
    world.later(3)
    world.say_idle(IDLE + 3)
    world.settle()
    world.roll()
    world.settle()
    assert {made["spec"]["replicas"] for made in world.workloads.values()} == {0}
    assert world.condition("Ready") == ("True", "Asleep")
    assert world.condition("Warm") == ("False", "NothingWarm")
    assert world.plan().operations == ()
    world.deploy("c", restores="a")
    world.run()
    world.later(10)
    world.run()
    assert world.phases["c"] == "#3 Live"
    assert not leads(world)


def test_a_version_whose_pod_never_gets_ready_makes_room_for_the_next_by_time_alone() -> None:
    """No event may happen meanwhile that would make the operator reconcile the App."""
    world = asleep()
    world.deploy("b", "v2")
    world.settle()
    world.stall({"running": {}})
    world.settle()
    for _ in range(10):
        if (after := world.plan().requeue_after) is None:
            break
        world.later(after)
        world.settle()
    assert world.serving == "v2"


def test_no_pod_is_stopped_by_a_report_older_than_a_possible_call() -> None:
    world = led_to_gate(serverless())
    world.later(3)
    world.say_idle(IDLE + 3)
    world.later(4)  # an operator that has a thousand Apps to look at
    assert shown(world.plan()) == []
    world.say_idle(IDLE + 7)
    assert shown(world.plan()) == ["scale to 0"]


def test_idle_pods_of_an_app_that_does_not_sleep_are_asked_less_often() -> None:
    world = serverless()
    world.scale(2)
    world.run()
    world.later(IDLE)
    world.say_idle(IDLE)
    world.settle()
    assert leads(world), "and no gate joins it"
    count = 0
    for _ in range(20):
        moments = due(world.snapshot(), world.app)
        world.later(max(min((moment - world.now).total_seconds() for moment in moments.values()), 0))
        for uid in [uid for uid, moment in moments.items() if moment <= world.now]:
            count += 1
            world.later(0.001)  # no two answer at the same moment
            activity = world.activity[uid]
            idle = (activity.idle_seconds or 0) + (world.now - activity.at).total_seconds()
            world.activity[uid] = replace(activity, at=world.now, idle_seconds=idle)
        world.settle()
    took = (world.now - given.NOW).total_seconds() - IDLE
    assert took > count * 5, f"{count} questions within {took} s"


def test_a_pod_may_report_an_idle_time_longer_than_any_calendar() -> None:
    world = serverless()
    world.say_idle(SECONDS_MAX)
    assert due(world.snapshot(), world.app)
