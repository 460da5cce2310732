"""Conversations: a turn is answered by the version that the first one began on, wherever it arrives, and nothing else changes."""

from __future__ import annotations

import hashlib
import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.background import KEY, pod
from tests.support.flows import a_flow
from tests.support.forms import END, TYPE, part
from tests.support.journal import APP
from tests.support.runtime import DEADLINE, ECHO, WAITS, Answer, Served, events_in, serving
from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.sessions_journal import IDLE, SessionsJournal, Stage, Url, digest, staged
from tests.support.waiting import eventually

A, B, C = "aaaaaaaaaaaaaaaa", "bbbbbbbbbbbbbbbb", "cccccccccccccccc"
ROWS = {A: 11, B: 12, C: 13}
FILES = a_flow("def run(d):\n    return [[f.name, len(f.read())] for f in d.get('files', [])]\n")
STREAM = {"Content-Type": "text/event-stream; charset=utf-8"}


@pytest.fixture
def journal() -> SessionsJournal:
    return SessionsJournal()


@pytest.fixture
def stage(tmp_path: Path, journal: SessionsJournal) -> Iterator[Stage]:
    with staged(tmp_path, journal) as made:
        yield made


def version(name: str) -> str:
    return a_flow(f"def run(inputs):\n    return [{name!r}, inputs.get('n')]\n")


def started(stage: Stage, pins: str, flow: str | None = None, **variables: str) -> Served:
    """Starts a pod of a row; it has a Service."""
    served = stage.pod(pins, version(pins) if flow is None else flow, **variables)
    stage.journal.place(pins, ROWS[pins], served.port)
    knows_row(served, pins)
    return served


def knows_row(served: Served, pins: str) -> None:
    eventually("it knows its row", lambda: served.request("GET", "/v1/verification").headers["X-Dynamiq-Row"] == str(ROWS[pins]))


def turn(served: Served, session: str | None, path: str = "/", **more: Any) -> Answer:
    """Sends a turn of a conversation, whose id is in the body."""
    body = {"input": {"n": 1}, **({"session_id": session} if session else {}), **more.pop("body", {})}
    headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json", **more.pop("headers", {})}
    return served.request("POST", path, json.dumps(body).encode(), headers, **more)


def answered_by(answer: Answer) -> Any:
    assert answer.status == 200, answer.body
    return (answer.body.get("data", {}).get("output") or answer.body)["result"][0]


class Target:
    """A pod of other pins that a test scripts. `sent`: what reached it."""

    def __init__(self, *replies: Reply) -> None:
        self.sent: list[Sent] = []
        self._replies = list(replies)

    def answer(self, sent: Sent) -> Reply:
        self.sent.append(sent)
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


@pytest.fixture
def entry(stage: Stage) -> Served:
    """A pod of pins A. Conversation `chat` is on B."""
    stage.journal.whose[digest("chat")] = B
    return started(stage, A)


# Whose a conversation is


@pytest.mark.parametrize("path", ["/", "/v1/runs"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("by_header", [False, True])
def test_a_turn_is_answered_by_the_version_of_the_first_one(stage: Stage, path: str, stream: bool, by_header: bool) -> None:
    one, other = started(stage, A), started(stage, B)

    def of(served: Served) -> Any:
        headers = {"X-Dynamiq-Session-Id": "chat"} if by_header else {}
        answer = turn(served, None if by_header else "chat", path, headers=headers, body={"stream": stream})
        if stream:
            assert answer.headers["Content-Type"].startswith("text/event-stream")
            last = answer.events[-1][1]
            return (last["data"]["output"] if path != "/" else last)["result"][0], answer.headers["X-Dynamiq-Row"]
        return answered_by(answer), answer.headers["X-Dynamiq-Row"]

    assert [of(one), of(other), of(one), of(other)] == [(A, "11")] * 4
    assert answered_by(turn(other, "another")) == B
    assert answered_by(turn(other, None)) == B


def test_an_answer_of_another_version_has_its_headers_once(stage: Stage) -> None:
    origins = {"DYNAMIQ_ORIGINS": "https://shop.example"}
    one, other = started(stage, A, **origins), started(stage, B, **origins)
    turn(one, "chat")
    answer = turn(other, "chat", headers={"Origin": "https://shop.example"})
    for name, value in {
        "X-Dynamiq-Row": "11",
        "X-Dynamiq-Workflow-Version": A,
        "Access-Control-Allow-Origin": "https://shop.example",
        "Content-Type": "application/json; charset=utf-8",
    }.items():
        assert answer.headers.get_all(name) == [value]
    assert "X-Dynamiq-Row" in answer.headers["Access-Control-Expose-Headers"]
    assert answer.headers["X-Dynamiq-Run-Id"]
    assert turn(other, None).headers["X-Dynamiq-Row"] == "12"


def test_a_known_conversation_is_not_asked_for_again(stage: Stage) -> None:
    one, other = started(stage, A), started(stage, B)
    for _ in range(3):
        assert [answered_by(turn(each, "chat")) for each in (one, other)] == [A, A]
    assert stage.journal.asked["session"] == 2  # one by each pod


def test_first_turns_at_once_ask_once(stage: Stage) -> None:
    served = started(stage, A)
    stage.journal.holds.clear()
    with ThreadPoolExecutor(8) as pool:
        turns = [pool.submit(turn, served, "chat") for _ in range(8)]
        eventually("all are in flight", lambda: served.activity["in_flight"] == 8)
        stage.journal.holds.set()
        assert [answered_by(each.result()) for each in turns] == [A] * 8
    assert stage.journal.asked["session"] == 1


def test_conversations_are_told_apart_by_their_whole_ids(stage: Stage) -> None:
    one, other = started(stage, A), started(stage, B)
    assert [answered_by(turn(one, "chat-1")), answered_by(turn(other, "chat-2"))] == [A, B]
    assert [answered_by(turn(other, "chat-1")), answered_by(turn(one, "chat-2"))] == [A, B]
    assert set(stage.journal.whose) == {digest("chat-1"), digest("chat-2")}


def test_turns_are_reported_while_they_last(tmp_path: Path) -> None:
    """A long turn must not end its own conversation."""
    journal = SessionsJournal(policy={"idle": 1})
    with staged(tmp_path, journal) as stage, ThreadPoolExecutor(1) as pool:
        served = started(stage, A, WAITS)
        running = pool.submit(turn, served, "chat", body={"input": {"until": str(tmp_path / "over")}})
        eventually("it is reported again and again", lambda: sum(digest("chat") in each for each in journal.seen) >= 4)
        (tmp_path / "over").touch()
        assert running.result().status == 200
        assert all(0 <= each[digest("chat")] < 1000 for each in journal.seen)


def test_a_pod_that_ends_reports_its_last_turns(stage: Stage) -> None:
    served = started(stage, A)
    turn(served, "chat")
    served.terminate()
    assert served.process.wait(DEADLINE) == 0
    assert [list(each) for each in stage.journal.seen] == [[digest("chat")]]


# The hop


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


# Moves


def test_a_conversation_of_rejected_pins_goes_on_with_the_live_ones(stage: Stage) -> None:
    """Also where it was known, and where the rejected pods are called themselves."""
    rejected, live = started(stage, B), started(stage, A)
    assert [answered_by(turn(each, "chat")) for each in (rejected, live)] == [B, B]
    stage.journal.close(B, live=A)
    eventually("it is answered elsewhere", lambda: answered_by(turn(live, "chat")) == A)
    eventually("by its own pods, too", lambda: answered_by(turn(rejected, "chat")) == A)
    answer = turn(rejected, "another")
    assert (answered_by(answer), answer.headers["X-Dynamiq-Row"]) == (A, "11")
    assert answered_by(turn(rejected, "another")) == A


# The journal is away


def test_known_conversations_go_on_without_the_journal(stage: Stage) -> None:
    one, other = started(stage, A), started(stage, B)
    assert [answered_by(turn(each, "chat")) for each in (one, other)] == [A, A]
    stage.journal.is_away = True
    assert [answered_by(turn(each, "chat")) for each in (one, other)] == [A, A]
    assert other.metric("dynamiq_sessions_unknown_total") == 0


def test_an_unknown_conversation_is_answered_where_it_arrives(stage: Stage) -> None:
    served = started(stage, A)
    stage.journal.is_away = True
    answer = turn(served, "chat")
    assert (answered_by(answer), answer.headers["X-Dynamiq-Row"]) == (A, "11")
    assert served.metric("dynamiq_sessions_unknown_total") == 1
    stage.journal.is_away = False
    stage.journal.whose[digest("chat")] = B
    started(stage, B)
    eventually("it goes where it belongs", lambda: answered_by(turn(served, "chat")) == B)


def test_an_unknown_conversation_is_refused_where_the_app_says_so(tmp_path: Path) -> None:
    journal = SessionsJournal(policy={"when_unknown": "Refuse"})
    with staged(tmp_path, journal) as stage:
        served = started(stage, A)
        journal.is_away = True
        answer = turn(served, "chat")
        assert (answer.status, answer.body["error"]["code"], answer.headers["Retry-After"]) == (503, "session_unknown", "1")
        assert answered_by(turn(served, None)) == A
        assert served.metric("dynamiq_sessions_unknown_total") == 1
        assert served.activity["runs"]["failed"] == 0


def test_a_short_outage_is_waited_for(stage: Stage) -> None:
    served = started(stage, A)
    stage.journal.whose[digest("chat")] = B
    started(stage, B)
    stage.journal.is_away = True
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(turn, served, "chat")
        eventually("it was refused", lambda: stage.journal.asked["refused"] >= 2)
        stage.journal.is_away = False
        assert answered_by(waiting.result()) == B


def test_a_turn_that_comes_before_the_pod_could_ask_waits_for_that(stage: Stage) -> None:
    stage.journal.whose[digest("chat")] = B
    started(stage, B)
    stage.journal.tells.clear()
    served = stage.pod(A, version(A))
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(turn, served, "chat")
        eventually("the turn is there", lambda: served.activity["in_flight"] == 1)
        stage.journal.tells.set()
        assert answered_by(waiting.result()) == B


# What has no conversations


def test_an_app_without_conversations_is_asked_for_once(tmp_path: Path) -> None:
    journal = SessionsJournal(sessions=False)
    with staged(tmp_path, journal) as stage:
        served = stage.pod(A, version(A))
        for _ in range(3):
            answer = turn(served, "chat")
            assert (answered_by(answer), "X-Dynamiq-Row" in answer.headers) == (A, False)
        eventually("the policy was read", lambda: journal.asked["policy"] == 1)
        assert (journal.asked, journal.seen) == ({"policy": 1}, [])


def test_conversations_begin_once_the_app_has_them(tmp_path: Path) -> None:
    journal = SessionsJournal(sessions=False)
    with staged(tmp_path, journal) as stage:
        served = stage.pod(A, version(A))
        eventually("the policy was read", lambda: journal.asked["policy"] == 1)
        journal.policy = {"idle": IDLE, "warm": 300, "when_unknown": "Live"}
        journal.place(A, 11, served.port)
        knows_row(served, A)
        assert answered_by(turn(served, "chat")) == A
        assert journal.whose == {digest("chat"): A}
        journal.policy = None
        journal.change()
        eventually("they have ended", lambda: "X-Dynamiq-Row" not in turn(served, "chat").headers)


def test_a_public_app_asks_nothing(tmp_path: Path, journal: SessionsJournal) -> None:
    with HttpServer(journal.answer) as server:
        variables = {"DYNAMIQ_JOURNAL": server.url, "DYNAMIQ_APP_ID": APP.app_uid, "DYNAMIQ_PINS": A}
        with serving(tmp_path, version(A), **variables) as served:
            assert answered_by(served.run({"n": 1}, headers={"X-Dynamiq-Session-Id": "chat"})) == A
    assert not journal.asked


def test_a_journal_from_before_conversations_has_none(tmp_path: Path) -> None:
    def answer(sent: Sent) -> Reply:
        return (
            Reply(body={"data": [], "next_seconds": 60}) if sent.path.endswith("/claims") else Reply(404, {"error": {"code": "not_found"}})
        )

    with HttpServer(answer) as server, pod(tmp_path / "pod", version(A), Url(server.url), DYNAMIQ_PINS=A) as served:
        assert answered_by(turn(served, "chat")) == A


def test_a_background_run_is_placed_by_the_journal(stage: Stage, entry: Served) -> None:
    """Its answer may be a run of other pins, which another pod claims."""
    stage.journal.place(B, 12)
    answer = turn(entry, "chat", "/v1/runs", body={"background": True})
    assert (answer.status, answer.headers["X-Dynamiq-Row"]) == (202, "12")
    assert [each["session_id"] for each in stage.journal.accepted] == ["chat"]
    assert (stage.journal.asked["session"], stage.journal.woken) == (0, [])


def test_a_smoke_test_has_no_conversation(stage: Stage, tmp_path: Path) -> None:
    note = tmp_path / "annotations"
    note.write_text(f'dynamiq.getdynamiq.ai/verification="{hashlib.sha256(b"of-it").hexdigest()}"\n')
    stage.journal.whose[digest("chat")] = B
    served = started(stage, A, DYNAMIQ_POD_ANNOTATIONS=str(note))
    headers = {"Authorization": "Bearer of-it", "X-Dynamiq-Verification": "true"}
    assert answered_by(turn(served, "chat", headers=headers)) == A
    assert stage.journal.asked["session"] == 0
