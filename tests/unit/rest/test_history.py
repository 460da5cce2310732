"""A history over HTTP: its filters, one row in full, the changes between two rows, and its verification."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from dynamiq_operator.desired.base import CONFIG_MAP, SERVICE, WORKLOAD
from dynamiq_operator.desired.flow import FLOW_KEY
from dynamiq_operator.desired.pin_labels import pod_selector
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.kube.resources import APPS, BY_KIND, REJECTIONS, ROWS, VERSIONS, WORKFLOWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.deployments import rows
from dynamiq_operator.rest.deployments.responses import (
    ComparisonShape,
    DeploymentDetail,
    HistoryFilters,
    LastGoodResponse,
    VerificationResponse,
)
from dynamiq_operator.rest.parts.deployment import Deployment
from dynamiq_operator.rest.reads import row_pages
from dynamiq_operator.rest.workflows.responses import FlowDifference
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage, row
from tests.support.scripted import failure, listed

OF_A_DELETED_APP = make.with_meta(ownerReferences=[{"apiVersion": APPS.api_version, "kind": APPS.kind, "name": "chat", "uid": UNKNOWN}])


def _path(stage: RestStage, more: str = "") -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}{more}"


def _row_path(stage: RestStage, name: str, more: str = "") -> str:
    return _path(stage, f"/deployments/{stage.uid(ROWS, name)}{more}")


def test_a_history_names_the_target_of_a_rollback_or_the_reason_for_none(stage: RestStage) -> None:
    path = _path(stage, "/deployments/last-good")

    def said() -> tuple[str | None, str | None]:
        answer = LastGoodResponse.model_validate(stage.get(path))
        return answer.deployment.name if answer.deployment is not None else None, answer.reason

    assert said() == ("chat-a", None)
    stage.put(row("chat-b", make.superseded(2, "v2")))
    back = {"restores": {"row": "chat-a", "sequence": 1}}
    stage.put(row("chat-c", make.live(3, "v1", **back)))
    assert said() == (None, "each version that ran before was rolled back, reverted or rejected, and nobody has deployed it since")
    stage.put(row("chat-c", make.superseded(3, "v1", **back)))
    stage.put(row("chat-d", make.live(4, "v3")))
    assert said() == ("chat-c", None)
    stage.script.on("GET", ROWS.path("demo"), failure(403, "Forbidden"))
    assert stage.call("GET", path).error(404)["code"] == "not_found"


def test_a_history_warns_that_the_target_of_a_rollback_may_be_rejected(stage: RestStage) -> None:
    path = _path(stage, "/deployments/last-good")
    assert stage.get(path)["warnings"] == []
    stage.script.on("GET", REJECTIONS.path("demo"), failure(403, "Forbidden"))
    assert stage.get(path)["warnings"] == ["you may not read Rejections in namespace demo, so it is unknown if v1 is rejected"]


def test_the_row_to_roll_back_to_is_found_where_it_is_old(stage: RestStage) -> None:
    for number in range(3, 40):
        stage.put(row(f"chat-{number:03}", make.superseded(number, "v2")))
    assert stage.get(_path(stage, "/deployments/last-good"))["deployment"]["name"] == "chat-a"


def test_each_row_has_its_ending_if_its_status_lacks_it(stage: RestStage) -> None:
    """It is so even for a row that an older operator ended, and whose revert is on another page."""
    stage.put(row(names.revert_row("chat", "chat-a"), make.superseded(3, "v1", source="Revert")))
    stage.put(row("chat-c", make.overtaken(4, "v2")))
    found = stage.get(_path(stage, "/deployments?page_size=2&sort=created_at"))
    assert [(each["sequence"], each["status"], each["ending"]) for each in found] == [(1, "Superseded", "Reverted"), (2, "Live", None)]
    assert stage.get(_row_path(stage, "chat-a"))["ending"] == "Reverted"
    assert stage.get(_row_path(stage, "chat-c"))["ending"] == "Overtaken"


# Filters. The rows are #1 v1 and #2 v2, at noon, and these.


@pytest.fixture
def many(stage: RestStage) -> RestStage:
    """Returns a stage with rows of several people, runtimes and days."""
    newer = make.a_runtime(make.with_spec(version="2.0.0"), name="tiny-2")
    by_berta = make.asking(createdBy="berta", message="Zurück: die STRASSE war gesperrt")
    by_carl = make.asking(createdBy="carl@example.com")
    stage.put(row("chat-c", make.failed(3, "v2", createdAt="2026-11-25T08:00:00Z"), by_berta))
    stage.put(row("chat-d", make.superseded(4, "v3", runtime=newer, createdAt="2026-11-26T23:59:59Z", description="Routes"), by_carl))
    stage.put(row("chat-e", make.progressing(5, "v10", runtime=newer, createdAt="2026-11-27T00:00:00Z"), by_carl))
    stage.put(row("chat-f", make.asking(message="Not yet taken up", createdBy="berta"), make.created(9 * 86_400)))
    return stage


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("status=Failed", [3]),
        ("status=Live,Failed", [3, 2]),
        ("created_by=carl@example.com", [5, 4]),
        ("created_by=carl", []),
        ("version=v1", [1]),
        ("runtime=2.0.0", [5, 4]),
        ("since=2026-11-26", [None, 5, 4]),
        ("since=2026-11-27T00:00:00Z", [None, 5]),
        ("until=2026-11-27", [4, 3, 2, 1]),
        ("since=2026-11-27T01:00:00%2B01:00&until=2026-11-28", [5]),
        ("q=stra%C3%9Fe", [3]),
        ("q=BERTA", [None, 3]),
        ("q=routes", [4]),
        ("q=chat-d", [4]),
        ("q=v10", [5]),
        ("q=", [None, 5, 4, 3, 2, 1]),
        ("q=nowhere", []),
        ("q=%233", [3]),
        ("q=4", [4]),
        ("q=0", [5]),
        ("q=FAIL", [3]),
        ("created_by=carl@example.com&status=Progressing&q=V10", [5]),
        ("created_by=carl@example.com&sort=created_at", [4, 5]),
    ],
)
def test_each_filter(many: RestStage, asked: str, found: list[int | None]) -> None:
    answered = many.call("GET", f"{_path(many, '/deployments')}?{asked}").json
    for each in answered["data"]:
        Deployment.model_validate(each)
    assert [each["sequence"] for each in answered["data"]] == found
    assert answered["pagination"]["total_count"] == len(found)


def test_pages_are_of_what_a_filter_takes_and_no_other_row_is_read(many: RestStage) -> None:
    before = len(many.script.sent)
    answered = many.call("GET", f"{_path(many, '/deployments')}?status=Superseded,Live&page_size=1&page=2").json
    assert [each["sequence"] for each in answered["data"]] == [2]
    assert answered["pagination"] == {"page": 2, "page_size": 1, "page_count": 3, "total_count": 3}
    read = [sent.path for sent in many.script.sent[before:] if sent.path.startswith(ROWS.path("demo", ""))]
    assert [path for path in read if path != ROWS.path("demo")] == [ROWS.path("demo", "chat-b")]


def test_a_filter_of_a_long_history_reads_only_its_matches(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(3, 15):
        stage.put(row(f"chat-{number}", (make.failed if number % 2 else make.superseded)(number, "v1"), make.created(number)))
    monkeypatch.setattr(rows, "READ_MOST", 2)

    def lists(asked: str) -> int:
        before = len(stage.script.sent)
        assert len(stage.get(_path(stage, f"/deployments{asked}"))) >= 6
        return len([sent for sent in stage.script.sent[before:] if "spec.app=chat" in sent.query.get("fieldSelector", "")])

    monkeypatch.setattr(rows, "LISTED_MOST", 10)
    assert lists("?status=Failed") == 0
    monkeypatch.setattr(rows, "LISTED_MOST", 20)
    assert lists("") == 1, "all of a short one are listed"


def test_filters_have_every_status_author_and_version(many: RestStage) -> None:
    answer = many.get(_path(many, "/deployments/filters"))
    HistoryFilters.model_validate(answer)
    assert answer == {
        "statuses": [
            {"value": "Progressing", "count": 2},
            {"value": "Superseded", "count": 2},
            {"value": "Failed", "count": 1},
            {"value": "Live", "count": 1},
        ],
        "authors": [{"value": "berta", "count": 2}, {"value": "carl@example.com", "count": 2}],
        "versions": [{"value": "v10", "count": 1}, {"value": "v3", "count": 1}, {"value": "v2", "count": 2}, {"value": "v1", "count": 1}],
        "runtimes": [{"value": "2.0.0", "count": 2}, {"value": "1.0.0", "count": 3}],
        "total": 6,
        "first_at": "2026-11-24T12:00:00Z",
        "last_at": "2026-12-03T12:00:00Z",
    }


def test_filters_of_an_app_that_was_never_deployed_are_empty(stage: RestStage) -> None:
    made = stage.put(make.app_manifest(name="new"))
    answer = stage.get(f"/v1/apps/{made['metadata']['uid']}/deployments/filters")
    assert (answer["total"], answer["first_at"], answer["authors"]) == (0, None, [])


@pytest.mark.parametrize("asked", ["?q=berta", "?status=Failed", "/filters"])
def test_the_index_returns_nothing_to_a_caller_who_may_not_list_rows(many: RestStage, asked: str) -> None:
    many.script.on("GET", ROWS.path("demo"), failure(403, "Forbidden"))
    assert many.call("GET", _path(many, f"/deployments{asked}")).error(404)["code"] == "not_found"


@pytest.mark.parametrize(
    ("asked", "parameter"),
    [
        ("status=live", "status"),
        ("status=Live,", "status"),
        ("since=yesterday", "since"),
        ("since=2026-02-30", "since"),
        ("until=2026-11-24T12:00:00", "until"),
        (f"q={'a' * 101}", "q"),
        ("author=anna", "author"),
    ],
)
def test_a_filter_that_is_none_is_named(stage: RestStage, asked: str, parameter: str) -> None:
    assert set(stage.call("GET", f"{_path(stage, '/deployments')}?{asked}").error(422)["details"]) == {parameter}


def test_a_row_has_is_live_and_the_row_that_it_restores(stage: RestStage) -> None:
    stage.put(row("chat-c", make.progressing(3, "v1", restores={"row": "chat-a", "sequence": 1})))
    stage.put(row("chat-d", make.asking(restores="chat-a"), make.created(9)))
    answer = stage.get(_path(stage, "/deployments"))
    assert [(each["name"], each["is_live"], each["restores"], each["restores_sequence"]) for each in answer] == [
        ("chat-d", False, "chat-a", 1),
        ("chat-c", False, "chat-a", 1),
        ("chat-b", True, None, None),
        ("chat-a", False, None, None),
    ]


# One row.


def test_a_row_is_returned_whole(stage: RestStage) -> None:
    succeeded = {
        "type": "Succeeded",
        "status": "True",
        "reason": "Succeeded",
        "message": "",
        "lastTransitionTime": "2026-11-24T12:00:09Z",
        "observedGeneration": 3,
    }
    stored = stage.put(row("chat-b", make.live(2, "v2"), make.asking(message="Why not"), make.with_status(conditions=[succeeded])))
    answer = stage.get(_row_path(stage, "chat-b"))
    DeploymentDetail.model_validate(answer)
    assert (answer["id"], answer["is_live"], answer["workflow_version"]["version"]) == (stored["metadata"]["uid"], True, "v2")
    assert (answer["namespace"], answer["app_name"]) == ("demo", "chat")
    assert answer["pinned"] == stored["spec"]["pinned"]
    assert answer["outcome"] == stored["spec"]["outcome"]
    assert answer["asked"] == {"app": "chat", "message": "Why not"}
    assert answer["conditions"] == [
        {"type": "Succeeded", "status": "True", "reason": "Succeeded", "message": None, "since": "2026-11-24T12:00:09Z"}
    ]
    assert answer["flow"] == make.flow("v2")
    assert answer["ready"] is None, "there is no workload"


def test_a_row_that_is_not_pinned_yet_has_no_pins_and_no_flow(stage: RestStage) -> None:
    stage.put(row("chat-c", make.asking(workflowVersion="v1"), make.created(9)))
    answer = stage.get(_row_path(stage, "chat-c"))
    DeploymentDetail.model_validate(answer)
    assert (answer["pinned"], answer["outcome"], answer["flow"], answer["asked"]["workflowVersion"]) == (None, None, None, "v1")
    assert answer["runtime"]["version"] == "1.0.0", "it will run what is live"


def test_an_unreadable_row_is_returned_as_far_as_it_can_be_read(stage: RestStage) -> None:
    runtime = {**make.a_runtime().spec.pins("tiny-1").as_json(), "port": "a pipe"}
    stage.put(row("chat-c", make.superseded(3, "v2"), make.with_status(phase="Live")))
    stage.object(ROWS, "chat-c")["spec"]["pinned"]["runtime"] = runtime
    answer = stage.get(_row_path(stage, "chat-c"))
    assert (answer["pinned"]["runtime"], answer["flow"], answer["ready"]) == (runtime, None, None)
    assert "cannot be read" in stage.call("GET", _row_path(stage, "chat-c", "/diff")).error(409)["message"]


def test_a_flow_that_the_caller_may_not_read_is_omitted(stage: RestStage) -> None:
    stage.script.on("GET", VERSIONS.path("demo", "chat-v2"), failure(403, "Forbidden"))
    assert stage.get(_row_path(stage, "chat-b"))["flow"] is None


def _workload(pins: Pins, status: dict[str, int], label: str = "") -> Manifest:
    """Returns a workload that the operator made for these pins."""
    note = f'{{"pins": "{pins.digest}"}}'
    return {
        "metadata": {
            "name": names.workload("chat", label),
            "namespace": "demo",
            "generation": 4,
            "annotations": {names.APPLIED_TEMPLATE_ANNOTATION: note},
            "managedFields": [
                {
                    "manager": names.FIELD_MANAGER,
                    "operation": "Apply",
                    "fieldsV1": {"f:metadata": {"f:annotations": {f"f:{names.APPLIED_TEMPLATE_ANNOTATION}": {}}}},
                }
            ],
        },
        "spec": {"replicas": 3, "selector": {"matchLabels": pod_selector("chat", label)}, "template": {"metadata": {"labels": {}}}},
        "status": {"observedGeneration": 4, **status},
    }


def _pins(version: str) -> Pins:
    pinned = make.a_row("any", make.live(1, version)).pinned
    assert pinned is not None
    return Pins.of(pinned)


def _with_workloads(stage: RestStage, *workloads: Manifest, serving: str = "") -> None:
    selector = {names.PINS_LABEL: serving} if serving else {}
    stage.script.on("GET", BY_KIND[WORKLOAD.kind].path("demo"), listed(*workloads))
    stage.script.on("GET", BY_KIND[SERVICE.kind].path("demo", names.service("chat")), {"spec": {"selector": selector}})


@pytest.mark.parametrize(
    ("pins", "status", "ready"),
    [
        ("v1", {"replicas": 4, "updatedReplicas": 2, "readyReplicas": 3}, 1),
        ("v1", {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}, 3),
        ("v1", {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3, "observedGeneration": 3}, 0),
        ("v2", {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}, 0),
        ("v1", {}, 0),
    ],
    ids=["two new ones, of which one is ready", "all", "a count of before the change", "the pods of before", "none yet"],
)
def test_the_ready_pods_of_a_row_under_way_are_its_own(stage: RestStage, pins: str, status: dict[str, int], ready: int) -> None:
    stage.put(row("chat-c", make.progressing(3, "v1")))
    _with_workloads(stage, _workload(_pins(pins), status))
    assert stage.get(_row_path(stage, "chat-c"))["ready"] == {"ready": ready, "wanted": 3, "serving": "v2"}
    assert stage.get(_row_path(stage, "chat-a"))["ready"] is None, "it has ended"


def test_the_ready_pods_of_a_row_that_has_a_workload_of_its_own(stage: RestStage) -> None:
    stage.put(row("chat-c", make.progressing(3, "v1")))
    new, old = _pins("v1"), _pins("v2")
    beside = _workload(new, {"replicas": 2, "updatedReplicas": 2, "readyReplicas": 2}, new.label)
    serves = _workload(old, {"replicas": 3, "updatedReplicas": 3, "readyReplicas": 3}, old.label)
    _with_workloads(stage, beside, serves, serving=old.label)
    assert stage.get(_row_path(stage, "chat-c"))["ready"] == {"ready": 2, "wanted": 3, "serving": "v2"}
    assert stage.get(_row_path(stage, "chat-b"))["ready"] == {"ready": 3, "wanted": 3, "serving": "v2"}


def _elsewhere(stage: RestStage) -> list[str]:
    """Returns ids of no row of the App: unknown ones, and rows of another App, a deleted App of its name, and another namespace."""
    made = [
        stage.put(make.row_manifest("other-a", make.superseded(1), make.of_app("other"), make.with_meta(ownerReferences=[]))),
        stage.put(row("chat-old", make.superseded(1), OF_A_DELETED_APP)),
        stage.put(row("foreign", make.superseded(1), make.in_namespace("prod"))),
    ]
    return [UNKNOWN, "no id", *(each["metadata"]["uid"] for each in made)]


def test_a_row_that_is_not_of_the_app_is_unknown(stage: RestStage) -> None:
    for uid in _elsewhere(stage):
        for more in ("", "/diff"):
            stage.call("GET", _path(stage, f"/deployments/{uid}{more}")).error(404)
        error = stage.call("GET", f"{_row_path(stage, 'chat-b', '/diff')}?with={uid}").error(404)
        assert error["details"] == {"with": "unknown"}


def test_a_row_of_a_deleted_app_is_unknown_before_the_event_of_the_index(stage: RestStage) -> None:
    made = stage.put(make.row_manifest("chat-new"))
    old = {**make.stored(row("chat-new", OF_A_DELETED_APP)), "metadata": {**made["metadata"], **row("x", OF_A_DELETED_APP)["metadata"]}}
    stage.script.on("GET", ROWS.path("demo", "chat-new"), {**old, "metadata": {**old["metadata"], "name": "chat-new"}})
    stage.call("GET", _row_path(stage, "chat-new")).error(404)


def test_a_row_that_the_caller_may_not_read_is_unknown(stage: RestStage) -> None:
    stage.script.on("GET", ROWS.path("demo", "chat-b"), failure(403, "Forbidden"))
    stage.call("GET", _row_path(stage, "chat-b")).error(404)


@pytest.mark.parametrize("more", ["", "/diff"])
def test_rows_of_an_unreadable_app_are_not_found(stage: RestStage, more: str) -> None:
    """The caller may even see rows of the namespace."""
    stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    there = stage.call("GET", _row_path(stage, "chat-b", more)).error(404)
    assert there == stage.call("GET", _path(stage, f"/deployments/{UNKNOWN}{more}")).error(404)


# The changes between two rows.


def test_two_rows_are_compared(stage: RestStage) -> None:
    newer = make.a_runtime(make.with_spec(version="2.0.0"), make.with_image("registry.test/runtime@sha256:" + "2" * 64), name="tiny-2")
    config = {
        "type": "server",
        "autoscaling": {"minReplicas": 1, "maxReplicas": 5, "targetCPUUtilizationPercentage": 80},
        "resources": {"requests": {"cpu": "2", "memory": "256Mi"}, "limits": {"memory": "1Gi"}},
    }
    stage.put(row("chat-c", make.progressing(3, "v1", runtime=newer, config=config), make.asking(createdBy="berta")))
    answer = stage.get(f"{_row_path(stage, 'chat-c', '/diff')}?with={stage.uid(ROWS, 'chat-b')}")
    ComparisonShape.model_validate(answer)
    assert (answer["from"]["sequence"], answer["to"]["sequence"], answer["to"]["created_by"]["username"]) == (2, 3, "berta")
    assert (answer["to"]["id"], answer["from"]["created_at"]) == (stage.uid(ROWS, "chat-c"), "2026-11-24T12:00:00Z")
    assert answer["flow_diff"].startswith("--- v2 (#2)\n+++ v1 (#3)\n")
    assert "+  code: \"def run(input_data): return 'v1'\"" in answer["flow_diff"]
    assert {each["field"]: (each["from"], each["to"]) for each in answer["changes"]} == {
        "version": ("v2", "v1"),
        "runtime": ("1.0.0", "2.0.0"),
        "runtime_name": ("tiny-1", "tiny-2"),
        "image": (make.IMAGE, "registry.test/runtime@sha256:" + "2" * 64),
        "deployment_config.config.autoscaling.max_replicas": ("2", "5"),
        "resources.requests.cpu": ("100m", "2"),
        "resources.limits.memory": (None, "1Gi"),
    }
    assert answer["warnings"] == []


def test_a_change_of_type_names_what_each_has(stage: RestStage) -> None:
    sleeps = {"type": "serverless", "idleSeconds": 300, "maxReplicas": 10, "holdSeconds": 120, "resources": make.CONFIG["resources"]}
    stage.put(row("chat-c", make.progressing(3, "v2", config=sleeps)))
    answer = stage.get(_row_path(stage, "chat-c", "/diff"))
    changed = {each["field"].removeprefix("deployment_config."): (each["from"], each["to"]) for each in answer["changes"]}
    assert changed["deployment_type"] == ("server_based", "serverless")
    assert changed["config.idle_seconds"] == (None, "300")
    assert changed["config.autoscaling.min_replicas"] == ("1", None)
    assert answer["flow_diff"] == ""


def test_by_default_a_row_is_compared_with_the_one_rolled_out_before(stage: RestStage) -> None:
    stage.put(row("chat-c", make.never_deployed(3)))
    stage.put(row("chat-d", make.progressing(4, "v1")))
    assert stage.get(_row_path(stage, "chat-d", "/diff"))["from"]["sequence"] == 2
    first = stage.get(_row_path(stage, "chat-a", "/diff"))
    ComparisonShape.model_validate(first)
    assert (first["from"], first["to"]["sequence"], first["flow_diff"], first["changes"]) == (None, 1, "", [])


def test_a_row_that_was_never_rolled_out_is_compared_with_nothing(stage: RestStage) -> None:
    stage.put(row("chat-c", make.never_deployed(3)))
    for path in (_row_path(stage, "chat-c", "/diff"), f"{_row_path(stage, 'chat-b', '/diff')}?with={stage.uid(ROWS, 'chat-c')}"):
        assert stage.call("GET", path).error(422)["message"] == "row chat-c was never rolled out, so there is nothing to compare"


def test_a_comparison_warns_of_flows_that_no_longer_exist(stage: RestStage) -> None:
    stage.script.on("GET", VERSIONS.path("demo", "chat-v1"), failure(403, "Forbidden"))
    answer = stage.get(_row_path(stage, "chat-b", "/diff"))
    assert answer["flow_diff"] == ""
    assert answer["warnings"] == ["the flows differ, and one of them is in no ConfigMap and no WorkflowVersion that you may read"]
    config_map = {"data": {FLOW_KEY: make.flow("v1")}}
    stage.script.on("GET", BY_KIND[CONFIG_MAP.kind].path("demo", names.flow("chat", make.flow_hash("v1"))), config_map)
    assert "--- v1 (#1)" in stage.get(_row_path(stage, "chat-b", "/diff"))["flow_diff"]


# The changes of a workflow.


def _versions(stage: RestStage, version: str, asked: str = "") -> Any:
    workflow, release = stage.uid(WORKFLOWS, "chat"), stage.uid(VERSIONS, f"chat-{version}")
    answer = stage.get(f"/v1/workflows/{workflow}/versions/{release}/diff{asked}")
    FlowDifference.model_validate(answer)
    return answer


def test_two_releases_are_compared(stage: RestStage) -> None:
    stage.put(make.version_manifest("v10", make.created(2)))
    answer = _versions(stage, "v10")
    assert (answer["from"]["version"], answer["to"]["version"]) == ("v2", "v10")
    assert answer["flow_diff"].startswith("--- v2\n+++ v10\n")
    answer = _versions(stage, "v1", f"?with={stage.uid(VERSIONS, 'chat-v10')}")
    assert (answer["from"], answer["to"]["version"]) == (
        {
            "id": stage.uid(VERSIONS, "chat-v10"),
            "version": "v10",
            "description": "What v10 does",
            "created_at": "2026-11-24T12:00:02Z",
            "rejected": None,
            "rejection_id": None,
        },
        "v1",
    )
    assert (_versions(stage, "v1")["from"], _versions(stage, "v1")["flow_diff"]) == (None, "")


def test_a_release_is_compared_with_the_draft(stage: RestStage) -> None:
    answer = _versions(stage, "v2", "?with=draft")
    assert (answer["from"]["version"], answer["to"]["id"], answer["to"]["version"]) == ("v2", None, "draft")
    assert answer["flow_diff"].startswith("--- v2\n+++ draft\n")


def test_a_release_of_another_workflow_is_unknown(stage: RestStage) -> None:
    stage.put(make.workflow_manifest(name="other"))
    other = stage.put(make.version_manifest("v1", workflow="other"))["metadata"]["uid"]
    own = stage.uid(VERSIONS, "chat-v1")
    path = f"/v1/workflows/{stage.uid(WORKFLOWS, 'chat')}/versions"
    stage.call("GET", f"{path}/{other}/diff").error(404)
    assert stage.call("GET", f"{path}/{own}/diff?with={other}").error(404)["details"] == {"with": "unknown"}
    stage.call("GET", f"{path}/{own}/diff?with=drafts").error(404)
    stage.script.on("GET", WORKFLOWS.path("demo", "chat"), failure(403, "Forbidden"))
    there = [stage.call("GET", f"{path}/{uid}/diff{more}").error(404) for uid in (own, UNKNOWN) for more in ("", "?with=draft")]
    assert there == [there[0]] * 4, "of a workflow that the caller may not see no release is told to be there"


# Verification.


@pytest.fixture
def chained(stage: RestStage) -> RestStage:
    """Returns a stage whose App has a history of three rows, each linked to the one before it."""
    previous: dict[str, Any] = {}
    for number, name in enumerate(("chat-a", "chat-b", "chat-c"), 1):
        state = make.live if number == 3 else make.superseded
        stored = stage.put(row(name, state(number, "v1", **previous), make.created(number)))
        previous = {"previousDigest": stored["spec"]["pinned"]["digest"]}
    return stage


def _verify(stage: RestStage, asked: str = "") -> Any:
    answer = stage.get(_path(stage, f"/verify{asked}"))
    VerificationResponse.model_validate(answer)
    return answer


def _digest(stage: RestStage, name: str) -> str:
    digest: str = stage.object(ROWS, name)["spec"]["pinned"]["digest"]
    return digest


def test_a_history_that_fits(chained: RestStage) -> None:
    newest = {"deployment_id": chained.uid(ROWS, "chat-c"), "sequence": 3, "digest": _digest(chained, "chat-c")}
    assert _verify(chained) == {
        "rows": 3,
        "fits": True,
        "newest": newest,
        "expected": None,
        "misfit_count": 0,
        "misfits": [],
        "settings": {
            "records": 0,
            "fits": True,
            "newest_digest": None,
            "misfit_count": 0,
            "misfits": [],
            "says": "0 records of its settings fit",
        },
        "says": "3 rows fit",
    }


def test_an_expected_digest_is_found_in_its_row_or_nowhere(chained: RestStage) -> None:
    first = _digest(chained, "chat-a")
    answer = _verify(chained, f"?expect={first}")
    expected = {"digest": first, "deployment_id": chained.uid(ROWS, "chat-a"), "sequence": 1, "found": True}
    assert (answer["fits"], answer["expected"]) == (True, expected)
    lost = f"sha256:{'0' * 64}"
    answer = _verify(chained, f"?expect={lost}")
    assert (answer["fits"], answer["misfits"]) == (False, [])
    assert answer["expected"] == {"digest": lost, "deployment_id": None, "sequence": None, "found": False}
    assert "no row has the expected digest" in answer["says"]
    assert set(chained.call("GET", _path(chained, "/verify?expect=newest")).error(422)["details"]) == {"expect"}


def test_a_row_that_was_changed_is_named(chained: RestStage) -> None:
    chained.object(ROWS, "chat-b")["spec"]["message"] = "It was always so"
    answer = _verify(chained)
    assert (answer["rows"], answer["fits"], answer["misfit_count"]) == (3, False, 1)
    assert answer["misfits"] == [
        {
            "deployment_id": chained.uid(ROWS, "chat-b"),
            "name": "chat-b",
            "sequence": 2,
            "says": "its content does not have its digest: it was changed",
        }
    ]
    assert answer["says"] == "row chat-b does not fit: its content does not have its digest: it was changed"


def test_rows_of_a_deleted_app_of_this_name_are_not_verified(chained: RestStage) -> None:
    chained.put(row("chat-old", make.superseded(2, "v2"), OF_A_DELETED_APP))
    assert (_verify(chained)["rows"], _verify(chained)["fits"]) == (3, True)


def test_a_history_of_several_pages(chained: RestStage) -> None:
    rows = [chained.object(ROWS, name) for name in ("chat-c", "chat-a", "chat-b")]
    query = {"fieldSelector": "spec.app=chat", "limit": str(row_pages.PAGE)}
    chained.script.on("GET", ROWS.path("demo"), listed(*rows[2:]), query={**query, "continue": "more"})
    chained.script.on("GET", ROWS.path("demo"), listed(*rows[:2], token="more"), query=query)
    chained.script.on("GET", ROWS.path("demo"), listed(*rows[2:]), query={**query, "continue": "more"})
    assert _verify(chained)["says"] == "3 rows fit"


def test_a_caller_who_may_not_list_rows_verifies_nothing(chained: RestStage) -> None:
    chained.script.on("GET", ROWS.path("demo"), failure(403, "Forbidden"))
    chained.call("GET", _path(chained, "/verify")).error(404)


def test_an_app_that_was_never_deployed_has_no_row_to_verify(stage: RestStage) -> None:
    made = stage.put(make.app_manifest(name="new"))
    stage.script.on("GET", ROWS.path("demo"), listed())
    answer = stage.get(f"/v1/apps/{made['metadata']['uid']}/verify")
    assert (answer["rows"], answer["newest"], answer["says"]) == (0, None, "no row was found")


def test_one_history_of_a_caller_is_verified_at_once(chained: RestStage) -> None:
    async def several() -> list[int]:
        path = _path(chained, "/verify")
        answers = await asyncio.gather(*(chained.ask("GET", path) for _ in range(8)))
        return sorted(answered.status for answered in answers)

    statuses = chained.run(several())
    assert statuses.count(200) >= 5
    assert set(statuses) == {200, 429}
