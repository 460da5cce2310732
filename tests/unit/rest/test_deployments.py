"""Deployments over HTTP: the history of an App, deploy, rollback, and their preview."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.desired.base import CONFIG_MAP
from dynamiq_operator.kube.resources import APPS, BY_KIND, ROWS, RUNTIMES, VERSIONS, WORKFLOWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.ownership import reference
from dynamiq_operator.rest.deployments import rows
from dynamiq_operator.rest.deployments.responses import PreviewShape
from dynamiq_operator.rest.http import sessions
from dynamiq_operator.rest.kube import id_index
from dynamiq_operator.rest.parts.deployment import Deployment
from tests.support import factories as make
from tests.support.rest_stage import ANNA, UNKNOWN, RestStage, of_user, row, table
from tests.support.scripted import Reply, failure


def _path(stage: RestStage, more: str) -> str:
    return f"/v1/apps/{stage.uid(APPS, 'chat')}/{more}"


def _body(stage: RestStage, version: str | None = None, **fields: Any) -> dict[str, Any]:
    chosen = {"workflow_version_id": stage.uid(VERSIONS, f"chat-{version}")} if version else {}
    return {"workflow_id": stage.uid(WORKFLOWS, "chat"), **chosen, **fields}


# The history.


def test_the_history_is_every_row_newest_first(stage: RestStage) -> None:
    answer = stage.get(_path(stage, "deployments"))
    for each in answer:
        Deployment.model_validate(each)
    assert [(each["sequence"], each["workflow_version"]["version"], each["status"]) for each in answer] == [
        (2, "v2", "Live"),
        (1, "v1", "Superseded"),
    ]
    assert answer[0]["digest"].startswith("sha256:")
    assert answer[0]["runtime_id"] == stage.uid(RUNTIMES, make.RUNTIME_NAME)


def test_a_row_has_deployable_on_request(stage: RestStage) -> None:
    kept = {"metadata": {"annotations": {names.FLOW_HASH_ANNOTATION: make.flow_hash("v2")}}}
    stage.script.on("GET", BY_KIND[CONFIG_MAP.kind].path(make.NAMESPACE), {"metadata": {}, "items": [kept]})
    stage.script.on("GET", VERSIONS.path(make.NAMESPACE), {"metadata": {}, "items": []})
    newest, oldest = stage.get(_path(stage, "deployments?deployable=true"))
    Deployment.model_validate(newest)
    assert newest["deployable"] == {"ok": True, "reasons": [], "waits": [], "notes": [], "warm": None}
    assert oldest["deployable"]["ok"] is False
    assert "is in no ConfigMap and no WorkflowVersion" in oldest["deployable"]["reasons"][0]
    alone = _path(stage, f"deployments/{oldest['id']}")
    assert stage.get(f"{alone}?deployable=true")["deployable"] == oldest["deployable"]
    before = len(stage.script.sent)
    assert stage.get(alone)["deployable"] is None
    assert not [path for path in _reads(stage, before) if path.endswith("/rejections")]


LONG = rows.LISTED_MOST + 40


@pytest.fixture
def long(stage: RestStage) -> RestStage:
    """Returns a stage whose App has a long history, in which the names of rows are not in their order."""
    for number in range(3, LONG + 1):
        made = make.live(number, "v2") if number == LONG else make.superseded(number, "v1")
        stage.put(row(f"chat-{number * 7919 % 100_003}", made, make.created(number)))
    return stage


def _reads(stage: RestStage, since: int) -> list[str]:
    return [sent.path for sent in stage.script.sent[since:] if sent.method == "GET"]


def test_only_the_rows_of_a_page_are_read(long: RestStage) -> None:
    path = _path(long, "deployments")
    for page in (1, 2, LONG // 25):
        before = len(long.script.sent)
        answer = long.get(f"{path}?page={page}")
        newest = LONG - (page - 1) * 25
        assert [each["sequence"] for each in answer] == list(range(newest, newest - 25, -1))
        assert len(_reads(long, before)) <= 26
    oldest = long.call("GET", f"{path}?sort=created_at&page_size=3").json
    assert [each["sequence"] for each in oldest["data"]] == [1, 2, 3]
    assert oldest["pagination"] == {"page": 1, "page_size": 3, "page_count": -(-LONG // 3), "total_count": LONG}
    assert long.get(f"{path}?page=9999") == []


def test_rows_that_have_ended_are_read_once_and_the_others_each_time(long: RestStage) -> None:
    path = f"{_path(long, 'deployments')}?page_size=5"
    long.get(path)
    before = len(long.script.sent)
    assert len(long.get(path)) == 5
    (live,) = (name for name in _reads(long, before) if name != ROWS.path("demo"))
    assert live.endswith(f"chat-{LONG * 7919 % 100_003}")


def test_a_caller_who_may_not_list_rows_gets_none_from_the_cache(stage: RestStage) -> None:
    path = _path(stage, "deployments")
    assert len(stage.get(path)) == 2
    stage.script.on("GET", ROWS.path("demo"), failure(403, "Forbidden"))
    assert stage.call("GET", path).error(404)["code"] == "not_found"


def test_a_deleted_row_is_omitted_before_its_event(long: RestStage) -> None:
    name = f"chat-{(LONG - 1) * 7919 % 100_003}"
    long.script.on("GET", ROWS.path("demo", name), failure(404, "NotFound"))
    answer = long.call("GET", _path(long, "deployments")).json
    assert [each["sequence"] for each in answer["data"]] == [LONG, *range(LONG - 2, LONG - 26, -1)]
    assert answer["pagination"]["total_count"] == LONG - 1


def test_rows_that_a_list_has_no_place_for_are_there_all_the_same(stage: RestStage) -> None:
    for number in range(3, rows.READ_MOST + 3):
        stage.put(row(f"chat-z{number}", make.superseded(number), make.created(number)))
    known = [stage.object(ROWS, name) for name in ("chat-a", "chat-b")]
    first = {"metadata": {"resourceVersion": "9", "continue": "x"}, "items": known}
    stage.script.on("GET", ROWS.path("demo"), first, query={"fieldSelector": "spec.app=chat", "limit": str(rows.LISTED_MOST)})
    for _ in range(2):
        answer = stage.call("GET", _path(stage, "deployments")).json
        assert [each["sequence"] for each in answer["data"]] == list(range(rows.READ_MOST + 2, 0, -1))
        assert answer["pagination"]["total_count"] == rows.READ_MOST + 2


def _with_open_rows(stage: RestStage) -> list[Manifest]:
    """Adds open rows, so many that a page lists them; returns all rows of the App."""
    made = [stage.put(row(f"chat-z{number}", make.created(number))) for number in range(3, rows.READ_MOST + 4)]
    return [*made, *(stage.object(ROWS, name) for name in ("chat-a", "chat-b"))]


def test_a_page_of_a_short_history_is_one_request(stage: RestStage) -> None:
    known = _with_open_rows(stage)
    before = len(stage.script.sent)
    assert len(stage.get(_path(stage, "deployments"))) == len(known)
    (sent,) = [sent for sent in stage.script.sent[before:] if sent.path == ROWS.path("demo")]
    assert sent.query == {"fieldSelector": "spec.app=chat", "limit": str(rows.LISTED_MOST)}
    stage.script.on("GET", ROWS.path("demo"), failure(403, "Forbidden"))
    assert stage.call("GET", _path(stage, "deployments")).error(404)["code"] == "not_found"


@pytest.mark.parametrize("continues", [{}, {"remainingItemCount": 9, "continue": "x"}])
def test_a_new_row_is_in_a_short_history_before_its_event(stage: RestStage, monkeypatch: pytest.MonkeyPatch, continues: Manifest) -> None:
    """It is so even if the list has no place for it."""
    monkeypatch.setattr(id_index, "REPORTED_WITHIN", 0.01)
    known, made = _with_open_rows(stage), make.stored(row("chat-c", make.created(30)))
    everything = {"metadata": {"resourceVersion": "9"}, "items": [made, *known]}
    first = {"metadata": {"resourceVersion": "9", **continues}, "items": known if continues else everything["items"]}
    stage.script.on("GET", ROWS.path("demo"), everything).on("GET", ROWS.path(), table([made, *known]))
    stage.script.on("GET", ROWS.path("demo", "chat-c"), made).on("GET", ROWS.path("demo"), first, query={"fieldSelector": "spec.app=chat"})
    answer = stage.call("GET", _path(stage, "deployments")).json
    assert answer["data"][0]["name"] == "chat-c"
    assert answer["pagination"]["total_count"] == len(answer["data"]) == len(known) + 1


def test_a_new_row_is_listed_before_its_event(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(id_index, "REPORTED_WITHIN", 0.01)
    made = make.stored(row("chat-c", make.superseded(3), make.created(9)))
    known = [stage.object(ROWS, name) for name in ("chat-a", "chat-b")]
    stage.script.on("GET", ROWS.path("demo"), {"metadata": {"remainingItemCount": 2, "continue": "x"}, "items": [made]})
    stage.script.on("GET", ROWS.path(), table([made, *known])).on("GET", ROWS.path("demo", "chat-c"), made)
    assert [each["name"] for each in stage.get(_path(stage, "deployments"))] == ["chat-c", "chat-b", "chat-a"]


def test_rows_of_a_deleted_app_of_the_same_name_are_no_history(stage: RestStage) -> None:
    owner = {"apiVersion": APPS.api_version, "kind": APPS.kind, "name": "chat", "uid": UNKNOWN}
    stage.put(row("chat-old", make.superseded(1), make.with_meta(ownerReferences=[owner])))
    stage.put(row("chat-new", make.with_meta(ownerReferences=[]), make.created(9)))
    assert [each["name"] for each in stage.get(_path(stage, "deployments"))] == ["chat-new", "chat-b", "chat-a"]


def test_a_row_of_another_namespace_is_no_history_whatever_owner_it_names(stage: RestStage) -> None:
    stage.put(row("foreign", make.superseded(9), make.in_namespace("prod")))
    assert [each["name"] for each in stage.get(_path(stage, "deployments"))] == ["chat-b", "chat-a"]


def test_an_unpinned_row_has_the_version_that_it_will_run(stage: RestStage) -> None:
    stage.put(row("chat-c", make.asking(config={"type": "server", "autoscaling": {"maxReplicas": 5}}), make.created(9)))
    newest = stage.get(_path(stage, "deployments"))[0]
    assert (newest["status"], newest["sequence"], newest["workflow_version"]["version"]) == ("Progressing", None, "v2")
    assert newest["runtime"]["version"] == "1.0.0"
    assert newest["deployment_config"]["config"]["autoscaling"] == {
        "min_replicas": 1,
        "max_replicas": 5,
        "target_cpu_utilization_percentage": 80,
    }


@pytest.mark.parametrize(
    ("asked", "version", "config"),
    [
        ({"config": {"type": "serverless"}}, "v2", {"deployment_type": "serverless", "config": {}}),
        ({"workflowVersion": "v1", "runtime": "another"}, "v1", None),
        ({"restores": "chat-a"}, None, None),
    ],
)
def test_an_unpinned_row_has_the_fields_of_its_request(
    stage: RestStage, asked: dict[str, Any], version: str | None, config: dict[str, Any] | None
) -> None:
    stage.put(row("chat-c", make.asking(**asked), make.created(9)))
    newest = stage.get(_path(stage, "deployments"))[0]
    assert (newest["workflow_version"] or {}).get("version") == version
    assert config in (None, newest["deployment_config"])
    assert newest["restores"] == asked.get("restores")
    if "runtime" in asked:
        assert newest["runtime"] == {"id": None, "version": None, "label": None}


def test_a_history_that_is_no_list(stage: RestStage) -> None:
    stage.script.on("GET", ROWS.path("demo"), Reply(200, b"<html>"))
    stage.call("GET", _path(stage, "deployments")).error(503)


# Deploying.


def test_a_deploy_makes_one_row(stage: RestStage) -> None:
    answered = stage.call("POST", _path(stage, "deploy"), _body(stage, "v1", message="v2 answers too slowly"))
    assert answered.status == 201
    Deployment.model_validate(answered.data)
    assert stage.created(ROWS) == [
        {
            "apiVersion": ROWS.api_version,
            "kind": ROWS.kind,
            "metadata": {"namespace": "demo", "generateName": "chat-"},
            "spec": {"app": "chat", "workflowVersion": "v1", "message": "v2 answers too slowly"},
        }
    ]
    answer = answered.data
    assert (answer["status"], answer["message"], answer["created_by"]["username"]) == ("Progressing", "v2 answers too slowly", ANNA)
    assert answer["workflow_version_id"] == stage.uid(VERSIONS, "chat-v1")
    assert answer["runtime"]["version"] == "1.0.0", "what is left out keeps what is live"


def test_omitted_fields_of_compute_keep_the_live_values(stage: RestStage) -> None:
    asked = {"requests": {"cpu": "250m"}, "limits": {"memory": "1Gi"}}
    config = {"deployment_type": "server_based", "config": {"resources": asked}}
    preview = stage.call("POST", _path(stage, "deploy/preview"), _body(stage, "v2", deployment_config=config)).data
    answer = stage.call("POST", _path(stage, "deploy"), _body(stage, "v2", deployment_config=config)).data
    Deployment.model_validate(answer)
    (sent,) = stage.created(ROWS)
    assert sent["spec"]["config"] == {"type": "server", "resources": asked}
    resources = {"requests": {"cpu": "250m", "memory": "256Mi"}, "limits": {"memory": "1Gi"}}
    assert answer["deployment_config"]["config"]["resources"] == resources
    assert preview["to"]["config"]["config"]["resources"] == preview["to"]["resources"] == resources
    assert preview["from"]["config"]["config"]["resources"] == {"requests": {"cpu": "100m", "memory": "256Mi"}}


@pytest.mark.parametrize(("given", "text"), [(2, "2"), (2.0, "2"), (0.5, "0.5"), ("2", "2"), ("1Gi", "1Gi")])
def test_an_amount_may_be_a_number_and_is_stored_as_its_text(stage: RestStage, given: object, text: str) -> None:
    config = {"deployment_type": "server_based", "config": {"resources": {"requests": {"memory": given}}}}
    preview = stage.call("POST", _path(stage, "deploy/preview"), _body(stage, "v2", deployment_config=config)).data
    stage.call("POST", _path(stage, "deploy"), _body(stage, "v2", deployment_config=config))
    (sent,) = stage.created(ROWS)
    assert sent["spec"]["config"]["resources"] == {"requests": {"memory": text}}
    assert preview["to"]["resources"]["requests"]["memory"] == text


@pytest.mark.parametrize("given", [True, -1, 1e30, "two", [2]])
def test_an_invalid_amount_is_refused(stage: RestStage, given: object) -> None:
    config = {"deployment_type": "server_based", "config": {"resources": {"requests": {"cpu": given}}}}
    error = stage.call("POST", _path(stage, "deploy"), _body(stage, "v2", deployment_config=config)).error(422)
    assert list(error["details"]) == ["deployment_config.config.resources.requests.cpu"]


def test_compute_is_kept_whatever_the_type(stage: RestStage) -> None:
    stage.put(row("chat-b", make.live(2, "v2", config={**make.CONFIG, "resources": {"requests": {"cpu": "2", "memory": "256Mi"}}})))
    sleeps = {"deployment_type": "serverless", "config": {}}
    answer = stage.call("POST", _path(stage, "deploy"), _body(stage, "v2", deployment_config=sleeps)).data["deployment_config"]
    assert answer == {"deployment_type": "serverless", "config": {"resources": {"requests": {"cpu": "2", "memory": "256Mi"}}}}
    stage.put(row("chat-c", make.pinned(3, "v2", config=make.CONFIG | {"type": "serverless"}), make.created(9)))
    listed = stage.get(_path(stage, "deployments"))[0]["deployment_config"]
    assert listed == sleeps, "with the defaults a client of the product reads what it knows"


def test_a_deploy_may_set_version_runtime_and_config(stage: RestStage) -> None:
    stage.put(make.runtime_manifest(make.with_spec(version="2.0.0"), name="tiny-2"))
    config = {"deployment_type": "server_based", "config": {"autoscaling": {"min_replicas": 2, "target_cpu_utilization_percentage": 50}}}
    body = _body(stage, "v2", runtime_id=stage.uid(RUNTIMES, "tiny-2"), deployment_config=config)
    answer = stage.call("POST", _path(stage, "deploy"), body).data
    (sent,) = stage.created(ROWS)
    assert sent["spec"]["runtime"] == "tiny-2"
    assert sent["spec"]["config"] == {"type": "server", "autoscaling": {"minReplicas": 2, "targetCPUUtilizationPercentage": 50}}
    assert answer["runtime"]["version"] == "2.0.0"
    assert answer["deployment_config"]["config"]["autoscaling"]["max_replicas"] == 2


SERVER: dict[str, Any] = {"type": "server", "autoscaling": {"minReplicas": 3, "maxReplicas": 5}}
SLEEPS = {"type": "serverless"}
OWNED_ELSEWHERE = [{"apiVersion": APPS.api_version, "kind": APPS.kind, "name": "new", "uid": UNKNOWN}]


@pytest.mark.parametrize(
    ("earlier", "config"),
    [
        ([], SLEEPS),
        ([make.asking(config=SERVER)], SERVER),
        ([make.failed(1, config=SERVER)], SERVER),
        ([make.asking(workflowVersion="v1")], None),
        ([make.asking(config=SERVER), make.with_meta(ownerReferences=OWNED_ELSEWHERE)], SLEEPS),
    ],
    ids=["the first", "after one under way", "after one that failed", "after one of kubectl", "after a deleted App's of this name"],
)
def test_a_deploy_before_anything_is_live(stage: RestStage, earlier: list[make.Modifier], config: dict[str, Any] | None) -> None:
    """The deploy keeps the config of the App's newest row. The first one of all sleeps, as the product's do."""
    made = stage.put(make.app_manifest(name="new"))
    if earlier:
        stage.put(make.row_manifest("new-a", make.of_app("new"), *earlier))
    path = f"/v1/apps/{made['metadata']['uid']}/deploy"
    preview = stage.call("POST", f"{path}/preview", _body(stage, "v1")).data["to"]["config"]
    answer = stage.call("POST", path, _body(stage, "v1"), key="a key").data["deployment_config"]
    (sent,) = stage.created(ROWS)
    assert sent["spec"].get("config") == config
    if answer["deployment_type"] == "server_based":
        assert answer["config"]["resources"] is None, "the runtime decides, which is chosen when the row is pinned"
        answer["config"]["resources"] = {"requests": {"cpu": "100m", "memory": "256Mi"}}
    assert preview == answer
    assert answer["deployment_type"] == ("serverless" if config is SLEEPS else "server_based")


def test_a_rollback_names_the_deployment_that_it_restores(stage: RestStage) -> None:
    body = _body(stage, restores=stage.uid(ROWS, "chat-a"))
    answer = stage.call("POST", _path(stage, "deploy"), body).data
    assert stage.created(ROWS)[0]["spec"] == {"app": "chat", "restores": "chat-a"}
    assert answer["restores"] == "chat-a"


def test_a_rollback_needs_no_workflow(stage: RestStage) -> None:
    """The workflow may be deleted: the row has pinned everything that a rollback restores."""
    stage.context.index.of(WORKFLOWS).remove(stage.uid(WORKFLOWS, "chat"))
    for call in ("deploy/preview", "deploy"):
        assert stage.call("POST", _path(stage, call), {"restores": stage.uid(ROWS, "chat-a")}).status < 300
        refused = stage.call("POST", _path(stage, call), {"message": "which?"}).error(422)
        assert "add the workflow" in refused["details"]["workflow_id"]
    assert [made["spec"] for made in stage.created(ROWS)] == [{"app": "chat", "restores": "chat-a"}]


OTHER: dict[str, Any] = {
    "type": "server",
    "autoscaling": {"minReplicas": 3, "maxReplicas": 4, "targetCPUUtilizationPercentage": 60},
    "resources": {"requests": {"cpu": "500m", "memory": "512Mi"}},
}


@pytest.mark.parametrize("status", [{}, {"live": None}], ids=["beside a live row", "where nothing is live"])
def test_a_rollback_may_restore_the_scaling_and_the_compute_of_its_row(stage: RestStage, status: dict[str, Any]) -> None:
    if status:
        stage.put(make.app_manifest())
    stage.put(row("chat-a", make.superseded(1, "v1", config=OTHER)))
    body = _body(stage, restores=stage.uid(ROWS, "chat-a"))
    without = stage.call("POST", _path(stage, "deploy/preview"), body).data
    assert without["to"]["config"] == without["from"]["config"] != without["to"]["config"]["config"]["autoscaling"]
    preview = stage.call("POST", _path(stage, "deploy/preview"), {**body, "with_config": True}).data["to"]
    answer = stage.call("POST", _path(stage, "deploy"), {**body, "with_config": True, "confirmed": preview}).data
    config = {
        "autoscaling": {"min_replicas": 3, "max_replicas": 4, "target_cpu_utilization_percentage": 60},
        "resources": OTHER["resources"],
    }
    assert preview["config"] == answer["deployment_config"] == {"deployment_type": "server_based", "config": config}
    (sent,) = stage.created(ROWS)
    assert (sent["spec"]["restores"], sent["spec"]["config"]) == ("chat-a", OTHER)


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({}, "add restores"),
        ({"restores": "chat-a", "deployment_config": {"deployment_type": "serverless"}}, "leave out deployment_config"),
    ],
)
def test_a_config_comes_back_of_one_deployment_alone(stage: RestStage, fields: dict[str, Any], says: str) -> None:
    named = {"restores": stage.uid(ROWS, fields["restores"])} if "restores" in fields else {}
    error = stage.call("POST", _path(stage, "deploy"), _body(stage, with_config=True, **{**fields, **named})).error(422)
    assert says in error["details"]["with_config"]
    assert stage.created(ROWS) == []


def test_a_rollback_reports_the_restored_runtime(stage: RestStage) -> None:
    old = make.a_runtime(make.with_spec(version="0.9.0"), name="tiny-0")
    stage.put(row("chat-0", make.superseded(1, "v1", runtime=old)))
    body = _body(stage, restores=stage.uid(ROWS, "chat-0"))
    assert stage.call("POST", _path(stage, "deploy"), body).data["runtime"]["version"] == "0.9.0"
    assert stage.call("POST", _path(stage, "deploy/preview"), body).data["to"]["runtime"] == "0.9.0"


@pytest.mark.parametrize(
    ("state", "why"), [(make.failed(3, "v1"), "failed"), (make.progressing(3, "v1"), "has not ended yet")], ids=["failed", "in flight"]
)
def test_only_a_deployment_that_went_live_is_restored(stage: RestStage, state: make.Modifier, why: str) -> None:
    stage.put(row("chat-c", state))
    body = _body(stage, restores=stage.uid(ROWS, "chat-c"))
    for call in ("deploy", "deploy/preview"):
        error = stage.call("POST", _path(stage, call), body).error(422)
        assert error["details"] == {"restores": f"row chat-c {why}: only a row that went live can be restored"}
    assert stage.created(ROWS) == []


def test_the_first_deploy_of_an_app(stage: RestStage) -> None:
    made = stage.put(make.app_manifest(name="new"))
    answer = stage.call("POST", f"/v1/apps/{made['metadata']['uid']}/deploy", _body(stage)).data
    assert (answer["workflow_version"]["version"], answer["runtime"]) == ("v2", None)


def test_the_live_row_is_read_once_a_minute(stage: RestStage) -> None:
    """Each deploy returns the pins of the live row, which never change."""
    for _ in range(3):
        stage.call("POST", _path(stage, "deploy"), _body(stage)).data  # noqa: B018 - it asserts
    reads = [sent for sent in stage.script.sent if sent.path == ROWS.path("demo", "chat-b")]
    assert len(reads) == 1
    assert reads[0].query == {"resourceVersion": "0"}


def test_the_runtime_of_a_first_deploy_is_read_once(stage: RestStage) -> None:
    """A deploy that names its Runtime and config reads nothing after its row: the second read of the Runtime had no new information."""
    made = stage.put(make.app_manifest(name="new"))
    named = {"runtime_id": stage.uid(RUNTIMES, make.RUNTIME_NAME), "deployment_config": {"deployment_type": "server_based"}}
    stage.script.on("GET", RUNTIMES.path("", make.RUNTIME_NAME), failure(404, "NotFound"))
    stage.call("POST", f"/v1/apps/{made['metadata']['uid']}/deploy", {**_body(stage), **named}).data  # noqa: B018 - it asserts
    assert [sent.path for sent in stage.script.sent].count(RUNTIMES.path("", make.RUNTIME_NAME)) == 1


def test_a_row_cached_for_one_token_is_not_returned_for_another(stage: RestStage) -> None:
    stage.call("POST", _path(stage, "deploy"), _body(stage))
    stage.script.on("GET", ROWS.path("demo", "chat-b"), failure(403, "Forbidden"))
    stage.script.on("POST", sessions.REVIEWS, of_user("berta"))
    answer = stage.call("POST", _path(stage, "deploy"), _body(stage), token="token-of-berta").data
    assert answer["runtime"] is None


def test_an_app_that_is_too_new_for_the_api_servers_memory(stage: RestStage) -> None:
    stage.script.on("GET", APPS.path("demo", "chat"), failure(404, "NotFound"), query={"resourceVersion": "0"})
    stage.script.on("GET", ROWS.path("demo", "chat-b"), failure(404, "NotFound"), query={"resourceVersion": "0"})
    answer = stage.call("POST", _path(stage, "deploy"), _body(stage)).data
    assert answer["runtime"]["version"] == "1.0.0"


@pytest.mark.parametrize(
    ("fields", "status", "says"),
    [
        ({"workflow_id": UNKNOWN}, 404, "workflow_id"),
        ({"workflow_version_id": UNKNOWN}, 404, "workflow_version_id"),
        ({"runtime_id": UNKNOWN}, 404, "runtime_id"),
        ({"restores": UNKNOWN}, 404, "restores"),
        ({"message": "x" * 1025}, 422, "message"),
        ({"message": 7}, 422, "message"),
        (
            {"deployment_config": {"deployment_type": "server_based", "config": {"autoscaling": {"min_replicas": 3}}}},
            422,
            "deployment_config",
        ),
    ],
)
@pytest.mark.parametrize("call", ["deploy", "deploy/preview"])
def test_a_deploy_that_cannot_be(stage: RestStage, call: str, fields: dict[str, Any], status: int, says: str) -> None:
    error = stage.call("POST", _path(stage, call), {**_body(stage), **fields}).error(status)
    assert says in error["details"]
    assert stage.created(ROWS) == []


def test_a_version_and_a_row_to_restore_are_not_accepted_together(stage: RestStage) -> None:
    both = _body(stage, "v1", restores=stage.uid(ROWS, "chat-a"))
    for body in (both, {**both, "workflow_version_id": UNKNOWN}):
        for call in ("deploy", "deploy/preview"):
            assert "restores" in stage.call("POST", _path(stage, call), body).error(422)["details"]


def test_ids_that_do_not_fit_together(stage: RestStage) -> None:
    other = stage.put(make.workflow_manifest(name="other"))["metadata"]["uid"]
    elsewhere = stage.put(make.workflow_manifest(make.in_namespace("prod")))["metadata"]["uid"]
    version = stage.put(make.version_manifest("v1", workflow="other"))["metadata"]["uid"]
    hidden = stage.put(make.version_manifest("v1", make.in_namespace("prod")))["metadata"]["uid"]
    of_other = stage.put(row("other-a", make.of_app("other"), make.superseded(1)))["metadata"]["uid"]
    of_former = stage.put(row("chat-old", make.superseded(1), make.with_meta(ownerReferences=[reference("chat", UNKNOWN)])))
    far_row = stage.put(row("chat-z", make.in_namespace("prod")))["metadata"]["uid"]
    for fields, status, says in [
        ({"workflow_id": other}, 422, "this App runs workflow chat, not other"),
        ({"workflow_id": elsewhere}, 404, "no workflow has the id"),
        ({"workflow_version_id": version}, 422, "is a version of workflow other, not of chat"),
        ({"workflow_version_id": hidden}, 404, "no workflow version has the id"),
        ({"restores": of_other}, 422, "belongs to another App"),
        ({"restores": of_former["metadata"]["uid"]}, 422, "belongs to another App"),
        ({"restores": far_row}, 404, "no deployment has the id"),
    ]:
        assert says in stage.call("POST", _path(stage, "deploy"), {**_body(stage), **fields}).error(status)["message"]
    assert stage.created(ROWS) == []


def test_a_row_that_may_not_be_read_cannot_be_restored(stage: RestStage) -> None:
    stage.script.on("GET", ROWS.path("demo", "chat-a"), failure(403, "Forbidden"))
    stage.call("POST", _path(stage, "deploy"), _body(stage, restores=stage.uid(ROWS, "chat-a"))).error(404)


def test_a_caller_who_may_only_read_is_forbidden_to_deploy(stage: RestStage) -> None:
    stage.script.on("POST", ROWS.path("demo"), failure(403, "Forbidden", "anna may not create deployments"))
    assert "may not create" in stage.call("POST", _path(stage, "deploy"), _body(stage)).error(403)["message"]


@pytest.mark.parametrize("call", ["deploy", "deploy/preview", "promote", "promote/preview"])
def test_an_app_that_the_caller_may_not_read_is_not_deployed(stage: RestStage, call: str) -> None:
    stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    body = _body(stage) if "deploy" in call else {}
    stage.call("POST", _path(stage, call), body).error(404)
    stage.call("POST", f"/v1/apps/{UNKNOWN}/{call}", body).error(404)
    assert stage.created(ROWS) == []


# Objects that were deleted and recreated.


def _made_again(stage: RestStage, uid: str = UNKNOWN) -> Manifest:
    """Returns version v1 with other content, created long after the rows had ended."""
    return make.version_manifest("v1", make.with_meta(uid=uid, resourceVersion="99", creationTimestamp="2027-01-01T00:00:00Z"))


def test_a_version_that_was_made_again_is_not_what_a_row_ran(stage: RestStage) -> None:
    before = stage.uid(VERSIONS, "chat-v1")
    assert stage.get(_path(stage, "deployments"))[1]["workflow_version_id"] == before
    stage.context.index.of(VERSIONS).remove(before)
    stage.put(_made_again(stage))
    answer = stage.get(_path(stage, "deployments"))[1]
    assert (answer["workflow_version_id"], answer["workflow_version"]["id"], answer["workflow_version"]["version"]) == (None, None, "v1")


def test_rows_and_versions_of_a_backup_belong_together_though_all_are_made_anew(stage: RestStage) -> None:
    old = stage.object(ROWS, "chat-a")
    stage.context.index.of(VERSIONS).remove(stage.uid(VERSIONS, "chat-v1"))
    stage.put(_made_again(stage))
    meta = {**old["metadata"], "resourceVersion": "98", "creationTimestamp": "2026-12-31T23:59:00Z"}
    stage.put({**old, "metadata": meta})
    assert stage.get(_path(stage, "deployments"))[1]["workflow_version_id"] == UNKNOWN


def test_the_id_of_a_recreated_version_is_unknown_before_its_event(stage: RestStage) -> None:
    body = _body(stage, "v1")
    stage.script.on("GET", VERSIONS.path("demo", "chat-v1"), make.stored(_made_again(stage)))
    assert stage.call("POST", _path(stage, "deploy"), body).error(404)["details"] == {"workflow_version_id": "unknown"}
    stage.script.on("GET", VERSIONS.path("demo", "chat-v1"), failure(404, "NotFound"))
    assert stage.call("POST", _path(stage, "deploy"), body).error(404)["details"] == {"workflow_version_id": "unknown"}
    assert stage.created(ROWS) == []


# The same request twice.


def _with_key(stage: RestStage) -> Manifest:
    """Deploys v1 with a key. The row exists from then on."""
    stage.call("POST", _path(stage, "deploy"), _body(stage, "v1"), key="a key").data  # noqa: B018 - it asserts
    sent = stage.created(ROWS)[0]
    stage.script.on("POST", ROWS.path("demo"), failure(409, "AlreadyExists"))
    return stage.put(sent)


def test_a_key_makes_one_row(stage: RestStage) -> None:
    made = _with_key(stage)
    assert made["metadata"]["name"].startswith("chat-")
    again = stage.call("POST", _path(stage, "deploy"), _body(stage, "v1"), key="a key")
    assert (again.status, again.headers["idempotency-replayed"]) == (201, "true")
    assert again.data["id"] == made["metadata"]["uid"]


@pytest.mark.parametrize("fields", [{"message": "other"}, {"workflow_version_id": None}])
def test_a_key_is_for_one_request(stage: RestStage, fields: dict[str, Any]) -> None:
    _with_key(stage)
    answered = stage.call("POST", _path(stage, "deploy"), {**_body(stage, "v1"), **fields}, key="a key")
    assert "Idempotency-Key" in answered.error(422)["details"]


# The preview.


def test_a_preview_shows_the_changes_and_creates_nothing(stage: RestStage) -> None:
    answer = stage.call("POST", _path(stage, "deploy/preview"), _body(stage, "v1")).data
    PreviewShape.model_validate(answer)
    assert (answer["from"]["version"], answer["to"]["version"], answer["pods_restart"], answer["no_op"]) == ("v2", "v1", True, False)
    assert "return 'v1'" in answer["flow_diff"]
    assert stage.created(ROWS) == []


def test_a_preview_of_what_runs_already(stage: RestStage) -> None:
    answer = stage.call("POST", _path(stage, "deploy/preview"), _body(stage, "v2")).data
    assert (answer["no_op"], answer["pods_restart"], answer["flow_diff"]) == (True, False, "")


def test_a_preview_of_a_rollback_and_of_a_config(stage: RestStage) -> None:
    config = {"deployment_type": "server_based", "config": {"autoscaling": {"max_replicas": 4}}}
    body = _body(stage, restores=stage.uid(ROWS, "chat-a"), deployment_config=config)
    answer = stage.call("POST", _path(stage, "deploy/preview"), body).data
    assert answer["to"]["version"] == "v1"
    assert answer["to"]["config"]["config"]["autoscaling"]["max_replicas"] == 4


def test_a_preview_for_who_may_not_deploy_warns(stage: RestStage) -> None:
    stage.allow(lambda *asked: asked[0] != "create")
    stage.script.on("POST", ROWS.path("demo"), failure(403, "Forbidden", "anna may not"))
    assert "you could not do this" in stage.call("POST", _path(stage, "deploy/preview"), _body(stage)).data["warnings"][0]


# Confirmed deploys.


def _shown(stage: RestStage, **asked: Any) -> dict[str, Any]:
    """Returns the `to` of a preview."""
    answer: dict[str, Any] = stage.call("POST", _path(stage, "deploy/preview"), _body(stage, **asked)).data["to"]
    return answer


def test_a_changed_confirmed_value_is_refused_with_both_values(stage: RestStage) -> None:
    shown = _shown(stage)
    stage.put(make.version_manifest("v3", make.created(2)))
    scaled = {**make.CONFIG, "resources": {"requests": {"cpu": "2", "memory": "256Mi"}}}
    stage.put(row("chat-b", make.live(2, "v2", config=scaled), make.created(2)))
    error = stage.call("POST", _path(stage, "deploy"), _body(stage, confirmed=shown)).error(409)
    assert error["details"]["version"] == {"confirmed": "v2", "now": "v3"}
    assert error["details"]["resources"]["now"] == {"requests": {"cpu": "2", "memory": "256Mi"}}
    assert set(error["details"]) == {"version", "flow_hash", "resources"}
    assert stage.created(ROWS) == []
    part = {"runtime": shown["runtime"]}
    assert stage.call("POST", _path(stage, "deploy"), _body(stage, confirmed=part)).status == 201, "what is not confirmed is not compared"
    (made,) = stage.created(ROWS)
    assert made["spec"] == {"app": "chat", "workflowVersion": "v3", "runtime": make.RUNTIME_NAME, "config": scaled}, "nothing is left open"


def _preview(stage: RestStage) -> dict[str, Any]:
    answer: dict[str, Any] = stage.call("POST", _path(stage, "deploy/preview"), _body(stage, "v1")).data
    return answer


@pytest.mark.parametrize("part", [None, "row", "sequence"])
def test_a_deploy_after_the_preview_is_not_replaced_unseen(stage: RestStage, part: str | None) -> None:
    shown = _preview(stage)
    start = {part: shown["from"][part]} if part else shown["from"]
    body = _body(stage, "v1", confirmed={**shown["to"], "from": start, "under_way": shown["under_way"]})
    stage.put(make.version_manifest("v3", make.created(2)))
    stage.put(row("chat-c", make.live(3, "v3"), make.created(3)))
    details = stage.call("POST", _path(stage, "deploy"), body).error(409)["details"]
    values = {"row": ("chat-b", "chat-c"), "sequence": (2, 3)}
    for each in [part] if part else values:
        assert details[f"from.{each}"] == {"confirmed": values[each][0], "now": values[each][1]}
    assert stage.created(ROWS) == []
    of_before = _body(stage, "v1", confirmed=shown["to"])
    assert stage.call("POST", _path(stage, "deploy"), of_before).status == 201, "what is not confirmed is not compared"


def test_a_row_that_began_after_the_preview_is_not_overtaken_unseen(stage: RestStage) -> None:
    shown = _preview(stage)
    confirmed = {"from": shown["from"], "under_way": shown["under_way"]}
    stage.put(row("chat-c", make.progressing(3, "v2"), make.created(3)))
    error = stage.call("POST", _path(stage, "deploy"), _body(stage, "v1", confirmed=confirmed)).error(409)
    assert error["details"] == {"under_way": {"confirmed": None, "now": "v2 (#3, chat-c)"}}
    assert stage.created(ROWS) == []
    again = _preview(stage)
    confirmed = {"from": again["from"], "under_way": again["under_way"]}
    assert stage.call("POST", _path(stage, "deploy"), _body(stage, "v1", confirmed=confirmed)).status == 201


def test_an_empty_live_row_is_confirmed_too(stage: RestStage) -> None:
    shown = _preview(stage)
    error = stage.call("POST", _path(stage, "deploy"), _body(stage, "v1", confirmed={"from": None})).error(409)
    assert error["details"] == {"from": {"confirmed": None, "now": shown["from"]}}
