"""Connections and bodies at the recorder: how slow they may be, and how many."""

from __future__ import annotations

import gzip
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress

import orjson
import pytest

from dynamiq_recorder.http import body as bodies
from dynamiq_recorder.http import context
from dynamiq_recorder.http.arriving import OF_A_POD, OF_ONE, Arriving
from dynamiq_recorder.http.body import LARGE
from dynamiq_recorder.ingest.shares import Full, Source
from tests.support.otlp_runs import a_run, request, sdk_runs
from tests.support.recorder_stage import (
    ADMIN,
    APP_UID,
    GATE,
    OTHER_UID,
    POD_TOKEN,
    STRANGER,
    RecorderStage,
)
from tests.support.waiting import IN_TIME, eventually
from tests.unit.recorder.test_requests import RUNS, problem


def test_a_head_that_does_not_come_is_not_waited_for_and_one_that_does_not_end_is_cut(recorder: RecorderStage) -> None:
    with socket.create_connection(("127.0.0.1", recorder.port)) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nX: ")
        connection.settimeout(IN_TIME)
        with suppress(ConnectionError):
            for _ in range(200):
                connection.sendall(b"x" * 4096)
            assert connection.recv(12) in (b"", b"HTTP/1.1 431")
    recorder.record()


@contextmanager
def beginning(recorder: RecorderStage, token: str, **headers: str) -> Iterator[socket.socket]:
    """Sends the beginning of a body, and nothing more."""
    given = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    given |= {"Content-Length": str(LARGE)} | {name.replace("_", "-"): value for name, value in headers.items()}
    lines = "".join(f"{name}: {value}\r\n" for name, value in given.items())
    with socket.create_connection(("127.0.0.1", recorder.port), timeout=IN_TIME) as connection:
        connection.sendall(f"POST /v1/traces HTTP/1.1\r\nHost: x\r\n{lines}\r\n".encode() + b"{")
        yield connection


def test_rights_come_before_the_body(recorder: RecorderStage) -> None:
    for token, headers, status in (
        (STRANGER, {"X_Dynamiq_App_Id": APP_UID}, b"403"),
        (ADMIN, {"X_Dynamiq_App_Id": OTHER_UID}, b"403"),
        (ADMIN, {"Content_Length": str(LARGE + 1)}, b"413"),
    ):
        with beginning(recorder, token, **headers) as connection:
            assert status in connection.recv(4096).split(b"\r\n")[0]
    large = request(*(a_run() for _ in range(700)), dynamiq__app__id=APP_UID)
    packed = gzip.compress(orjson.dumps(large))
    assert len(packed) < LARGE < len(orjson.dumps(large))
    problem(recorder.send(packed, ADMIN, Content_Encoding="gzip"), 413, "X-Dynamiq-App-Id")
    assert recorder.send(packed, ADMIN, Content_Encoding="gzip", X_Dynamiq_App_Id=APP_UID).status_code == 200
    assert recorder.send(request(a_run(), dynamiq__app__id=APP_UID), ADMIN).status_code == 200


def test_bodies_that_do_not_come_hold_up_their_own_sender_alone(recorder: RecorderStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "WITHIN", 10 * IN_TIME)  # else they are given up before a busy machine has asked all
    recorder.users |= {f"account-{number}": {"username": f"account-{number}"} for number in range(3)}
    with ExitStack() as slow:
        for _ in range(OF_ONE):
            for number in range(3):
                slow.enter_context(beginning(recorder, f"account-{number}"))
            slow.enter_context(beginning(recorder, ADMIN, X_Dynamiq_App_Id=APP_UID))
        for _ in range(OF_A_POD):
            slow.enter_context(beginning(recorder, GATE, X_Dynamiq_App_Id=APP_UID))
        named = {"X_Dynamiq_App_Id": APP_UID}
        eventually("the admin has to wait", lambda: recorder.send({"runs": sdk_runs()}, ADMIN, **named).status_code == 429)
        eventually("an account has to wait", lambda: recorder.send({"runs": sdk_runs()}, "account-2").status_code == 429)
        eventually("the gate has to wait", lambda: recorder.send({"runs": sdk_runs()}, GATE, **named).status_code == 429)
        assert recorder.send({"runs": sdk_runs()}, GATE, X_Dynamiq_App_Id=OTHER_UID).status_code == 200
        recorder.record()
        assert recorder.send({"runs": sdk_runs()}, POD_TOKEN, **named).status_code == 200
    eventually("they are done", lambda: recorder.send({"runs": sdk_runs()}, ADMIN, **named).status_code == 200)


CHAT, RELAYED, MAIL, RIVAL = Source("team", "chat"), Source("team", "chat", is_pod=False), Source("team", "mail"), Source("rivals", "chat")


def test_room_is_taken_by_what_has_come_and_whoever_else_comes_finds_some() -> None:
    arriving = Arriving(most=160)
    with arriving.room(RELAYED) as relayed, arriving.room(CHAT) as pod, arriving.room(MAIL) as mail, arriving.room(RIVAL) as rival:
        relayed(40)
        for full in (relayed, lambda size: pod(20 + size)):
            with pytest.raises(Full):
                full(1)
        pod(20)
        mail(20)
        with pytest.raises(Full):
            mail(1)
        rival(40)
        with pytest.raises(Full):
            rival(1)
        with arriving.room(Source("third", "chat")) as third:
            third(20)
    with arriving.room(CHAT) as pod, arriving.room(RIVAL) as rival:
        pod(60)
        rival(50)


def test_one_namespace_has_half_of_the_bodies_at_most() -> None:
    arriving = Arriving(bodies=8)
    with ExitStack() as held:
        for app in ("a", "b", "c", "d"):
            held.enter_context(arriving.room(Source("team", app)))
        with pytest.raises(Full), arriving.room(Source("team", "e")):
            pass
        held.enter_context(arriving.room(RIVAL))
    with arriving.room(Source("team", "e")):
        pass


def test_an_export_whose_reader_goes_away_gives_its_place_back(recorder: RecorderStage) -> None:
    for seq in range(1, 6):
        recorder.record(a_run(seq=seq, nodes=2000))
    for _ in range(3 * context.EXPORTS_EACH):
        with recorder.call("GET", f"{RUNS}.jsonl", stream=True) as answer:
            assert answer.status_code == 200
            assert next(answer.iter_content(10))
