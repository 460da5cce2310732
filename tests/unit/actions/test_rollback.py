"""What a rollback goes back to."""

from __future__ import annotations

import pytest

from dynamiq_operator.actions.deploy import DeployRequest
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.actions.rollback import RollbackRequest, last_good, plan_rollback, resolve
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


OTHER = given.a_runtime(given.with_image("registry.test/runtime@sha256:" + "1" * 64), name="tiny-2")


def _back(sequence: int, name: str) -> dict[str, object]:
    return {"restores": {"sequence": sequence, "row": name}}


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [given.superseded(1, "v1"), given.superseded(2, "v2"), given.superseded(3, "v3"), given.live(4, "v2", **_back(2, "r-2"))],
            "r-1",
            id="a second rollback goes further back",
        ),
        pytest.param(
            [
                *(given.superseded(1, "v1"), given.superseded(2, "v2"), given.superseded(3, "v3")),
                *(given.superseded(4, "v2", **_back(2, "r-2")), given.superseded(5, "v4"), given.live(6, "v2", **_back(4, "r-4"))),
            ],
            "r-1",
            id="so does one that brought back what had been brought back",
        ),
        pytest.param([given.superseded(1, "v1"), given.live(2, "v1", runtime=OTHER)], "r-1", id="another runtime is another pair"),
        pytest.param([given.superseded(1, "v1"), given.live(2, "v2"), given.progressing(3, "v3")], "r-2", id="what is being rolled out"),
    ],
)
def test_the_last_good_one(rows: list[given.Modifier], expected: str) -> None:
    made = [given.row_manifest(f"r-{number}", row) for number, row in enumerate(rows, 1)]
    assert last_good(reversed(made), given.NAME)["metadata"]["name"] == expected


def test_there_is_an_end_to_going_back() -> None:
    rows = [given.superseded(1, "v1"), given.superseded(2, "v2"), given.live(3, "v1", **_back(1, "r-1"))]
    made = [given.row_manifest(f"r-{number}", row) for number, row in enumerate(rows, 1)]
    with pytest.raises(Refusal, match="never run anything but v1 before row #1, which it brought back"):
        last_good(reversed(made), given.NAME)


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
        (
            (given.row_manifest("chat-1", given.never_deployed(1)),),
            RollbackRequest(*APP, row=1),
            "row chat-1 failed: only a row that went live",
        ),
        ((given.row_manifest("chat-1", given.progressing(1)),), RollbackRequest(*APP, row=1), "row chat-1 has not ended yet: only a row"),
    ],
)
def test_nothing_to_go_back_to(rows: tuple[Manifest, ...], asked: RollbackRequest, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        resolve(api(*rows), asked)
