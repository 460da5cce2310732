"""Plans over a deploy's life: each test sets objects, and checks the plan or the state in which it ends."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from dynamiq_operator.model.app_status import RecordedSettings
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.settings import ImagePolicy, Settings
from dynamiq_operator.plan.operations import ApplyChild, CreateChild, CreateRow, Emit, SetRowStatus
from dynamiq_operator.plan.planner import make_plan
from tests.support import factories as given
from tests.support.world import BAD_NAME, World, a_world, serving
from tests.unit.support.plan_lines import shown, told

RUNNING: Manifest = {"running": {}}
PULLING = {"waiting": {"reason": "ErrImagePull", "message": "not found"}}


def _pins(world: World, name: str) -> Any:
    return world.rows[name].pinned


def _result(world: World, name: str) -> str:
    outcome = world.rows[name].outcome
    return outcome.result.value if outcome else ""


def test_an_app_without_rows_gets_its_service_and_reports_that_nothing_is_live() -> None:
    world = a_world()
    assert shown(world.plan()) == ["create access keys", "create Service", "app: Ready=False NotDeployed, last #0"]
    world.settle()
    assert world.plan().operations == ()
    assert world.condition("Progressing") == ("False", "Settled")


def test_a_row_changes_the_workload_before_the_rows_that_it_overtakes_end() -> None:
    """A rollback past a waiting or verifying row is as fast as any other: tests/bench/test_emergency_rollbacks.py."""
    world = serving("v1")
    world.deploy("b", "v2")
    world.perform(world.plan().operations)
    world.deploy("c", restores="a")
    lines = shown(world.plan())
    (changed,) = [place for place, each in enumerate(lines) if "Deployment" in each]
    (ended,) = [place for place, each in enumerate(lines) if each.startswith("b: Overtaken")]
    assert lines.index("c: #3 pinned v1") < changed < ended, lines


def test_a_bypass_is_reported_with_its_reason() -> None:
    world = serving("v1")
    world.deploy("b", "v2", bypass={"reason": "the shop is down"}, createdBy="dora")
    world.settle()
    events = {(kind, message) for kind, reason, message in world.events.values() if reason == "Bypassed"}
    assert {kind for kind, _ in events} == {"App", "Deployment"}
    assert {message.partition(")")[2] for _, message in events} == {" bypasses all guards, by dora: the shop is down"}


def test_a_first_row_is_numbered_and_pinned_before_anything_runs_it() -> None:
    world = a_world()
    world.deploy("a")
    plan = world.plan()
    assert shown(plan) == [
        "app: Ready=False NotDeployed, last #1",
        "a: #1 pinned v3",
        "create access keys",
        "create flow of chat-v3",
        "create Service",
        "create HorizontalPodAutoscaler",
        "create PodDisruptionBudget",
    ]
    assert told(plan) == ["a Progressing", "app Progressing"]
    world.perform(plan.operations)
    assert shown(world.plan()) == ["create Deployment"], "once, with the version of the keys"
    world.settle()
    assert (
        len([each for each in world.written if isinstance(each, CreateChild | ApplyChild) and each.manifest["kind"] == "Deployment"]) == 1
    )


def test_the_status_of_a_row_that_is_live_at_once_is_written_once() -> None:
    """Sequence and pins are one write. A status with a generation that the row never had would be rewritten by the next operator."""
    world = serving("v1")
    world.deploy("again", "v1")
    wrote = []
    while operations := world.plan().operations:
        wrote += [each for each in operations if isinstance(each, SetRowStatus) and each.row.name == "again"]
        world.perform(operations)
    row = world.rows["again"]
    assert row.status.observed_generation == row.meta.generation
    assert len(wrote) == 1


def test_a_row_is_live_when_every_pod_is_new_and_ready() -> None:
    world = a_world()
    world.deploy("a", "v1")
    world.settle()
    world.stall(RUNNING)
    world.settle()
    assert world.phases == {"a": "#1 Progressing"}
    world.roll()
    plan = world.plan()
    assert shown(plan)[0] == "a: Succeeded"
    assert set(shown(plan)[1:]) == {"a reads Live", "app: Ready=True Serving, last #1"}
    assert told(plan) == ["a Live", "app Live"]


def test_a_redeploy_supersedes_and_a_rollback_restores_the_flow() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    assert shown(world.plan()) == [
        "app: Ready=True Serving, last #2",
        "b: #2 pinned v2",
        "create flow of chat-v2",
        "apply Deployment for .metadata.annotations.dynamiq.getdynamiq.ai/template",
    ]
    world.run()
    world.deploy("c", restores="a")
    plan = world.plan()
    assert "apply Deployment for .metadata.annotations.dynamiq.getdynamiq.ai/template" in shown(plan)
    assert not [line for line in shown(plan) if line.startswith("create")]
    world.run()
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Superseded", "c": "#3 Live"}
    assert (world.serving, _pins(world, "c").restores.sequence) == ("v1", 1)


def test_a_rollback_restores_the_runtime_and_keeps_the_scaling() -> None:
    world = serving("v1")
    world.add(given.runtime_manifest(given.with_image("registry.test/runtime@sha256:" + "1" * 64), name="tiny-2"))
    world.deploy("b", "v2", runtime="tiny-2", config={"autoscaling": {"maxReplicas": 7}})
    world.run()
    world.deploy("c", restores="a")
    world.run()
    pins = _pins(world, "c")
    assert (world.serving, pins.runtime.name, pins.config.autoscaling.max_replicas) == ("v1", given.RUNTIME_NAME, 7)


def test_a_row_in_flight_is_not_restored_and_goes_on() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.settle()
    world.stall(RUNNING)
    world.deploy("c", restores="b")
    world.settle()
    assert (world.phases["b"], world.phases["c"]) == ("#2 Progressing", "#3 Failed")


def test_a_deploy_that_changes_no_template_is_live_at_once() -> None:
    world = serving("v1")
    before = json.dumps(world.child("Deployment")["spec"]["template"])
    world.deploy("b", "v1", config={"autoscaling": {"maxReplicas": 5}})
    world.settle()
    assert world.phases == {"a": "#1 Superseded", "b": "#2 Live"}
    assert json.dumps(world.child("Deployment")["spec"]["template"]) == before
    assert world.child("HorizontalPodAutoscaler")["spec"]["maxReplicas"] == 5


@pytest.mark.parametrize(
    ("rows", "order"),
    [
        ({"b": 0, "a": 0}, ["a", "b"]),
        ({"r10": 0, "r9": 0, "r2": 0}, ["r2", "r9", "r10"]),
        ({"a": 5, "b": 1, "c": 3}, ["b", "c", "a"]),
        ({"r10": 1, "r9": 1, "z": 0}, ["z", "r9", "r10"]),
    ],
)
def test_rows_that_arrive_together_are_numbered_by_creation_then_by_natural_order(rows: dict[str, int], order: list[str]) -> None:
    world = a_world()
    for name, seconds in rows.items():
        world.add(given.row_manifest(name, given.asking(workflowVersion="v1"), given.created(seconds)))
    world.run()
    assert sorted(world.rows, key=lambda name: world.rows[name].sequence) == order
    assert [world.phases[name] for name in order] == [
        *(f"#{number} Superseded" for number in range(1, len(order))),
        f"#{len(order)} Live",
    ]
    assert [_result(world, name) for name in order] == [*["Overtaken"] * (len(order) - 1), "Succeeded"]


def test_sequences_continue_above_closed_rows_outside_the_watch() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.run()
    world.add(given.row_manifest("old", given.failed(7)))
    world.deploy("c", "v3")
    world.run()
    assert world.phases["c"] == "#8 Live"
    assert _pins(world, "c").previous_digest == _pins(world, "old").digest


def test_a_row_waits_for_its_version_and_goes_on_when_it_arrives() -> None:
    world = serving("v1")
    world.deploy("b", "v4")
    plan = world.plan()
    assert shown(plan) == ["app: Ready=True Serving, last #2", "b: #2", "b reads Pending"]
    assert told(plan) == ["b Waiting", "app Waiting"]
    assert plan.requeue_after == 300
    world.settle()
    assert world.condition("Progressing") == ("True", "Waiting")
    world.later(60)
    assert world.plan().requeue_after == 240
    world.add(given.version_manifest("v4"))
    world.run()
    assert (world.phases["b"], world.serving) == ("#2 Live", "v4")


def test_a_version_that_is_missing_at_the_deadline_fails_the_row_and_changes_nothing() -> None:
    world = serving("v1")
    world.deploy("b", "v4")
    world.settle()
    world.later(300)
    plan = world.plan()
    assert shown(plan)[0] == "b: Failed"
    world.run()
    assert world.phases == {"a": "#1 Live", "b": "#2 Failed"}
    assert (world.serving, world.condition("Ready"), world.condition("Progressing")) == (
        "v1",
        ("True", "Serving"),
        ("False", "DeployFailed"),
    )


@pytest.mark.parametrize(
    ("asked", "settings", "why"),
    [
        ({"restores": "theirs"}, Settings(), "its own App"),
        ({"restores": "never"}, Settings(), "row never failed: only a row that went live can be restored"),
        ({"restores": "b"}, Settings(), "row b has not ended yet: only a row that went live can be restored"),
        ({"config": {"type": "serverless"}}, Settings(), "kubectl apply -k manifests/gate"),
        ({"config": {"autoscaling": {"minReplicas": 9}}}, Settings(), "above maxReplicas"),
        ({"runtime": "tagged"}, Settings(image_policy=ImagePolicy.DIGEST), "cluster requires a digest"),
    ],
)
def test_a_row_that_can_never_be_deployed_fails_at_once(asked: Manifest, settings: Settings, why: str) -> None:
    world = serving("v1")
    world.settings = settings
    world.add(given.row_manifest("theirs", given.of_app("other"), given.live(1)))
    world.add(given.row_manifest("never", given.never_deployed(2)))
    world.add(given.runtime_manifest(given.with_image("registry.test/runtime:latest"), name="tagged"))
    world.deploy("b", **asked)
    world.run()
    outcome = world.rows["b"].outcome
    assert outcome is not None
    assert (outcome.result.value, world.phases["b"], world.serving) == ("Failed", "#3 Failed", "v1")
    assert why in outcome.reason


def test_a_newer_row_overtakes_one_that_waits_and_one_that_rolls_out() -> None:
    world = serving("v1")
    world.deploy("b", "v4")
    world.deploy("c", "v2")
    world.settle()
    world.stall(PULLING, old=1)
    world.settle()
    assert world.phases == {"a": "#1 Live", "b": "#2 Superseded", "c": "#3 Progressing"}
    world.deploy("d", "v3")
    world.run()
    assert [_result(world, name) for name in "abcd"] == ["Succeeded", "Overtaken", "Overtaken", "Succeeded"]
    assert (world.phases["d"], world.serving) == ("#4 Live", "v3")


@pytest.mark.parametrize(
    ("about_to_say", "meanwhile"),
    [("Progressing", "c"), ("Failed", "version"), ("Overtaken", "c is gone"), ("Live", "c"), ("Failed of its pods", "pods")],
)
def test_an_unsent_event_of_one_leader_has_the_name_of_the_event_that_the_next_one_sends_instead(about_to_say: str, meanwhile: str) -> None:
    world = serving("v1")
    world.deploy("b", "v4" if about_to_say == "Failed" else "v2")
    if about_to_say == "Overtaken":
        world.deploy("c", "v3")
    elif about_to_say != "Progressing":
        world.settle()
        world.stall(BAD_NAME, old=1)
    if about_to_say == "Live":
        world.roll()
    world.later(300 if about_to_say == "Failed" else 0)
    held = [each for each in world.plan().of(Emit) if each.reason == about_to_say.split(" ")[0] and "v3" not in each.message[:2]]
    assert len(held) == 2, "of the row and of its App"
    if meanwhile == "c":
        world.deploy("c", restores="a")
    elif meanwhile == "c is gone":
        del world.objects[(API_VERSION, "Deployment", "c")]
    elif meanwhile == "version":
        world.add(given.version_manifest("v4"))
    elif meanwhile == "pods":
        world.roll()
    world.run()
    assert {each.names[0] for each in held} <= world.events.keys()
    assert not {(each.reason, each.message) for each in held} & {(reason, message) for _, reason, message in world.events.values()}


def _ask(world: World, version: str) -> None:
    """Changes the version in Git."""
    app = world.objects[(API_VERSION, "App", given.NAME)]
    given.with_deploy(workflowVersion=version)(app)
    world.edited(app)


def test_a_row_that_is_created_late_for_a_spec_that_was_changed_since_is_not_deployed() -> None:
    world = a_world(given.with_deploy(workflowVersion="v1"))
    world.run()
    _ask(world, "v2")
    late = world.plan().of(CreateRow)
    _ask(world, "v3")
    world.run()
    assert world.serving == "v3"
    world.perform(late)
    world.run()
    assert (world.serving, _result(world, late[0].name)) == ("v3", "Failed")
    assert world.condition("DeploySpecOverridden")[0] == "False"
    _ask(world, "v2")
    world.run()
    assert world.serving == "v2", "asked anew it is another row"


def test_a_deploy_of_git_is_never_reported_as_done_before_it_is_done() -> None:
    """A GitOps tool checks at any moment, and then continues with whatever relies on the App."""
    world = a_world(given.with_deploy(workflowVersion="v1"))
    world.run()
    looked: list[tuple[str, str]] = []

    def look() -> None:
        app = world.app
        if app.status.observed_generation == app.meta.generation and (app.status.live is None or app.status.live.workflow_version != "v2"):
            looked.append(world.condition("Progressing"))

    world.checks.append(look)
    _ask(world, "v2")
    world.run()
    assert set(looked) == {("True", "Deploying")}


def test_a_row_that_began_and_was_overtaken_has_two_events_and_one_for_its_end() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.settle()
    world.deploy("c", "v3")
    world.perform(world.plan().of(Emit))
    world.run()
    assert sorted(reason for kind, reason, text in world.events.values() if kind == "Deployment" and " b)" in text.split(" was ")[0]) == [
        "Overtaken",
        "Progressing",
    ]


def test_a_row_below_the_live_one_is_never_pinned_after_it() -> None:
    """A restore can bring such a row: it was waiting when the one above it went live."""
    world = a_world()
    world.add(given.row_manifest("a", given.waiting(1), given.asking(workflowVersion="v1")))
    world.add(given.row_manifest("b", given.live(2, "v2")))
    world.run()
    assert (_result(world, "a"), _pins(world, "a"), world.phases["b"]) == ("Overtaken", None, "#2 Live")


def test_a_failed_row_returns_the_workload_to_the_live_pins() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.settle()
    world.stall(BAD_NAME, old=1)
    plan = world.plan()
    assert shown(plan)[:2] == ["b: Failed", "apply Deployment for .metadata.annotations.dynamiq.getdynamiq.ai/template"]
    assert told(plan) == ["b Failed", "app Failed"]
    world.run()
    assert (world.phases, world.serving) == ({"a": "#1 Live", "b": "#2 Failed"}, "v1")
    assert world.app.status.failed is not None
    assert given.IMAGE in world.app.status.failed.reason


def test_a_pull_error_may_last_a_minute_and_silence_until_the_deadline() -> None:
    world = serving("v1", given.with_deadline(100))
    for name, state, seconds in (("b", PULLING, 60), ("c", RUNNING, 100)):
        world.deploy(name, "v2")
        world.settle()
        world.stall(state, old=1)
        world.settle()
        world.later(seconds - 1)
        world.settle()
        assert world.phases[name].endswith("Progressing"), name
        assert world.plan().requeue_after == 1
        world.later(1)
        world.run()
        assert world.phases[name].endswith("Failed"), name
        assert world.serving == "v1"


def test_a_first_deploy_that_fails_deletes_the_workload_and_keeps_the_service() -> None:
    world = a_world()
    world.deploy("a", "v1")
    world.settle()
    world.stall(BAD_NAME)
    plan = world.plan()
    assert shown(plan)[0] == "a: Failed"
    assert sorted(shown(plan)[1:4]) == ["delete Deployment", "delete HorizontalPodAutoscaler", "delete PodDisruptionBudget"]
    world.run()
    assert world.phases == {"a": "#1 Failed"}
    assert (world.workload, world.child("Service")["kind"], world.condition("Ready")) == (None, "Service", ("False", "DeployFailed"))
    world.deploy("b", "v2")
    world.run()
    assert (world.phases["b"], world.serving, world.app.status.failed) == ("#2 Live", "v2", None)


def test_rows_without_an_app_wait_for_it() -> None:
    world = World(given.runtime_manifest(), given.version_manifest("v1"))
    world.deploy("a", "v1")
    assert shown(world.plan()) == ["a reads Pending"]
    world.settle()
    world.later(20)
    world.add(given.app_manifest())
    world.run()
    assert world.phases == {"a": "#1 Live"}


def test_an_app_that_is_being_deleted_is_left_alone() -> None:
    world = a_world(given.being_deleted())
    world.deploy("a", "v1")
    assert world.plan().operations == ()


@pytest.mark.parametrize(("least", "warned"), [(1, True), (2, False)])
def test_ready_warns_that_a_single_pod_is_down_during_a_drain(least: int, warned: bool) -> None:
    world = a_world()
    world.deploy("a", "v1", config={"autoscaling": {"minReplicas": least, "maxReplicas": 4}})
    world.run()
    ready = next(each for each in world.app.status.conditions if each.type == "Ready")
    assert (ready.status, ready.reason, "while its node is drained" in ready.message) == ("True", "Serving", warned)


def test_while_further_rows_wait_for_a_number_nothing_is_rolled_out_and_then_the_newest_alone() -> None:
    world = serving("v1")
    for number in range(3):
        world.deploy(f"r{number}", "v2")
    snapshot = world.snapshot()
    plan = make_plan(replace(snapshot, rows=replace(snapshot.rows, more=True)))
    lines = shown(plan)
    assert [line for line in lines if "pinned" in line] == ["r0: #2 pinned v2", "r1: #3 pinned v2", "r2: #4 pinned v2"]
    assert [line for line in lines if line.endswith("Overtaken")] == ["r0: Overtaken", "r1: Overtaken"]
    assert not [line for line in lines if line.startswith(("apply", "create", "delete"))]
    assert plan.requeue_after == 0
    world.perform(plan.operations)
    world.deploy("r3", "v3")
    world.run()
    assert world.serving == "v3"
    assert world.phases["r3"] == "#5 Live"


def test_the_note_of_recorded_settings_stays_in_the_status() -> None:
    """Without the recorder's note in the status, every App's settings would be compared again at each write."""
    world = serving("v1")
    app = world.objects[(API_VERSION, "App", given.NAME)]
    app["status"]["settings"] = {"generation": 3, "sequence": 2}
    world.edited(app)
    world.deploy("b", "v2")
    world.run()
    assert world.app.status.settings == RecordedSettings(generation=3, sequence=2)
