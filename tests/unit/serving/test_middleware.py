"""The layer around each request of a server: ids, headers, notes, and an answer to every error."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from dynamiq_operator.serving import request_log
from dynamiq_operator.serving.encoding import Json
from dynamiq_operator.serving.middleware import HEADERS, Exchange, RequestMiddleware
from dynamiq_operator.serving.problems import HttpProblem, handlers, invalid_fields, unavailable
from tests.support.rest_stage import http_scope

Noted = list[tuple[str, str, int, bool]]


class Wrapped(RequestMiddleware):
    """Notes requests by method, route and status. It closes connections whose body was not read."""

    def __init__(self, app: Any, noted: Noted) -> None:
        super().__init__(app, lambda _: HttpProblem(500, "something went wrong"), frozenset({"/probe"}))
        self._noted = noted

    def closes(self, exchange: Exchange) -> bool:
        return exchange.scope["method"] == "POST" and not exchange.is_read

    def note(self, exchange: Exchange, seconds: float) -> None:
        self._noted.append(
            (exchange.scope["method"], request_log.route_of(exchange.scope), exchange.status, seconds >= exchange.began_after)
        )
        request_log.log_access(exchange.scope, exchange.status, seconds, caller="somebody")


async def _serve(request: Request) -> Response:
    match request.path_params["what"]:
        case "read":
            await request.body()
        case "id":
            return Json({"id": request_log.current()}, headers={"Cache-Control": "max-age=1"})
        case "busy":
            raise unavailable("try again", 7)
        case "wrong":
            raise invalid_fields({"a": "too long", "b": "too short"}, "and more")
        case "broken":
            raise KeyError("secret")
    return Response(b'{"said": 1}', media_type="application/json")


async def _breaks_off(scope: Any, _receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise KeyError(scope["path"])


@pytest.fixture
def noted() -> Noted:
    return []


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)["error"]
        return found


@dataclass
class Client:
    """A client of an application."""

    app: Any

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.send("GET", path, headers)

    def send(self, method: str, path: str, headers: dict[str, str] | None = None) -> Answer:
        """Sends a request; a POST has a body."""
        sent: list[dict[str, Any]] = []
        scope = http_scope(method, path, (headers or {}) | ({"Content-Length": "1"} if method == "POST" else {}))

        async def receive() -> Any:
            return {"type": "http.request", "body": b"x" if method == "POST" else b"", "more_body": False}

        async def send(message: Any) -> None:
            sent.append(message)

        asyncio.run(self.app(scope, receive, send))
        answered = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
        return Answer(sent[0]["status"], answered, b"".join(each["body"] for each in sent[1:]))


@pytest.fixture
def client(noted: Noted) -> Client:
    app = Starlette(routes=[Route("/a/{what}", _serve, methods=["GET", "POST"]), Route("/probe", _probe)])
    for kind, handler in handlers(_problem, (), "there is no such path").items():
        app.add_exception_handler(kind, handler)
    app.add_middleware(Wrapped, noted=noted)
    return Client(app)


async def _probe(_: Request) -> Response:
    return Response()


def _problem(error: Exception) -> HttpProblem:
    assert isinstance(error, HttpProblem)
    return error


@pytest.mark.parametrize("sent", ["a-1.b:c_d", "x" * 128])
def test_a_request_keeps_the_id_that_it_came_with(client: Client, sent: str) -> None:
    for path in ("/a/id", "/nothing", "/probe", "/a/broken"):
        assert client.get(path, {"X-Request-Id": sent}).headers["x-request-id"] == sent
    assert json.loads(client.get("/a/id", {"X-Request-Id": sent}).body) == {"id": sent}


@pytest.mark.parametrize("sent", [None, "", "x" * 129, "a b", 'a"b', "-a", "a\u00e9"])
def test_an_id_that_is_not_valid_is_replaced(client: Client, sent: str | None) -> None:
    headers = {} if sent is None else {"X-Request-Id": sent}
    first, second = (client.get("/a/id", headers).headers["x-request-id"] for _ in range(2))
    assert len({sent, first, second}) == 3


def test_each_answer_has_the_headers_unless_it_has_its_own(client: Client) -> None:
    for path in ("/a/x", "/nothing", "/a/broken"):
        assert HEADERS.items() <= {name.title(): value for name, value in client.get(path).headers.items()}.items()
    assert client.get("/a/id").headers["cache-control"] == "max-age=1"


def test_a_connection_is_closed_where_the_body_was_not_read(client: Client) -> None:
    closed = {what: client.send("POST", f"/a/{what}").headers.get("connection") for what in ("read", "x", "busy")}
    assert closed == {"read": None, "x": "close", "busy": "close"}


def test_requests_are_noted_by_their_routes_and_probes_are_not(client: Client, noted: Noted, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    for path in ("/a/x", "/a/broken", "/nothing", "/probe"):
        client.get(path)
    assert noted == [("GET", route, status, True) for route, status in (("/a/{what}", 200), ("/a/{what}", 500), ("-", 404))]
    logged = [json.loads(request_log.RequestJsonLines().format(each)) for each in caplog.records if each.name == request_log.ACCESS.name]
    assert [(line["method"], line["route"], line["status"], line["caller"]) for line in logged] == [
        (method, route, status, "somebody") for method, route, status, _ in noted
    ]


def test_errors_have_one_form(client: Client) -> None:
    answers = {path: client.get(path) for path in ("/a/busy", "/a/wrong", "/nothing", "/a/broken")}
    assert {path: answer.error for path, answer in answers.items()} == {
        "/a/busy": {"code": "unavailable", "message": "try again", "details": {}},
        "/a/wrong": {
            "code": "validation_error",
            "message": "a: too long; b: too short; and more",
            "details": {"a": "too long", "b": "too short"},
        },
        "/nothing": {"code": "not_found", "message": "there is no such path", "details": {}},
        "/a/broken": {"code": "internal_error", "message": "something went wrong", "details": {}},
    }
    assert answers["/a/busy"].headers["retry-after"] == "7"
    wrong_method = client.send("PUT", "/a/x")
    assert (wrong_method.status, wrong_method.error["code"]) == (405, "method_not_allowed")
    assert "GET" in wrong_method.headers["allow"]


def test_an_error_after_the_begin_of_an_answer_ends_it(noted: Noted, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(KeyError):
        Client(Wrapped(_breaks_off, noted)).get("/x")
    assert [each.message for each in caplog.records if each.exc_info] == ["an answer ended early"]
    assert noted == [("GET", "-", 200, True)]
