"""A history over the management API, on an API server that prints, selects and lists rows itself: filters, one row whole, diffs, verification."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.model import kinds
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.rest.deployments.responses import (
    AppChangeShape,
    ComparisonShape,
    DeploymentDetail,
    HistoryFilters,
    LiveAtShape,
    Verification,
)
from dynamiq_operator.rest.reports.responses import DeployReport
from dynamiq_operator.rest.workflows.responses import FlowDifference
from local.clusters import Cluster
from tests.support import factories, rest, rest_rehearsal
from tests.support.api import Manifest
from tests.support.history_stage import APP
from tests.support.rest import UNKNOWN, Client, problem
from tests.support.rest_rehearsal import Rehearsal
from tests.support.waiting import eventually


@dataclass(frozen=True)
class Story:
    """An App that ran v1, then v2 with more pods, then v1 again, and a row that came to nothing. Others may read it: `reader`."""

    at: Rehearsal
    app: str
    name: str
    rows: list[dict[str, Any]]
    reader: Client
    stranger: Client

    def path(self, more: str = "") -> str:
        return f"/v1/apps/{self.app}{more}"

    def get(self, more: str) -> Any:
        return self.at.caller.get(self.path(more))

    def stored(self, row: dict[str, Any]) -> Manifest:
        return self.at.stage.row(row["name"])


@pytest.fixture(scope="module")
def story(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    with rest_rehearsal.rehearsal(cluster, account, tmp_path_factory.mktemp("history"), "history") as at:
        app = at.new_app("Told")
        scaled = {"deployment_type": "server_based", "config": {"autoscaling": {"max_replicas": 4}}}
        at.deploy(app, "v2", message="Sends each question to the RIGHT team", deployment_config=scaled)
        first = at.history(app)[-1]["id"]
        restored = at.caller.post(f"/v1/apps/{app}/deploy", {"workflow_id": at.ids["workflow"], "restores": first})
        at.until_live(app, restored["id"])
        name = at.named(app)
        at.stage.until(at.stage.deploy(name, config={"autoscaling": {"minReplicas": 9}}, runtime=at.stage.default_runtime), "Failed")
        rows = eventually("four rows have ended", lambda: _ended(at.history(app)))
        reader = rest_rehearsal.new_caller(at.stage, at.url, "reader", "dynamiq-view")
        yield Story(at, app, name, rows, reader, Client(at.url, _stranger(at)))


def _ended(rows: list[dict[str, Any]]) -> list[dict[str, Any]] | None:
    return rows if len(rows) == 4 and all(row["status"] in ("Live", "Superseded", "Failed") for row in rows) else None


def _stranger(at: Rehearsal) -> str:
    """The token of somebody without any right."""
    return rest.account(at.stage.api, at.stage.namespace, "stranger")


def test_each_filter_takes_the_rows_that_it_names(story: Story) -> None:
    """What the API server prints of a row is what the row has: the index reads the one, an answer the other."""
    author = story.rows[-1]["created_by"]["username"] if story.rows[-1]["created_by"] else None
    filters: dict[str, Callable[[dict[str, Any]], bool]] = {
        "status=Failed": lambda row: row["status"] == "Failed",
        "status=Live,Superseded": lambda row: row["status"] in ("Live", "Superseded"),
        "version=v1": lambda row: (row["workflow_version"] or {}).get("version") == "v1" and row["status"] != "Failed",
        "version=v2": lambda row: (row["workflow_version"] or {}).get("version") == "v2",
        f"runtime={story.rows[-1]['runtime']['version']}": lambda row: row["status"] != "Failed",
        "q=right+TEAM": lambda row: "RIGHT team" in (row["message"] or ""),
        f"q={story.rows[1]['name'].upper()}": lambda row: row["name"] == story.rows[1]["name"],
        f"since={story.rows[2]['created_at']}": lambda row: row["created_at"] >= story.rows[2]["created_at"],
        f"until={story.rows[2]['created_at']}": lambda row: row["created_at"] < story.rows[2]["created_at"],
        "since=2000-01-01&until=2001-01-01": lambda row: row["created_at"] < "2001",
        f"created_by={author}": lambda row: author is not None and (row["created_by"] or {}).get("username") == author,
    }
    for asked, takes in filters.items():
        answer = story.at.caller("GET", story.path(f"/deployments?{asked}")).json()
        expected = [row["id"] for row in story.rows if takes(row)]
        assert ([row["id"] for row in answer["data"]], answer["pagination"]["total_count"]) == (expected, len(expected)), asked


def test_what_there_is_to_filter_by_is_what_the_rows_have(story: Story) -> None:
    told = story.get("/deployments/filters")
    HistoryFilters.model_validate(told)
    assert told["total"] == len(story.rows)
    assert {each["value"]: each["count"] for each in told["statuses"]} == Counter(row["status"] for row in story.rows)
    assert [(each["value"], each["count"]) for each in told["versions"]] == [("v2", 1), ("v1", 2)]
    times = sorted(row["created_at"] for row in story.rows)
    assert (told["first_at"], told["last_at"]) == (times[0], times[-1])


def test_at_a_time_the_row_is_told_that_was_live(story: Story) -> None:
    restored, scaled, first = story.rows[1:]
    ends = [story.stored(row)["spec"]["outcome"]["at"] for row in (first, scaled, restored)]
    for row, begin, end in zip((first, scaled, restored), ends, [*ends[1:], None], strict=True):
        told = story.get(f"/at?time={begin}")
        LiveAtShape.model_validate(told)
        if end == begin:
            continue  # the one after it went live within the same second
        assert (told["deployment"], told["live_from"], told["live_until"]) == (row, begin, end)
    assert story.get("/at?time=2020-01-01")["deployment"] is None
    assert story.get("/at")["deployment"]["id"] == restored["id"]
    problem(story.stranger("GET", story.path("/at")), 404)


def test_a_report_has_the_deploys_that_the_caller_may_list_and_verifies_them(story: Story) -> None:
    project = story.at.ids["project"]
    for who in (story.at.caller, story.reader):
        for asked in ("/v1/report", f"/v1/report?project_id={project}"):
            told = who.get(asked)
            DeployReport.model_validate(told)
            assert {each["namespace"] for each in told["deploys"]} == {story.at.stage.namespace}
            found = [each for each in told["deploys"] if each["app"] == story.name]
            assert [each["name"] for each in found] == [row["name"] for row in story.rows[::-1]]
            assert [each["created_by"] for each in found] == [story.stored(row)["spec"].get("createdBy") for row in story.rows[::-1]]
            assert next(each for each in told["histories"] if each["app"] == story.name)["fits"] is True
    assert story.stranger.get("/v1/report")["deploys"] == []
    problem(story.stranger("GET", f"/v1/report?project_id={project}"), 404)
    answer = story.reader("GET", "/v1/report?format=csv")
    assert (answer.headers["Content-Type"], story.name in answer.text) == ("text/csv; charset=utf-8", True)


def test_a_row_is_told_as_it_is_stored(story: Story) -> None:
    failed, restored, scaled, first = story.rows
    for row in story.rows:
        told = story.get(f"/deployments/{row['id']}")
        DeploymentDetail.model_validate(told)
        spec = story.stored(row)["spec"]
        assert {name: told[name] for name in row} == row, "as the list has it"
        assert (told["pinned"], told["outcome"]) == (spec.get("pinned"), spec["outcome"])
        assert {**told["asked"], **{name: spec[name] for name in ("sequence", "pinned", "outcome") if name in spec}} == spec
        assert (told["namespace"], told["app_name"]) == (story.at.stage.namespace, story.name)
        assert [each["type"] for each in told["conditions"]] == ["Succeeded"]
    flow = story.get(f"/deployments/{scaled['id']}")["flow"]
    assert flow == story.at.stage.get(kinds.WORKFLOW_VERSION.kind, f"{APP}-v2")["spec"]["flow"]
    assert (restored["is_live"], restored["restores_sequence"], scaled["is_live"]) == (True, first["sequence"], False)
    assert failed["reason"]
    serving = story.get(f"/deployments/{restored['id']}")["ready"]
    assert serving == {"ready": 1, "wanted": 1, "serving": "v1"}


def test_what_changed_from_row_to_row(story: Story) -> None:
    failed, restored, scaled, first = story.rows
    told = story.get(f"/deployments/{scaled['id']}/diff")
    ComparisonShape.model_validate(told)
    assert (told["from"]["id"], told["to"]["id"], told["warnings"]) == (first["id"], scaled["id"], [])
    changed = {each["field"]: (each["from"], each["to"]) for each in told["changes"]}
    assert changed == {"version": ("v1", "v2"), "deployment_config.config.autoscaling.max_replicas": ("2", "4")}
    assert told["flow_diff"].startswith(f"--- v1 (#{first['sequence']})\n+++ v2 (#{scaled['sequence']})\n")
    back = story.get(f"/deployments/{first['id']}/diff?with={restored['id']}")
    assert (back["flow_diff"], [each["field"] for each in back["changes"]]) == ("", ["deployment_config.config.autoscaling.max_replicas"])
    problem(story.at.caller("GET", story.path(f"/deployments/{failed['id']}/diff")), 422, "never rolled out")


def test_what_changed_from_release_to_release_and_to_the_draft(story: Story) -> None:
    ids = story.at.ids
    path = f"/v1/workflows/{ids['workflow']}/versions"
    told = story.at.caller.get(f"{path}/{ids['v3']}/diff")
    FlowDifference.model_validate(told)
    assert (told["from"]["id"], told["to"]["id"]) == (ids["v2"], ids["v3"])
    assert told["flow_diff"].startswith("--- v2\n+++ v3\n")
    assert story.at.caller.get(f"{path}/{ids['v1']}/diff?with={ids['v4']}")["flow_diff"].startswith("--- v4\n+++ v1\n")
    assert story.at.caller.get(f"{path}/{ids['v4']}/diff?with=draft")["flow_diff"].startswith("--- v4\n+++ draft\n")


def test_a_history_that_nobody_touched_fits_and_a_row_that_is_taken_out_shows(story: Story) -> None:
    told = story.get("/verify")
    Verification.model_validate(told)
    newest = story.rows[1]
    assert told["newest"] == {"deployment_id": newest["id"], "sequence": newest["sequence"], "digest": newest["digest"]}
    assert (told["rows"], told["fits"], told["says"]) == (4, True, "4 rows fit")
    assert told["settings"]["fits"] is True
    first = story.rows[-1]
    expected = story.get(f"/verify?expect={first['digest']}")["expected"]
    assert expected == {"digest": first["digest"], "deployment_id": first["id"], "sequence": first["sequence"], "found": True}

    at = story.at
    app = at.new_app("Robbed")
    for version in ("v2", "v3"):
        at.deploy(app, version)
    newest, middle, _ = at.history(app)
    at.stage.delete(kinds.RECORD.kind, middle["name"])
    eventually("the row is gone", lambda: at.stage.find(kinds.RECORD.kind, middle["name"]) is None)
    told = at.caller.get(f"/v1/apps/{app}/verify?expect={middle['digest']}")
    assert (told["rows"], told["fits"], told["expected"]["found"]) == (2, False, False)
    assert [(each["deployment_id"], "does not follow" in each["says"]) for each in told["misfits"]] == [(newest["id"], True)]


def test_what_changed_of_the_app_is_told_and_its_digest_may_be_expected(story: Story) -> None:
    found = eventually("the App's settings are recorded", lambda: story.get("/changes"))
    for each in found:
        AppChangeShape.model_validate(each)
    assert (found[-1]["sequence"], found[-1]["reason"], found[-1]["changes"]) == (1, "First", [])
    told = story.get(f"/verify?expect={found[0]['digest']}")
    assert (told["fits"], told["expected"]["found"], told["expected"]["deployment_id"]) == (True, True, None)
    assert told["settings"]["newest_digest"] == found[0]["digest"]


def test_rows_of_a_deleted_app_of_the_same_name_are_not_its_own(story: Story) -> None:
    """They are kept from being collected as long as the test lasts."""
    at = story.at
    before = story.get("/verify")["rows"], story.get("/deployments/filters")["total"]
    owner = {"apiVersion": API_VERSION, "kind": kinds.APP.kind, "name": story.name, "uid": UNKNOWN}
    meta = factories.with_meta(ownerReferences=[owner], finalizers=["tests.getdynamiq.ai/kept"])
    old = factories.row_manifest(
        f"{story.name}-of-before", factories.in_namespace(at.stage.namespace), factories.of_app(story.name), factories.live(9, "v9"), meta
    )
    old.pop("status")
    try:
        uid = at.stage.create(old)["metadata"]["uid"]
        problem(at.caller("GET", story.path(f"/deployments/{uid}")), 404)
        problem(at.caller("GET", story.path(f"/deployments/{uid}/diff")), 404)
        assert (story.get("/verify")["rows"], story.get("/deployments/filters")["total"]) == before
        assert uid not in [row["id"] for row in at.history(story.app)]
    finally:
        at.stage.change(kinds.RECORD.kind, f"{story.name}-of-before", metadata={"finalizers": None})


def test_who_may_read_an_app_may_read_all_of_its_history_and_a_stranger_none(story: Story) -> None:
    ids, row = story.at.ids, story.rows[1]["id"]
    every = [
        story.path("/deployments?q=team"),
        story.path("/deployments/filters"),
        story.path(f"/deployments/{row}"),
        story.path(f"/deployments/{row}/diff"),
        story.path("/changes"),
        story.path("/verify"),
        f"/v1/workflows/{ids['workflow']}/versions/{ids['v2']}/diff",
        f"/v1/workflows/{ids['workflow']}/versions/{ids['v2']}/diff?with=draft",
    ]
    for path in every:
        assert story.reader.get(path) == story.at.caller.get(path), path
        problem(story.stranger("GET", path), 404)
    other = story.at.history(story.at.new_app("Other"))[0]["id"]
    for path in (f"/deployments/{other}", f"/deployments/{other}/diff", f"/deployments/{row}/diff?with={other}"):
        problem(story.at.caller("GET", story.path(path)), 404)
