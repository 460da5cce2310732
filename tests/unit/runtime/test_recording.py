"""The runs that a recorder receives: each ended run, once, in order, with its caller's data."""

from __future__ import annotations

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from dynamiq_runtime.batches import ANSWER_WITHIN
from dynamiq_runtime.fields import RunRequest
from dynamiq_runtime.recorder_client import RecorderConnection
from dynamiq_runtime.recording import Recording
from dynamiq_runtime.run import Run
from dynamiq_runtime.server import Server
from dynamiq_runtime.settings import SettingsError, from_environment
from tests.support.flows import a_flow
from tests.support.recorder import Recorder, Told, attributes_of, recording
from tests.support.runtime import DEADLINE, ECHO, SLOW, WAITS, Served, refused, serving
from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.waiting import eventually

TRACE, CALLER = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
APP = {"DYNAMIQ_APP": "hello", "DYNAMIQ_APP_ID": "uid-1", "DYNAMIQ_WORKFLOW_VERSION": "v3", "DYNAMIQ_PINS": "0123456789abcdef"}
PICKY = a_flow(
    "import time\ndef run(d):\n    time.sleep(d.get('seconds', 0))\n    if d.get('wrong'):\n        raise ValueError('a s3cr3t')\n    return d['n']\n"
)
TAKES_AN_ORDER = json.loads(PICKY)
TAKES_AN_ORDER["nodes"]["input"]["input_transformer"] = {"path": "$.order"}


@pytest.fixture
def recorder() -> Iterator[Recorder]:
    with recording() as answering:
        yield answering


@contextmanager
def refusing_content() -> Iterator[tuple[str, list[bytes]]]:
    """Yields the URL of a recorder that refuses every body with content as too large, and the bodies that it accepted."""
    bodies: list[bytes] = []

    def answer(sent: Sent) -> Reply:
        body = gzip.decompress(sent.raw)
        has_content = b'"dynamiq.input"' in body
        if not has_content and b'"dynamiq.run.id"' in body:
            bodies.append(body)
        return Reply(413 if has_content else 200, b"")

    with HttpServer(answer) as server:
        yield server.url, bodies


def until_recorded(recorder: Recorder, runs: int) -> None:
    eventually(f"{runs} runs are recorded", lambda: len(recorder.runs) >= runs, DEADLINE)


def stopped(served: Served) -> None:
    """Ends the pod."""
    served.terminate()
    assert served.process.wait(DEADLINE) == 0


def test_a_run_is_recorded_with_its_nodes_and_without_its_input(tmp_path: Path, recorder: Recorder) -> None:
    (tmp_path / "token").write_text("first-token\n")
    token = {"DYNAMIQ_RECORDER_TOKEN": str(tmp_path / "token")}
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url, **token, **APP) as served:
        answer = served.run({"text": "s3cr3t-input"}, "/v1/runs")
        until_recorded(recorder, 1)
        (run,), (record,) = recorder.runs, recorder.records
        assert answer.headers["X-Dynamiq-Run-Id"] == answer.body["data"]["id"] == record["dynamiq.run.id"]
        assert (record["dynamiq.run.seq"], record["dynamiq.run.outcome"], run.status.code) == (1, "succeeded", 0)
        assert 0 < run.start_time_unix_nano < run.end_time_unix_nano
        nodes = {node.name: attributes_of(node) for node in recorder.nodes_of(run)}
        assert list(nodes) == ["node input", "node code", "node output"]
        assert nodes["node code"] == {
            "dynamiq.node.id": "code",
            "dynamiq.node.name": "code",
            "dynamiq.node.type": "dynamiq.nodes.tools.Python",
            "dynamiq.node.status": "succeeded",
        }
        assert all(node.parent_span_id == run.span_id for node in recorder.nodes_of(run))
        assert all(run.start_time_unix_nano <= node.start_time_unix_nano <= node.end_time_unix_nano for node in recorder.nodes_of(run))
        (tmp_path / "token").write_text("second-token")
        served.run({"text": "s3cr3t-input"})
        until_recorded(recorder, 2)
    of = recorder.posts[0].resource
    assert (of["service.name"], of["dynamiq.app"], of["dynamiq.app.id"], of["dynamiq.pins"]) == (
        "hello",
        "hello",
        "uid-1",
        APP["DYNAMIQ_PINS"],
    )
    assert (of["dynamiq.workflow.version"], of["dynamiq.engine"], of["dynamiq.instance.last_seq"]) == ("v3", "tiny", 1)
    assert [post.headers["authorization"] for post in recorder.posts] == ["Bearer first-token", "Bearer second-token"]
    assert not any(b"s3cr3t" in post.body for post in recorder.posts)


def test_every_way_in_which_a_run_ends_is_recorded_and_what_started_none_is_not(tmp_path: Path, recorder: Recorder) -> None:
    limits = {"DYNAMIQ_RUN_TIMEOUT": "10", "DYNAMIQ_RECORDER": recorder.url}
    with serving(tmp_path, json.dumps(TAKES_AN_ORDER), **limits) as served:
        answers = [served.run({"order": {"n": 1}}), served.run({"order": {"n": 1, "wrong": True}}), served.run({"order": 3})]
        answers.append(served.run({"order": {"n": 1, "seconds": 60}}))
        assert served.request("POST", "/", b"{}", {"Content-Type": "application/json"}).status == 400
        until_recorded(recorder, 4)
        logged = [json.loads(line) for line in served.log.read_text().splitlines() if '"run_id"' in line]
    assert [answer.status for answer in answers] == [200, 500, 400, 504]
    assert [(each["node"], each["error_type"], each["line"]) for each in logged if "error_type" in each] == [("code", "ValueError", 5)]
    assert [answer.headers["X-Dynamiq-Run-Id"] for answer in answers] == [record["dynamiq.run.id"] for record in recorder.records]
    assert [
        (record["dynamiq.run.seq"], record["dynamiq.run.outcome"], record.get("dynamiq.run.reason")) for record in recorder.records
    ] == [
        (1, "succeeded", None),
        (2, "failed", "node_failed"),
        (3, "refused", "input_refused"),
        (4, "timed_out", "run_timed_out"),
    ]
    statuses = [[_state(node) for node in recorder.nodes_of(run)] for run in recorder.runs[1:4]]
    assert statuses[0] == [("succeeded", None), ("failed", "ValueError"), ("skipped", None)]
    failed = attributes_of(recorder.nodes_of(recorder.runs[1])[1])
    assert failed["code.line.number"] == 5, "of the code, though its content is not recorded"
    assert statuses[1][0][0] == "failed"
    assert statuses[2] == [("succeeded", None), ("failed", "timed_out")]
    assert not any(b"s3cr3t" in post.body for post in recorder.posts)


def _state(node: Any) -> tuple[str, str | None]:
    found = attributes_of(node)
    return found["dynamiq.node.status"], found.get("error.type")


def _leave(served: Served, given: dict[str, Any]) -> None:
    """Calls a stream, and disconnects once it has begun."""
    body = json.dumps({"input": given, "stream": True}).encode()
    with socket.create_connection(("127.0.0.1", served.port), timeout=DEADLINE) as connection:
        head = f"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        connection.sendall(head.encode() + body)
        assert b"X-Dynamiq-Run-Id: " in connection.recv(4096)


def test_a_stream_has_its_runs_id_too_and_a_refused_run_has_none(tmp_path: Path, recorder: Recorder) -> None:
    limits = {"DYNAMIQ_MAX_CONCURRENT_RUNS": "1", "DYNAMIQ_MAX_QUEUED_RUNS": "0"}
    with serving(tmp_path, WAITS, DYNAMIQ_RECORDER=recorder.url, **limits) as served:
        answer = served.run({}, stream=True)
        _leave(served, {"until": str(tmp_path / "over")})
        too_many = served.run({})
        (tmp_path / "over").touch()
        until_recorded(recorder, 2)
    assert (too_many.status, too_many.headers["X-Dynamiq-Run-Id"]) == (429, None)
    assert [record["dynamiq.run.id"] for record in recorder.records[:1]] == [answer.headers["X-Dynamiq-Run-Id"]]


def test_attributes_of_a_caller_are_recorded_within_limits(tmp_path: Path, recorder: Recorder) -> None:
    expected = {
        "X-Dynamiq-Session-Id": "s" * 300,
        "x-dynamiq-user-id": " ann ",
        "X-Dynamiq-Tags": "blue, ,blue,green," + ",".join(f"tag-{number:02}-{'x' * 100}" for number in range(30)),
        "X-Dynamiq-Trigger": "nightly",
        "traceparent": f"00-{TRACE}-{CALLER}-01",
    }
    wrong = {
        "X-Dynamiq-Trigger": '"> not a name',
        "traceparent": f"00-{'0' * 32}-{CALLER}-01",
        "X-Dynamiq-Session-Id": "",
        "X-Dynamiq-Tags": ",,",
    }
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        assert served.run({}, headers=expected).status == served.run({}, headers=wrong).status == served.run({}).status == 200
        until_recorded(recorder, 3)
        named = [served.metric(f'dynamiq_runtime_runs_by_trigger_total{{trigger="{name}"}}') for name in ("nightly", "other")]
        lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert named == [1, 1]
    (first, second, third), runs = recorder.records, recorder.runs
    assert (first["session.id"], first["user.id"], first["dynamiq.trigger"]) == ("s" * 256, "ann", "nightly")
    assert (first["dynamiq.tags"][:3], len(first["dynamiq.tags"])) == (["blue", "green", f"tag-00-{'x' * 57}"], 20)
    assert (runs[0].trace_id.hex(), runs[0].parent_span_id.hex()) == (TRACE, CALLER)
    assert (second["dynamiq.trigger"], runs[1].parent_span_id, runs[2].parent_span_id) == ('"> not a name', b"", b"")
    assert not {"session.id", "user.id", "dynamiq.tags"} & (set(second) | set(third))
    assert len({run.trace_id for run in runs}) == 3
    assert [line["trace_id"] for line in lines if line["message"] == "run"] == [run.trace_id.hex() for run in runs]


def test_a_stop_sends_the_remaining_runs_and_the_end_of_the_process(tmp_path: Path, recorder: Recorder) -> None:
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        for number in range(5):
            served.run({"n": number})
        stopped(served)
    assert [record["dynamiq.run.seq"] for record in recorder.records] == [1, 2, 3, 4, 5]
    last = recorder.posts[-1].resource
    assert (last["dynamiq.instance.ended"], last["dynamiq.instance.last_seq"], last["dynamiq.instance.dropped"]) == (True, 5, 0)
    assert not any("dynamiq.instance.ended" in post.resource for post in recorder.posts[:-1])
    assert len({post.resource["service.instance.id"] for post in recorder.posts}) == 1


def test_a_run_that_a_stop_cut_off_is_recorded_before_the_goodbye(tmp_path: Path, recorder: Recorder) -> None:
    with serving(tmp_path, SLOW, DYNAMIQ_RECORDER=recorder.url, DYNAMIQ_DRAIN_SECONDS="0.2") as served, ThreadPoolExecutor(1) as pool:
        answer = pool.submit(served.run, {"seconds": 60})
        eventually("it is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1, DEADLINE)
        stopped(served)
        assert (answer.result().status, answer.result().headers["X-Dynamiq-Run-Id"]) == (503, recorder.records[0]["dynamiq.run.id"])
    (record,) = recorder.records
    assert (record["dynamiq.run.outcome"], record["dynamiq.run.reason"]) == ("cut_off", "stopping")
    assert [_state(node) for node in recorder.nodes_of(recorder.runs[0])][-1] == ("failed", "cut_off")
    assert recorder.posts[-1].resource["dynamiq.instance.ended"]


def test_a_pod_without_runs_sends_the_end_of_the_process_as_well(tmp_path: Path, recorder: Recorder) -> None:
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        stopped(served)
    (post,) = recorder.posts
    assert (post.resource["dynamiq.instance.ended"], post.resource["dynamiq.instance.last_seq"], post.spans) == (True, 0, [])


@pytest.mark.parametrize("told", [Told(503, {"Retry-After": "1"}), Told(429, {"Retry-After": "1"}), Told(500), Told(401), Told(403)])
def test_a_recorder_that_takes_nothing_now_gets_the_same_batch_later(tmp_path: Path, recorder: Recorder, told: Told) -> None:
    recorder.told = told
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        assert served.run({"n": 1}).status == 200
        eventually("it is refused", lambda: bool(recorder.refused), DEADLINE)
        recorder.told = Told()
        assert served.run({"n": 2}).status == 200
        until_recorded(recorder, 2)
    assert recorder.refused[0].body == recorder.posts[0].body
    assert [record["dynamiq.run.seq"] for record in recorder.records] == [1, 2]
    assert [post.resource["dynamiq.instance.dropped"] for post in recorder.posts] == [0, 0]


def test_retry_after_is_waited_for(tmp_path: Path, recorder: Recorder) -> None:
    recorder.told = Told(503, {"Retry-After": "3"})
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        began = time.monotonic()
        served.run({"n": 1})
        eventually("it is refused", lambda: bool(recorder.refused), DEADLINE)
        recorder.told = Told()
        until_recorded(recorder, 1)
    assert time.monotonic() - began > 2.9 * len(recorder.refused)


@pytest.mark.parametrize("status", [400, 413])
def test_a_batch_that_is_refused_for_good_is_counted_and_the_next_is_taken(tmp_path: Path, recorder: Recorder, status: int) -> None:
    recorder.told = Told(status)
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        served.run({"n": 1})
        eventually("it is dropped", lambda: served.metric("dynamiq_runtime_records_dropped_total") == 1, DEADLINE)
        recorder.told = Told()
        served.run({"n": 2})
        until_recorded(recorder, 1)
        log = served.log.read_text()
    assert [record["dynamiq.run.seq"] for record in recorder.records] == [2]
    assert (recorder.posts[0].resource["dynamiq.instance.dropped"], recorder.posts[0].resource["dynamiq.instance.last_seq"]) == (1, 2)
    assert f"refuses a batch of runs ({status})" in log


def test_a_batch_that_is_too_large_comes_in_parts_and_no_run_is_lost(tmp_path: Path, recorder: Recorder) -> None:
    recorder.told = Told(503, {"Retry-After": "1"})
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        for number in range(30):
            served.run({"n": number})
        recorder.told = Told(spans_most=5)  # a run has four
        until_recorded(recorder, 30)
        stopped(served)
        assert "it is dropped" not in served.log.read_text()
    assert [record["dynamiq.run.seq"] for record in recorder.records] == list(range(1, 31))
    assert recorder.posts[-1].resource["dynamiq.instance.dropped"] == 0
    assert [post.resource.get("dynamiq.instance.ended", False) for post in recorder.posts].count(True) == 1


def test_a_run_that_is_too_large_for_the_recorder_comes_without_its_content(tmp_path: Path) -> None:
    runs = json.dumps({"content": True})
    with refusing_content() as (url, bodies), serving(tmp_path, ECHO, DYNAMIQ_RECORDER=url, DYNAMIQ_RUNS=runs) as served:
        served.run({"text": "a word"})
        eventually("it is taken", lambda: len(bodies) == 1, DEADLINE)
        assert served.metric("dynamiq_runtime_records_dropped_total") == 0
    assert b'"dynamiq.run.id"' in bodies[0]


def test_an_unexpected_error_ends_no_thread_and_loses_no_run(
    recorder: Recorder, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = from_environment({"DYNAMIQ_RECORDER": recorder.url})
    assert settings.recorder is not None
    failures = iter([OverflowError("s3cr3t"), UnicodeError("s3cr3t")])
    posting = RecorderConnection.post

    def failing(self: RecorderConnection, *given: Any) -> Any:
        if (error := next(failures, None)) is not None:
            raise error
        return posting(self, *given)

    monkeypatch.setattr(RecorderConnection, "post", failing)
    sender = Recording(settings, settings.recorder, lambda _: None)
    sender.start()
    run = Run(RunRequest({}, stream=False), {})
    run.outcome, run.ended = "succeeded", run.began
    sender.add(run, None)
    until_recorded(recorder, 1)
    sender.close()
    said = capsys.readouterr().out
    assert ("(OverflowError)" in said, "(UnicodeError)" in said, "s3cr3t" in said) == (True, True, False)


@pytest.mark.parametrize("host", ["a..b", "a" * 64 + ".svc", ".svc"])
def test_a_recorder_whose_host_is_no_name_ends_the_start(host: str) -> None:
    with pytest.raises(SettingsError, match=r"DYNAMIQ_RECORDER is .*, not a URL"):
        from_environment({"DYNAMIQ_RECORDER": f"http://{host}:8080"})


def test_a_recorder_that_is_away_costs_no_answer_and_comes_back_to_every_run(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=url) as served:
            assert all(served.run({"n": number}).status == 200 for number in range(20))
            eventually("it is said", lambda: "the recorder does not answer" in served.log.read_text(), DEADLINE)
            stopped(served)
            lines = [json.loads(line) for line in served.log.read_text().splitlines()]
    assert [line["runs"] for line in lines if line["message"].startswith("the recorder did not take all runs")] == [20]


def test_a_slow_recorder_holds_up_no_run_and_gets_every_one(tmp_path: Path, recorder: Recorder) -> None:
    recorder.told = Told(seconds=DEADLINE)
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url) as served:
        ran = 0

        def runs_end_meanwhile() -> bool:
            """While a batch is under way, which the recorder is given up with after a time."""
            nonlocal ran
            before = len(recorder.posts)
            assert served.run({}).status == 200
            eventually("a batch is under way", lambda: len(recorder.posts) > before, DEADLINE)
            began = time.monotonic()
            assert all(served.run({}).status == 200 for _ in range(29))
            ran += 30
            return time.monotonic() - began < ANSWER_WITHIN / 2

        eventually("none waits until the recorder is given up", runs_end_meanwhile)
        recorder.told = Told()
        numbers = range(1, ran + 1)
        eventually("all are recorded", lambda: {record["dynamiq.run.seq"] for record in recorder.records} >= set(numbers), DEADLINE)
    # The batch in flight is sent again if the recorder does not acknowledge it.
    assert [*dict.fromkeys(record["dynamiq.run.seq"] for record in recorder.records)] == list(numbers)


def test_a_token_that_is_not_there_yet_is_waited_for(tmp_path: Path, recorder: Recorder) -> None:
    token = tmp_path / "token"
    with serving(tmp_path, ECHO, DYNAMIQ_RECORDER=recorder.url, DYNAMIQ_RECORDER_TOKEN=str(token)) as served:
        assert served.run({"n": 1}).status == 200
        eventually("it is said", lambda: "the recorder's token cannot be read" in served.log.read_text(), DEADLINE)
        token.write_text("there")
        until_recorded(recorder, 1)
    assert recorder.posts[0].headers["authorization"] == "Bearer there"


@pytest.mark.parametrize("is_recorded", [True, False])
async def test_without_a_recorder_no_thread_runs_for_it(recorder: Recorder, is_recorded: bool) -> None:
    named = {"DYNAMIQ_RECORDER": recorder.url} if is_recorded else {}
    server = Server(from_environment({"PORT": "0", "DYNAMIQ_METRICS_PORT": "0", **named}), None)
    await server.start()
    try:
        assert ("recorder" in {thread.name for thread in threading.enumerate()}) == is_recorded
    finally:
        await server.close()
    assert len(recorder.posts) == is_recorded


@pytest.mark.parametrize(
    ("variables", "said"),
    [
        ({"DYNAMIQ_RECORDER": "recorder:8080"}, "DYNAMIQ_RECORDER is 'recorder:8080', not a URL of http or https"),
        ({"DYNAMIQ_RUNS": "{"}, "DYNAMIQ_RUNS is not JSON"),
        ({"DYNAMIQ_RUNS": "[]"}, 'DYNAMIQ_RUNS is not {"content": true or false'),
        ({"DYNAMIQ_RUNS": '{"content": "yes"}'}, 'DYNAMIQ_RUNS is not {"content": true or false'),
        ({"DYNAMIQ_RUNS": '{"content": true, "redact": {"fields": [1]}}'}, "`redact.fields` is not a list of texts"),
    ],
)
def test_a_setting_that_is_wrong_ends_the_start_with_its_name(tmp_path: Path, variables: dict[str, str], said: str) -> None:
    code, line = refused(tmp_path, ECHO, **variables)
    assert code == 2
    assert said in line
