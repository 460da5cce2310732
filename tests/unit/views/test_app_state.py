"""The state of an App in one word: over the statuses that the operator writes, from its first deploy on."""

from __future__ import annotations

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.app_state import ExplainedState, ServingState, app_state, is_as_declared, rows_under_way
from tests.support import factories as given
from tests.support.world import BAD_NAME, World, a_world, serving


def _app(world: World) -> Manifest:
    return world.objects[(API_VERSION, kinds.APP.kind, given.NAME)]


def _rows(world: World) -> list[Manifest]:
    return [made for (version, kind, _), made in world.objects.items() if (version, kind) == (API_VERSION, kinds.ROW.kind)]


def _state(world: World) -> ExplainedState:
    return app_state(_app(world), next(iter(rows_under_way(_rows(world))), None))


def _word_and_reason(world: World) -> tuple[str, str | None]:
    """Returns word and reason."""
    state = _state(world)
    return state.state.value, state.reason


def test_from_nothing_to_live() -> None:
    world = a_world()
    assert _state(world) == ExplainedState(ServingState.NOT_DEPLOYED), "the operator has not seen it"
    world.settle()
    assert _word_and_reason(world) == ("NotDeployed", "NotDeployed")
    world.deploy("a", "v1")
    assert _word_and_reason(world)[0] == "Progressing", "at once, before the operator has seen the row"
    world.settle()
    assert _word_and_reason(world) == ("Progressing", "Deploying")
    world.run()
    assert _word_and_reason(world) == ("Live", "Serving")
    assert "v1" in (_state(world).message or "")


def test_a_waiting_row_is_pending_with_its_requirement() -> None:
    world = serving("v1")
    world.deploy("b", "v9")
    world.settle()
    assert _word_and_reason(world)[0] == "Pending"
    assert "chat-v9 does not exist" in (_state(world).message or "")
    assert app_state(_app(world), None).state is ServingState.PENDING, "for who may not read rows the App alone says so"


def test_a_first_row_that_failed_leaves_nothing_live() -> None:
    world = a_world()
    world.deploy("a", "v1")
    world.settle()
    world.stall(BAD_NAME)
    world.settle()
    assert _word_and_reason(world) == ("Failed", "DeployFailed")


def test_a_failed_row_beside_a_serving_one_is_no_failure_of_the_app() -> None:
    world = serving("v1")
    world.deploy("b", "v2")
    world.settle()
    world.stall(BAD_NAME)
    world.settle()
    world.run()
    assert world.phases["b"] == "#2 Failed"
    assert _word_and_reason(world) == ("Live", "Serving")


def test_a_live_app_that_is_not_ready_is_degraded() -> None:
    world = serving("v1")
    for pod in world.pods:
        pod["status"]["conditions"] = [{"type": "Ready", "status": "False"}]
    workload = world.workload
    assert workload is not None
    workload["status"] |= {"readyReplicas": 0, "availableReplicas": 0}
    workload["status"]["conditions"] = [{"type": "Available", "status": "False"}]
    world.settle()
    assert world.condition("Ready")[0] == "False"
    assert _word_and_reason(world) == ("Degraded", "NoPodReady")


def test_an_app_that_sleeps_is_asleep() -> None:
    """The reason is the operator's: `test_sleep` of the views compares the two."""
    ready = {"type": "Ready", "status": "True", "reason": "Asleep", "message": "v1 is live; it is asleep: the next call wakes it"}
    app = given.app_manifest(given.with_status(conditions=[ready], live={"row": "a"}))
    assert app_state(app, None) == ExplainedState(ServingState.ASLEEP, "Asleep", ready["message"])


def test_an_outcome_decides_before_the_phase_does() -> None:
    assert rows_under_way([given.row_manifest("a", given.pinned(1), given.ended("Succeeded"), given.in_phase("Progressing"))]) == []
    newer = given.row_manifest("c", given.progressing(3))
    assert rows_under_way([given.row_manifest("b", given.waiting(2)), newer, given.row_manifest("d", given.live(4))])[0] is newer


@pytest.mark.parametrize("status", [None, {}, {"conditions": None}, {"conditions": [{"type": "Ready"}], "live": {"row": "a"}}])
def test_a_status_of_another_version_is_read_as_far_as_possible(status: Manifest | None) -> None:
    app = {**given.app_manifest(), **({"status": status} if status is not None else {})}
    assert app_state(app, None).state.value == ("Degraded" if status and "live" in status else "NotDeployed")


def test_the_deploy_of_git_is_live_if_its_own_row_is() -> None:
    deploy = {"workflowVersion": "v2", "message": "why"}
    app = given.app_manifest(given.with_deploy(**deploy, changedBy="anna"))
    of_git = given.row_manifest("a", given.live(1, "v2", source="App"), given.asking(**deploy))
    assert is_as_declared(app, of_git)
    assert not is_as_declared(app, given.row_manifest("a", given.live(1, "v2"), given.asking(**deploy))), "somebody made it by hand"
    assert not is_as_declared(app, given.row_manifest("a", given.live(1, "v2", source="App"), given.asking(workflowVersion="v2")))
    assert not is_as_declared(app, None)
    assert not is_as_declared(given.app_manifest(), of_git)
