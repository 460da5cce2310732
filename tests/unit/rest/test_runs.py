"""Runs over HTTP: the requests to the recorder, their user, and the use of the answers."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from dynamiq_operator.kube.resources import APPS, ROWS, VERSIONS
from dynamiq_operator.model import triggers
from dynamiq_operator.model.runs import RunDetail, RunPage
from dynamiq_operator.rest.http import recorder as forwarding
from dynamiq_operator.serving import lanes, request_log
from tests.support import factories as make
from tests.support import scripted_recorder as made
from tests.support.console import OWN, WRITES, a_console, cookie
from tests.support.rest_stage import TOKEN, UNKNOWN, RestStage
from tests.support.scripted import Reply, ScriptedServer, Sent, failure
from tests.support.scripted_recorder import RUN, ScriptedRecorder
from tests.support.waiting import IN_TIME


@dataclass(frozen=True)
class Recorded:
    """The API with a scripted recorder."""

    stage: RestStage
    recorder: ScriptedRecorder

    @property
    def app(self) -> str:
        return f"/v1/apps/{self.stage.uid(APPS, 'chat')}"

    @property
    def row(self) -> str:
        return self.stage.uid(ROWS, "chat-b")

    @property
    def asked(self) -> Sent:
        """Returns the only request that the recorder got."""
        (sent,) = self.recorder.sent
        return sent


@pytest.fixture
def recorded() -> Iterator[Recorded]:
    script = ScriptedRecorder()
    with ScriptedServer(script) as server, RestStage(recorder=server.url, console=a_console()) as stage:
        yield Recorded(stage, script)


# Requests to the recorder.


def test_runs_are_listed_as_the_recorder_has_them(recorded: Recorded) -> None:
    answered = recorded.stage.call("GET", f"{recorded.app}/runs").json
    assert answered == made.a_page(made.a_failed_run(), made.a_run())
    RunPage.model_validate(answered)
    assert recorded.asked.path == f"{recorded.app}/runs"
    assert recorded.asked.pairs == [("page", "1"), ("page_size", "25"), ("sort", "-started_at")]


def test_every_filter_reaches_the_recorder(recorded: Recorded) -> None:
    query = (
        f"deployment_id={recorded.row.upper()}&workflow_version=v2&status=failed&status=timed_out&trigger=nightly&session_id=s%201&user_id=u"
        "&tag=a&tag=b&model=gpt-4o&error=quota&from=2026-11-24&to=2026-11-25T01:00:00%2B01:00&min_duration_ms=1500&min_cost_usd=0.5"
        "&sort=-cost_usd&page=2&page_size=500&cursor=abc"
    )
    assert recorded.stage.call("GET", f"{recorded.app}/runs?{query}").status == 200
    assert sorted(recorded.asked.pairs) == sorted(
        [
            ("deployment_id", recorded.row),
            ("workflow_version", "v2"),
            ("status", "failed"),
            ("status", "timed_out"),
            ("trigger", "nightly"),
            ("session_id", "s 1"),
            ("user_id", "u"),
            ("tag", "a"),
            ("tag", "b"),
            ("model", "gpt-4o"),
            ("error", "quota"),
            ("from", "2026-11-24T00:00:00.000000Z"),
            ("to", "2026-11-25T00:00:00.000000Z"),
            ("min_duration_ms", "1500.0"),
            ("min_cost_usd", "0.5"),
            ("sort", "-cost_usd"),
            ("page", "2"),
            ("page_size", "500"),
            ("cursor", "abc"),
        ]
    )


def test_a_version_and_a_trigger_are_found_by_their_ids(recorded: Recorded) -> None:
    trigger = {"name": "nightly", "schedule": "0 3 * * *"}
    app = recorded.stage.put(make.app_manifest(make.with_spec(triggers=[trigger])))
    uid = triggers.id_of(app["metadata"]["uid"], trigger)
    version = recorded.stage.uid(VERSIONS, "chat-v2")
    recorded.stage.call("GET", f"{recorded.app}/runs?workflow_version_id={version}&trigger_id={uid}")
    assert {("workflow_version", "v2"), ("trigger", "nightly")} <= set(recorded.asked.pairs)
    for name in ("workflow_version_id", "trigger_id"):
        assert recorded.stage.call("GET", f"{recorded.app}/runs?{name}={UNKNOWN}").status == 404
    assert len(recorded.recorder.sent) == 1


@pytest.mark.parametrize(
    "query",
    [
        "status=nice",
        "sort=name",
        "from=yesterday",
        "from=2026-02-30",
        "min_cost_usd=-1",
        "min_duration_ms=nan",
        "page=0",
        "page_size=501",
        "deployment_id=7",
        f"tag={'x' * 65}",
        "session_id=",
        "cost=1",
        "user_id=a&user_id=b",
    ],
)
def test_a_filter_that_is_none_asks_the_recorder_nothing(recorded: Recorded, query: str) -> None:
    assert query.partition("=")[0] in recorded.stage.call("GET", f"{recorded.app}/runs?{query}").error(422)["message"]
    assert recorded.recorder.sent == []


def test_each_call_goes_where_the_recorder_has_it(recorded: Recorded) -> None:
    app, row = recorded.app, recorded.row
    calls = {
        f"{app}/metrics?interval=hour&group_by=model": ("GET", f"{app}/metrics", [("interval", "hour"), ("group_by", "model")]),
        f"{app}/deployments/{row}/comparison": ("GET", f"{app}/deployments/{row}/comparison", [("baseline", "previous")]),
        f"{app}/verdicts?deployment_id={row}&deployment_id={UNKNOWN}": (
            "GET",
            f"{app}/verdicts",
            [("deployment_id", row), ("deployment_id", UNKNOWN)],
        ),
        f"{app}/sessions?user_id=u": ("GET", f"{app}/sessions", [("page", "1"), ("page_size", "25"), ("user_id", "u")]),
        f"{app}/recorder": ("GET", f"{app}/recorder", []),
        f"/v1/runs/{RUN.upper()}?include=content": ("GET", f"/v1/runs/{RUN}", [("include", "content")]),
        f"/v1/runs/{RUN}/trace": ("GET", f"/v1/runs/{RUN}/trace", []),
        f"DELETE {app}/runs?before=2026-11-24": ("DELETE", f"{app}/runs", [("before", "2026-11-24T00:00:00.000000Z")]),
        f"DELETE {app}/runs?session_id=s": ("DELETE", f"{app}/runs", [("session_id", "s")]),
        f"DELETE /v1/runs/{RUN}": ("DELETE", f"/v1/runs/{RUN}", []),
        f"DELETE /v1/runs/{RUN}?app_id=a-1": ("DELETE", f"/v1/runs/{RUN}", [("app_id", "a-1")]),
        f"/v1/runs/{RUN}?app_id=a-1&include=content": ("GET", f"/v1/runs/{RUN}", [("include", "content"), ("app_id", "a-1")]),
    }
    for call, asked in calls.items():
        method, _, path = call.rpartition(" ")
        recorded.recorder.sent.clear()
        assert recorded.stage.call(method or "GET", path).status in (200, 204), call
        assert (recorded.asked.method, recorded.asked.path, list(recorded.asked.pairs)) == asked


def test_one_run_is_the_models_shape(recorded: Recorded) -> None:
    RunDetail.model_validate(recorded.stage.get(f"/v1/runs/{RUN}"))


def test_a_score_is_checked_and_passed_on(recorded: Recorded) -> None:
    path = f"/v1/runs/{RUN}/scores"
    given = {"name": "helpful", "value": 0.5, "comment": "é"}
    answered = recorded.stage.call("POST", path, given)
    assert (answered.status, answered.data["value"]) == (201, 0.5)
    assert (recorded.asked.body, list(recorded.asked.pairs)) == (given, [])
    recorded.recorder.sent.clear()
    assert recorded.stage.call("POST", f"{path}?app_id=a-1", given).status == 201
    assert list(recorded.asked.pairs) == [("app_id", "a-1")]
    for wrong in (
        {"name": "", "value": 1},
        {"name": "x" * 65, "value": 1},
        {"name": "x", "value": "1"},
        {"name": "x", "value": 1, "by": "bo"},
    ):
        assert recorded.stage.call("POST", path, wrong).status == 422
    assert len(recorded.recorder.sent) == 1


@pytest.mark.parametrize("query", ["", "?session_id=a&user_id=b", "?before=2026-11-24&user_id=b"])
def test_a_deletion_names_exactly_one_kind_of_runs(recorded: Recorded, query: str) -> None:
    assert "exactly one" in recorded.stage.call("DELETE", f"{recorded.app}/runs{query}").error(422)["message"]
    assert recorded.recorder.sent == []


# Users of the requests.


def test_the_recorder_gets_the_callers_token_and_nothing_else_of_the_request(recorded: Recorded) -> None:
    headers = {"X-Request-Id": "mine-1", "Cookie": "a=b", "X-Forwarded-For": "6.6.6.6", "X-Dynamiq-Token": "other", "X-Dynamiq-App-Id": "x"}
    assert recorded.stage.call("GET", f"{recorded.app}/runs", headers=headers).headers["x-request-id"] == "mine-1"
    got = {name.lower(): value for name, value in recorded.asked.headers.items()}
    assert (got["authorization"], got[request_log.HEADER.lower()]) == (f"Bearer {TOKEN}", "mine-1")
    assert not {"cookie", "x-forwarded-for", "x-dynamiq-token", "x-dynamiq-app-id"} & set(got)


def test_a_sign_in_of_the_console_asks_with_its_token(recorded: Recorded) -> None:
    pieces = cookie({"__Host-dynamiq-0": f"1.{TOKEN}"})
    assert recorded.stage.call("GET", f"{recorded.app}/runs", token=None, headers={**OWN, **pieces}).status == 200
    assert recorded.asked.headers["Authorization"] == f"Bearer {TOKEN}"
    assert "Cookie" not in recorded.asked.headers
    assert recorded.stage.call("DELETE", f"/v1/runs/{RUN}", token=None, headers={**OWN, **pieces}).status == 403, "of another page"
    assert recorded.stage.call("DELETE", f"/v1/runs/{RUN}", token=None, headers={**WRITES, **pieces}).status == 204


def test_the_recorder_gets_no_request_for_an_unreadable_app(recorded: Recorded) -> None:
    recorded.stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    hidden = recorded.stage.call("GET", f"{recorded.app}/runs").error(404)["message"]
    unknown = recorded.stage.call("GET", f"/v1/apps/{UNKNOWN}/runs").error(404)["message"]
    assert hidden.replace(recorded.stage.uid(APPS, "chat"), UNKNOWN) == unknown
    assert recorded.recorder.sent == []


@pytest.mark.parametrize("path", ["/v1/runs/7", "/v1/runs/..%2fapps", f"/v1/runs/{RUN}x/trace"])
def test_an_invalid_id_is_unknown(recorded: Recorded, path: str) -> None:
    assert recorded.stage.call("GET", path).status == 404
    assert recorded.recorder.sent == []


# Answers.


def test_an_export_comes_line_by_line_as_it_is_read(recorded: Recorded) -> None:
    second = threading.Event()

    def lines() -> Iterator[object]:
        yield made.a_detail()
        assert second.wait(IN_TIME)
        yield made.a_detail(id=made.FAILED_RUN)

    recorded.recorder.on("GET", f"{recorded.app}/runs.jsonl", Reply(stream=lines()))
    parts: list[bytes] = []

    def heard(part: bytes) -> None:
        parts.append(part)
        second.set()  # only once the first line has come

    recorded.stage.run(recorded.stage.ask("GET", f"{recorded.app}/runs.jsonl?status=failed", heard=heard))
    assert [RunDetail.model_validate_json(line).id for line in b"".join(parts).splitlines()] == [RUN, made.FAILED_RUN]
    assert len(parts) >= 2


def test_an_answer_that_the_recorder_breaks_off_is_none_that_is_whole(recorded: Recorded) -> None:
    begun = threading.Event()

    def chunks() -> Iterator[bytes]:
        yield b"4\r\n{}\n\n\r"
        assert begun.wait(IN_TIME)
        yield b"ff\r\nand no more of it"

    broken = Reply(headers={"Transfer-Encoding": "chunked"}, stream=chunks())
    recorded.recorder.on("GET", f"{recorded.app}/runs.jsonl", broken)
    answered = recorded.stage.run(recorded.stage.ask("GET", f"{recorded.app}/runs.jsonl", heard=lambda _: begun.set()))
    assert (answered.status, answered.is_whole) == (200, False)
    assert recorded.stage.call("GET", f"{recorded.app}/runs").is_whole


def test_a_response_has_no_header_of_the_recorder(recorded: Recorded) -> None:
    headers = {"Set-Cookie": "a=b", "X-Powered-By": "x", "Content-Type": "text/html", "Connection": "keep-alive", "Keep-Alive": "timeout=5"}
    recorded.recorder.on("GET", f"/v1/runs/{RUN}", Reply(body={"data": made.a_detail()}, headers=headers))
    answered = recorded.stage.call("GET", f"/v1/runs/{RUN}")
    assert answered.headers["content-type"] == "application/json"
    assert not {"set-cookie", "x-powered-by", "keep-alive", "transfer-encoding"} & set(answered.headers)
    assert answered.headers["cache-control"] == "no-store"


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [(400, 422), (401, 401), (403, 403), (404, 404), (422, 422), (429, 429), (503, 503), (500, 503), (302, 503)],
)
def test_an_error_of_the_recorder_is_one_of_this_api(recorded: Recorded, theirs: int, ours: int) -> None:
    recorded.recorder.on("GET", f"/v1/runs/{RUN}", made.problem(theirs, "says the recorder", Retry_After="7"))
    answered = recorded.stage.call("GET", f"/v1/runs/{RUN}")
    error = answered.error(ours)
    assert ("says the recorder" in error["message"]) == (theirs not in (401, 500, 302))
    assert answered.headers.get("Retry-After", answered.headers.get("retry-after")) == ("7" if ours in (429, 503) else None)


def test_an_error_that_has_not_the_contracts_shape_is_not_passed_on(recorded: Recorded) -> None:
    recorded.recorder.on("GET", f"/v1/runs/{RUN}", Reply(404, b"<html>default backend</html>"))
    assert "html" not in recorded.stage.call("GET", f"/v1/runs/{RUN}").error(503)["message"]


def test_without_a_recorder_each_call_names_the_page_about_it() -> None:
    with RestStage() as stage:
        app = f"/v1/apps/{stage.uid(APPS, 'chat')}"
        for path in (f"{app}/runs", f"{app}/runs.jsonl", f"{app}/metrics", f"{app}/recorder", f"/v1/runs/{RUN}"):
            error = stage.call("GET", path).error(501)
            assert error["code"] == "no_recorder"
            assert "docs/runs.md" in error["message"]


# A recorder that is slow or away.


def test_an_unavailable_recorder_is_reported_at_once() -> None:
    with ScriptedServer(ScriptedRecorder()) as server:
        url = server.url
    with RestStage(recorder=url) as stage:
        answered = stage.call("GET", f"/v1/apps/{stage.uid(APPS, 'chat')}/runs")
        assert "the recorder does not answer" in answered.error(503)["message"]
        assert int(answered.headers["retry-after"]) >= 1


def test_a_recorder_that_is_cut_off_is_away(recorded: Recorded) -> None:
    recorded.recorder.on("DELETE", f"/v1/runs/{RUN}", Reply(cut=True))
    assert recorded.stage.call("DELETE", f"/v1/runs/{RUN}").status == 503


def test_a_slow_recorder_delays_no_other_call(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit in ("ANSWERED_WITHIN", "SILENT_MOST"):
        monkeypatch.setattr(forwarding, limit, IN_TIME)
    monkeypatch.setattr(lanes, "WAIT_MOST", IN_TIME)
    all_there, ends = threading.Barrier(forwarding.RUNS_EACH + 1), threading.Event()

    def slow(_: Sent) -> Reply:
        if not ends.is_set():
            all_there.wait(IN_TIME)
            ends.wait(IN_TIME)
        return Reply(body={"data": made.a_detail()})

    recorded.recorder.on("GET", f"/v1/runs/{RUN}", slow)
    stage = recorded.stage

    async def scenario() -> list[int]:
        # Twice as many requests as one caller has places: all but RUNS_EACH of them wait.
        waiting = [asyncio.create_task(stage.ask("GET", f"/v1/runs/{RUN}")) for _ in range(forwarding.RUNS_EACH * 2)]
        await asyncio.to_thread(all_there.wait, IN_TIME)
        others = [(await stage.ask("GET", recorded.app)).status for _ in range(20)]
        assert not any(each.done() for each in waiting), "the others waited for these"
        ends.set()
        assert {(await each).status for each in waiting} == {200}
        return others

    assert set(stage.run(scenario())) == {200}


def test_a_silent_recorder_is_given_up(recorded: Recorded, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forwarding, "SILENT_MOST", 0.2)
    ends = threading.Event()

    def silent(_: Sent) -> Reply:
        ends.wait(30)
        return Reply()

    recorded.recorder.on("GET", f"/v1/runs/{RUN}", silent)
    assert recorded.stage.call("GET", f"/v1/runs/{RUN}").status == 503
    ends.set()
