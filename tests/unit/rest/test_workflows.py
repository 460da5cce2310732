"""Workflows over HTTP: drafts, releases, and the node types that a flow may have."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPS, NAMESPACES, RUNTIMES, VERSIONS, WORKFLOWS
from dynamiq_operator.model.base import FLOW_MAX_BYTES
from dynamiq_operator.rest.http.examples import EXAMPLES
from dynamiq_operator.rest.workflows.parse import FLOW_UI_MAX_BYTES
from dynamiq_operator.rest.workflows.responses import ListedWorkflow, NodeTypes, VersionResponse, WorkflowDetail
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage
from tests.support.scripted import Answer, Reply, failure, listed

FLOW, FLOW_UI = EXAMPLES["flow"], EXAMPLES["flow_ui"]

OBJECT = WORKFLOWS.path("demo", "chat")
COMPACT = json.dumps(FLOW, separators=(",", ":"))
ODD = '{"nodes":[{"id":"\\u00e9","n":1.0e400,"m":12345678901234567890123,"z":1,"a":2}]}'
"""A flow that no parser returns as it was written."""


def _path(stage: RestStage, more: str = "") -> str:
    return f"/v1/workflows/{stage.uid(WORKFLOWS, 'chat')}{more}"


def _new(stage: RestStage, **fields: Any) -> dict[str, Any]:
    body = {"name": "support", "project_id": stage.uid(NAMESPACES, "demo"), "flow": FLOW, **fields}
    return {name: value for name, value in body.items() if value is not None}


# Lists.


def test_workflows_are_listed_without_their_flows(stage: RestStage) -> None:
    stage.put(make.workflow_manifest(make.in_namespace("prod"), make.created(1), name="other"))
    answer = stage.get("/v1/workflows")
    for each in answer:
        ListedWorkflow.model_validate(each)
    assert [each["name"] for each in answer] == ["other", "chat"]
    (chat,) = stage.get(f"/v1/workflows?project_id={stage.uid(NAMESPACES, 'demo')}")
    assert (chat["id"], chat["description"], chat["project_id"]) == (
        stage.uid(WORKFLOWS, "chat"),
        "Answers questions",
        stage.uid(NAMESPACES, "demo"),
    )


def test_a_caller_who_may_not_list_all_gets_the_workflows_of_readable_namespaces(stage: RestStage) -> None:
    stage.put(make.workflow_manifest(make.in_namespace("prod"), name="other"))
    stage.script.on("GET", WORKFLOWS.path(), failure(403, "Forbidden"))
    stage.script.on("GET", WORKFLOWS.path("prod"), failure(403, "Forbidden"))
    assert [each["name"] for each in stage.get("/v1/workflows")] == ["chat"]
    prod = stage.uid(NAMESPACES, "prod")
    assert stage.call("GET", f"/v1/workflows?project_id={prod}").error(404)["message"] == (
        f"no project has the id {prod}, or you may not see it"
    )
    stage.script.on("GET", WORKFLOWS.path("demo"), failure(401, "Unauthorized"))
    stage.call("GET", "/v1/workflows").error(401)


def test_a_list_has_the_newest_releases_of_readable_namespaces(stage: RestStage) -> None:
    stage.put(make.version_manifest("v10"))
    stage.put(make.workflow_manifest(make.in_namespace("prod"), name="other"))
    stage.put(make.version_manifest("v1", make.in_namespace("prod"), workflow="other"))
    stage.put(make.workflow_manifest(name="unreleased"))

    def told(allowed: Callable[[str, str, str], bool]) -> dict[str, str | None]:
        stage.allow(allowed)
        found = stage.get("/v1/workflows?with_newest_version=true")
        for each in found:
            ListedWorkflow.model_validate(each)
        return {each["name"]: (each["newest_version"] or {}).get("version") for each in found}

    assert told(lambda *_: True) == {"chat": "v10", "other": "v1", "unreleased": None}
    assert told(lambda *asked: asked[2] == "demo") == {"chat": "v10", "other": None, "unreleased": None}
    newest = next(each for each in stage.get("/v1/workflows?with_newest_version=true") if each["name"] == "chat")["newest_version"]
    assert newest["id"] == stage.uid(VERSIONS, "chat-v10")


# Create, read, change.


def test_a_new_workflow_has_its_draft_as_it_was_written(stage: RestStage) -> None:
    body = f'{{ "name": "support", "project_id": "{stage.uid(NAMESPACES, "demo")}", "flow": {ODD}, "flow_ui": {{ "x": 1.50 }} }}'
    answered = stage.call("POST", "/v1/workflows", body.encode())
    assert answered.status == 201
    WorkflowDetail.model_validate({**answered.data, "flow": FLOW})
    assert stage.created(WORKFLOWS)[0]["spec"] == {"flow": ODD, "flowUI": '{"x":1.50}'}
    assert f'"flow":{ODD},"flow_ui":{{"x":1.50}}'.encode() in answered.content
    assert answered.data["flow_error"] is None


def test_a_name_that_is_taken(stage: RestStage) -> None:
    stage.script.on("POST", WORKFLOWS.path("demo"), failure(409, "AlreadyExists"))
    assert stage.call("POST", "/v1/workflows", _new(stage)).error(409)["details"] == {"name": "taken"}


@pytest.mark.parametrize(
    ("fields", "status", "field"),
    [
        ({"name": "Not a label"}, 422, "name"),
        ({"name": "1st"}, 422, "name"),
        ({"name": "a-"}, 422, "name"),
        ({"name": "a" * 41}, 422, "name"),
        ({"name": "a\0"}, 422, "name"),
        ({"name": "a\n"}, 422, "name"),
        ({"name": ""}, 422, "name"),
        ({"name": 7}, 422, "name"),
        ({"project_id": "none"}, 422, "project_id"),
        ({"flow": "nodes: []"}, 422, "flow"),
        ({"flow": {"nodes": "a"}}, 422, "flow"),
        ({"project_id": UNKNOWN}, 404, "project_id"),
        ({"flow": None}, 422, "flow"),
        ({"flow": []}, 422, "flow"),
        ({"flow": {}}, 422, "flow"),
        ({"flow": {"nodes": []}}, 422, "flow"),
        ({"flow": {"nodes": [1]}}, 422, "flow"),
        ({"flow": {"nodes": {}}}, 422, "flow"),
        ({"flow": {"nodes": [{"text": "x" * FLOW_MAX_BYTES}]}}, 422, "flow"),
        ({"flow_ui": "x" * FLOW_UI_MAX_BYTES}, 422, "flow_ui"),
        ({"description": "x" * 513}, 422, "description"),
        ({"description": ["x"]}, 422, "description"),
    ],
)
def test_a_workflow_that_cannot_be(stage: RestStage, fields: dict[str, Any], status: int, field: str) -> None:
    assert field in stage.call("POST", "/v1/workflows", _new(stage, **fields)).error(status)["details"]
    assert stage.created(WORKFLOWS) == []


def test_a_caller_who_may_not_create_workflows_is_forbidden(stage: RestStage) -> None:
    stage.script.on("POST", WORKFLOWS.path("demo"), failure(403, "Forbidden", "anna may not create workflows"))
    assert "may not create" in stage.call("POST", "/v1/workflows", _new(stage)).error(403)["message"]
    stage.allow(lambda *_: False)
    assert stage.call("POST", "/v1/workflows", _new(stage)).error(404)["details"] == {"project_id": "unknown"}


def test_a_workflow_that_was_made_is_found_at_once(stage: RestStage) -> None:
    made = stage.call("POST", "/v1/workflows", _new(stage)).data
    stage.put(stage.created(WORKFLOWS)[0])
    assert stage.get(f"/v1/workflows/{made['id']}")["name"] == "support"


@pytest.mark.parametrize(
    ("stored", "flow", "error"),
    [
        ("nodes: {a: {type: t}}", {"nodes": {"a": {"type": "t"}}}, None),
        ("nodes: [", None, "YAML"),
    ],
)
def test_a_flow_stored_by_kubectl_is_returned_as_json(stage: RestStage, stored: str, flow: Any, error: str | None) -> None:
    stage.put(make.workflow_manifest(make.with_spec(flow=stored, flowUI="no JSON")))
    answer = stage.get(_path(stage))
    assert (answer["flow"], answer["flow_ui"]) == (flow, "no JSON")
    assert (answer["flow_error"] is None) == (error is None)


@pytest.mark.parametrize("reply", [failure(404, "NotFound"), failure(403, "Forbidden"), {"metadata": {"uid": UNKNOWN}, "spec": {}}])
@pytest.mark.parametrize(
    ("method", "more", "body"),
    [("GET", "", None), ("PUT", "", {"description": "x"}), ("PUT", "", {}), ("PUT", "", {"name": "x"}), ("POST", "/save", {"flow": FLOW})],
)
def test_a_forbidden_workflow_is_as_unknown_as_a_missing_one(stage: RestStage, reply: Answer, method: str, more: str, body: Any) -> None:
    stage.script.on("GET", OBJECT, reply)
    stage.script.on("PATCH", OBJECT, reply if isinstance(reply, Reply) else failure(409, "Conflict", "another uid"))
    stage.call(method, _path(stage, more), body).error(404)
    stage.call(method, f"/v1/workflows/{UNKNOWN}{more}", body).error(404)


def test_the_description_is_changed_and_nothing_else(stage: RestStage) -> None:
    answer = stage.call("PUT", _path(stage), {"name": "chat", "description": "Other"}).data
    assert answer["description"] == "Other"
    (sent,) = [sent for sent in stage.script.writes() if sent.method == "PATCH"]
    assert sent.body == {"metadata": {"uid": stage.uid(WORKFLOWS, "chat")}, "spec": {"description": "Other"}}
    assert sent.headers["Content-Type"] == "application/merge-patch+json"
    assert stage.call("PUT", _path(stage), {"description": None}).data["description"] is None


def test_a_workflow_keeps_its_name(stage: RestStage) -> None:
    assert "name" in stage.call("PUT", _path(stage), {"name": "other", "description": "x"}).error(422)["details"]
    assert stage.call("PUT", _path(stage), {"name": "chat"}).data["name"] == "chat"
    assert [sent for sent in stage.script.writes() if sent.method == "PATCH"] == []


def test_a_draft_is_saved_as_it_was_written(stage: RestStage) -> None:
    stage.put(make.workflow_manifest(make.with_spec(flowUI="{}")))
    answer = stage.call("POST", _path(stage, "/save"), f'{{"flow": {ODD}}}'.encode())
    assert ODD.encode() in answer.content
    assert answer.data["flow_ui"] == {}
    stage.call("POST", _path(stage, "/save"), {"flow": FLOW, "flow_ui": FLOW_UI}).data  # noqa: B018 - it asserts
    stage.call("POST", _path(stage, "/save"), {"flow": FLOW, "flow_ui": None}).data  # noqa: B018
    layout = json.dumps(FLOW_UI, separators=(",", ":"))
    assert [sent["spec"] for sent in stage.script.bodies("PATCH", OBJECT)] == [
        {"flow": ODD},
        {"flow": COMPACT, "flowUI": layout},
        {"flow": COMPACT, "flowUI": None},
    ]


@pytest.mark.parametrize("layout", [b'"text"', b"1", b"[]", b"false", b'"{\\"a\\":1}"', b"null"])
def test_a_layout_may_be_anything(stage: RestStage, layout: bytes) -> None:
    answer = stage.call("POST", _path(stage, "/save"), b'{"flow":%s,"flow_ui":%s}' % (COMPACT.encode(), layout))
    assert answer.data["flow_ui"] == json.loads(layout)
    stored = stage.script.bodies("PATCH", OBJECT)[-1]["spec"]["flowUI"]
    assert stored == (None if layout == b"null" else layout.decode())


@pytest.mark.parametrize("odd", ["none", "\0", "\U0001f98a", "7" * 300])
def test_an_invalid_id_is_unknown(stage: RestStage, odd: str) -> None:
    for path in (f"/v1/workflows/{odd}", f"/v1/apps/{odd}", f"/v1/apps/{stage.uid(APPS, 'chat')}/triggers/{odd}"):
        stage.call("GET", path).error(404)


def test_a_caller_who_may_only_read_is_forbidden_to_save(stage: RestStage) -> None:
    stage.script.on("PATCH", OBJECT, failure(403, "Forbidden", "anna may not patch"))
    assert "may not patch" in stage.call("POST", _path(stage, "/save"), {"flow": FLOW}).error(403)["message"]


# Releases.


def test_a_release_is_the_next_version(stage: RestStage) -> None:
    answered = stage.call("POST", _path(stage, "/release"), {"name": "Routes", "flow": FLOW, "flow_ui": FLOW_UI})
    assert answered.status == 201
    VersionResponse.model_validate(answered.data)
    (made,) = stage.created(VERSIONS)
    assert made["metadata"]["name"] == "chat-v3"
    assert made["spec"] == {"workflow": "chat", "version": "v3", "description": "Routes", "flow": COMPACT}
    answer = answered.data
    assert (answer["version"], answer["name"], answer["description"]) == ("v3", "Routes", "Routes")
    assert answer["workflow_id"] == stage.uid(WORKFLOWS, "chat")
    stage.script.on("GET", VERSIONS.path("demo", "chat-v3"), make.stored(made))
    deploys = {"workflow_id": answer["workflow_id"], "workflow_version_id": answer["id"]}
    assert stage.call("POST", f"/v1/apps/{stage.uid(APPS, 'chat')}/deploy", deploys).data["workflow_version"]["version"] == "v3"


def test_the_first_release_is_described_as_its_workflow(stage: RestStage) -> None:
    stage.put(make.workflow_manifest(name="new"))
    stage.script.on("GET", VERSIONS.path("demo"), {"metadata": {}, "columnDefinitions": [], "rows": None})
    answer = stage.call("POST", f"/v1/workflows/{stage.uid(WORKFLOWS, 'new')}/release", {"flow": FLOW}).data
    assert (answer["version"], answer["description"]) == ("v1", "Answers questions")


def test_the_draft_that_was_looked_at_is_released_as_it_is_stored(stage: RestStage) -> None:
    text = "nodes:\n- {id: in, type: dynamiq.nodes.utils.Input, temperature: 1.0}\n"
    stage.put(make.workflow_manifest(make.with_spec(flow=text)))
    seen = stage.get(_path(stage))["object_version"]
    answer = stage.call("POST", _path(stage, "/release"), {"confirmed": {"draft": seen, "before": "v2"}}).data
    assert (answer["version"], answer["description"]) == ("v3", "Answers questions")
    assert stage.created(VERSIONS)[0]["spec"]["flow"] == text


@pytest.mark.parametrize(
    ("confirmed", "field"),
    [({"draft": "0"}, "draft"), ({"before": "v1"}, "before"), ({"before": None}, "before"), ({"draft": None}, "draft")],
)
def test_a_draft_that_changed_after_the_confirmation_is_not_released(stage: RestStage, confirmed: dict[str, Any], field: str) -> None:
    seen = stage.get(_path(stage))["object_version"]
    refused = stage.call("POST", _path(stage, "/release"), {"flow": FLOW, "confirmed": confirmed}).error(409)
    assert refused["details"] == {field: {"confirmed": confirmed[field], "now": {"draft": seen, "before": "v2"}[field]}}
    assert "what would be released has changed" in refused["message"]
    assert stage.created(VERSIONS) == []


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"confirmed": {"before": "v2"}},
        {"flow": {"nodes": []}},
        {"flow": FLOW, "name": "x" * 513},
        {"flow": FLOW, "flow_ui": "x" * 262144},
    ],
)
def test_a_release_that_cannot_be(stage: RestStage, body: dict[str, Any]) -> None:
    stage.call("POST", _path(stage, "/release"), body).error(422)
    assert stage.created(VERSIONS) == []


def test_a_flow_that_cannot_run_is_refused_by_its_field_and_released_by_force(stage: RestStage) -> None:
    broken = {"nodes": [{**FLOW["nodes"][0], "depends": [{"node": "nosuch"}]}]}
    refused = stage.call("POST", _path(stage, "/release"), {"flow": broken}).error(422)
    assert 'depends on "nosuch", which is not in the flow' in refused["details"]["flow"]
    assert stage.created(VERSIONS) == []
    assert stage.call("POST", _path(stage, "/release"), {"flow": broken, "force": True}).data["version"] == "v3"


@pytest.mark.parametrize("reply", [failure(404, "NotFound"), failure(403, "Forbidden")])
def test_nothing_is_released_of_what_may_not_be_seen(stage: RestStage, reply: Reply) -> None:
    stage.script.on("GET", OBJECT, reply)
    stage.call("POST", _path(stage, "/release"), {"flow": FLOW}).error(404)


def test_nothing_is_released_of_another_workflow_of_the_same_name(stage: RestStage) -> None:
    uid = stage.uid(WORKFLOWS, "chat")
    stage.put(make.workflow_manifest(make.with_meta(uid=UNKNOWN)))
    stage.call("POST", f"/v1/workflows/{uid}/release", {"flow": FLOW}).error(404)
    assert stage.created(VERSIONS) == []


def test_versions_are_listed_newest_first_without_their_flows(stage: RestStage) -> None:
    stage.put(make.version_manifest("v10"))
    answer = stage.get(_path(stage, "/versions"))
    for each in answer:
        VersionResponse.model_validate(each)
    assert [each["version"] for each in answer] == ["v10", "v2", "v1"]
    assert answer[1]["description"] == "What v2 does"
    stage.script.on("GET", VERSIONS.path("demo"), failure(403, "Forbidden"))
    stage.call("GET", _path(stage, "/versions")).error(404)


# Node types.


def test_the_node_types_of_the_newest_runtime(stage: RestStage) -> None:
    answered = stage.call("GET", "/v1/agent-builder/nodes?page_size=2")
    NodeTypes.model_validate(answered.json)
    assert (answered.json["runtime"], answered.json["engine"], answered.json["complete"]) == ("1.0.0", "tiny", True)
    assert len(answered.data) == 2
    tools = [each["type"] for each in stage.get("/v1/agent-builder/nodes?group=tools")]
    assert tools == ["dynamiq.nodes.tools.Python", "dynamiq.nodes.tools.HumanFeedbackTool"]
    assert stage.get("/v1/agent-builder/nodes?group=agents") == []
    stage.put(make.runtime_manifest(make.with_spec(version="2.0.0", engine="sdk"), make.created(5), name="sdk-1"))
    answer = stage.call("GET", "/v1/agent-builder/nodes").json
    assert (answer["runtime"], answer["engine"], answer["complete"]) == ("2.0.0", "sdk", False)


@pytest.mark.parametrize(("reply", "says"), [(failure(403, "Forbidden"), "may not list"), (listed(), "no Runtime")])
def test_without_a_readable_runtime_the_list_is_marked_incomplete(stage: RestStage, reply: Answer, says: str) -> None:
    stage.script.on("GET", RUNTIMES.path(), reply)
    answer = stage.call("GET", "/v1/agent-builder/nodes").json
    assert (answer["runtime"], answer["complete"]) == (None, False)
    assert says in answer["message"]
