"""The steps of every call, for any resource: tokens, bodies, errors, pages, headers, and the document of the API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPS, ROWS, WORKFLOWS
from dynamiq_operator.rest.http import openapi, sessions
from dynamiq_operator.rest.http.body import BODY_MAX, SMALL
from tests.support import factories as make
from tests.support.rest_stage import TOKEN, RestStage
from tests.support.scripted import Reply, failure

SAVE, RELEASE = "/v1/workflows/{}/save", "/v1/workflows/{}/release"


@pytest.mark.parametrize(
    ("token", "headers"),
    [(None, {}), (None, {"Authorization": "Basic abc"}), ("expired", {}), (None, {"Authorization": "Bearer a b"})],
)
def test_without_a_valid_token_nothing_else_is_looked_at(stage: RestStage, token: str | None, headers: dict[str, str]) -> None:
    too_large = b"x" * (BODY_MAX + 1)
    for method, path, body in (("GET", "/v1/me", None), ("POST", "/v1/apps", too_large), ("GET", "/v1/nothing", None)):
        answered = stage.call(method, path, body, token=token, headers=headers)
        assert answered.error(401)["code"] == "unauthorized"
        assert answered.headers["www-authenticate"] == "Bearer"
    assert {sent.path for sent in stage.script.sent} <= {sessions.REVIEWS}


def test_a_token_is_reviewed_once_a_minute(stage: RestStage) -> None:
    for _ in range(3):
        stage.get("/v1/me")
    assert len(stage.script.bodies("POST", sessions.REVIEWS)) == 1


def test_reads_are_sent_with_the_callers_token(stage: RestStage) -> None:
    before = len(stage.script.sent)
    stage.get("/v1/apps")
    sent = stage.script.sent[before:]
    assert sent
    assert {each.headers["Authorization"] for each in sent} == {f"Bearer {TOKEN}"}


def test_a_caller_without_the_right_to_a_token_review_is_forbidden(stage: RestStage) -> None:
    stage.script.on("POST", sessions.REVIEWS, failure(403, "Forbidden", "no reviews for you"))
    assert "no reviews for you" in stage.call("GET", "/v1/me").error(403)["message"]


def test_until_everything_was_listed_once_a_replica_is_not_ready() -> None:
    with RestStage(is_ready=False) as stage:
        assert stage.call("GET", "/healthz", token=None).json == {"status": "ok"}
        for path in ("/readyz", "/v1/me"):
            answered = stage.call("GET", path)
            assert answered.error(503)["code"] == "unavailable"
            assert int(answered.headers["retry-after"]) > 0


def test_a_ready_replica_reports_it_without_a_token(stage: RestStage) -> None:
    assert stage.call("GET", "/readyz", token=None).json == {"status": "ok"}


def test_every_answer_forbids_to_guess_and_to_keep(stage: RestStage) -> None:
    for path in ("/healthz", "/v1/me", "/v1/nothing", "/docs"):
        headers = stage.call("GET", path).headers
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


def test_a_path_and_a_method_that_there_are_not(stage: RestStage) -> None:
    assert "/openapi.json" in stage.call("GET", "/v1/nothing").error(404)["message"]
    answered = stage.call("PATCH", f"/v1/apps/{stage.uid(APPS, 'chat')}")
    assert answered.error(405)["code"] == "method_not_allowed"
    assert answered.headers["allow"] == "DELETE, GET"


@pytest.mark.parametrize(
    ("body", "headers", "status", "says"),
    [
        (b"x" * (BODY_MAX + 1), {}, 413, "at most"),
        (b"{}", {"Content-Length": str(BODY_MAX + 1)}, 413, "at most"),
        (b"name=x", {"Content-Type": "application/x-www-form-urlencoded"}, 415, "application/json"),
        (b"{}", {"Content-Type": "application/json; charset=latin-1"}, 415, "UTF-8"),
        (b"{}", {"Content-Encoding": "gzip"}, 415, "Content-Encoding"),
        (b"{", {}, 422, "not JSON"),
        (b'"\xff"', {}, 422, "UTF-8"),
        (b'{"name": NaN}', {}, 422, "NaN"),
        (b'{"name": Infinity}', {}, 422, "Infinity"),
        (b'"\\ud800"', {}, 422, "body"),
        (b'{"name": "\\ud800"}', {}, 422, "name"),
        (b" ", {}, 422, "body"),
        (b'{"name": ' + b"1" * 1001 + b"}", {}, 422, "digits"),
        (b"[" * 201 + b"]" * 201, {}, 422, "levels"),
        (b'"' + b" " * SMALL + b'" x', {}, 422, "not JSON"),
        (b"[]", {}, 422, "dict"),
        (b"", {}, 422, "body"),
    ],
)
def test_a_body_that_is_none(stage: RestStage, body: bytes, headers: dict[str, str], status: int, says: str) -> None:
    error = stage.call("POST", "/v1/apps", body, headers=headers).error(status)
    assert says.lower() in json.dumps(error).lower()
    assert stage.created(APPS) == []


def test_a_body_that_does_not_validate_names_each_field(stage: RestStage) -> None:
    error = stage.call("POST", "/v1/apps", {"name": "No!", "project_id": 7, "access_control": {"access_type": "x"}}).error(422)
    assert error["code"] == "validation_error"
    assert set(error["details"]) == {"name", "project_id", "workflow_id", "access_control.access_type"}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        (b'{"flow": {"nodes": [{"a": 1, "a": 2}]}}', "flow"),
        (b'{"flow": {"nodes": [{}], "nodes": [{}]}}', "flow"),
        (b'{"flow": {"nodes": [{}]}, "flow": {"nodes": [{}]}}', "flow"),
        (b'{"flow": {"nodes": [{}]}, "flow_ui": {"a": 1, "\\u0061": 2}}', "flow_ui"),
    ],
)
@pytest.mark.parametrize("path", [SAVE, RELEASE])
def test_a_key_that_is_there_twice_is_refused(stage: RestStage, path: str, body: bytes, field: str) -> None:
    assert "twice" in stage.call("POST", path.format(stage.uid(WORKFLOWS, "chat")), body).error(422)["details"][field]


@pytest.mark.parametrize(
    ("reply", "status", "code", "says"),
    [
        (failure(401, "Unauthorized"), 401, "unauthorized", "token"),
        (failure(409, "Conflict", "was modified"), 409, "conflict", "was modified"),
        (failure(429, "TooManyRequests", "slow down", Retry_After="7"), 429, "rate_limited", "slow down"),
        (failure(500, "InternalError", "etcdserver: request is too large"), 422, "validation_error", "smaller"),
        (failure(500, "InternalError", "etcd is away"), 503, "unavailable", "etcd is away"),
        (failure(503, "ServiceUnavailable", "starting", Retry_After="9"), 503, "unavailable", "starting"),
        (failure(504, "Timeout", "too slow"), 503, "unavailable", "too slow"),
        (failure(413, "RequestEntityTooLarge", "too large"), 413, "payload_too_large", "too large"),
        (Reply(502, b"<html>bad gateway</html>"), 503, "unavailable", "bad gateway"),
        (Reply(cut=True), 503, "unavailable", "does not answer"),
        (Reply(200, b"<html>"), 503, "unavailable", "not JSON"),
    ],
)
def test_each_error_of_the_api_server_has_one_status(stage: RestStage, reply: Reply, status: int, code: str, says: str) -> None:
    stage.script.on("GET", APPS.path(), reply)
    answered = stage.call("GET", "/v1/apps")
    error = answered.error(status)
    assert error["code"] == code
    assert says in error["message"]
    if status in (429, 503):
        assert answered.headers["retry-after"] == str(reply.headers.get("Retry-After", 2))


def test_an_invalid_object_names_the_fields_of_the_contract(stage: RestStage) -> None:
    causes = {"spec.config.autoscaling.minReplicas": "too many", "spec.message": "too long", "": "and more"}
    causes["spec.config.resources.requests.cpu"] = "no amount"
    stage.script.on("POST", ROWS.path("demo"), failure(422, "Invalid", 'Deployment "x" is invalid: too much', causes))
    error = stage.call("POST", f"/v1/apps/{stage.uid(APPS, 'chat')}/deploy", _deploy(stage)).error(422)
    assert error["message"] == "too much"
    assert error["details"] == {
        "deployment_config.config.autoscaling.min_replicas": "too many",
        "message": "too long",
        "deployment_config.config.resources.requests.cpu": "no amount",
        "body": "and more",
    }


def _deploy(stage: RestStage) -> dict[str, Any]:

    return {"workflow_id": stage.uid(WORKFLOWS, "chat")}


def test_an_unexpected_error_does_not_show_its_cause(stage: RestStage) -> None:
    stage.script.on("GET", APPS.path("demo", "chat"), {"metadata": {}, "spec": "secret"})
    error = stage.call("GET", f"/v1/apps/{stage.uid(APPS, 'chat')}").error(500)
    assert error["code"] == "internal_error"
    assert "secret" not in json.dumps(error)


def test_a_read_is_sent_once_more_where_a_connection_had_ended(stage: RestStage) -> None:
    app = make.stored(make.app_manifest())
    stage.script.on("GET", APPS.path("demo", "chat"), Reply(cut=True), app)
    assert stage.get(f"/v1/apps/{stage.uid(APPS, 'chat')}")["name"] == "chat"


def test_a_write_is_never_sent_twice(stage: RestStage) -> None:
    stage.script.on("POST", ROWS.path("demo"), Reply(cut=True))
    stage.call("POST", f"/v1/apps/{stage.uid(APPS, 'chat')}/deploy", _deploy(stage)).error(503)
    assert len(stage.created(ROWS)) == 1


@pytest.mark.parametrize("wrong", ["page=0", "page_size=501", "page_size=x", "sort=name", "project_id="])
def test_a_page_that_cannot_be(stage: RestStage, wrong: str) -> None:
    answered = stage.call("GET", f"/v1/apps?{wrong}")
    if wrong == "project_id=":
        answered.error(404)
    else:
        assert wrong.partition("=")[0] in answered.error(422)["details"]


def test_pages_of_a_list_in_both_orders(stage: RestStage) -> None:
    path = f"/v1/apps/{stage.uid(APPS, 'chat')}/deployments"
    newest = [row["name"] for row in stage.get(path)]
    assert newest == ["chat-b", "chat-a"]
    assert [row["name"] for row in stage.get(f"{path}?sort=created_at")] == newest[::-1]
    second = stage.call("GET", f"{path}?page=2&page_size=1").json
    assert [row["name"] for row in second["data"]] == newest[1:]
    assert second["pagination"] == {"page": 2, "page_size": 1, "page_count": 2, "total_count": 2}
    assert stage.get(f"{path}?page=9") == []


def test_the_document_lists_every_call_and_each_of_its_errors(stage: RestStage) -> None:
    document = stage.call("GET", "/openapi.json", token=None).json
    calls = {f"{method.upper()} {path}" for path, methods in document["paths"].items() for method in methods}
    assert calls == set(CALLS.split("\n"))
    for path, methods in document["paths"].items():
        for method, call in methods.items():
            assert {"401", "403", "429", "503"} <= set(call["responses"]), (method, path)
            assert ("{" in path) <= ("404" in call["responses"]), (method, path)
            good = [answer for status, answer in call["responses"].items() if status < "300"]
            assert all("example" in content for answer in good for content in answer.get("content", {}).values()), (method, path)
    assert {name: kind["scheme"] for name, kind in document["components"]["securitySchemes"].items()} == {"token": "bearer"}
    names = set(document["components"]["schemas"])
    assert {"App", "Deployment", "NewApp", "NewDeployment", "Promotion", "WorkflowDetail", "Version", "Trigger", "TriggerEvent"} <= names
    assert not [name for name in names if name.startswith("dynamiq_operator")], "two models have one name"


def test_the_document_as_a_page_runs_nothing_and_loads_nothing(stage: RestStage) -> None:
    answered = stage.call("GET", "/docs", token=None)
    page = answered.content.decode()
    for path in ("/v1/apps/{app_id}/deploy", "/v1/workflows/{workflow_id}/release"):
        assert path in page
    assert {after[0] for after in page.split("</table>")[1:]} == {"<"}, "all text is in an element"
    assert not [each for each in ("<script", "http://", "https://") if each in page]
    assert answered.headers["content-security-policy"] == openapi.POLICY
    assert "default-src 'none'" in openapi.POLICY


CALLS = """\
GET /v1/apps/{app_id}/runs
DELETE /v1/apps/{app_id}/runs
GET /v1/apps/{app_id}/runs.jsonl
GET /v1/apps/{app_id}/runs/{run_id}
POST /v1/apps/{app_id}/runs/{run_id}/cancel
POST /v1/apps/{app_id}/runs/{run_id}/restart
POST /v1/apps/{app_id}/runs/{run_id}/release
POST /v1/apps/{app_id}/runs/{run_id}/callbacks
GET /v1/apps/{app_id}/runs/{run_id}/events
GET /v1/apps/{app_id}/questions
GET /v1/apps/{app_id}/conversations
POST /v1/apps/{app_id}/runs/{run_id}/input
GET /v1/runs/{run_id}
DELETE /v1/runs/{run_id}
GET /v1/runs/{run_id}/trace
POST /v1/runs/{run_id}/scores
GET /v1/apps/{app_id}/metrics
GET /v1/apps/{app_id}/deployments/{deployment_id}/comparison
GET /v1/apps/{app_id}/verdicts
GET /v1/apps/{app_id}/sessions
GET /v1/apps/{app_id}/sessions/{session_id}/messages
POST /v1/apps/{app_id}/invoke
POST /v1/apps/{app_id}/invoke/{path}
GET /v1/apps/{app_id}/traces
GET /v1/apps/{app_id}/traces/{trace_id}
GET /v1/apps/{app_id}/recorder
GET /v1/me
GET /v1/orgs
GET /v1/orgs/{org_id}
GET /v1/projects
GET /v1/projects/{project_id}
GET /v1/projects/{project_id}/rights
GET /v1/apps/{app_id}/watch
GET /v1/apps/watch
GET /v1/projects/{project_id}/watch
GET /v1/apps
POST /v1/apps
GET /v1/apps/{app_id}
DELETE /v1/apps/{app_id}
GET /v1/apps/{app_id}/rights
GET /v1/apps/{app_id}/environments
GET /v1/apps/{app_id}/configuration
PATCH /v1/apps/{app_id}/configuration
GET /v1/apps/{app_id}/access-keys
POST /v1/apps/{app_id}/access-keys
DELETE /v1/apps/{app_id}/access-keys/{name}
GET /v1/apps/{app_id}/deployments/{deployment_id}/pods
GET /v1/apps/{app_id}/deployments/{deployment_id}/pods/{pod}/logs
GET /v1/apps/{app_id}/deployments
GET /v1/apps/{app_id}/deployments/filters
GET /v1/apps/{app_id}/deployments/last-good
GET /v1/apps/{app_id}/deployments/{deployment_id}
GET /v1/apps/{app_id}/deployments/{deployment_id}/diff
GET /v1/apps/{app_id}/at
GET /v1/apps/{app_id}/changes
GET /v1/apps/{app_id}/verify
POST /v1/apps/{app_id}/deploy
POST /v1/apps/{app_id}/deploy/preview
POST /v1/apps/{app_id}/promote
POST /v1/apps/{app_id}/promote/preview
GET /v1/report
GET /v1/apps/{app_id}/guards
POST /v1/apps/{app_id}/suspend
POST /v1/apps/{app_id}/unsuspend
GET /v1/apps/{app_id}/deployments/{deployment_id}/preview
GET /v1/apps/{app_id}/deployments/{deployment_id}/approvals
POST /v1/apps/{app_id}/deployments/{deployment_id}/approvals
GET /v1/apps/{app_id}/rejections
POST /v1/apps/{app_id}/rejections
POST /v1/apps/{app_id}/rejections/{rejection_id}/withdraw
GET /v1/deploy-policies
GET /v1/workflows
POST /v1/workflows
GET /v1/workflows/{workflow_id}
PUT /v1/workflows/{workflow_id}
POST /v1/workflows/{workflow_id}/save
POST /v1/workflows/{workflow_id}/release
GET /v1/workflows/{workflow_id}/versions
GET /v1/workflows/{workflow_id}/versions/{version_id}/diff
GET /v1/workflows/{workflow_id}/requirements
GET /v1/agent-builder/nodes
GET /v1/apps/{app_id}/triggers
POST /v1/apps/{app_id}/triggers
GET /v1/apps/{app_id}/triggers/{trigger_id}
PUT /v1/apps/{app_id}/triggers/{trigger_id}
DELETE /v1/apps/{app_id}/triggers/{trigger_id}
POST /v1/apps/{app_id}/triggers/{trigger_id}/activate
POST /v1/apps/{app_id}/triggers/{trigger_id}/deactivate
POST /v1/apps/{app_id}/triggers/{trigger_id}/run
GET /v1/apps/{app_id}/triggers/{trigger_id}/events
GET /v1/apps/{app_id}/triggers/{trigger_id}/events/{event_id}
GET /v1/runtimes
GET /v1/resource-profiles
GET /v1/services
GET /console/session
POST /console/session
DELETE /console/session"""
"""The contract's calls, and the console's own."""
