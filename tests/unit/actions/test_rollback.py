"""What a rollback goes back to."""

from __future__ import annotations

import pytest

from dynamiq_operator.actions.deploy import DeployRequest
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.actions.rollback import RollbackRequest, plan_rollback, resolve
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import ScriptedApi
from tests.support.scripted_namespace import flow_path, holding, lacking

APP = (given.NAMESPACE, given.NAME)
HISTORY = (
    given.row_manifest("chat-1", given.superseded(1, "v1")),
    given.row_manifest("chat-2", given.superseded(2, "v2")),
    given.row_manifest("chat-3", given.failed(3, "v3")),
    given.row_manifest("chat-4", given.live(4, "v2")),
)


def api(*rows: Manifest) -> ScriptedApi:
    return ScriptedApi(
        lacking(
            holding(given.app_manifest(), given.version_manifest("v1"), given.version_manifest("v2"), *rows),
            flow_path("v1"),
            flow_path("v2"),
        )
    )


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (RollbackRequest(*APP, message="slow"), DeployRequest(*APP, restores="chat-1", message="slow")),
        (RollbackRequest(*APP, version="v2"), DeployRequest(*APP, restores="chat-4")),
        (RollbackRequest(*APP, version="v3"), DeployRequest(*APP, version="v3")),
        (RollbackRequest(*APP, row=2, runtime="tiny-2"), DeployRequest(*APP, restores="chat-2", runtime="tiny-2")),
        (RollbackRequest(*APP, row="#1"), DeployRequest(*APP, restores="chat-1")),
        (RollbackRequest(*APP, row="chat-2", with_config=True), DeployRequest(*APP, restores="chat-2", config=given.CONFIG)),
    ],
)
def test_the_target(asked: RollbackRequest, expected: DeployRequest) -> None:
    assert resolve(api(*HISTORY), asked) == expected


def test_its_plan_is_that_of_the_deploy() -> None:
    plan = plan_rollback(api(*HISTORY), RollbackRequest(*APP))
    assert plan.record["spec"] == {"app": given.NAME, "restores": "chat-1"}
    assert plan.preview.then.version == "v1"


@pytest.mark.parametrize(
    ("rows", "asked", "says"),
    [
        ((), RollbackRequest(*APP), "nothing to go back to"),
        (HISTORY[1:2], RollbackRequest(*APP), "has never run anything but v2"),
        (HISTORY, RollbackRequest(*APP, version="v3", with_config=True), "never ran, so it has no config"),
        ((given.row_manifest("chat-1", given.never_deployed(1)),), RollbackRequest(*APP, row=1), "was never rolled out"),
    ],
)
def test_nothing_to_go_back_to(rows: tuple[Manifest, ...], asked: RollbackRequest, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        resolve(api(*rows), asked)
