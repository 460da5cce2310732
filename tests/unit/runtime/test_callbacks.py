"""Callbacks as their receivers and the journal see them: signed, at least once, and of ended runs alone."""

from __future__ import annotations

import asyncio
import base64
import http.server
import json
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from dynamiq_runtime.activity import Activity
from dynamiq_runtime.callbacks import AT_ONCE, NO_KEY, Callbacks, SigningKey
from dynamiq_runtime.journal import Journal, JournalAwayError
from dynamiq_runtime.posting import UNREACHABLE, UNTRUSTED, Answer, Poster
from dynamiq_runtime.recorder_client import Recorder
from dynamiq_runtime.webhook import BODY_LIMIT, body_of, key_of
from tests.support.callbacks import KEY, RUN_ID, Call, Receiver, a_claim, an_ended_run, is_signed, own_address, status, waits
from tests.support.waiting import IN_TIME

TOKEN = "token-of-the-receiver"


class Due(Journal):
    """A journal with claims that are due. `away`: how many requests it does not answer."""

    def __init__(self, *claims: dict[str, Any]) -> None:
        super().__init__(Recorder("http://journal.test", None, None), "app")
        self.due, self.away, self.asked = [*claims], 0, 0
        self.results: list[dict[str, Any]] = []
        self.next: float | None = None

    async def callback_claims(self, free: int) -> tuple[list[dict[str, Any]], float | None]:
        self.asked += 1
        self._answers()
        given, self.due = self.due[:free], self.due[free:]
        return given, 0.0 if self.due else self.next

    async def callback_results(self, results: Any) -> None:
        self._answers()
        self.results += results

    def tell(self, **answer: Any) -> None:
        """Answers a claim or a save of the pod with these facts."""
        self._tell(answer)

    def _answers(self) -> None:
        if self.away:
            self.away -= 1
            raise JournalAwayError


class Pod:
    """The callbacks of one pod."""

    def __init__(self, journal: Due, key: Path, poster: Poster | None = None) -> None:
        self.journal, self.activity = journal, Activity()
        self.callbacks = Callbacks(journal, SigningKey(key), poster or Poster(1), self.activity)

    async def __aenter__(self) -> Pod:
        self.callbacks.begin()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.callbacks.close()

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(IN_TIME):
            while not holds():  # noqa: ASYNC110 - receivers are threads
                await asyncio.sleep(0.01)

    async def results(self, number: int) -> list[dict[str, Any]]:
        """Returns the results once the journal has so many."""
        await self.until(lambda: len(self.journal.results) >= number)
        return self.journal.results


# What a receiver gets.


async def test_an_ended_run_is_posted_once_and_signed(receiver: Receiver, key: Path) -> None:
    journal = Due(a_claim(receiver.url, n=2, token=TOKEN, metadata={"order": 4711}))
    async with Pod(journal, key) as served:
        journal.tell(callbacks=1)
        assert await served.results(1) == [{"run_id": RUN_ID, "n": 2, "try": 1, "status": 204, "error": None}]
    (call,) = receiver.calls
    assert is_signed(call)
    assert not is_signed(Call(call.path, call.headers, call.body + b" "))
    assert {name: call.headers[name] for name in ("webhook-id", "authorization", "content-type", "user-agent")} == {
        "webhook-id": f"msg_{RUN_ID}_2",
        "authorization": f"Bearer {TOKEN}",
        "content-type": "application/json",
        "user-agent": "dynamiq",
    }
    run = {name: value for name, value in an_ended_run().items() if name != "node"}
    assert json.loads(call.body) == {
        "type": "run.completed",
        "timestamp": run["ended_at"],
        "data": {**run, "metadata": {"order": 4711}},
    }


@pytest.mark.parametrize("state", ["failed", "canceled"])
def test_a_run_that_did_not_complete_is_of_its_own_type(state: str) -> None:
    error = {"code": "node_failed", "message": "no such order", "details": {}}
    body = json.loads(body_of(an_ended_run(status=state, output=None, error=error), None))
    assert (body["type"], body["data"]["error"], body["data"]["metadata"]) == (f"run.{state}", error, None)


def test_a_body_has_at_most_one_mebibyte_whatever_the_run_left() -> None:
    small = json.loads(body_of(an_ended_run(output="x" * 1000), None))
    assert (len(small["data"]["output"]), "output_omitted" in small["data"]) == (1000, False)
    large = body_of(an_ended_run(output="x" * BODY_LIMIT), {"n": 1})
    data = json.loads(large)["data"]
    assert (data["output"], data["output_omitted"], data["metadata"]) == (None, True, {"n": 1})
    error = {"code": "node_failed", "message": "x" * BODY_LIMIT, "details": {}}
    failed = body_of(an_ended_run(output=None, error=error), None)
    assert len(failed) <= BODY_LIMIT
    assert json.loads(failed)["data"]["error"]["code"] == "node_failed"


def test_half_of_a_surrogate_pair_is_no_reason_to_send_nothing() -> None:
    assert json.loads(body_of(an_ended_run(output="\ud800"), None))["data"]["output"] == "?"


@pytest.mark.parametrize("text", ["", "whsec_", "whsec_%%%", "whsec_c2hvcnQ=", base64.b64encode(b"x" * 32).decode()])
def test_a_text_that_is_no_key_signs_nothing(text: str) -> None:
    assert key_of(text) is None
    assert key_of(KEY + "\n") is not None


# What the journal is told.


@pytest.mark.parametrize("code", [200, 299, 301, 404, 410, 500, 503])
async def test_the_journal_is_told_each_status_and_decides(receiver: Receiver, key: Path, code: int) -> None:
    receiver.respond = status(code, Retry_After="120")
    journal = Due(a_claim(receiver.url))
    async with Pod(journal, key) as served:
        journal.tell(callbacks_seconds=0.0)
        (result,) = await served.results(1)
    assert (result["status"], result["error"], result["retry_after"]) == (code, None, 120.0)


async def test_a_receiver_that_does_not_answer_in_time_is_unreachable(receiver: Receiver, key: Path) -> None:
    ended = threading.Event()
    receiver.respond = waits(ended)
    journal = Due(a_claim(receiver.url))
    async with Pod(journal, key, Poster(1, within=0.3)) as served:
        journal.tell(callbacks=1)
        (result,) = await served.results(1)
    ended.set()
    assert (result["status"], result["error"]) == (None, UNREACHABLE)


async def test_a_receiver_that_is_not_there_is_unreachable(receiver: Receiver) -> None:
    url = receiver.url
    receiver.__exit__()
    poster = Poster(1)
    assert await poster.post(url, b"", {}, listed=True) == Answer(None, UNREACHABLE)
    poster.close()


async def test_a_certificate_that_is_not_the_hosts_gets_no_body(receiver: Receiver) -> None:
    poster = Poster(1, lambda _, port, **__: [(2, 1, 6, "", (own_address(), port))])
    assert await poster.post(f"https://another.example:{receiver.port}/", b"{}", {}, listed=True) == Answer(None, UNTRUSTED)
    poster.close()
    assert receiver.calls == []


async def test_an_endless_answer_is_read_to_its_limit(receiver: Receiver, key: Path) -> None:
    broken = threading.Event()

    def respond(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            while True:
                handler.wfile.write(b"x" * 65536)
        finally:
            broken.set()

    receiver.respond = respond
    journal = Due(a_claim(receiver.url))
    async with Pod(journal, key) as served:
        journal.tell(callbacks=1)
        assert (await served.results(1))[0]["status"] == 200
        await served.until(broken.is_set)


async def test_what_the_journal_was_not_told_is_told_later(receiver: Receiver, key: Path) -> None:
    journal = Due(a_claim(receiver.url))

    def respond(handler: http.server.BaseHTTPRequestHandler) -> None:
        journal.away = 2
        status(204)(handler)

    receiver.respond = respond
    async with Pod(journal, key) as served:
        journal.tell(callbacks=1)
        await served.results(1)
    assert len(receiver.calls) == 1


async def test_claims_go_on_after_the_journal_was_away(receiver: Receiver, key: Path) -> None:
    journal = Due(a_claim(receiver.url))
    journal.away = 3
    async with Pod(journal, key) as served:
        journal.tell(callbacks=1)
        await served.results(1)


# When a pod asks for them.


async def test_a_pod_asks_nothing_until_the_journal_says_that_a_callback_is_due(receiver: Receiver, key: Path) -> None:
    journal = Due(a_claim(receiver.url))
    async with Pod(journal, key) as served:
        journal.tell(next_seconds=0.1)
        journal.tell(ok=True, callbacks=0, callbacks_seconds=None)
        await _turns()
        assert journal.asked == 0
        journal.tell(callbacks_seconds=0.01)
        await served.results(1)


def _write(file: Path, text: str) -> None:
    file.write_text(text)


async def _turns() -> None:
    """Lets all tasks of the loop go on until they wait."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_more_than_a_pod_sends_at_once_follow(receiver: Receiver, key: Path) -> None:
    journal = Due(*(a_claim(receiver.url, n) for n in range(3 * AT_ONCE)))
    async with Pod(journal, key) as served:
        journal.tell(callbacks=1)
        results = await served.results(3 * AT_ONCE)
    assert sorted(each["n"] for each in results) == list(range(3 * AT_ONCE))


async def test_a_pod_without_a_key_leaves_them_to_others(receiver: Receiver, tmp_path: Path) -> None:
    journal = Due(a_claim(receiver.url))
    async with Pod(journal, tmp_path / "missing") as served:
        assert not served.callbacks.can_sign
        journal.tell(callbacks=1)
        journal.tell(callbacks_seconds=0.0)
        await _turns()
        assert (journal.asked, served.activity.in_flight) == (0, 0)


async def test_the_key_is_read_for_each_callback(receiver: Receiver, key: Path) -> None:
    other = "whsec_" + base64.b64encode(b"another key of thirty-two bytes!").decode()
    journal = Due(a_claim(receiver.url))
    async with Pod(journal, key) as served:
        journal.tell(callbacks=1)
        await served.results(1)
        _write(key, other)
        journal.due.append(a_claim(receiver.url, 1))
        journal.tell(callbacks=1)
        await served.results(2)
    assert [is_signed(receiver.calls[0]), is_signed(receiver.calls[1], other)] == [True, True]


async def test_a_key_that_ends_between_claim_and_callback_is_told(receiver: Receiver, key: Path) -> None:
    class Ends(Due):
        async def callback_claims(self, free: int) -> tuple[list[dict[str, Any]], float | None]:
            _write(key, "")
            return await super().callback_claims(free)

    journal = Ends(a_claim(receiver.url))
    async with Pod(journal, key) as served:
        journal.tell(callbacks=1)
        assert (await served.results(1))[0]["error"] == NO_KEY
    assert receiver.calls == []


async def test_a_pod_that_drains_delivers_for_the_runs_that_end_in_it_and_leaves_the_others(receiver: Receiver, key: Path) -> None:
    journal = Due(a_claim(receiver.url))
    async with Pod(journal, key) as served:
        served.callbacks.drain()
        journal.tell(callbacks_seconds=0.0)
        await _turns()
        assert journal.asked == 0
        journal.tell(callbacks=1)
        assert served.activity.in_flight == 1, "its end waits"
        await _in_time(served.activity.wait_until_none())
        assert len(journal.results) == 1, "the journal was told before"


async def _in_time(awaited: Awaitable[object]) -> None:
    async with asyncio.timeout(IN_TIME):
        await awaited
