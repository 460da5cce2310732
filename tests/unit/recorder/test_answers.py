"""The recorder's answers: filtered lists, runs with their content, comparisons, each in its schema; and refused queries."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import orjson
import pytest

from dynamiq_operator.model import runs as shapes
from dynamiq_recorder.reads.times import shown
from tests.support.factories import CONFIG, Modifier, failed, live
from tests.support.otlp_runs import a_run, request, run_id_of, sdk_runs
from tests.support.recorder_stage import (
    APP_UID,
    STRANGER,
    VIEWER,
    RecorderStage,
    pod_of,
    pod_user,
)
from tests.unit.recorder.test_otlp import changed
from tests.unit.recorder.test_requests import problem
from tests.unit.recorder.test_upkeep import a_row, pins_of

RUNS = f"/v1/apps/{APP_UID}/runs"
THREE_DAYS = 3 * 86_400_000.0


def test_content_is_there_for_who_asks_and_may(recorder: RecorderStage) -> None:
    kept, bare = a_run(content=True), a_run(seq=2)
    recorder.record(kept, bare)
    path = f"/v1/runs/{run_id_of(kept)}"
    assert (recorder.get(path)["content"], recorder.get(path)["input"]) == ("left_out", None)
    detail = recorder.get(f"{path}?include=content")
    assert (detail["content"], detail["input"], detail["nodes"][0]["input"]) == ("included", {"q": "hi"}, {"n": 1})
    assert recorder.get(f"/v1/runs/{run_id_of(bare)}?include=content")["content"] == "not_recorded"
    lines = [orjson.loads(line) for line in recorder.call("GET", f"{RUNS}.jsonl?include=content").text.splitlines()]
    assert [line["input"] for line in lines] == [{"q": "hi"}, None]
    for line in lines:
        shapes.RunDetail.model_validate(line)
    tree = recorder.get(f"{path}/trace?include=content")["runs"]
    assert [each["type"] for each in tree] == ["workflow", "flow", "node", "node"]
    assert (tree[0]["input"], tree[3]["metadata"]["usage"]["prompt_tokens"]) == ({"q": "hi"}, 100)
    assert "input" not in recorder.get(f"{path}/trace")["runs"][0]


def test_a_failed_node_has_its_error_and_its_line(recorder: RecorderStage) -> None:
    sent = a_run(outcome="failed", nodes=3)
    for place, line in enumerate((5, None, "x"), 1):
        sent = changed(sent, place, error__type="ValueError", code__line__number=line)
    recorder.record(sent)
    nodes = recorder.get(f"/v1/runs/{run_id_of(sent)}")["nodes"]
    assert [(node["error_type"], node["error_line"]) for node in nodes] == [("ValueError", 5), ("ValueError", None), ("ValueError", None)]


def test_runs_of_the_sdk_are_returned_as_they_were_sent(recorder: RecorderStage) -> None:
    sent = sdk_runs(content="hällo")
    assert recorder.send({"runs": sent}, X_Dynamiq_App_Id=APP_UID).status_code == 200
    found = recorder.get(f"/v1/runs/{sent[0]['id']}/trace?include=content")["runs"]
    assert sorted(found, key=lambda each: each["id"]) == sorted(sent, key=lambda each: each["id"])


def test_every_answer_has_its_shape(recorder: RecorderStage) -> None:
    run = a_run(session__id="s", user__id="u", dynamiq__tags=["t"], dynamiq__trigger="nightly")
    recorder.record(run, a_run(seq=2, outcome="failed"))
    listed = recorder.call("GET", RUNS).json()
    for each in listed["data"]:
        shapes.RunSummary.model_validate(each)
    assert set(listed["pagination"]) == {"page", "page_size", "page_count", "total_count", "next_cursor", "counted_to"}
    shapes.RunDetail.model_validate(recorder.get(f"/v1/runs/{run_id_of(run)}"))
    shapes.RunTrace.model_validate(recorder.get(f"/v1/runs/{run_id_of(run)}/trace"))
    for group in ("", *(f"?group_by={each.value}" for each in shapes.MetricsGroup)):
        shapes.RunMetrics.model_validate(recorder.get(f"/v1/apps/{APP_UID}/metrics{group}"))
    shapes.SessionSummary.model_validate(recorder.get(f"/v1/apps/{APP_UID}/sessions")[0])
    shapes.RecorderState.model_validate(recorder.get(f"/v1/apps/{APP_UID}/recorder"))
    scored = recorder.call("POST", f"/v1/runs/{run_id_of(run)}/scores", json={"name": "helpful", "value": 0.5, "comment": "ok"})
    assert scored.status_code == 201
    shapes.RunScore.model_validate(scored.json()["data"])
    assert recorder.get(f"/v1/runs/{run_id_of(run)}")["scores"][0]["by"] == "admin"


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("", 3),
        ("status=failed", 1),
        ("status=failed&status=succeeded", 3),
        ("session_id=s-1", 1),
        ("user_id=u-1", 1),
        ("tag=beta&tag=eu", 1),
        ("tag=beta&tag=us", 0),
        ("trigger=nightly", 1),
        ("model=gpt-4o-mini", 2),
        ("workflow_version=v1", 3),
        ("min_duration_ms=1000", 1),
        ("min_cost_usd=0.01", 1),
        ("from=2020-01-01T00:00:00Z&to=2021-01-01T00:00:00%2B02:00", 0),
        ("deployment_id=nobody", 0),
        ("page_size=2&page=2", 1),
        ("sort=-duration_ms&page_size=1", 1),
    ],
)
def test_lists_are_filtered(recorder: RecorderStage, query: str, count: int) -> None:
    recorder.record(
        a_run(seq=1, session__id="s-1", user__id="u-1", dynamiq__tags=["beta", "eu"], dynamiq__trigger="nightly"),
        a_run(seq=2, outcome="failed", milliseconds=2000, cost=0.05),
        a_run(seq=3, model="other"),
    )
    assert len(recorder.get(f"{RUNS}?{query}")) == count


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("runs?colour=red", "colour"),
        ("runs?page=0", "page"),
        ("runs?page_size=501", "page_size"),
        ("runs?status=exploded", "status"),
        ("runs?from=yesterday", "RFC 3339"),
        ("runs?from=2026-01-01", "RFC 3339"),
        ("runs?from=2026-01-01T00:00:00", "RFC 3339"),
        ("runs?sort=colour", "sort"),
        ("runs?cursor=nobody-gave-it", "cursor"),
        ("runs?min_cost_usd=nan", "min_cost_usd"),
        ("runs?min_duration_ms=-1", "min_duration_ms"),
        ("runs?model=", "model"),
        ("metrics?interval=minute&from=2020-01-01T00:00:00Z", "interval"),
        ("metrics?from=2030-01-01T00:00:00Z", "before"),
        ("metrics?group_by=colour", "group_by"),
        ("sessions?page=x", "page"),
    ],
)
def test_invalid_queries_are_refused(recorder: RecorderStage, path: str, says: str) -> None:
    problem(recorder.call("GET", f"/v1/apps/{APP_UID}/{path}"), 422, says)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{}",
        b'{"name": "", "value": 1}',
        b'{"name": "a", "value": "1"}',
        b'{"name": "a", "value": NaN}',
        b'{"name": "a", "value": 1, "x": 2}',
        b"[" * 5000,
    ],
)
def test_scores_that_are_none(recorder: RecorderStage, body: bytes) -> None:
    run = a_run()
    recorder.record(run)
    problem(recorder.call("POST", f"/v1/runs/{run_id_of(run)}/scores", data=body), 422)


def test_pages_follow_one_another_by_their_cursor(recorder: RecorderStage) -> None:
    recorder.record(*(a_run(seq=number) for number in range(1, 8)))
    seen: list[str] = []
    query = "page_size=3"
    while query:
        answer = recorder.call("GET", f"{RUNS}?{query}").json()
        seen += [each["id"] for each in answer["data"]]
        cursor = answer["pagination"]["next_cursor"]
        query = f"page_size=3&cursor={cursor}" if cursor else ""
    assert len(seen) == len(set(seen)) == 7


def test_runs_are_deleted_by_one_thing_at_a_time(recorder: RecorderStage) -> None:
    recorder.record(a_run(seq=1, session__id="s"), a_run(seq=2, user__id="u"), a_run(seq=3))
    problem(recorder.call("DELETE", RUNS), 422, "exactly one")
    problem(recorder.call("DELETE", f"{RUNS}?session_id=s&user_id=u"), 422)
    assert recorder.call("DELETE", f"{RUNS}?session_id=s").json() == {"data": {"deleted": 1}}
    assert recorder.call("DELETE", f"{RUNS}?user_id=u").json() == {"data": {"deleted": 1}}
    assert recorder.call("DELETE", f"{RUNS}?before=2020-01-01T00:00:00Z").json() == {"data": {"deleted": 0}}
    assert recorder.call("DELETE", f"{RUNS}?before=2100-01-01T00:00:00Z").json() == {"data": {"deleted": 1}}
    assert recorder.get(RUNS) == []


def with_rows(stage: RecorderStage, second: Callable[[int, str], Modifier] = failed) -> None:
    """Adds rows one, two and three, of which the second one failed. Each has a pod whose token is `pod-1` and so on."""
    stage.rows += [a_row("one", live(1, "v1")), a_row("two", second(2, "v2")), a_row("three", live(3, "v3"))]
    for number, raw in enumerate(stage.rows, 1):
        stage.users[f"pod-{number}"] = pod_user("team", f"chat-{number}", f"pod-uid-{number}")
        for each, path in pod_of("team", f"chat-{number}", f"pod-uid-{number}", "chat", APP_UID, pins_of(raw))[:1]:
            stage.script.on("GET", path, each)
    stage.start()


def test_a_row_is_compared_with_the_one_before_it_that_went_live(stage: RecorderStage) -> None:
    with_rows(stage)
    for number, milliseconds in ((1, 100), (3, 300)):
        sent = [a_run(seq=seq, milliseconds=milliseconds + seq, cost=0.001 * number) for seq in range(1, 101)]
        assert stage.send(request(*sent, instance=f"i-{number}"), f"pod-{number}").status_code == 200
    path = f"/v1/apps/{APP_UID}/deployments/uid-of-three/comparison"
    compared = shapes.RunComparison.model_validate(stage.get(path))
    assert (compared.verdict, compared.deployment.sequence, compared.baseline and compared.baseline.sequence) == ("regressed", 3, 1)
    assert compared.cost_usd is not None
    assert compared.cost_usd.ratio == pytest.approx(3)
    assert stage.get(f"{path}?baseline=uid-of-one") == stage.get(path, VIEWER)
    problem(stage.call("GET", f"{path}?baseline=nobody"), 404, "deployment")
    problem(stage.call("GET", f"/v1/apps/{APP_UID}/deployments/nobody/comparison"), 404)
    problem(stage.call("GET", path, STRANGER), 404, "App")
    query = "&".join(f"deployment_id=uid-of-{each}" for each in ("three", "nobody", "one", "two"))
    verdicts = [shapes.RowVerdict.model_validate(each) for each in stage.get(f"/v1/apps/{APP_UID}/verdicts?{query}")]
    assert [(each.sequence, each.verdict) for each in verdicts] == [(3, "regressed"), (1, "unknown"), (2, "too_few_runs")]
    problem(stage.call("GET", f"/v1/apps/{APP_UID}/verdicts"), 422)


def waited(seq: int, milliseconds: float, busy_ms: int | None, **more: Any) -> dict[str, Any]:
    """Returns a background run that ended a minute ago, `milliseconds` after it was accepted."""
    began = time.time_ns() - 60 * 10**9 - round(milliseconds * 1e6)
    return a_run(seq=seq, began=began, milliseconds=milliseconds, dynamiq__run__busy_ms=busy_ms, **more)


def test_a_background_run_shows_its_whole_time_and_what_pods_spent_on_it(recorder: RecorderStage) -> None:
    sent, slow = waited(1, THREE_DAYS, 3_100, session__id="s"), a_run(seq=2, milliseconds=4_000)
    recorder.record(sent, slow)
    began, ended = (int(sent["spans"][0][f"{side}TimeUnixNano"]) // 1000 for side in ("start", "end"))
    path = f"/v1/runs/{run_id_of(sent)}"

    detail = shapes.RunDetail.model_validate(recorder.get(path))
    whole = (shown(began), shown(ended))

    assert (detail.started_at, detail.ended_at, detail.duration_ms, detail.busy_ms) == (*whole, THREE_DAYS, 3_100)
    assert [node.offset_ms for node in detail.nodes] == [0, 1]
    assert recorder.get(f"/v1/runs/{run_id_of(slow)}")["busy_ms"] is None
    listed = recorder.get(f"{RUNS}?sort=-duration_ms&min_duration_ms=3000")
    assert [(each["id"], each["busy_ms"]) for each in listed] == [(run_id_of(slow), None), (run_id_of(sent), 3_100)]
    assert recorder.get(f"{RUNS}?min_duration_ms=3101") == listed[:1]
    assert [(each["start_time"], each["end_time"]) for each in recorder.get(f"{path}/trace")["runs"][:2]] == [whole, whole]
    (trace,) = (each for each in recorder.get(f"/v1/apps/{APP_UID}/traces") if each["id"] == run_id_of(sent))
    assert (trace["started_at"], trace["ended_at"]) == whole
    assert recorder.get(f"/v1/apps/{APP_UID}/messages?session_id=s")[0]["created_at"] == whole[0]


@pytest.mark.parametrize(("busy_ms", "verdict"), [(100, "unchanged"), (300, "regressed"), (None, "regressed")])
def test_a_wait_of_three_days_is_no_slowness(stage: RecorderStage, busy_ms: int | None, verdict: str) -> None:
    """The row before had 100 ms. Without a busy time the whole three days count."""
    with_rows(stage)
    before = [a_run(seq=seq, milliseconds=100 + seq / 100) for seq in range(1, 101)]
    after = [waited(seq, THREE_DAYS, busy_ms and busy_ms + seq % 2) for seq in range(1, 101)]
    for number, sent in ((1, before), (3, after)):
        assert stage.send(request(*sent, instance=f"i-{number}"), f"pod-{number}").status_code == 200

    compared = shapes.RunComparison.model_validate(stage.get(f"/v1/apps/{APP_UID}/deployments/uid-of-three/comparison"))
    (short,) = stage.get(f"/v1/apps/{APP_UID}/verdicts?deployment_id=uid-of-three")

    assert (compared.verdict, short["verdict"], compared.deployment.figures.runs) == (verdict, verdict, 100), compared.sentence
    assert compared.p95_ms is not None
    assert compared.p95_ms.value == pytest.approx(busy_ms or THREE_DAYS, rel=0.03)


@pytest.mark.parametrize("slower", [1, 3])
def test_a_row_of_which_half_of_the_runs_waited_compares_like_the_same_row_without(stage: RecorderStage, slower: int) -> None:
    with_rows(stage, live)
    times = {seq: 100 + 7 * seq % 60 for seq in range(1, 201)}
    before = [a_run(seq=seq, milliseconds=each) for seq, each in times.items()]
    after = [waited(seq, slower * each, None) for seq, each in times.items()]
    half = [waited(seq, THREE_DAYS if seq % 2 else slower * each, slower * each) for seq, each in times.items()]
    for number, sent in ((1, before), (2, after), (3, half)):
        assert stage.send(request(*sent, instance=f"i-{number}"), f"pod-{number}").status_code == 200

    without, with_waits = (
        shapes.RunComparison.model_validate(stage.get(f"/v1/apps/{APP_UID}/deployments/uid-of-{row}/comparison?baseline=uid-of-one"))
        for row in ("two", "three")
    )

    assert with_waits.verdict == ("unchanged" if slower == 1 else "regressed"), with_waits.sentence
    assert (with_waits.verdict, with_waits.p50_ms, with_waits.p95_ms) == (without.verdict, without.p50_ms, without.p95_ms)
    assert (with_waits.failure_rate, with_waits.cost_usd) == (without.failure_rate, without.cost_usd)


def test_runs_of_the_live_row_count_by_when_they_began(stage: RecorderStage) -> None:
    """Earlier runs took 100 s, and now they take 200 s. Only the short ones of the newest runs have ended."""
    with_rows(stage)
    hour_ago, just_now = time.time_ns() - 3600 * 10**9, time.time_ns() - 2 * 10**9
    before = [a_run(seq=seq, began=hour_ago, milliseconds=100_000 + seq) for seq in range(1, 101)]
    long = [a_run(seq=seq, began=hour_ago, milliseconds=200_000 + seq) for seq in range(1, 101)]
    short = [a_run(seq=seq, began=just_now, milliseconds=1_000) for seq in range(101, 401)]
    for number, sent in ((1, before), (3, [*long, *short])):
        assert stage.send(request(*sent, instance=f"i-{number}"), f"pod-{number}").status_code == 200
    path = f"/v1/apps/{APP_UID}/deployments/uid-of-three/comparison"
    compared = shapes.RunComparison.model_validate(stage.get(path))
    assert (compared.verdict, compared.deployment.figures.runs) == ("regressed", 100)
    assert compared.matures_seconds == pytest.approx(300, rel=0.02)
    (verdict,) = stage.get(f"/v1/apps/{APP_UID}/verdicts?deployment_id=uid-of-three")
    assert (verdict["verdict"], verdict["figures"]["runs"]) == ("regressed", 400)
    stuck = shapes.RunComparison.model_validate(stage.get(f"{path}?unended=20"))
    assert stuck.p95_ms is not None
    assert stuck.deployment.figures.runs == 120
    assert stuck.p95_ms.value == pytest.approx(300_000, rel=0.02), "what has not ended takes as long as that at least"
    problem(stage.call("GET", f"{path}?unended=-1"), 422)


def test_a_row_whose_runs_all_began_just_now_is_not_compared_yet(stage: RecorderStage) -> None:
    with_rows(stage)
    for number, began, milliseconds in ((1, 3600, 100_000), (3, 2, 1_000)):
        sent = [a_run(seq=seq, began=time.time_ns() - began * 10**9, milliseconds=milliseconds) for seq in range(1, 101)]
        assert stage.send(request(*sent, instance=f"i-{number}"), f"pod-{number}").status_code == 200
    compared = stage.get(f"/v1/apps/{APP_UID}/deployments/uid-of-three/comparison")
    assert compared["verdict"] == "too_few_runs"
    assert compared["sentence"].endswith(f"; a run counts {compared['matures_seconds']:.3g} s after it began")


def test_a_row_that_only_scales_is_one_baseline_with_those_of_its_flow_and_runtime_before_it(stage: RecorderStage) -> None:
    more = {**CONFIG, "resources": {"requests": {"cpu": "2"}}}
    stage.rows += [a_row("other", live(1, "v0")), a_row("one", live(2, "v1")), a_row("none", failed(3, "v2"))]
    stage.rows += [a_row("scaled", live(4, "v1", config=more)), a_row("new", live(5, "v2"))]
    sent = {"other": 10, "one": 100, "scaled": 5, "new": 100}
    for name in sent:
        raw = next(row for row in stage.rows if row["metadata"]["name"] == name)
        stage.users[f"pod-{name}"] = pod_user("team", f"chat-{name}", f"uid-of-pod-{name}")
        for each, path in pod_of("team", f"chat-{name}", f"uid-of-pod-{name}", "chat", APP_UID, pins_of(raw))[:1]:
            stage.script.on("GET", path, each)
    stage.start()
    for name, count in sent.items():
        runs = [a_run(seq=seq, milliseconds=300 if name == "new" else 100) for seq in range(1, count + 1)]
        assert stage.send(request(*runs, instance=f"i-{name}"), f"pod-{name}").status_code == 200
    path = f"/v1/apps/{APP_UID}/deployments/uid-of-new/comparison"

    compared = shapes.RunComparison.model_validate(stage.get(path))
    alone = shapes.RunComparison.model_validate(stage.get(f"{path}?baseline=uid-of-scaled"))

    assert compared.baseline is not None
    assert (compared.baseline.sequence, compared.baseline.figures.runs) == (4, 105)
    assert compared.sentence.startswith("row #5 raised p95 by 3×, against rows #2 to #4")
    assert (alone.verdict, alone.sentence) == ("too_few_runs", "row #4 has 5 runs that ended by themselves, and a comparison needs 30")
    (verdict,) = stage.get(f"/v1/apps/{APP_UID}/verdicts?deployment_id=uid-of-new")
    assert compared.sentence.startswith(verdict["sentence"])
