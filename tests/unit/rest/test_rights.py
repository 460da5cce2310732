"""Rights over HTTP: what a caller may do, and the roles for what they may not."""

from __future__ import annotations

import pytest

from dynamiq_operator.actions.rights import REVIEWS
from dynamiq_operator.kube.resources import APPS, NAMESPACES
from dynamiq_operator.rest.rights.responses import AppRights, ProjectRights
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage, a_namespace
from tests.support.scripted import failure

YES = {"allowed": True, "needs": None}


def _path(stage: RestStage) -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}/rights"


def test_a_caller_with_all_rights_has_each_of_them(stage: RestStage) -> None:
    rights = stage.get(_path(stage))
    AppRights.model_validate(rights)
    assert set(AppRights.model_fields) == set(rights)
    assert all(each == YES for each in rights.values())


def test_each_right_is_reviewed_once_with_the_callers_token(stage: RestStage) -> None:
    stage.get(_path(stage))
    reviews = [sent for sent in stage.script.sent if sent.path == REVIEWS.path()]
    cases = [
        tuple(sent.body["spec"]["resourceAttributes"].get(key, "") for key in ("verb", "resource", "subresource", "namespace", "name"))
        for sent in reviews
    ]
    assert sorted(cases) == [
        ("approve", "deployments", "", "demo", ""),
        ("bypass", "deployments", "", "demo", ""),
        ("create", "approvals", "", "demo", ""),
        ("create", "deployments", "", "demo", ""),
        ("create", "deployments", "", "prod", ""),
        ("create", "rejections", "", "demo", ""),
        ("delete", "apps", "", "demo", "chat"),
        ("delete", "apps", "runs", "demo", "chat"),
        ("deploy", "deployments", "", "demo", ""),
        ("deploy", "deployments", "", "prod", ""),
        ("get", "apps", "runcontents", "demo", "chat"),
        ("get", "pods", "log", "demo", ""),
        ("get", "secrets", "", "demo", "chat-access-keys"),
        ("list", "apps", "runs", "demo", "chat"),
        ("list", "pods", "", "demo", ""),
        ("patch", "apps", "", "demo", "chat"),
        ("patch", "secrets", "", "demo", "chat-access-keys"),
        ("update", "apps", "runcontents", "demo", "chat"),
        ("update", "apps", "runs", "demo", "chat"),
    ]
    assert {sent.headers["Authorization"] for sent in stage.script.sent} == {"Bearer token-of-anna"}


@pytest.mark.parametrize(
    ("denied", "rights", "needs"),
    [
        (
            ("create", "deployments", "demo"),
            {"deploy", "roll_back"},
            "create deployments.dynamiq.getdynamiq.ai in demo: the role dynamiq-deployer has it",
        ),
        (
            ("create", "deployments", "prod"),
            {"promote"},
            "create deployments.dynamiq.getdynamiq.ai in another environment of the project: the role dynamiq-promoter has it",
        ),
        (
            ("patch", "apps", "demo"),
            {"configure", "triggers", "suspend"},
            "patch apps.dynamiq.getdynamiq.ai named chat in demo: the role dynamiq-edit has it",
        ),
        (("delete", "apps", "demo"), {"delete"}, "delete apps.dynamiq.getdynamiq.ai named chat in demo: the role dynamiq-edit has it"),
        (("get", "secrets", "demo"), {"keys_read"}, "get secrets named chat-access-keys in demo: the role dynamiq-keys has it"),
        (("patch", "secrets", "demo"), {"keys_write"}, "patch secrets named chat-access-keys in demo: the role dynamiq-keys has it"),
        (("list", "pods", "demo"), {"pods"}, "list pods in demo: the role dynamiq-view has it"),
        (("get", "pods/log", "demo"), {"logs"}, "get pods/log in demo: the role dynamiq-deployer has it"),
        (
            ("get", "apps/runcontents", "demo"),
            {"run_contents"},
            "get apps.dynamiq.getdynamiq.ai/runcontents named chat in demo: the role dynamiq-deployer has it",
        ),
        (
            ("delete", "apps/runs", "demo"),
            {"runs_delete"},
            "delete apps.dynamiq.getdynamiq.ai/runs named chat in demo: the role dynamiq-edit has it",
        ),
    ],
)
def test_a_missing_right_names_the_role_that_has_it(stage: RestStage, denied: tuple[str, str, str], rights: set[str], needs: str) -> None:
    stage.allow(lambda *asked: asked != denied)
    told = stage.get(_path(stage))
    assert {name for name, each in told.items() if not each["allowed"]} == rights
    assert all(told[name]["needs"] == needs for name in rights)


def test_a_promotion_may_go_to_any_environment_of_the_project_and_to_no_other(stage: RestStage) -> None:
    stage.put(a_namespace("canary", project="support", environment="canary"))
    stage.put(a_namespace("elsewhere", project="billing", environment="production"))
    stage.allow(lambda verb, _plural, namespace: verb != "create" or namespace == "canary")
    assert stage.get(_path(stage))["promote"] == YES
    stage.put(a_namespace("bare", project="support"))
    for elsewhere in ("elsewhere", "bare"):
        stage.allow(lambda verb, _plural, namespace, to=elsewhere: verb != "create" or namespace == to)  # type: ignore[misc]
        assert stage.get(_path(stage))["promote"]["allowed"] is False
    alone = a_namespace("demo")
    alone["metadata"]["resourceVersion"] = "2"
    stage.put(alone)
    stage.allow()
    assert stage.get(_path(stage))["promote"]["allowed"] is False, "a namespace without a project has no other environment"


def test_an_app_that_may_not_be_seen_has_no_rights(stage: RestStage) -> None:
    stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    seen = stage.call("GET", _path(stage)).error(404)["message"]
    assert seen.replace(stage.uid(APPS, "chat"), UNKNOWN) == stage.call("GET", f"/v1/apps/{UNKNOWN}/rights").error(404)["message"]


def test_an_unavailable_api_server_neither_allows_nor_denies_a_right(stage: RestStage) -> None:
    stage.script.on("POST", REVIEWS.path(), failure(503, "ServiceUnavailable", "away"))
    stage.call("GET", _path(stage)).error(503)


@pytest.mark.parametrize(
    ("denied", "right", "needs"),
    [
        (("create", "apps"), "create_app", "create apps.dynamiq.getdynamiq.ai in demo: the role dynamiq-edit has it"),
        (("create", "deployments"), "create_app", "create deployments.dynamiq.getdynamiq.ai in demo: the role dynamiq-deployer has it"),
        (("create", "workflowversions"), "release", "create workflowversions.dynamiq.getdynamiq.ai in demo: the role dynamiq-edit has it"),
    ],
)
def test_rights_in_a_project(stage: RestStage, denied: tuple[str, str], right: str, needs: str) -> None:
    path = f"/v1/projects/{stage.uid(NAMESPACES, 'demo')}/rights"
    assert stage.get(path) == {"create_app": YES, "release": YES}
    stage.allow(lambda verb, plural, _: (verb, plural) != denied)
    rights = stage.get(path)
    ProjectRights.model_validate(rights)
    assert rights[right] == {"allowed": False, "needs": needs}
    assert [each["allowed"] for each in rights.values()].count(False) == 1


def test_rights_in_a_project_that_may_not_be_seen(stage: RestStage) -> None:
    stage.allow(lambda *_: False)
    path = f"/v1/projects/{stage.uid(NAMESPACES, 'demo')}/rights"
    message = stage.call("GET", path).error(404)["message"]
    assert message == f"no project has the id {stage.uid(NAMESPACES, 'demo')}, or you may not see it"
    assert make.NAMESPACE not in message
