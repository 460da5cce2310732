"""Installing, moving and removing a recorder restarts no pod. The App's status shows which pods send their runs there."""

from __future__ import annotations

from datetime import timedelta

import pytest

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.desired.pod_template import recorder_of
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.plan.operations import ApplyChild, CreateChild
from tests.support import factories as given
from tests.support.world import World, a_world, serving

RECORDER = "http://dynamiq-recorder.dynamiq-recorder.svc:8080"
ELSEWHERE = "https://runs.example.com"


def restart_with(world: World, recorder: str | None) -> None:
    """Restarts the operator with this recorder, or without one."""
    world.settings = world.settings.model_copy(update={"recorder": recorder})


def recorder(world: World) -> str | None:
    return recorder_of(world.child(WORKLOAD.kind)["spec"]["template"])


def recorded(world: World) -> tuple[str, str, str] | None:
    found = (each for each in world.app.status.conditions if each.type == "Recorded")
    return next(((each.status, each.reason, each.message) for each in found), None)


def written(world: World) -> list[Manifest]:
    """Returns the workloads that were created or applied since the world began."""
    wrote = (each.manifest for each in world.written if isinstance(each, ApplyChild | CreateChild))
    return [made for made in wrote if made["kind"] == WORKLOAD.kind]


def restarted(world: World, after: float) -> None:
    """Runs `kubectl rollout restart` after `after` seconds."""
    world.later(after)
    made = world.child(WORKLOAD.kind)
    made["spec"]["template"]["metadata"].setdefault("annotations", {})["kubectl.kubernetes.io/restartedAt"] = format_time(world.now)
    world.edited(made)


@pytest.mark.parametrize("steps", [[RECORDER], [RECORDER, ELSEWHERE], [RECORDER, None]], ids=["installed", "moved", "taken away"])
def test_a_recorder_that_is_installed_moved_or_removed_restarts_no_pod(steps: list[str | None]) -> None:
    world = serving("v1")
    if len(steps) > 1:
        restart_with(world, steps.pop(0))
        world.deploy("b", "v2")
        world.run()
    before, pods = world.child(WORKLOAD.kind)["spec"], [pod["metadata"]["uid"] for pod in world.pods]
    world.written.clear()
    restart_with(world, steps[0])
    world.run()
    assert not written(world)
    assert (world.child(WORKLOAD.kind)["spec"], [pod["metadata"]["uid"] for pod in world.pods]) == (before, pods)


def test_older_pods_are_recorded_from_the_next_deploy_on_and_the_app_reports_it() -> None:
    world = serving("v1")
    assert recorded(world) is None
    restart_with(world, RECORDER)
    world.run()
    status, reason, message = recorded(world) or ("", "", "")
    assert (status, reason) == ("False", "PodsNotRestarted")
    assert message.startswith("1 of 1 pods were made before the recorder was installed: deploy another version")
    assert world.condition("Ready")[0] == "True"
    world.deploy("b", "v2")
    world.run()
    assert recorder(world) == RECORDER
    assert recorded(world) == ("True", "PodsRecorded", f"its pods send their runs to {RECORDER}")
    restart_with(world, None)
    world.run()
    assert recorded(world) is None


def test_pods_that_send_to_the_former_recorder_are_reported() -> None:
    world = serving("v1")
    restart_with(world, RECORDER)
    world.deploy("b", "v2")
    world.run()
    restart_with(world, ELSEWHERE)
    world.run()
    status, reason, message = recorded(world) or ("", "", "")
    assert (status, reason) == ("False", "RecorderMoved")
    assert f"1 of 1 pods do not send their runs to {ELSEWHERE} yet" in message


def test_a_change_of_the_app_adds_the_recorder() -> None:
    world = serving("v1")
    restart_with(world, RECORDER)
    app = next(found for (_, kind, _), found in world.objects.items() if kind == "App")
    app["spec"]["variables"] = [{"name": "MODEL", "value": "small"}]
    world.written_by_ours(app)
    world.run()
    assert recorder(world) == RECORDER


def test_a_restart_by_hand_adds_the_recorder_after_the_app_has_reported_that_pods_lack_it() -> None:
    world = serving("v1")
    restarted(world, 1)
    world.run()
    world.later(3600)
    restart_with(world, RECORDER)
    world.run()
    assert recorder(world) is None, "that restart was long before"
    restarted(world, 60)
    world.run()
    assert (recorder(world), (recorded(world) or ("",))[0]) == (RECORDER, "True")
    world.written.clear()
    world.later(60)
    world.run()
    assert not written(world)


def test_an_invalid_restart_time_restarts_nothing() -> None:
    world = serving("v1")
    restart_with(world, RECORDER)
    world.run()
    made = world.child(WORKLOAD.kind)
    made["spec"]["template"]["metadata"]["annotations"] = {"kubectl.kubernetes.io/restartedAt": "now"}
    world.edited(made)
    world.run()
    assert recorder(world) is None


def test_an_app_that_sleeps_gets_the_recorder_at_once() -> None:
    """Its next pod is made from the template of that moment."""
    world = a_world(given.public())
    world.install_gate("gate-a")
    world.deploy("a", "v1", config={"type": "serverless", "idleSeconds": 60})
    world.run()
    for idle in (60, 63):
        world.later(idle)
        world.say_idle(idle)
        world.settle()
        world.lead_to("gate-a")
        world.settle()
    world.roll()
    made = world.child(WORKLOAD.kind)
    digest = made["spec"]["template"]["metadata"]["labels"]
    assert made["spec"]["replicas"] == 0
    restart_with(world, RECORDER)
    world.settle()
    made = world.child(WORKLOAD.kind)
    assert (recorder(world), (recorded(world) or ("",))[0]) == (RECORDER, "True")
    assert (made["spec"]["template"]["metadata"]["labels"], made["spec"]["replicas"]) == (digest, 0)


def test_the_condition_has_the_time_from_which_a_restart_counts() -> None:
    """The time does not change when the numbers of pods do."""
    world = serving("v1", given.with_spec(access={"type": "public"}))
    restart_with(world, RECORDER)
    world.run()
    (before,) = (each for each in world.app.status.conditions if each.type == "Recorded")
    world.later(60)
    world.child(WORKLOAD.kind)["spec"]["replicas"] = 2
    world.roll()
    world.run()
    (after,) = (each for each in world.app.status.conditions if each.type == "Recorded")
    assert after.message.startswith("2 of 2 pods")
    assert after.last_transition_time == before.last_transition_time == format_time(world.now - timedelta(seconds=60))


def redacting(content: bool, *patterns: str) -> World:
    world = serving("v1", given.with_spec(runs={"content": content, "redact": {"patterns": list(patterns)}}))
    restart_with(world, RECORDER)
    world.run()
    return world


def test_an_unusable_pattern_is_reported_and_serving_pods_stay() -> None:
    world = redacting(True, "[0-9]{16}", "[[:digit:]]{16}", r"\pL+", "(a+)+b")
    assert world.condition("RedactionReady") == ("False", "PatternRefused")
    assert world.condition("Ready")[0] == "True"
    message = next(each.message for each in world.app.status.conditions if each.type == "RedactionReady")
    assert message.startswith("no input, output or error text is recorded: runs.redact.patterns[1] ([[:digit:]]{16}) has a POSIX class")
    assert all(f"patterns[{place}]" in message for place in (2, 3))
    assert "patterns[0]" not in message


@pytest.mark.parametrize(("content", "pattern"), [(True, "[0-9]{16}"), (False, "[[:digit:]]{16}")], ids=["all can be used", "no content"])
def test_content_that_is_recorded_as_configured_has_no_condition(content: bool, pattern: str) -> None:
    assert "RedactionReady" not in {each.type for each in redacting(content, pattern).app.status.conditions}
