"""Apps over HTTP: list, create with the first deployment, read, delete."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.base import SERVICE, WORKLOAD
from dynamiq_operator.kube.resources import APPS, BY_KIND, NAMESPACES, ROWS, RUNTIMES, VERSIONS, WORKFLOWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.apps.responses import AppDetails, AppResponse
from tests.support import factories as make
from tests.support.rest_stage import ANNA, DOMAIN, UNKNOWN, RestStage, created, row
from tests.support.scripted import Answer, Reply, Sent, failure, listed
from tests.unit.support.workloads import checking, of_pins, service

SERVER = {
    "deployment_type": "server_based",
    "config": {
        "autoscaling": {"min_replicas": 1, "max_replicas": 2, "target_cpu_utilization_percentage": 80},
        "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
    },
}


def _path(stage: RestStage, more: str = "") -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}{more}"


def _new(stage: RestStage, **fields: Any) -> dict[str, Any]:
    body = {"name": "Customer support", "project_id": stage.uid(NAMESPACES, "demo"), "workflow_id": stage.uid(WORKFLOWS, "chat")}
    return {name: value for name, value in {**body, **fields}.items() if value is not None}


def test_an_app_and_what_it_serves(stage: RestStage) -> None:
    answer = stage.get(_path(stage))
    AppDetails.model_validate(answer)
    assert (answer["name"], answer["hostname"], answer["project_id"]) == ("chat", f"chat.demo.{DOMAIN}", stage.uid(NAMESPACES, "demo"))
    assert answer["workflow"] == {"id": stage.uid(WORKFLOWS, "chat"), "name": "chat", "description": "Answers questions"}
    assert (answer["workflow_version"]["version"], answer["workflow_version_id"]) == ("v2", stage.uid(VERSIONS, "chat-v2"))
    assert answer["runtime"] == {"id": stage.uid(RUNTIMES, make.RUNTIME_NAME), "version": "1.0.0", "label": "Python 3.11"}
    assert answer["latest_deployment_id"] == stage.uid(ROWS, "chat-b")
    assert answer["deployment_config"] == SERVER
    assert answer["access_control"] == {"access_type": "private", "origins": []}


def test_an_app_has_its_status_and_its_live_row(stage: RestStage) -> None:
    answer = stage.get(_path(stage))
    AppDetails.model_validate(answer)
    assert answer["status"] == {"word": "Live", "reason": "Serving", "message": "v2 (#2, chat-b) is live"}
    assert (answer["namespace"], answer["resource_name"], answer["environment"]) == ("demo", "chat", "staging")
    assert answer["live"] == {
        "deployment_id": stage.uid(ROWS, "chat-b"),
        "name": "chat-b",
        "sequence": 2,
        "version": "v2",
        "created_at": "2026-11-24T12:00:00Z",
    }
    (condition,) = answer["conditions"]
    assert condition == {
        "type": "Ready",
        "status": "True",
        "reason": "Serving",
        "message": "v2 (#2, chat-b) is live",
        "since": "2026-11-24T12:00:02Z",
    }
    assert (answer["under_way"], answer["git"], answer["warm"]) == (None, None, [])
    (of_list,) = stage.get("/v1/apps")
    AppResponse.model_validate(of_list)
    assert of_list == {name: value for name, value in answer.items() if name not in ("conditions", "git", "warm", "guards")}


def test_an_app_has_the_row_under_way_beside_the_live_one(stage: RestStage) -> None:
    first = stage.put(row("chat-c", make.progressing(3, "v1"), make.created(8)))
    newest = stage.put(row("chat-d", make.created(9), make.with_status(phase="Pending")))
    owner = {"apiVersion": APPS.api_version, "kind": APPS.kind, "name": "chat", "uid": UNKNOWN}
    stage.put(row("chat-old", make.created(20), make.with_meta(ownerReferences=[owner])))
    for answer in (stage.get(_path(stage)), stage.get("/v1/apps")[0]):
        assert answer["under_way"] == {
            "deployment_id": newest["metadata"]["uid"],
            "name": "chat-d",
            "sequence": None,
            "version": None,
            "status": "Pending",
        }
        assert (answer["status"]["word"], answer["live"]["name"]) == ("Pending", "chat-b")
        assert answer["workflow_version"]["version"] == "v2", "it still serves that"
    assert first["metadata"]["uid"] != answer["under_way"]["deployment_id"]


def test_an_app_is_returned_as_far_as_its_rows_may_be_read(stage: RestStage) -> None:
    for path in (ROWS.path("demo"), ROWS.path(), ROWS.path("demo", "chat-b")):
        stage.script.on("GET", path, failure(403, "Forbidden"))
    stage.allow(lambda _verb, plural, _namespace: plural != ROWS.plural)
    for answer in (stage.get(_path(stage)), stage.get("/v1/apps")[0]):
        assert (answer["status"]["word"], answer["under_way"]) == ("Live", None)
        live = {"deployment_id": None, "name": "chat-b", "sequence": 2, "version": "v2", "created_at": None}
        assert (answer["live"], answer["latest_deployment_id"]) == (live, None), "the App's status says this, and the index nothing besides"


def test_an_app_has_the_deploy_of_git_and_if_it_is_live(stage: RestStage) -> None:
    deploy = {"workflowVersion": "v2", "message": "From Git"}
    live = stage.object(APPS, "chat")["status"]
    stage.put(make.app_manifest(make.with_deploy(**deploy, changedBy="flux"), make.with_status(**live)))
    answer = stage.get(_path(stage))
    AppDetails.model_validate(answer)
    git = {"workflow_version": "v2", "runtime": None, "message": "From Git", "changed_by": "flux", "is_live": False}
    assert answer["git"] == git
    stage.put(row("chat-b", make.live(2, "v2", source="App"), make.asking(**deploy), make.created(2)))
    assert stage.get(_path(stage))["git"] == {**git, "is_live": True}
    stage.put(make.app_manifest(make.with_deploy(**deploy, changedBy="flux")))
    assert stage.get(_path(stage))["git"]["is_live"] is False, "nothing is live"


def test_an_app_has_its_standby(stage: RestStage) -> None:
    live = stage.object(APPS, "chat")["status"]
    stage.put(make.app_manifest(make.with_spec(rollout={"strategy": "Switch"}), make.with_status(**live)))
    warm, serving = of_pins("v1", 2, 2, warm=True), of_pins("v2", 3, 3, serves=True)
    stage.script.on("GET", BY_KIND[WORKLOAD.kind].path("demo"), listed(warm, serving))
    stage.script.on("GET", BY_KIND[SERVICE.kind].path("demo", "chat"), service("v2"))
    assert stage.get(_path(stage))["warm"] == [{"version": "v1", "pods_ready": 2}]
    stage.script.on("GET", BY_KIND[WORKLOAD.kind].path("demo"), failure(403, "Forbidden"))
    assert stage.get(_path(stage))["warm"] == []


@pytest.mark.parametrize(("asked", "served"), [("public", "private"), ("private", "public")])
def test_its_access_is_what_pods_check_while_another_one_waits_for_a_row(stage: RestStage, asked: str, served: str) -> None:
    live = stage.object(APPS, "chat")["status"]
    stage.script.on("GET", BY_KIND[WORKLOAD.kind].path("demo"), listed(checking("https://served.example.com", keys=served == "private")))

    def access(**held: Any) -> tuple[str, list[str]]:
        asking = {"type": asked, "origins": ["https://asked.example.com"]}
        stage.put(make.app_manifest(make.with_spec(access=asking), make.with_status(**{**live, **held})))
        answer = stage.get(_path(stage))["access_control"]
        return answer["access_type"], answer["origins"]

    assert access() == (asked, ["https://asked.example.com"])
    assert access(conditions=[make.VARIABLES_HELD]) == (served, ["https://served.example.com"])
    stage.script.on("GET", BY_KIND[WORKLOAD.kind].path("demo"), failure(403, "Forbidden"))
    assert access(conditions=[make.VARIABLES_HELD]) == (asked, ["https://asked.example.com"])


def test_a_hostname_is_what_a_client_can_call() -> None:
    """Clients put `https://` before it, unless it begins with `http`."""
    with RestStage(public_scheme="http", public_port=8080) as stage:
        url = f"http://chat.demo.{DOMAIN}:8080"
        assert stage.get(_path(stage))["hostname"] == url
        assert [each["hostname"] for each in stage.get("/v1/apps")] == [url]
        assert stage.call("POST", "/v1/apps", _new(stage)).data["hostname"] == f"http://customer-support.demo.{DOMAIN}:8080"
        inside = stage.put(make.app_manifest(make.exposed("ClusterIP"), name="inside"))
        assert stage.get(f"/v1/apps/{inside['metadata']['uid']}")["hostname"] == "inside.demo.svc"
        stage.put(make.app_manifest(make.with_status(hostname="chat.test", url="https://chat.test")))
        assert stage.get(_path(stage))["hostname"] == "chat.test"
        stage.put(
            make.app_manifest(make.with_spec(exposure={"type": "of a newer version"}), make.with_status(hostname="chat.test", url=url))
        )
        assert stage.get(_path(stage))["hostname"] == url


def test_an_app_is_returned_without_an_unreadable_row_and_workflow(stage: RestStage) -> None:
    stage.script.on("GET", ROWS.path("demo", "chat-b"), failure(403, "Forbidden"))
    stage.script.on("GET", WORKFLOWS.path("demo", "chat"), failure(403, "Forbidden"))
    answer = stage.get(_path(stage))
    assert (answer["workflow_version"], answer["runtime"], answer["workflow"]["description"]) == (None, None, None)
    assert answer["latest_deployment_id"] == stage.uid(ROWS, "chat-b")


def test_ids_of_rows_that_may_be_read_by_name_only_are_returned(stage: RestStage) -> None:
    stage.script.on("GET", ROWS.path("demo"), failure(403, "Forbidden"))
    answer = stage.get(_path(stage))
    assert answer["latest_deployment_id"] == answer["live"]["deployment_id"] == stage.uid(ROWS, "chat-b")


def test_an_app_is_not_returned_in_part_while_the_cluster_is_unavailable(stage: RestStage) -> None:
    for path in (ROWS.path("demo", "chat-b"), WORKFLOWS.path("demo", "chat")):
        stage.script.on("GET", path, failure(503, "ServiceUnavailable", "away"))
        assert "away" in stage.call("GET", _path(stage)).error(503)["message"]


def test_an_app_that_was_never_deployed(stage: RestStage) -> None:
    made = stage.put(make.app_manifest(name="new"))
    answer = stage.get(f"/v1/apps/{made['metadata']['uid']}")
    assert (answer["latest_deployment_id"], answer["workflow_version"], answer["runtime_id"]) == (None, None, None)
    assert answer["deployment_config"] == {"deployment_type": "serverless", "config": {}}, "as a deploy of it would be"


@pytest.mark.parametrize("reply", [failure(404, "NotFound"), failure(403, "Forbidden"), {"metadata": {"uid": UNKNOWN}, "spec": {}}])
@pytest.mark.parametrize("more", ["", "/deployments"])
def test_a_forbidden_app_is_as_unknown_as_a_missing_one(stage: RestStage, reply: Answer, more: str) -> None:
    stage.script.on("GET", APPS.path("demo", "chat"), reply)
    if isinstance(reply, Reply):
        stage.script.on("GET", ROWS.path("demo"), reply)
        seen = stage.call("GET", _path(stage, more)).error(404)["message"]
        assert seen.replace(stage.uid(APPS, "chat"), UNKNOWN) == stage.call("GET", f"/v1/apps/{UNKNOWN}{more}").error(404)["message"]
    elif not more:
        stage.call("GET", _path(stage)).error(404)


def test_apps_of_everything_of_a_project_and_of_a_workflow(stage: RestStage) -> None:
    other = stage.put(make.app_manifest(make.in_namespace("prod"), name="other"))
    demo, workflow = stage.uid(NAMESPACES, "demo"), stage.uid(WORKFLOWS, "chat")

    def names(query: str) -> set[str]:
        return {app["name"] for app in stage.get(f"/v1/apps{query}")}

    assert names("") == {"chat", "other"}
    assert names(f"?project_id={demo}") == {"chat"}
    assert names(f"?workflow_id={workflow}") == {"chat"}
    assert names(f"?workflow_id={workflow}&project_id={demo}&include_archived=true") == {"chat"}
    (chat,) = stage.get(f"/v1/apps?project_id={demo}")
    assert chat["workflow_version"]["version"] == "v2"
    assert chat["workflow"]["description"] == "Answers questions"
    assert other["metadata"]["uid"] in {app["id"] for app in stage.get("/v1/apps")}


def test_a_caller_who_may_not_list_all_gets_the_apps_of_readable_namespaces(stage: RestStage) -> None:
    stage.put(make.app_manifest(make.in_namespace("prod"), name="other"))
    for resource in (APPS, WORKFLOWS, ROWS):
        stage.script.on("GET", resource.path(), failure(403, "Forbidden"))
        stage.script.on("GET", resource.path("prod"), failure(403, "Forbidden"))
    assert [app["name"] for app in stage.get("/v1/apps")] == ["chat"]
    stage.allow(lambda _verb, plural, _namespace: plural != ROWS.plural)
    (chat,) = stage.get("/v1/apps")
    assert (chat["workflow_version"], chat["latest_deployment_id"]) == (None, None)


@pytest.mark.parametrize("query", ["project_id={demo}", "workflow_id={workflow}", "workflow_id={workflow}&project_id={prod}"])
def test_apps_of_what_the_caller_may_not_see(stage: RestStage, query: str) -> None:
    stage.script.on("GET", APPS.path("demo"), failure(403, "Forbidden"))
    stage.allow(lambda *asked: asked[2] == "prod")
    ids = {"demo": stage.uid(NAMESPACES, "demo"), "prod": stage.uid(NAMESPACES, "prod"), "workflow": stage.uid(WORKFLOWS, "chat")}
    assert "may not see it" in stage.call("GET", f"/v1/apps?{query.format(**ids)}").error(404)["message"]


def test_a_new_app_has_its_first_deployment(stage: RestStage) -> None:
    body = _new(
        stage,
        description="Answers",
        workflow_version_id=stage.uid(VERSIONS, "chat-v1"),
        runtime_id=stage.uid(RUNTIMES, make.RUNTIME_NAME),
        access_control={"access_type": "public", "origins": ["*"]},
        deployment_config={"deployment_type": "server_based", "config": {"autoscaling": {"max_replicas": 3}}},
    )
    answered = stage.call("POST", "/v1/apps", body)
    assert answered.status == 201
    answer = answered.data
    AppResponse.model_validate(answer)
    assert (answer["name"], answer["description"], answer["hostname"]) == ("Customer support", "Answers", f"customer-support.demo.{DOMAIN}")
    assert (answer["access_control"], answer["created_by"]["username"]) == ({"access_type": "public", "origins": ["*"]}, ANNA)
    assert answer["deployment_config"]["config"]["autoscaling"]["max_replicas"] == 3
    (app,), (row,) = stage.created(APPS), stage.created(ROWS)
    assert app["metadata"]["name"] == "customer-support"
    assert app["spec"] == {
        "displayName": "Customer support",
        "description": "Answers",
        "workflow": "chat",
        "access": {"type": "public", "origins": ["*"]},
    }
    assert row["spec"] == {
        "app": "customer-support",
        "workflowVersion": "v1",
        "runtime": make.RUNTIME_NAME,
        "config": {"type": "server", "autoscaling": {"maxReplicas": 3}},
    }
    assert stage.script.writes()[-2].path == APPS.path("demo"), "the App is made before its row"
    stage.put(app | {"kind": APPS.kind})
    assert stage.get(f"/v1/apps/{answer['id']}")["id"] == answer["id"]


def test_a_name_that_is_taken(stage: RestStage) -> None:
    stage.put(make.app_manifest(make.with_spec(displayName="Customer support"), name="customer-support"))
    assert stage.call("POST", "/v1/apps", _new(stage)).error(409)["details"] == {"name": "taken"}
    assert stage.created(APPS) == []


@pytest.mark.parametrize("reply", [failure(422, "Invalid", "no"), failure(403, "Forbidden", "a quota"), failure(503, "Unavailable")])
def test_an_app_whose_row_is_refused_is_deleted(stage: RestStage, reply: Reply) -> None:
    stage.script.on("POST", ROWS.path("demo"), reply)
    stage.script.on("POST", ROWS.path("demo"), created, query={"dryRun": "All"})
    stage.script.on("DELETE", APPS.path("demo", "customer-support"), Reply())
    answered = stage.call("POST", "/v1/apps", _new(stage))
    assert answered.status == reply.status
    (deleted,) = stage.script.bodies("DELETE", APPS.path("demo", "customer-support"))
    assert set(deleted["preconditions"]) == {"uid"}


def test_an_app_that_could_not_be_deleted_again_is_reported(stage: RestStage) -> None:
    stage.script.on("POST", ROWS.path("demo"), failure(422, "Invalid", "no"))
    stage.script.on("POST", ROWS.path("demo"), created, query={"dryRun": "All"})
    stage.script.on("DELETE", APPS.path("demo", "customer-support"), failure(403, "Forbidden"))
    error = stage.call("POST", "/v1/apps", _new(stage)).error(422)
    assert "could not be deleted" in error["message"]
    assert error["details"]["app_id"]


@pytest.mark.parametrize(
    ("field", "value", "status"),
    [
        ("project_id", UNKNOWN, 404),
        ("workflow_id", UNKNOWN, 404),
        ("workflow_version_id", UNKNOWN, 404),
        ("runtime_id", UNKNOWN, 404),
        ("project_id", "no-uuid", 422),
        ("name", "No!", 422),
        ("name", "", 422),
        ("name", "  ", 422),
        ("workflow_id", None, 422),
        ("description", "x" * 513, 422),
    ],
)
def test_a_new_app_that_cannot_be(stage: RestStage, field: str, value: str | None, status: int) -> None:
    error = stage.call("POST", "/v1/apps", _new(stage, **{field: value})).error(status)
    assert field in error["details"]
    assert stage.created(APPS) == stage.created(ROWS) == []


@pytest.mark.parametrize(
    ("config", "says"),
    [
        ({"deployment_type": "serverless", "config": {"autoscaling": {}}}, "config.autoscaling: a config of serverless has no autoscaling"),
        ({"deployment_type": "server_based", "config": {"idle_seconds": 60}}, "config.idle_seconds: a config of server_based has no"),
        ({"deployment_type": "serverless", "config": {"idle_seconds": 4}}, "deployment_config.config.idle_seconds"),
        ({"deployment_type": "serverless", "config": {"memory": "1Gi"}}, "this field does not exist"),
        ({"deployment_type": "serverless", "config": {"resources": {"requests": {"gpu": "1"}}}}, "this field does not exist"),
        ({"deployment_type": "server_based", "config": {"resources": {"limits": {"memory": "a lot"}}}}, "resources.limits.memory"),
        ({"deployment_type": "server_based", "config": {"autoscaling": {"min_replicas": 3, "max_replicas": 2}}}, "at most max_replicas"),
        ({"deployment_type": "server_based", "config": {"autoscaling": {"min_replicas": 3}}}, "min_replicas"),
        ({"deployment_type": "other"}, "serverless"),
    ],
)
def test_a_config_that_cannot_be(stage: RestStage, config: dict[str, Any], says: str) -> None:
    answered = stage.call("POST", "/v1/apps", _new(stage, deployment_config=config))
    assert says in answered.error(422)["message"]
    assert stage.created(APPS) == []


@pytest.mark.parametrize(
    ("asked", "recorded", "told"),
    [
        ({"deployment_type": "serverless", "config": {}}, {"type": "serverless"}, {}),
        ({"deployment_type": "serverless"}, {"type": "serverless"}, {}),
        (None, {"type": "serverless"}, {}),
        (
            {"deployment_type": "serverless", "config": {"idle_seconds": 60, "max_replicas": 10, "hold_seconds": 30}},
            {"type": "serverless", "idleSeconds": 60, "maxReplicas": 10, "holdSeconds": 30},
            {"idle_seconds": 60, "hold_seconds": 30},
        ),
    ],
    ids=["as the product's client sends it", "without a config", "without a word", "with fields of ours"],
)
def test_a_new_app_sleeps_unless_requested_otherwise(
    stage: RestStage, asked: dict[str, Any] | None, recorded: dict[str, Any], told: dict[str, Any]
) -> None:
    """The answer leaves out fields with their default: the contract has `{}`."""
    made = stage.call("POST", "/v1/apps", _new(stage, deployment_config=asked)).data
    AppResponse.model_validate(made)
    assert stage.created(ROWS)[0]["spec"]["config"] == recorded
    assert made["deployment_config"] == {"deployment_type": "serverless", "config": told}


def test_a_caller_who_may_not_read_the_project_does_not_learn_that_it_exists(stage: RestStage) -> None:
    stage.allow(lambda *_: False)
    stage.script.on("GET", APPS.path("demo"), failure(403, "Forbidden"))
    for fields in ({}, {"workflow_version_id": UNKNOWN}):
        assert stage.call("POST", "/v1/apps", _new(stage, **fields)).error(404)["details"] == {"project_id": "unknown"}


def test_a_caller_who_may_only_read_the_project_is_forbidden_to_create(stage: RestStage) -> None:
    stage.script.on("POST", APPS.path("demo"), failure(403, "Forbidden", "anna may not create apps"))
    assert "may not create" in stage.call("POST", "/v1/apps", _new(stage)).error(403)["message"]


def test_a_key_makes_one_app(stage: RestStage) -> None:
    first = stage.call("POST", "/v1/apps", _new(stage), key="a key")
    assert "idempotency-replayed" not in first.headers
    app, row = stage.created(APPS)[0], stage.created(ROWS)[0]
    assert row["metadata"]["name"].startswith("first-")
    stage.put(app)
    stored = stage.put({**row, "spec": {**row["spec"], "createdBy": ANNA}})
    stage.script.on("POST", ROWS.path("demo"), failure(409, "AlreadyExists"))
    again = stage.call("POST", "/v1/apps", _new(stage), key="a key")
    assert (again.status, again.headers["idempotency-replayed"]) == (201, "true")
    assert (again.data["id"], again.data["latest_deployment_id"]) == (first.data["id"], stored["metadata"]["uid"])
    assert len(stage.created(APPS)) == 1
    for other in ({"description": "other"}, {"name": "Another"}):
        refused = stage.call("POST", "/v1/apps", _new(stage, **other), key="a key")
        assert "Idempotency-Key" in refused.error(422)["details"]
    assert stage.call("POST", "/v1/apps", _new(stage), key="another key").error(409)["details"] == {"name": "taken"}


@pytest.mark.parametrize(
    ("reply", "replayed"), [(failure(409, "AlreadyExists"), None), (failure(403, "Forbidden", "the quota is used up"), "true")]
)
def test_a_key_whose_row_another_replica_makes_at_this_moment(stage: RestStage, reply: Reply, replayed: str | None) -> None:
    """This replica creates the App, and another one its row: both answers describe the same row."""
    made: list[Manifest] = []

    def elsewhere(sent: Sent) -> Reply:
        made.append(stage.put({**sent.body, "spec": {**sent.body["spec"], "createdBy": ANNA}}))
        stage.script.on("POST", ROWS.path("demo"), reply)
        return reply

    stage.script.on("POST", ROWS.path("demo"), elsewhere)
    stage.script.on("POST", ROWS.path("demo"), created, query={"dryRun": "All"})
    answered = stage.call("POST", "/v1/apps", _new(stage), key="a key")
    assert answered.data["latest_deployment_id"] == made[0]["metadata"]["uid"]
    assert answered.headers.get("idempotency-replayed") == replayed


@pytest.mark.parametrize("key", ["", "k" * 256])
def test_a_key_that_is_none(stage: RestStage, key: str) -> None:
    answered = stage.call("POST", "/v1/apps", _new(stage), headers={"Idempotency-Key": key})
    assert "Idempotency-Key" in answered.error(422)["details"]


def test_an_app_is_deleted_with_what_it_owns(stage: RestStage) -> None:
    path = APPS.path("demo", "chat")
    stage.script.on("DELETE", path, Reply())
    answered = stage.call("DELETE", _path(stage))
    assert (answered.status, answered.content) == (204, b"")
    assert stage.script.bodies("DELETE", path) == [{"preconditions": {"uid": stage.uid(APPS, "chat")}, "propagationPolicy": "Background"}]
    stage.script.on("GET", APPS.path(), {"metadata": {"resourceVersion": "9"}, "items": []})
    stage.call("GET", _path(stage)).error(404)


@pytest.mark.parametrize(
    ("reply", "status"),
    [
        (failure(404, "NotFound"), 404),
        (failure(409, "Conflict", "the UID in the precondition does not match"), 404),
        (failure(403, "Forbidden", "its history is protected"), 403),
        (failure(503, "ServiceUnavailable"), 503),
    ],
)
def test_an_app_that_is_not_deleted(stage: RestStage, reply: Reply, status: int) -> None:
    stage.script.on("DELETE", APPS.path("demo", "chat"), reply)
    stage.call("DELETE", _path(stage)).error(status)


def test_deleting_an_unreadable_app_returns_not_found(stage: RestStage) -> None:
    for method in ("DELETE", "GET"):
        stage.script.on(method, APPS.path("demo", "chat"), failure(403, "Forbidden"))
    stage.call("DELETE", _path(stage)).error(404)
