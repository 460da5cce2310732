"""The hop of a turn to the version of its conversation: it arrives as it was sent, and comes back as it was answered."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.background import KEY
from tests.support.flows import a_flow
from tests.support.forms import END, TYPE, part
from tests.support.journal import APP
from tests.support.runtime import DEADLINE, ECHO, WAITS, Served, events_in, serving
from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.sessions_journal import Stage, digest
from tests.support.turns import A, B, C, Target, answered_by, started, turn
from tests.support.waiting import eventually

FILES = a_flow("def run(d):\n    return [[f.name, len(f.read())] for f in d.get('files', [])]\n")
STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


def test_a_hop_sends_what_the_caller_sent(stage: Stage, entry: Served) -> None:
    target = Target(Reply(418, b"tea", {"Content-Type": "text/plain", "Retry-After": "7", "X-Of-Target": "1", "Connection": "x-private"}))
    with HttpServer(target.answer) as server:
        stage.journal.place(B, 12, server.port)
        raw = b'{"session_id": "chat",  "input": {"n": 1.10, "text": "\xc3\xa4"}}'
        headers = {
            "Authorization": f"Bearer {KEY}",
            "Content-Type": "application/json",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "Connection": "close, X-Of-Connection",
            "X-Of-Connection": "1",
            "X-Dynamiq-Hop-Row": "99",
            "Idempotency-Key": "once",
        }
        connection = http.client.HTTPConnection("127.0.0.1", entry.port, timeout=DEADLINE)
        connection.request("POST", "/v1/runs?a=1&b=%2F", raw, headers)
        answer = connection.getresponse()
        content = answer.read()
    (sent,) = target.sent
    assert (sent.method, sent.path, sent.pairs, sent.raw) == ("POST", "/v1/runs", [("a", "1"), ("b", "/")], raw)
    kept = {name: sent.headers.get(name) for name in ("Authorization", "traceparent", "Idempotency-Key", "Content-Type", "Host")}
    assert kept == {name: headers.get(name, f"127.0.0.1:{entry.port}") for name in kept}
    assert (sent.headers["X-Dynamiq-Hop"], sent.headers["X-Dynamiq-Hop-Row"]) == (f"{APP.app_uid}/{B}", "12")
    assert "X-Of-Connection" not in sent.headers
    assert sent.headers["Connection"] == "close"  # each on a connection of its own
    assert (answer.status, content) == (418, b"tea")
    assert (answer.headers["Retry-After"], answer.headers["X-Of-Target"], answer.headers["Content-Type"]) == ("7", "1", "text/plain")
    assert answer.headers["X-Dynamiq-Workflow-Version"] is None


def test_a_large_body_arrives_whole(stage: Stage, entry: Served) -> None:
    other = started(stage, B, a_flow("def run(d):\n    return [len(d['text']), d['text']]\n"))
    text = "x" * 1_500_000
    answer = turn(entry, "chat", body={"input": {"text": text}})
    assert (answer.body["result"], other.activity["runs"]["succeeded"]) == ([len(text), text], 1)


def test_a_form_goes_on_with_its_files(stage: Stage, entry: Served) -> None:
    started(stage, B, FILES)
    large = b"x" * 3_000_000
    head = b'--b\r\nContent-Disposition: form-data; name="input"\r\n\r\n{"a": 1}\r\n'
    head += b'--b\r\nContent-Disposition: form-data; name="session_id"\r\n\r\nchat\r\n'
    head += b'--b\r\nContent-Disposition: form-data; name="stream"\r\n\r\nfalse\r\n'
    body = head + part("a\u00e4 %22'1'.txt", b"hello") + part("b.txt", large) + END
    answer = entry.request("POST", "/", body, {"Content-Type": TYPE, "Authorization": f"Bearer {KEY}"})
    assert answer.body == {"result": [["a\u00e4 %22'1'.txt", 5], ["b.txt", len(large)]]}


def test_a_stream_is_passed_on_as_it_comes(stage: Stage, entry: Served) -> None:
    """The second event is made once the caller has read the first."""
    has_read = threading.Event()

    def events() -> Iterator[bytes]:
        yield b"event: one\ndata: 1\n"
        assert has_read.wait(DEADLINE)
        yield b"event: two\ndata: 2\n"

    with HttpServer(Target(Reply(headers=STREAM, stream=events())).answer) as server:
        stage.journal.place(B, 12, server.port)
        stream = opened(entry, "chat")
        assert (stream.readline(), stream.readline(), stream.readline()) == (b"event: one\n", b"data: 1\n", b"\n")
        has_read.set()
        assert events_in(stream.read().decode()) == [("two", 2)]


def opened(served: Served, session: str) -> Any:
    """Returns a stream to read."""
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=DEADLINE)
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", "X-Dynamiq-Session-Id": session}
    connection.request("POST", "/", json.dumps({"input": {}, "stream": True}), headers)
    return connection.getresponse()


def test_a_caller_that_leaves_ends_the_hop(stage: Stage, entry: Served) -> None:
    """Though the other pod sends nothing that could not be delivered."""
    has_ended = threading.Event()

    class Silent(threading.Thread):
        def __init__(self) -> None:
            super().__init__(daemon=True)
            self.listener = socket.create_server(("127.0.0.1", 0))

        def run(self) -> None:
            taken, _ = self.listener.accept()
            with taken:
                while taken.recv(65536):
                    pass
            has_ended.set()

    silent = Silent()
    silent.start()
    stage.journal.place(B, 12, silent.listener.getsockname()[1])
    connection = http.client.HTTPConnection("127.0.0.1", entry.port, timeout=DEADLINE)
    body, headers = json.dumps({"input": {}, "session_id": "chat"}), {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
    connection.request("POST", "/", body, headers)
    eventually("it is in flight", lambda: entry.activity["in_flight"] == 1)
    connection.close()
    assert has_ended.wait(DEADLINE)
    eventually("nothing is in flight", lambda: entry.activity["in_flight"] == 0)
    assert entry.metric('dynamiq_hops_total{result="left"}') == 1
    silent.listener.close()


def test_a_hop_is_no_run_of_the_pod_in_the_middle(stage: Stage, entry: Served, tmp_path: Path) -> None:
    """It holds no thread either: one run more than there are threads would wait."""
    only = {"DYNAMIQ_MAX_CONCURRENT_RUNS": "1", "DYNAMIQ_MAX_QUEUED_RUNS": "1"}
    middle = started(stage, C, **only)
    other = started(stage, B, WAITS)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(turn, middle, "chat", body={"input": {"until": str(tmp_path / "over")}})
        eventually("the run is under way", lambda: other.metric("dynamiq_runtime_runs_in_flight") == 1)
        assert middle.activity["in_flight"] == 1
        assert middle.metric("dynamiq_runtime_runs_in_flight") == 0
        assert answered_by(turn(middle, None)) == C
        (tmp_path / "over").touch()
        assert running.result().body == {"result": "slept"}
    assert (middle.activity["runs"], other.activity["runs"]["succeeded"]) == ({"succeeded": 1, "failed": 0, "refused": 0}, 1)
    assert middle.metric('dynamiq_hops_total{result="answered"}') == 1


def test_a_pod_that_drains_finishes_its_hops(stage: Stage, entry: Served, tmp_path: Path) -> None:
    other = started(stage, B, WAITS)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(turn, entry, "chat", body={"input": {"until": str(tmp_path / "over")}})
        eventually("the run is under way", lambda: other.metric("dynamiq_runtime_runs_in_flight") == 1)
        entry.terminate()
        eventually("it drains", lambda: '"draining"' in entry.log.read_text())
        (tmp_path / "over").touch()
        assert running.result().body == {"result": "slept"}
    assert entry.process.wait(DEADLINE) == 0


def test_a_hop_that_outlasts_the_drain_is_cut_off(stage: Stage, tmp_path: Path) -> None:
    stage.journal.whose[digest("chat")] = B
    entry, other = started(stage, A, DYNAMIQ_DRAIN_SECONDS="0"), started(stage, B, WAITS)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(turn, entry, "chat", body={"input": {"until": str(tmp_path / "over")}})
        eventually("the run is under way", lambda: other.metric("dynamiq_runtime_runs_in_flight") == 1)
        entry.terminate()
        answer = running.result()
        (tmp_path / "over").touch()
    assert (answer.status, answer.body["error"]["code"], answer.headers["Retry-After"]) == (503, "stopping", "1")
    assert entry.process.wait(DEADLINE) == 0


def test_a_pod_that_gets_a_hop_neither_asks_nor_hops(stage: Stage, entry: Served) -> None:
    hop = {"X-Dynamiq-Hop": f"{APP.app_uid}/{A}", "X-Dynamiq-Hop-Row": "7"}
    answer = turn(entry, "chat", headers=hop)
    assert (answered_by(answer), answer.headers["X-Dynamiq-Row"]) == (A, "7")
    assert stage.journal.asked["session"] == 0


@pytest.mark.parametrize("aim", [f"{APP.app_uid}/{B}", f"another-app/{A}", A, ""])
def test_a_pod_that_gets_the_hop_of_another_refuses_it(entry: Served, aim: str) -> None:
    """Before the key: that of another App would be refused as the caller's."""
    answer = turn(entry, "chat", headers={"X-Dynamiq-Hop": aim, "Authorization": "Bearer unknown"})
    assert (answer.status, answer.body["error"]["code"]) == (421, "misdirected")
    assert entry.activity["runs"] == {"succeeded": 0, "failed": 0, "refused": 0}


def test_a_public_pod_refuses_the_hop_of_another(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served:
        assert served.run({}, headers={"X-Dynamiq-Hop": f"{APP.app_uid}/{A}"}).status == 421
        assert "X-Dynamiq-Row" not in served.run({}).headers


def test_a_misdirected_hop_asks_again(stage: Stage, entry: Served) -> None:
    started(stage, C)
    target = Target(Reply(421))
    with HttpServer(target.answer) as server:
        stage.journal.place(B, 12, server.port)
        stage.journal.whose[digest("chat")] = B

        def answer(sent: Sent) -> Reply:
            stage.journal.whose[digest("chat")] = C
            return target.answer(sent)

        with HttpServer(answer) as moved:
            stage.journal.place(B, 12, moved.port)
            result = turn(entry, "chat")
    assert (answered_by(result), len(target.sent)) == (C, 1)
    assert entry.metric('dynamiq_hops_total{result="misdirected"}') == 1


def test_a_turn_waits_for_a_pod_that_starts(stage: Stage, entry: Served) -> None:
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(turn, entry, "chat")
        eventually("the journal knows that it waits", lambda: B in stage.journal.woken)
        started(stage, B)
        assert answered_by(waiting.result()) == B


def test_a_turn_waits_where_connections_are_refused(stage: Stage, entry: Served) -> None:
    other = started(stage, B)
    other.terminate()
    assert other.process.wait(DEADLINE) == 0
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(turn, entry, "chat")
        eventually("the journal knows that it waits", lambda: B in stage.journal.woken)
        started(stage, B)
        assert answered_by(waiting.result()) == B


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_request_that_a_pod_took_is_never_sent_twice(stage: Stage, entry: Served, is_stream: bool) -> None:
    target = Target(Reply(cut=True))
    with HttpServer(target.answer) as server:
        stage.journal.place(B, 12, server.port)
        answer = turn(entry, "chat", body={"stream": is_stream})
    assert (answer.status, answer.body["error"]["code"], len(target.sent)) == (502, "hop_broken", 1)
    assert entry.metric('dynamiq_hops_total{result="broken"}') == 1
    assert entry.activity["runs"]["failed"] == 0  # no version is reverted for it


def test_a_stream_that_breaks_off_is_no_complete_answer(stage: Stage, entry: Served) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            taken, _ = listener.accept()
            with taken:
                taken.recv(65536)
                taken.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type: text/event-stream\r\n\r\n3\r\n: a\r\n")

        threading.Thread(target=serve, daemon=True).start()
        stage.journal.place(B, 12, listener.getsockname()[1])
        stream = opened(entry, "chat")
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            stream.read()
