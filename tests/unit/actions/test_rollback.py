"""The row that a rollback restores."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.actions.deploy import DeployRequest
from dynamiq_operator.actions.reads import find_app
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.actions.rollback import RollbackRequest, last_good, plan_rollback, resolve
from dynamiq_operator.kube.resources import RUNTIMES
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support.scripted import ScriptedApi, listed
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
            holding(given.app_manifest(), given.version_manifest("v1"), given.version_manifest("v2"), *rows).on(
                "GET", RUNTIMES.path(), listed(given.stored(given.runtime_manifest()))
            ),
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
        (RollbackRequest(*APP, take_sessions=True), DeployRequest(*APP, restores="chat-1", take_sessions=True)),
        (RollbackRequest(*APP, version="v3", take_sessions=True), DeployRequest(*APP, version="v3", take_sessions=True)),
        (RollbackRequest(*APP, row="#1"), DeployRequest(*APP, restores="chat-1")),
        (RollbackRequest(*APP, row="chat-2", with_config=True), DeployRequest(*APP, restores="chat-2", config=given.CONFIG)),
    ],
)
def test_the_target(asked: RollbackRequest, expected: DeployRequest) -> None:
    acting = api(*HISTORY)
    assert resolve(acting, find_app(acting, *APP), asked) == expected


OTHER = given.a_runtime(given.with_image("registry.test/runtime@sha256:" + "1" * 64), name="tiny-2")


def _back(sequence: int, name: str) -> dict[str, Any]:
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


_LEFT = (given.superseded(1, "v1"), given.superseded(2, "v2"))


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [*_LEFT, given.superseded(3, "v1"), given.superseded(4, "v2"), given.live(5, "v1", **_back(3, "r-3"))], None, id="again"
        ),
        pytest.param([*_LEFT, given.live(3, "v1", **_back(1, "r-1"))], None, id="what a rollback left"),
        pytest.param([*_LEFT, given.live(3, "v1", **_back(1, "r-1"), source="Revert")], None, id="what a revert left"),
        pytest.param(
            [*_LEFT, given.superseded(3, "v1", **_back(1, "r-1")), given.live(4, "v1")], None, id="also after the row that scales it"
        ),
        pytest.param([*_LEFT, given.progressing(3, "v1", **_back(1, "r-1"))], None, id="what one that is under way leaves"),
        pytest.param(
            [*_LEFT, given.superseded(3, "v3"), given.superseded(4, "v1", **_back(1, "r-1")), given.live(5, "v4")],
            "r-4",
            id="what it restored is good",
        ),
        pytest.param(
            [*_LEFT, given.superseded(3, "v1", **_back(1, "r-1")), given.superseded(4, "v2"), given.live(5, "v3")],
            "r-4",
            id="what somebody deployed again since",
        ),
        pytest.param(
            [*_LEFT, given.superseded(3, "v1", **_back(1, "r-1")), given.failed(4, "v2"), given.live(5, "v3")],
            "r-3",
            id="not by a deploy that failed",
        ),
        pytest.param(
            [*_LEFT, given.failed(3, "v1", **_back(1, "r-1")), given.live(4, "v3")], "r-2", id="a rollback that failed left nothing"
        ),
        pytest.param(
            [*_LEFT, given.superseded(3, "v2", **_back(1, "r-1")), given.live(4, "v3")], "r-3", id="one that only scaled left nothing"
        ),
    ],
)
def test_a_version_that_was_rolled_back_is_never_the_default_target(rows: list[given.Modifier], expected: str | None) -> None:
    made = [given.row_manifest(f"r-{number}", row) for number, row in enumerate(rows, 1)]
    if expected is not None:
        assert last_good(reversed(made), given.NAME)["metadata"]["name"] == expected
        return
    with pytest.raises(Refusal, match=r"each version that ran before was rolled back, .*kubectl dynamiq rollback chat --to VERSION"):
        last_good(reversed(made), given.NAME)


def test_a_rejected_version_is_never_the_last_good_one() -> None:
    rows = [given.row_manifest(f"r-{number}", row) for number, row in enumerate([*_LEFT, given.live(3, "v3")], 1)]
    rejected = rows[1]["spec"]["pinned"]["workflowHash"]
    assert last_good(reversed(rows), given.NAME, {rejected})["metadata"]["name"] == "r-1"


def test_its_plan_is_that_of_the_deploy() -> None:
    plan = plan_rollback(api(*HISTORY), RollbackRequest(*APP))
    assert plan.row["spec"] == {"app": given.NAME, "restores": "chat-1"}
    assert plan.preview.then.version == "v1"


@pytest.mark.parametrize(
    ("rows", "asked", "says"),
    [
        ((), RollbackRequest(*APP), "nothing of chat has gone live yet"),
        (HISTORY[1:2], RollbackRequest(*APP), "chat has run nothing but v2. Name one"),
        (HISTORY, RollbackRequest(*APP, version="v3", with_config=True), "never ran, so it has no config"),
        (
            (given.row_manifest("chat-1", given.never_deployed(1)),),
            RollbackRequest(*APP, row=1),
            "row chat-1 failed: only a row that went live",
        ),
        ((given.row_manifest("chat-1", given.progressing(1)),), RollbackRequest(*APP, row=1), "row chat-1 has not ended yet: only a row"),
    ],
)
def test_a_rollback_without_a_target_is_refused(rows: tuple[Manifest, ...], asked: RollbackRequest, says: str) -> None:
    with pytest.raises(Refusal, match=says):
        plan_rollback(api(*rows), asked)
