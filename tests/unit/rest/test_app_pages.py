"""Pages of Apps: their order, and what is read for one, with whose rights."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPS, NAMESPACES, ROWS, WORKFLOWS
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http.pagination import newest
from tests.support import factories as make
from tests.support.rest_stage import UNKNOWN, RestStage, row
from tests.support.scripted import Sent, failure, listed


def _put(stage: RestStage, name: str, seconds: float, namespace: str = make.NAMESPACE) -> Manifest:
    return stage.put(make.app_manifest(make.in_namespace(namespace), make.created(seconds), name=name))


def _names(stage: RestStage, query: str = "") -> list[str]:
    return [app["resource_name"] for app in stage.get(f"/v1/apps{query}")]


def _of_demo(stage: RestStage, query: str = "") -> str:
    return f"?project_id={stage.uid(NAMESPACES, 'demo')}{query}"


def _reads(stage: RestStage) -> list[str]:
    """Returns the field selectors of the lists of Apps that were sent, without the checks of a right."""
    lists = (sent for sent in stage.script.sent if (sent.method, sent.path) in {("GET", APPS.path("demo")), ("GET", APPS.path())})
    return sorted(sent.query.get("fieldSelector", "all") for sent in lists if sent.query.get("limit") != "1")


def test_pages_have_the_newest_apps_first_and_those_of_a_second_by_name_and_namespace(stage: RestStage) -> None:
    made = [stage.object(APPS, "chat")]
    made += [_put(stage, name, seconds, "demo") for name, seconds in (("a", 5), ("b-9", 5), ("b-10", 5), ("c", 1), ("same", 7))]
    made += [_put(stage, name, seconds, "prod") for name, seconds in (("d", 9), ("b-2", 5), ("same", 7))]
    expected = [app["metadata"]["uid"] for app in newest(sorted(made, key=lambda app: app["metadata"]["namespace"]))]
    assert [app["id"] for app in stage.get("/v1/apps")] == expected
    assert [app["id"] for app in stage.get("/v1/apps?sort=created_at")] == expected[::-1]
    pages = [[app["id"] for app in stage.get(f"/v1/apps?page_size=4&page={number}")] for number in (1, 2, 3, 4)]
    assert pages == [expected[:4], expected[4:8], expected[8:], []]
    assert _names(stage, _of_demo(stage)) == ["same", "b-9", "b-10", "a", "c", "chat"]


def test_only_the_apps_of_the_page_are_read(stage: RestStage) -> None:
    for number in range(30):
        _put(stage, f"app-{number}", number + 1)
    answer = stage.call("GET", f"/v1/apps{_of_demo(stage, '&page_size=2')}").json
    assert [app["name"] for app in answer["data"]] == ["app-29", "app-28"]
    assert answer["pagination"] == {"page": 1, "page_size": 2, "page_count": 16, "total_count": 31}
    assert _reads(stage) == ["metadata.name=app-28", "metadata.name=app-29"]


def test_the_apps_of_a_large_page_are_listed_at_once(stage: RestStage) -> None:
    for number in range(60):
        _put(stage, f"app-{number}", number + 1)
    assert len(_names(stage, _of_demo(stage, "&page_size=100"))) == 61
    assert _reads(stage) == ["all"]


def test_a_deleted_app_is_left_out_and_the_next_one_is_in_its_place(stage: RestStage) -> None:
    apps = [_put(stage, name, seconds) for name, seconds in (("old", 1), ("deleted", 2), ("new", 3))]
    recreated = {**apps[2], "metadata": {**apps[2]["metadata"], "uid": UNKNOWN}}
    for name, items in (("deleted", []), ("new", [recreated])):
        stage.script.on("GET", APPS.path("demo"), listed(*items), query={"fieldSelector": f"metadata.name={name}"})
    answer = stage.call("GET", f"/v1/apps{_of_demo(stage, '&page_size=2')}").json
    assert [app["name"] for app in answer["data"]] == ["old", "chat"]
    assert answer["pagination"]["total_count"] == 2


def test_an_app_that_another_replica_made_is_listed_at_once(stage: RestStage) -> None:
    made = make.stored(make.app_manifest(make.created(5), name="elsewhere"))
    both = listed(stage.object(APPS, "chat"), made)
    stage.script.on("GET", APPS.path(), both).on("GET", APPS.path("demo"), both)
    assert _names(stage, _of_demo(stage)) == ["elsewhere", "chat"]


def test_an_app_is_read_again_if_the_api_servers_cache_is_older_than_the_index(stage: RestStage) -> None:
    old = {**stage.object(APPS, "chat")}
    _put(stage, "older", -1)
    stage.put(make.app_manifest(make.with_meta(resourceVersion="7"), make.with_spec(description="new")))
    stage.script.on("GET", APPS.path("demo"), listed(old), query={"resourceVersion": "0"})
    assert [app["description"] for app in stage.get("/v1/apps?page_size=1")] == ["new"]


def test_a_caller_who_may_list_apps_and_get_none_gets_their_page(stage: RestStage) -> None:
    for resource, name in ((APPS, "chat"), (ROWS, "chat-b"), (WORKFLOWS, "chat")):
        stage.script.on("GET", resource.path("demo", name), failure(403, "Forbidden"))
    (chat,) = stage.get("/v1/apps")
    assert (chat["live"]["name"], chat["workflow"]["description"]) == ("chat-b", "Answers questions")


def test_pages_count_only_the_apps_that_the_caller_may_list(stage: RestStage) -> None:
    for number in range(3):
        _put(stage, f"hidden-{number}", number + 1, "prod")
    for path in (APPS.path(), APPS.path("prod")):
        stage.script.on("GET", path, failure(403, "Forbidden"))
    answer = stage.call("GET", "/v1/apps?page_size=1").json
    assert [app["name"] for app in answer["data"]] == ["chat"]
    assert answer["pagination"]["total_count"] == 1


@pytest.mark.parametrize("plural", [ROWS.plural, WORKFLOWS.plural])
def test_what_one_caller_read_is_not_shown_to_one_who_may_not_list_it(stage: RestStage, plural: str) -> None:
    def shown() -> tuple[Any, Any]:
        (chat,) = stage.get("/v1/apps")
        return chat["live"]["deployment_id"], chat["workflow"]["description"]

    deployment, description = stage.uid(ROWS, "chat-b"), "Answers questions"
    assert shown() == (deployment, description)
    stage.allow(lambda _verb, resource, _namespace: resource != plural)
    assert shown() == ((None, description) if plural == ROWS.plural else (deployment, None))


def test_a_changed_row_is_read_again_and_an_unchanged_one_is_not(stage: RestStage) -> None:
    def reads_of_rows() -> int:
        return len([sent for sent in stage.script.sent if sent.path == ROWS.path("demo")])

    stage.get("/v1/apps")
    before = reads_of_rows()
    stage.get("/v1/apps")
    assert reads_of_rows() == before
    changed = row("chat-b", make.live(2, "v1"), make.created(2), make.with_meta(resourceVersion="7"))
    stage.put(changed)
    assert stage.get("/v1/apps")[0]["workflow_version"]["version"] == "v1"


def test_a_live_row_that_the_index_does_not_have_yet_is_read(stage: RestStage) -> None:
    stored = make.stored(row("chat-c", make.live(3, "v1"), make.created(9)))
    stage.put(make.app_manifest(make.with_status(live={"row": "chat-c", "sequence": 3, "workflowVersion": "v1", "runtime": "1.0.0"})))

    def rows(sent: Sent) -> Manifest:
        name = sent.query["fieldSelector"].partition("=")[2]
        return listed(*([stored] if name == "chat-c" else [stage.object(ROWS, name)]))

    stage.script.on("GET", ROWS.path("demo"), rows)
    (chat,) = stage.get("/v1/apps")
    assert (chat["live"]["deployment_id"], chat["workflow_version"]["version"]) == (stored["metadata"]["uid"], "v1")
