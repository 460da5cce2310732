"""Calls of an App through the API: what reaches the App, what comes back, and who may call."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest

from dynamiq_operator.kube.resource import SERVICES
from dynamiq_operator.kube.resources import APPS, SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.rest.http import invoking
from tests.support import factories as make
from tests.support.rest_stage import TOKEN, UNKNOWN, RestStage, http_scope
from tests.support.scripted import Reply, Script, ScriptedServer, Sent, failure
from tests.support.waiting import IN_TIME

SECRET, SERVICE = SECRETS.path("demo", names.access_keys("chat")), SERVICES.path("demo", names.service("chat"))
KEY = "a-key-of-chat"


@dataclass(frozen=True)
class Called:
    """The API, and App chat as a script."""

    stage: RestStage
    app: Script
    service: Manifest

    @property
    def path(self) -> str:
        return f"/v1/apps/{self.stage.uid(APPS, 'chat')}/invoke"

    @property
    def got(self) -> Sent:
        """Returns the only call that the App got."""
        (sent,) = self.app.sent
        return sent


@pytest.fixture
def called(stage: RestStage) -> Iterator[Called]:
    script = Script()
    with ScriptedServer(script) as server:
        meta = {"name": "chat", "ownerReferences": [{"kind": "App", "name": "chat", "uid": stage.uid(APPS, "chat")}]}
        spec = {"type": "ClusterIP", "clusterIP": "127.0.0.1", "ports": [{"name": "http", "port": server.port}]}
        service: dict[str, Any] = {"metadata": meta, "spec": spec}
        keys = {"default": base64.b64encode(KEY.encode()).decode()}
        stage.script.on("GET", SECRET, {"metadata": {"name": names.access_keys("chat"), "uid": "u"}, "data": keys})
        stage.script.on("GET", SERVICE, lambda _: service)
        script.on("POST", "/", Reply(body={"answer": "hi"}))
        yield Called(stage, script, service)


def test_a_call_reaches_the_app_with_its_key_and_without_the_callers_token(called: Called) -> None:
    headers = {
        "Idempotency-Key": "k-1",
        "X-Dynamiq-Session-Id": "s-1",
        "X-Request-Id": "mine-1",
        "X-Dynamiq-Token": TOKEN,
        "X-Dynamiq-Trigger": "nightly",
        "Cookie": "a=b",
        "Origin": "https://evil.example",
        "X-Forwarded-For": "6.6.6.6",
        "Proxy-Authorization": TOKEN,
    }
    answered = called.stage.call("POST", called.path, {"input": {"q": "hi"}}, headers=headers)
    assert (answered.status, answered.json) == (200, {"answer": "hi"})
    assert (called.got.method, called.got.path, called.got.body) == ("POST", "/", {"input": {"q": "hi"}})
    got = {name.lower(): value for name, value in called.got.headers.items()}
    assert TOKEN not in str(got)
    assert {name: got.pop(name, None) for name in ("authorization", "host", "x-request-id", "idempotency-key", "x-dynamiq-session-id")} == {
        "authorization": f"Bearer {KEY}",
        "host": "chat.demo.svc",
        "x-request-id": "mine-1",
        "idempotency-key": "k-1",
        "x-dynamiq-session-id": "s-1",
    }
    assert set(got) == {"content-type", "content-length", "accept-encoding", "connection"}, "and nothing else"


def test_a_path_and_its_query_arrive_as_they_were_encoded(called: Called) -> None:
    # The script splits the query off, and decodes nothing of the path.
    path = "/v1/runs/a%2Fb/%2e%2e/x%0A"
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE"):
        called.app.sent.clear()
        called.app.on(method, path, Reply(202, {"id": 1}))
        assert called.stage.call(method, f"{called.path}{path}?status=a%20b&status=c").status == 202, method
        assert (called.got.method, called.got.path, list(called.got.pairs)) == (method, path, [("status", "a b"), ("status", "c")])


def test_a_body_of_any_type_is_passed_on(called: Called) -> None:
    body = b"--x\r\n" + bytes(range(256)) * 4096 + b"\r\n--x--"  # more than a body of the API itself
    called.stage.call("POST", called.path, body * 2, headers={"Content-Type": "multipart/form-data; boundary=x"})
    assert (called.got.raw, called.got.headers["Content-Type"]) == (body * 2, "multipart/form-data; boundary=x")


def test_status_and_named_headers_come_back(called: Called) -> None:
    theirs = {"X-Dynamiq-Run-Id": "r-1", "Retry-After": "7", "Set-Cookie": "a=b", "WWW-Authenticate": "Bearer", "Location": "/x"}
    called.app.on("POST", "/", Reply(429, b"<script>alert(1)</script>", {**theirs, "Content-Type": "text/html"}))
    answered = called.stage.call("POST", called.path, {})
    assert (answered.status, answered.content) == (429, b"<script>alert(1)</script>")
    assert (answered.headers["x-dynamiq-run-id"], answered.headers["retry-after"]) == ("r-1", "7")
    assert not {"set-cookie", "www-authenticate", "location"} & set(answered.headers)
    assert answered.headers["content-security-policy"] == "sandbox; default-src 'none'", "it is not the console's"
    assert answered.headers["x-content-type-options"] == "nosniff"


def test_a_stream_comes_part_by_part(called: Called) -> None:
    second = threading.Event()

    def events() -> Iterator[object]:
        yield b"data: 1\n"
        assert second.wait(IN_TIME)
        yield b"data: 2\n"

    called.app.on("POST", "/", Reply(headers={"Content-Type": "text/event-stream"}, stream=events()))
    answered = called.stage.run(called.stage.ask("POST", called.path, {"stream": True}, heard=lambda _: second.set()))
    assert (answered.headers["content-type"], answered.content) == ("text/event-stream", b"data: 1\n\ndata: 2\n\n")


def test_who_may_not_read_the_keys_may_not_call(called: Called) -> None:
    called.stage.script.on("GET", SECRET, failure(403, "Forbidden"))
    assert "dynamiq-keys" in called.stage.call("POST", called.path, {}).error(403)["message"]
    called.stage.put(make.app_manifest(make.public()))
    called.stage.allow(lambda verb, plural, _: (verb, plural) != ("get", "secrets"))
    assert "dynamiq-keys" in called.stage.call("POST", called.path, {}).error(403)["message"]
    assert called.app.sent == []
    called.stage.allow()
    assert called.stage.call("POST", called.path, {}).status == 200
    assert "Authorization" not in called.got.headers, "a public App accepts no key"


def test_an_app_that_the_caller_cannot_see_is_unknown(called: Called) -> None:
    assert called.stage.call("POST", f"/v1/apps/{UNKNOWN}/invoke", {}).status == 404
    called.stage.script.on("GET", APPS.path("demo", "chat"), failure(403, "Forbidden"))
    assert called.stage.call("POST", called.path, {}).status == 404
    assert called.app.sent == []


@pytest.mark.parametrize(
    ("spec", "owner"),
    [
        ({"type": "ExternalName", "externalName": "metadata.internal"}, None),
        ({"clusterIP": "None"}, None),
        ({"clusterIP": "metadata.internal"}, None),
        ({"ports": [{"name": "other", "port": 80}]}, None),
        ({}, "another-app"),
    ],
)
def test_a_service_that_leads_elsewhere_is_not_called(called: Called, spec: dict[str, Any], owner: str | None) -> None:
    called.service["spec"].update(spec)
    if owner is not None:
        called.service["metadata"]["ownerReferences"][0]["uid"] = owner
    assert called.stage.call("POST", called.path, {}).status == 409
    assert called.app.sent == []


def test_an_app_without_a_service_was_not_deployed(called: Called) -> None:
    called.stage.script.on("GET", SERVICE, failure(404, "NotFound"))
    assert "first deploy" in called.stage.call("POST", called.path, {}).error(409)["message"]
    called.stage.script.on("GET", SERVICE, failure(403, "Forbidden"))
    assert "dynamiq-view" in called.stage.call("POST", called.path, {}).error(403)["message"]


def test_a_body_has_a_size_and_a_pace(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    most = str(invoking.BODY_MOST + 1)
    assert called.stage.call("POST", called.path, b"x", headers={"Content-Length": most}).status == 413
    assert called.app.sent == []
    monkeypatch.setattr(invoking, "BODY_MOST", 70_000)
    chunked = {"Transfer-Encoding": "chunked"}
    answered = called.stage.call("POST", called.path, b"x" * 80_000, headers=chunked)
    assert (answered.error(413)["code"], answered.headers["connection"]) == ("payload_too_large", "close")
    monkeypatch.setattr(invoking, "SILENT_MOST", 0.01)
    assert called.stage.call("POST", called.path, b"x", headers={"Content-Length": "9"}, stalls=True).status == 408


def test_an_app_that_does_not_answer(called: Called, monkeypatch: pytest.MonkeyPatch) -> None:
    called.app.on("POST", "/", Reply(cut=True))
    assert "may have run" in called.stage.call("POST", called.path, {}).error(502)["message"]
    assert len(called.app.sent) == 1, "nothing is sent twice"
    ends = threading.Event()
    called.app.on("POST", "/", lambda _: Reply(200 if ends.wait(IN_TIME) else 500))
    monkeypatch.setattr("dynamiq_operator.rest.invoke.reading.ANSWER_SECONDS", 0.05)
    assert "may have ended" in called.stage.call("POST", called.path, {}).error(504)["message"]
    ends.set()
    with ScriptedServer(Script()) as gone:
        called.service["spec"]["ports"][0]["port"] = gone.port
    answered = called.stage.call("POST", called.path, {})
    assert ("does not accept" in answered.error(503)["message"], answered.headers["retry-after"]) == (True, "2")


def test_a_caller_who_leaves_ends_the_call(called: Called) -> None:
    begun, ends = asyncio.Event(), threading.Event()

    async def scenario() -> None:
        loop = asyncio.get_running_loop()

        def slow(_: Sent) -> Reply:
            loop.call_soon_threadsafe(begun.set)
            ends.wait(IN_TIME)
            return Reply()

        called.app.on("POST", "/", slow)
        first: dict[str, Any] = {"type": "http.request", "body": b"{}"}

        async def receive() -> dict[str, Any]:
            if first:
                message = dict(first)
                first.clear()
                return message
            await begun.wait()
            return {"type": "http.disconnect"}

        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        scope = http_scope("POST", called.path, {"Authorization": f"Bearer {TOKEN}", "Content-Length": "2"})
        with contextlib.suppress(OSError):
            await asyncio.wait_for(called.stage.app(scope, receive, send), IN_TIME)
        assert sent[0]["status"] == 400

    called.stage.run(scenario())
    ends.set()
