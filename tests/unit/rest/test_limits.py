"""Limits of a caller's concurrent requests, and of waiting times."""

from __future__ import annotations

import asyncio
import json
import logging
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from dynamiq_operator.kube.resources import APPS, ROWS, WORKFLOWS
from dynamiq_operator.rest.http import body, middleware, sessions
from dynamiq_operator.rest.kube import client
from dynamiq_operator.serving import request_log
from dynamiq_operator.serving.tokens import AT_ONCE, TOKEN_MAX
from tests.support.rest_stage import ANNA, TOKEN, RestStage
from tests.support.scripted import Reply, Sent, failure, listed
from tests.support.waiting import IN_TIME, eventually

PATIENCE = IN_TIME


# Through the API.


def _user(name: str) -> Reply:
    """Returns the answer to a review of the caller."""
    return Reply(201, {"status": {"userInfo": {"username": name}}})


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[list[dict[str, Any]]]:
    """Yields the lines of the log, as they are written."""
    lines: list[dict[str, Any]] = []
    handler = logging.Handler()
    formatter = request_log.RequestJsonLines()
    handler.emit = lambda record: lines.append(json.loads(formatter.format(record)))  # type: ignore[method-assign]
    caplog.set_level(logging.INFO)
    logging.getLogger().addHandler(handler)
    yield lines
    logging.getLogger().removeHandler(handler)


def test_a_caller_whose_requests_hang_gets_429_and_others_are_served(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWERED_WITHIN", 2 * PATIENCE)
    may_answer, requested = threading.Event(), threading.Semaphore(0)

    def hang(sent: Sent) -> Any:
        if sent.headers["Authorization"] == f"Bearer {TOKEN}":
            requested.release()
            assert may_answer.wait(PATIENCE)
        return listed(stage.object(APPS, "chat"))

    stage.script.on("GET", APPS.path(), hang)
    stage.script.on("POST", sessions.REVIEWS, lambda sent: _user(ANNA if TOKEN in sent.headers["Authorization"] else "ben"))

    async def scenario() -> None:
        mine = [asyncio.create_task(stage.ask("GET", "/v1/apps")) for _ in range(middleware.EACH + middleware.WAITING + 3)]
        for _ in range(middleware.EACH):
            await asyncio.to_thread(requested.acquire, timeout=PATIENCE)
        done, _ = await asyncio.wait(mine, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        while len(done) < 3:
            done |= {task for task in mine if task.done()}
            await asyncio.sleep(0)
        for task in done:
            assert task.result().error(429)["code"] == "rate_limited"
            assert task.result().headers["retry-after"] == "1"
        assert (await stage.ask("GET", "/v1/apps", token="token-of-ben")).status == 200
        may_answer.set()
        assert {answered.status for answered in await asyncio.gather(*mine)} == {200, 429}

    stage.run(scenario())


def test_unknown_tokens_do_not_block_known_ones(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions.Sessions, "known_for", 0.0)  # each request is the first of its minute
    may_answer = threading.Event()

    def slow(sent: Sent) -> Reply:
        if TOKEN not in sent.headers["Authorization"]:
            assert may_answer.wait(PATIENCE)
            return failure(401, "Unauthorized")
        return _user(ANNA)

    stage.script.on("POST", sessions.REVIEWS, slow)

    async def scenario() -> None:
        assert (await stage.ask("GET", "/v1/me")).status == 200
        most = sessions.Sessions.pending_most
        unknown = [asyncio.create_task(stage.ask("GET", "/v1/me", token=f"made-up-{number}")) for number in range(most + 5)]
        done, _ = await asyncio.wait(unknown, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
        assert {task.result().status for task in done} == {503}
        assert (await stage.ask("GET", "/v1/me")).status == 200, "whose minute is over is not behind them"
        assert len(stage.script.bodies("POST", sessions.REVIEWS)) <= AT_ONCE + 2
        may_answer.set()
        assert {answered.status for answered in await asyncio.gather(*unknown)} == {401, 503}

    stage.run(scenario())


def test_a_refused_token_is_not_reviewed_again_at_once(stage: RestStage) -> None:
    for _ in range(5):
        stage.call("GET", "/v1/me", token="made-up").error(401)
    assert len(stage.script.bodies("POST", sessions.REVIEWS)) == 1
    stage.call("GET", "/v1/me", token="x" * (TOKEN_MAX + 1)).error(401)
    assert len(stage.script.bodies("POST", sessions.REVIEWS)) == 1


def test_large_bodies_of_a_caller_wait_for_each_other(stage: RestStage) -> None:
    async def scenario() -> set[int]:
        large = json.dumps({"name": "x" * middleware.LARGE}).encode()
        requests = [stage.ask("POST", "/v1/apps", large) for _ in range(middleware.LARGE_EACH + 1)]
        return {answered.status for answered in await asyncio.gather(*requests)}

    assert stage.run(scenario()) == {422}


def test_a_body_that_comes_too_slowly_is_given_up(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(body, "SILENT_MOST", 0.05)
    answered = stage.call("POST", "/v1/apps", b"{", stalls=True)
    assert answered.error(408)["code"] == "timeout"
    assert answered.headers["connection"] == "close"


def test_a_body_has_so_many_lists_and_no_more(stage: RestStage) -> None:
    many = b"[" + b"[]," * body.CONTAINERS_MAX + b"[]]"
    assert "objects and lists" in stage.call("POST", "/v1/apps", many).error(422)["message"]
    text = json.dumps({"name": "[" * (body.CONTAINERS_MAX + 1)})
    assert "name" in stage.call("POST", "/v1/apps", text.encode()).error(422)["details"], "what is text is no list"


def test_a_request_to_a_hanging_api_server_ends_at_its_timeout(stage: RestStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWERED_WITHIN", 0.3)
    monkeypatch.setattr(client, "READ_TIMEOUT", 2 * PATIENCE)  # which else ends it with the same text
    over = threading.Event()

    def hang(_: Sent) -> Reply:
        over.wait(2 * PATIENCE)
        return Reply(cut=True)

    stage.script.on("GET", APPS.path("demo", "chat"), hang).on("POST", ROWS.path("demo"), hang)
    path = f"/v1/apps/{stage.uid(APPS, 'chat')}"
    began = time.monotonic()
    answered = stage.call("GET", path)
    assert "does not answer" in answered.error(503)["message"]
    assert time.monotonic() - began < PATIENCE
    stage.script.on("GET", APPS.path("demo", "chat"), stage.object(APPS, "chat"))
    deploy = {"workflow_id": stage.uid(WORKFLOWS, "chat")}

    def said() -> str:
        return str(stage.call("POST", f"{path}/deploy", deploy).error(503)["message"])

    eventually("its time is over where the row is made, and not before", lambda: "Idempotency-Key" in said())
    over.set()


@pytest.mark.parametrize("given", ["a-1.b:c_d"])
def test_a_request_keeps_the_id_that_it_came_with(stage: RestStage, logged: list[dict[str, Any]], given: str) -> None:
    for path in ("/v1/me", "/v1/nothing", "/livez"):
        assert stage.call("GET", path, headers={"X-Request-Id": given}).headers["x-request-id"] == given
    assert {line.get("request_id") for line in logged} == {given}


def test_each_request_is_a_line_of_the_log_without_what_is_secret(stage: RestStage, logged: list[dict[str, Any]]) -> None:
    app = stage.uid(APPS, "chat")
    stage.call("GET", f"/v1/apps/{app}?page=secret-1")
    stage.call("POST", f"/v1/apps/{app}/deploy", {"message": "secret-2"})
    stage.call("GET", "/v1/secret-3\n{}", token="secret-4")
    stage.call("GET", "/readyz")
    lines = [line for line in logged if line["logger"] == request_log.ACCESS.name]
    entries = [(line["method"], line["route"], line["status"], line["caller"]) for line in lines]
    anna = sessions.User(ANNA).id
    assert entries == [
        ("GET", "/v1/apps/{app_id}", 422, anna),
        ("POST", "/v1/apps/{app_id}/deploy", 422, anna),
        ("GET", request_log.UNMATCHED, 401, ""),
    ]
    assert all(line["ms"] > 0 and line["request_id"] for line in lines)
    assert "secret" not in json.dumps(logged)
    assert TOKEN not in json.dumps(logged)


def test_an_unexpected_error_is_logged_with_its_request_id(stage: RestStage, logged: list[dict[str, Any]]) -> None:
    stage.script.on("GET", APPS.path("demo", "chat"), {"metadata": {}, "spec": "secret"})
    answered = stage.call("GET", f"/v1/apps/{stage.uid(APPS, 'chat')}")
    answered.error(500)
    (failed,) = [line for line in logged if "exception" in line]
    assert failed["request_id"] == answered.headers["x-request-id"]
    assert answered.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize(
    ("call", "sent", "wrong"),
    [
        ("/v1/apps?pagesize=3", None, "pagesize"),
        ("/v1/me?x=", None, "x"),
        ("/v1/apps?page=1&page=2", None, "page"),
        ("/v1/apps", {"runtime": "x"}, "runtime"),
        ("/v1/apps", {"access_control": {"access_type": "public", "keys": []}}, "access_control.keys"),
        ("/v1/apps", {"deployment_config": {"deployment_type": "server_based", "config": {"min": 1}}}, "deployment_config.config.min"),
    ],
)
def test_unknown_fields_and_parameters_are_refused_by_name(stage: RestStage, call: str, sent: Any, wrong: str) -> None:
    assert wrong in stage.call("POST" if sent else "GET", call, sent).error(422)["details"]
