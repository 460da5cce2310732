"""Conversations: a turn is answered by the version that the first one began on, wherever it arrives, and nothing else changes."""

from __future__ import annotations

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.support.background import pod
from tests.support.journal import APP
from tests.support.runtime import DEADLINE, WAITS, Served, serving
from tests.support.scripted import HttpServer, Reply, Sent
from tests.support.sessions_journal import IDLE, SessionsJournal, Stage, Url, digest, staged
from tests.support.turns import A, B, answered_by, knows_row, started, turn, version
from tests.support.waiting import eventually


@pytest.fixture
def journal() -> SessionsJournal:
    return SessionsJournal()


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
