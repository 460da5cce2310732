"""Callbacks of pods that are processes: accepted from callers, delivered, and delivered again where a pod was killed."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.background import KEY as ACCESS_KEY
from tests.support.background import Caller, pod
from tests.support.callbacks import KEY, RUN_ID, DueJournal, Receiver, a_claim, due_journal, is_signed, status, waits
from tests.support.runtime import ECHO, serving
from tests.support.waiting import IN_TIME, eventually

TOKEN = "token-of-the-receiver"


def due_at(receiver: Receiver, number: int) -> list[dict[str, Any]]:
    return [a_claim(receiver.url, n, token=TOKEN) for n in range(number)]


def pod_variables(tmp_path: Path, key: Path) -> dict[str, str]:
    return {"DYNAMIQ_CALLBACK_KEY": str(key), "SSL_CERT_FILE": str(tmp_path / "authority.pem")}


def test_a_pod_delivers_and_logs_neither_url_nor_token(receiver: Receiver, tmp_path: Path, key: Path) -> None:
    receiver.respond = status(500)
    proxies = dict.fromkeys(("HTTPS_PROXY", "https_proxy", "ALL_PROXY"), "http://127.0.0.1:9")
    with (
        due_journal(*due_at(receiver, 3), a_claim("https://127.0.0.1:1/secret-path", 3, token=TOKEN)) as journal,
        pod(tmp_path / "pod", ECHO, journal, **pod_variables(tmp_path, key), **proxies) as served,
    ):
        eventually("the journal is told of each", lambda: len(journal.results) == 4)
        assert sorted((each["n"], each["status"] or each["error"]) for each in journal.results) == [
            *((n, 500) for n in range(3)),
            (3, "address_not_allowed"),
        ]
        assert "callbacks" in served.activity["capabilities"]
        log = served.log.read_text()
    assert all(is_signed(call) for call in receiver.calls)
    assert not [each for each in (TOKEN, "secret-path", receiver.host, KEY) if each in log]


def test_what_a_killed_pod_was_sending_is_sent_again_with_the_same_id(receiver: Receiver, tmp_path: Path, key: Path) -> None:
    never = threading.Event()
    receiver.respond = waits(never)
    variables = pod_variables(tmp_path, key)
    with due_journal(*due_at(receiver, 2)) as journal:
        with pod(tmp_path / "first", ECHO, journal, **variables) as first:
            eventually("both are under way", lambda: len(receiver.calls) == 2)
            first.process.kill()
            first.process.wait()
        receiver.respond = status(200)
        journal.leases_end()
        with pod(tmp_path / "second", ECHO, journal, **variables):
            eventually("both are delivered", lambda: len(journal.results) == 2)
    never.set()
    assert sorted((each["n"], each["try"], each["status"]) for each in journal.results) == [(0, 2, 200), (1, 2, 200)]
    assert sorted(call.headers["webhook-id"] for call in receiver.calls) == sorted(2 * [f"msg_{RUN_ID}_0", f"msg_{RUN_ID}_1"])


def test_a_pod_that_ends_delivers_what_it_claimed(receiver: Receiver, tmp_path: Path, key: Path) -> None:
    goes_on = threading.Event()

    def respond(handler: http.server.BaseHTTPRequestHandler) -> None:
        goes_on.wait()
        status(200)(handler)

    receiver.respond = respond
    with (
        due_journal(*due_at(receiver, 1)) as journal,
        pod(tmp_path / "pod", ECHO, journal, **pod_variables(tmp_path, key)) as served,
    ):
        eventually("it is under way", lambda: len(receiver.calls) == 1)
        served.terminate()
        eventually("it drains", lambda: '"draining"' in served.log.read_text())
        goes_on.set()
        served.process.wait(IN_TIME)
        assert [each["status"] for each in journal.results] == [200]


# Callers.

CALLBACK = {"url": "https://hooks.example/done", "auth": {"type": "bearer", "token": TOKEN}, "metadata": {"order": 4711}}
STORED = {"url": CALLBACK["url"], "token": TOKEN, "metadata": {"order": 4711}}


@pytest.fixture
def journal() -> Iterator[DueJournal]:
    with due_journal() as served:
        yield served


@pytest.fixture
def caller(tmp_path: Path, journal: DueJournal, key: Path) -> Iterator[Caller]:
    with pod(tmp_path / "pod", ECHO, journal, DYNAMIQ_CALLBACK_KEY=str(key)) as served:
        yield Caller(served)


def test_a_run_is_accepted_with_its_callbacks_on_both_paths(caller: Caller, journal: DueJournal) -> None:
    answer = caller.ask("POST", "/", {"input": {"n": 1}, "execution_mode": "async", "callbacks": [CALLBACK]})
    assert (answer.status, answer.body) == (202, {"id": journal.accepted[0]["id"], "status": "accepted"})
    answer = caller.ask("POST", "/v1/runs", {"input": {"n": 1}, "background": True, "callbacks": [{"url": "https://8.8.8.8/"}]})
    assert (answer.status, answer.body["data"]["status"]) == (202, "created")
    assert caller.ask("POST", "/", {"input": {"n": 1}, "execution_mode": "async"}).status == 202
    assert [each.get("callbacks") for each in journal.accepted] == [
        [STORED],
        [{"url": "https://8.8.8.8/", "token": None, "metadata": None}],
        None,
    ]


def test_a_form_takes_them_too(caller: Caller, journal: DueJournal) -> None:
    parts = {"input": '{"n": 1}', "execution_mode": "async", "callbacks": json.dumps([CALLBACK])}
    form = "".join(f'--part\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{text}\r\n' for name, text in parts.items())
    headers = {"Authorization": f"Bearer {ACCESS_KEY}", "Content-Type": "multipart/form-data; boundary=part"}
    answer = caller.pod.request("POST", "/", f"{form}--part--\r\n".encode(), headers)
    assert (answer.status, answer.body["status"], journal.accepted[0]["callbacks"]) == (202, "accepted", [STORED])


def test_another_receiver_is_another_request(caller: Caller, journal: DueJournal) -> None:
    for callbacks in ([CALLBACK], [CALLBACK], [{**CALLBACK, "url": "https://other.example/"}], []):
        caller.ask("POST", "/v1/runs", {"input": {}, "background": True, "callbacks": callbacks}, {"Idempotency-Key": "order-4711"})
    first, again, other, without = (each["request_hash"] for each in journal.accepted)
    assert first == again
    assert len({first, other, without}) == 3


def test_without_a_key_no_callback_is_taken(caller: Caller, journal: DueJournal, key: Path) -> None:
    key.unlink()
    answer = caller.ask("POST", "/", {"input": {}, "execution_mode": "async", "callbacks": [CALLBACK]})
    assert (answer.status, answer.body["error"]["code"], list(answer.body["error"]["details"])) == (501, "no_callbacks", ["callbacks"])
    assert caller.ask("POST", "/", {"input": {}, "execution_mode": "async"}).status == 202
    assert len(journal.accepted) == 1


def test_a_journal_that_does_not_keep_callbacks_keeps_no_such_run(caller: Caller, journal: DueJournal) -> None:
    journal.knows_callbacks = False
    answer = caller.ask("POST", "/", {"input": {}, "execution_mode": "async", "callbacks": [CALLBACK]})
    assert (answer.status, answer.body["error"]["code"]) == (501, "no_callbacks")
    assert journal.canceled == [f"runs/{journal.accepted[0]['id']}/cancel"]


def test_a_public_app_calls_nobody_back(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served:
        body = json.dumps({"input": {}, "execution_mode": "async", "callbacks": [CALLBACK]}).encode()
        answer = served.request("POST", "/", body, {"Content-Type": "application/json"})
        assert (answer.status, answer.body["error"]["code"]) == (403, "public_app")
