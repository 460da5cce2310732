"""Promoting an App to another environment of its project over HTTP, and its preview."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.kube.resources import APPS, BY_KIND, NAMESPACES, ROWS, SECRETS, VERSIONS, WORKFLOWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.deployments.responses import PromotionPreview
from dynamiq_operator.rest.parts.deployment import Deployment
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage, a_namespace, created, row
from tests.support.scripted import Reply, Sent, failure


def _path(stage: RestStage, more: str = "") -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}/promote{more}"


def _promote(stage: RestStage, body: dict[str, Any] | None = None, **more: Any) -> Any:
    """Promotes. The App and the row exist from then on."""
    stage.script.on("POST", APPS.path("prod"), lambda sent: Reply(201, stage.put(sent.body)))
    stage.script.on("PATCH", APPS.path("demo", "chat"), {})
    answered = stage.call("POST", _path(stage), body, **more)
    assert answered.status == 201, answered.content
    return answered


def test_a_first_promotion_makes_what_the_target_lacks_and_then_the_row(stage: RestStage) -> None:
    answer = _promote(stage, {"message": "Accepted by support"}).data
    Deployment.model_validate(answer)
    (version,), (app,), (deployed,) = (stage.created(each, "prod") for each in (VERSIONS, APPS, ROWS))
    assert (version["metadata"]["name"], version["spec"]["flow"]) == ("chat-v2", make.flow("v2"))
    assert (app["metadata"]["name"], app["spec"]["workflow"]) == ("chat", "chat")
    assert deployed["spec"]["message"] == "Accepted by support"
    assert deployed["spec"]["promotedFrom"] == {"namespace": "demo", "app": "chat", "row": "chat-b", "hash": make.flow_hash("v2")}
    paths = [sent.path for sent in stage.script.writes() if "dryRun" not in sent.query]
    assert [path for path in paths if "/prod/" in path] == [each.path("prod") for each in (VERSIONS, APPS, ROWS)]
    assert answer["app_id"] == stage.uid(APPS, "chat", "prod")
    assert (answer["promoted_from"]["namespace"], answer["promoted_from"]["cluster"]) == ("demo", None)


def test_without_a_body_production_is_meant(stage: RestStage) -> None:
    assert _promote(stage).data["message"] is None


def test_a_later_promotion_makes_the_row_alone(stage: RestStage) -> None:
    stage.put(make.version_manifest("v2", make.in_namespace("prod")))
    stage.put(make.app_manifest(make.in_namespace("prod")))
    _promote(stage)
    assert [stage.created(each, "prod") for each in (VERSIONS, APPS)] == [[], []]
    assert len(stage.created(ROWS, "prod")) == 1


def test_the_preview_of_a_promotion_makes_nothing(stage: RestStage) -> None:
    answer = stage.call("POST", _path(stage, "/preview")).data
    PromotionPreview.model_validate(answer)
    assert (answer["project_id"], answer["environment"]) == (stage.uid(NAMESPACES, "prod"), "production")
    assert (answer["new_app"], answer["new_version"], answer["from"], answer["to"]["version"]) == (True, "v2", None, "v2")
    assert [stage.created(each, "prod") for each in (VERSIONS, APPS, ROWS)] == [[], [], []]
    stage.put(make.version_manifest("v2", make.in_namespace("prod")))
    stage.put(make.app_manifest(make.in_namespace("prod")))
    answer = stage.call("POST", _path(stage, "/preview"), {"environment": "production"}).data
    assert (answer["new_app"], answer["new_version"]) == (False, None)


def test_a_promotion_is_refused_where_it_is_not_as_confirmed(stage: RestStage) -> None:
    shown = stage.call("POST", _path(stage, "/preview")).data["to"]
    for key in (None, "a key"):
        error = stage.call("POST", _path(stage), {"confirmed": {**shown, "version": "v1"}}, key=key).error(409)
        assert error["details"] == {"version": {"confirmed": "v1", "now": "v2"}}
    assert stage.created(ROWS, "prod") == []
    _promote(stage, {"confirmed": shown})
    assert stage.created(ROWS, "prod")[0]["spec"]["config"] == make.CONFIG


def test_a_promotion_is_refused_where_something_else_is_live_there_than_was_confirmed(stage: RestStage) -> None:
    stage.put(make.version_manifest("v2", make.in_namespace("prod")))
    stage.put(make.app_manifest(make.in_namespace("prod")))
    shown = stage.call("POST", _path(stage, "/preview")).data
    stage.put(row("chat-p", make.live(1, "v1"), make.in_namespace("prod"), make.with_meta(ownerReferences=[])))
    body = {"confirmed": {**shown["to"], "from": shown["from"], "under_way": shown["under_way"]}}
    now = stage.call("POST", _path(stage, "/preview")).data["from"]
    assert stage.call("POST", _path(stage), body).error(409)["details"]["from"] == {"confirmed": None, "now": now}
    assert stage.created(ROWS, "prod") == []


def test_the_target_is_named_by_its_id_where_several_are_of_the_environment(stage: RestStage) -> None:
    stage.put(a_namespace("prod-2", project="support", environment="production"))
    assert "several namespaces" in stage.call("POST", _path(stage)).error(422)["message"]
    answer = _promote(stage, {"project_id": stage.uid(NAMESPACES, "prod")}).data
    assert answer["app_id"] == stage.uid(APPS, "chat", "prod")


@pytest.mark.parametrize(
    ("body", "status", "says"),
    [
        ({"environment": "qa"}, 404, "no environment qa; there are: production, staging"),
        ({"environment": "staging"}, 422, "is staging itself"),
        ({"project_id": UNKNOWN}, 404, "no project has the id"),
        ({"environment": ""}, 422, "environment"),
        ({"hostname": "x" * 254}, 422, "hostname"),
    ],
)
@pytest.mark.parametrize("more", ["", "/preview"])
def test_a_promotion_that_cannot_be(stage: RestStage, body: dict[str, Any], more: str, status: int, says: str) -> None:
    assert says in stage.call("POST", _path(stage, more), body).error(status)["message"]
    assert stage.created(ROWS, "prod") == []


def test_a_namespace_that_the_caller_may_not_read_is_no_target(stage: RestStage) -> None:
    stage.allow(lambda *asked: asked[2] != "prod")
    refused = stage.call("POST", _path(stage)).error(404)["message"]
    assert "no environment production; there are: staging" in refused, "it is not told to be there"
    body = {"project_id": stage.uid(NAMESPACES, "prod")}
    assert "no project has the id" in stage.call("POST", _path(stage), body).error(404)["message"]


def test_a_caller_who_may_not_create_in_the_target_gets_the_name_of_the_role(stage: RestStage) -> None:
    stage.allow(lambda *asked: asked[0] != "create")
    assert "dynamiq-promoter" in stage.call("POST", _path(stage)).error(403)["message"]


def test_an_app_with_a_hostname_needs_one_in_the_target(stage: RestStage) -> None:
    stage.put(make.app_manifest(make.with_hostname("chat.example.com"), make.with_status(live=_live("chat-b"))))
    assert "hostname" in stage.call("POST", _path(stage)).error(422)["details"]
    _promote(stage, {"hostname": "chat.example.org"})
    assert stage.created(APPS, "prod")[0]["spec"]["hostname"] == "chat.example.org"


@pytest.mark.parametrize("more", ["", "/preview"])
def test_missing_objects_of_the_target_are_named_by_variable(stage: RestStage, more: str) -> None:
    token = {"name": "TOKEN", "secret": {"name": "vault", "key": "token"}}
    url = {"name": "URL", "configMap": {"name": "urls", "key": "crm"}}
    stage.put(make.app_manifest(make.with_variables(token, url), make.with_status(live=_live("chat-b"))))
    stage.script.on("GET", SECRETS.path("prod", "vault"), failure(404, "NotFound"))
    stage.script.on("GET", BY_KIND[CONFIG_MAP.kind].path("prod", "urls"), {"data": {"other": "x"}})
    error = stage.call("POST", _path(stage, more)).error(422)
    assert error["details"] == {
        "lacking": [
            {"kind": "Secret", "name": "vault", "namespace": "prod", "key": "token", "variable": "TOKEN", "is_there": False},
            {"kind": "ConfigMap", "name": "urls", "namespace": "prod", "key": "crm", "variable": "URL", "is_there": True},
        ]
    }
    assert "variable TOKEN needs Secret vault with a key token; variable URL needs key crm of ConfigMap urls" in error["message"]
    assert stage.created(ROWS, "prod") == []


def test_an_app_of_no_project(stage: RestStage) -> None:
    made = stage.put(a_namespace("demo"))
    stage.context.index.of(NAMESPACES).put({**made, "metadata": {**made["metadata"], "resourceVersion": "9"}})
    assert "belongs to no project" in stage.call("POST", _path(stage)).error(422)["message"]


def _live(name: str) -> Manifest:
    return {"row": name, "sequence": 2, "workflowVersion": "v2", "runtime": "1.0.0"}


# The same request twice.


def test_a_key_makes_one_promotion(stage: RestStage) -> None:
    body = {"message": "accepted"}
    first = _promote(stage, body, key="a key")
    assert "idempotency-replayed" not in first.headers
    made = stage.put(stage.created(ROWS, "prod")[0])
    again = _promote(stage, body, key="a key")
    assert again.headers["idempotency-replayed"] == "true"
    assert again.data["id"] == made["metadata"]["uid"]
    assert len(stage.created(ROWS, "prod")) == 1
    elsewhere = {**body, "project_id": stage.put(a_namespace("qa", project="support", environment="qa"))["metadata"]["uid"]}
    for other in ({"message": "other"}, {**body, "hostname": "other.example.com"}, {**body, "environment": "qa"}, elsewhere):
        assert "Idempotency-Key" in stage.call("POST", _path(stage), other, key="a key").error(422)["details"]
    deploy = {"workflow_id": stage.uid(WORKFLOWS, "chat")}
    refused = stage.call("POST", f"/v1/apps/{stage.uid(APPS, 'chat')}/deploy", deploy, key="a key")
    assert "Idempotency-Key" in refused.error(422)["details"]


def test_a_promotion_that_another_replica_makes_at_this_moment(stage: RestStage) -> None:
    """The other replica's row exists when this one is refused: it is the answer."""

    def elsewhere(sent: Sent) -> Reply:
        stage.put(sent.body)
        return failure(409, "AlreadyExists")

    stage.script.on("POST", ROWS.path("prod"), elsewhere)
    stage.script.on("POST", ROWS.path("prod"), created, query={"dryRun": "All"})
    answered = _promote(stage, key="a key")
    assert answered.headers["idempotency-replayed"] == "true"


def test_a_row_of_the_key_that_is_there_and_cannot_be_read_is_no_answer(stage: RestStage) -> None:
    """It may be deleted a moment later, with a deleted App of this name."""
    stage.put(make.app_manifest(make.in_namespace("prod")))
    stage.put(make.version_manifest("v2", make.in_namespace("prod")))
    stage.script.on("PATCH", APPS.path("demo", "chat"), {})
    stage.script.on("POST", ROWS.path("prod"), failure(409, "AlreadyExists", "it is there"))
    stage.script.on("POST", ROWS.path("prod"), created, query={"dryRun": "All"})
    assert stage.call("POST", _path(stage), key="a key").status in (404, 409)


def test_the_row_of_a_key_is_searched_in_every_environment(stage: RestStage) -> None:
    """Unreadable environments are also asked, and have no such row."""
    stage.put(a_namespace("qa", project="support", environment="qa"))
    stage.script.on("GET", ROWS.path("qa"), failure(403, "Forbidden"))
    _promote(stage, key="a key")
    row_name = stage.created(ROWS, "prod")[0]["metadata"]["name"]
    paths = {sent.path for sent in stage.script.sent if sent.method == "GET" and sent.path.endswith(row_name)}
    assert paths >= {ROWS.path(each, row_name) for each in ("demo", "prod", "qa")}


def test_a_row_elsewhere_with_the_keys_name_is_another_request(stage: RestStage) -> None:
    _promote(stage, key="a key")
    name = stage.created(ROWS, "prod")[0]["metadata"]["name"]
    stage.put(row(name, make.in_namespace("prod")))
    assert "Idempotency-Key" in stage.call("POST", _path(stage), key="a key").error(422)["details"]
