"""Runs over the management API before a real recorder: the same as the recorder has, for whom the API server says may read them."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from dynamiq_operator.model.runs import RecorderState, RunComparison, RunDetail, RunMetrics, RunPage, RunTrace, SessionPage
from local.clusters import Cluster
from tests.support import rest
from tests.support.recorded_app import RUNS, Recorded, recorded
from tests.support.rest import UNKNOWN, problem
from tests.support.waiting import eventually


@pytest.fixture(scope="module")
def at(cluster: Cluster, account: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Recorded]:
    with recorded(cluster, account, tmp_path_factory.mktemp("runs"), "rest runs") as made:
        yield made


# The same through the API and at the recorder.


def test_a_list_is_the_recorders(at: Recorded) -> None:
    for query in (
        "",
        "?page_size=500",
        f"?deployment_id={at.rows[0]}&sort=-duration_ms",
        "?status=failed&status=timed_out",
        "?session_id=v2-1",
    ):
        answer = at.callers["viewer"]("GET", f"{at.path}/runs{query}").json()
        assert answer == at.recorder.get(f"{at.path}/runs{query}", at.token("viewer"))
        RunPage.model_validate(answer)
    assert len(at.runs("viewer", "?page_size=500")) == 2 * RUNS
    assert len(at.runs("viewer", "?status=failed")) == 2 * RUNS // 10
    assert {each["sequence"] for each in at.runs("viewer", f"?deployment_id={at.rows[0]}&page_size=500")} == {1}


def test_a_cursor_leads_through_every_page(at: Recorded) -> None:
    seen, cursor = [], ""
    while True:
        answer = at.callers["viewer"]("GET", f"{at.path}/runs?page_size=30&sort=-duration_ms{cursor}").json()
        seen += [each["id"] for each in answer["data"]]
        if (following := answer["pagination"]["next_cursor"]) is None:
            break
        cursor = f"&cursor={following}"
    assert len(seen) == len(set(seen)) == 2 * RUNS
    problem(at.callers["viewer"]("GET", f"{at.path}/runs?cursor=nonsense"), 422, "cursor")


def test_a_run_an_export_and_a_trace_are_of_the_models_shapes(at: Recorded) -> None:
    viewer = at.callers["viewer"]
    (newest, *_) = at.runs("viewer")
    run = RunDetail.model_validate(viewer.get(f"/v1/runs/{newest['id']}"))
    assert (run.deployment_id, run.content, len(run.nodes), run.cost_usd) == (at.rows[1], "left_out", 2, 0.001)
    RunTrace.model_validate(viewer.get(f"/v1/runs/{newest['id']}/trace"))
    lines = viewer("GET", f"{at.path}/runs.jsonl").text.splitlines()
    assert len({RunDetail.model_validate_json(line).id for line in lines}) == 2 * RUNS
    RunMetrics.model_validate(viewer.get(f"{at.path}/metrics?group_by=deployment"))
    SessionPage.model_validate(viewer("GET", f"{at.path}/sessions").json())
    state = RecorderState.model_validate(viewer.get(f"{at.path}/recorder"))
    assert (state.instances, state.missing, state.unattributed) == (2, 0, 0)


def test_a_row_that_is_twice_as_slow_has_regressed(at: Recorded) -> None:
    viewer, (before, after) = at.callers["viewer"], at.rows
    found = RunComparison.model_validate(viewer.get(f"{at.path}/deployments/{after}/comparison"))
    assert found.baseline is not None
    assert found.p95_ms is not None
    assert (found.verdict, found.p95_ms.verdict, found.baseline.deployment_id) == ("regressed", "regressed", before)
    assert 1.9 < (found.p95_ms.ratio or 0) < 2.1
    assert viewer.get(f"{at.path}/deployments/{after}/comparison?baseline={before}") == found.model_dump(mode="json")
    turned = viewer.get(f"{at.path}/deployments/{before}/comparison?baseline={after}")
    assert turned["p95_ms"]["verdict"] == "improved"
    verdicts = viewer.get(f"{at.path}/verdicts?deployment_id={after}&deployment_id={before}")
    assert [(each["deployment_id"], each["verdict"]) for each in verdicts] == [(after, "regressed"), (before, "unknown")]
    problem(viewer("GET", f"{at.path}/deployments/{UNKNOWN}/comparison"), 404)
    problem(at.callers["stranger"]("GET", f"{at.path}/deployments/{after}/comparison"), 404)


# Who may.


def test_contents_are_for_who_may_get_them(at: Recorded) -> None:
    (failed, *_) = at.runs("viewer", "?status=failed")
    assert failed["error"] is None
    assert at.runs("deployer", "?status=failed")[0]["error"] == "quota exceeded"
    assert len(at.runs("deployer", "?error=QUOTA")) == 2 * RUNS // 10
    problem(at.callers["viewer"]("GET", f"{at.path}/runs?error=quota"), 403, "apps/runcontents")
    path = f"/v1/runs/{failed['id']}?include=content"
    denied, included = (at.callers[who].get(path) for who in ("viewer", "deployer"))
    assert (denied["content"], denied["input"]) == ("denied", None)
    assert (included["content"], included["input"]) == ("included", {"q": "hi"})
    exported = at.callers["viewer"]("GET", f"{at.path}/runs.jsonl?include=content").text
    assert {json.loads(line)["content"] for line in exported.splitlines()} == {"denied"}


def test_who_may_not_see_the_app_learns_nothing(at: Recorded) -> None:
    stranger, run = at.callers["stranger"], at.runs("viewer")[0]["id"]
    hidden = problem(stranger("GET", f"{at.path}/runs"), 404)["message"]
    unknown = problem(stranger("GET", f"/v1/apps/{UNKNOWN}/runs"), 404)["message"]
    assert hidden.replace(at.app, UNKNOWN) == unknown
    seen = problem(stranger("GET", f"/v1/runs/{run}"), 404)["message"]
    assert seen.replace(run, UNKNOWN) == problem(stranger("GET", f"/v1/runs/{UNKNOWN}"), 404)["message"]
    problem(stranger("DELETE", f"{at.path}/runs?user_id=u-1"), 404)
    problem(at.callers["viewer"].at(at.url)("GET", f"{at.path}/runs", headers={"Authorization": "Bearer nonsense"}), 401)


def test_rights_say_before_what_a_call_says_then(at: Recorded) -> None:
    run = at.runs("viewer")[0]["id"]
    for who, scores, deletes in (("viewer", False, False), ("deployer", True, False), ("editor", True, True)):
        caller = at.callers[who]
        rights = caller.get(f"{at.path}/rights")
        assert rights["runs_read"]["allowed"]
        assert rights["run_contents"]["allowed"] is (who != "viewer")
        assert (rights["runs_score"]["allowed"], rights["runs_delete"]["allowed"]) == (scores, deletes)
        scored = caller("POST", f"/v1/runs/{run}/scores", {"name": "helpful", "value": 0.5})
        assert scored.status_code == (201 if scores else 403), scored.text
        deleted = caller("DELETE", f"{at.path}/runs?session_id=nobody")
        assert deleted.status_code == (200 if deletes else 403), deleted.text
    assert {each["by"].rpartition(":")[2] for each in at.callers["viewer"].get(f"/v1/runs/{run}")["scores"]} == {"deployer", "editor"}


def test_runs_that_are_deleted_are_gone_everywhere(at: Recorded) -> None:
    editor = at.callers["editor"]
    before = len(at.runs("viewer", "?page_size=500"))
    assert editor("DELETE", f"{at.path}/runs?session_id=v1-3").json() == {"data": {"deleted": 10}}
    assert at.runs("viewer", "?session_id=v1-3") == []
    one = at.runs("viewer", "?session_id=v1-2")[0]["id"]
    assert editor("DELETE", f"/v1/runs/{one}").status_code == 204
    problem(editor("GET", f"/v1/runs/{one}"), 404)
    problem(editor("DELETE", f"/v1/runs/{one}"), 404)
    assert len(at.runs("viewer", "?page_size=500")) == before - 11
    assert at.callers["viewer"].get(f"{at.path}/metrics")["series"][0]["total"]["runs"] == before - 11


# Where there is no recorder, or it is away.


def test_without_a_recorder_and_with_one_that_is_away(at: Recorded, cluster: Cluster, tmp_path: Path) -> None:
    kubeconfig = rest.install(cluster, tmp_path)
    with rest.serving(kubeconfig, tmp_path) as url:
        none = at.callers["viewer"].at(url)
        assert problem(none("GET", f"{at.path}/runs"), 501, "docs/runs.md")["code"] == "no_recorder"
        assert none.get(at.path)["id"] == at.app
    with rest.serving(kubeconfig, tmp_path, "--recorder", "http://127.0.0.1:9") as url:
        away = at.callers["viewer"].at(url)
        answer = away("GET", f"{at.path}/runs")
        problem(answer, 503, "the recorder does not answer")
        assert int(answer.headers["Retry-After"]) >= 1
        assert away.get(at.path)["id"] == at.app


def test_a_request_keeps_its_id_as_far_as_the_recorder(at: Recorded) -> None:
    request = uuid.uuid4().hex
    answer: requests.Response = at.callers["viewer"]("GET", f"{at.path}/runs", headers={"X-Request-Id": request})
    assert answer.headers["X-Request-Id"] == request
    # A request is logged once it is answered.
    eventually("the recorder logs the request by that id", lambda: request in at.recorder.log.read_text())
