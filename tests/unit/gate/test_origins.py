"""Web pages of other origins at a sleeping App: those that it lists may call. No other wakes it or has its body read."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import ClientResponse, web

from dynamiq_operator.kube.resources import WORKLOADS
from tests.support.gate_stage import HOST, NAMESPACE, PATIENCE, GateStage, echo

PAGE, OTHER = "https://app.example.com", "https://evil.example.com"
LISTED = [PAGE, "http://localhost:3000"]
JSON = {"Content-Type": "application/json"}
ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
HEAD_OF_A_TOKEN = base64.urlsafe_b64encode(b'{"alg": "RS256", "kid": "1"}').decode().rstrip("=")


async def call(stage: GateStage, port: int, method: str = "POST", path: str = "/", **headers: str) -> ClientResponse:
    """Returns the response to a call with these headers; an underscore stands for a hyphen."""
    named = {"Content-Type": "application/json", **{name.replace("_", "-"): value for name, value in headers.items()}}
    sent = {name: value for name, value in named.items() if value}
    skipped = () if named["Content-Type"] else ("Content-Type",)
    async with stage.session.request(method, f"http://{HOST}:{port}{path}", headers=sent, data=b"{}", skip_auto_headers=skipped) as answer:
        await answer.read()
        return answer


async def raw(port: int, *lines: str) -> bytes:
    """Sends a request of these lines, which announces a body that never comes, and returns the response."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write("\r\n".join([*lines, "Content-Length: 1000", "", ""]).encode())
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.readuntil(b"\r\n\r\n")
    finally:
        writer.close()


def cors(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in headers.items() if name.startswith("Access-Control-") or name == "Vary"}


async def code(answer: ClientResponse) -> tuple[int, str]:
    return answer.status, (await answer.json())["error"]["code"]


def untouched(stage: GateStage) -> bool:
    """Returns True if nothing was woken."""
    return not [sent for sent in stage.script.sent if sent.path.startswith(WORKLOADS.path(NAMESPACE))]


async def test_a_browser_learns_without_a_key_that_a_listed_page_may_call(stage: GateStage) -> None:
    port = stage.asleep(private=True, origins=LISTED)
    stage.keys("chat", "right")
    await stage.start()
    for path in ("/", "/v1/runs", "/v1/traces", "/healthz"):
        answer = await call(stage, port, "OPTIONS", path, Origin=PAGE, **ASKS)
        assert (answer.status, answer.headers["Connection"]) == (204, "close")
        assert cors(answer.headers) == {
            "Access-Control-Allow-Origin": PAGE,
            "Access-Control-Allow-Methods": "GET, POST, OPTIONS",
            "Access-Control-Allow-Headers": "Authorization, Content-Type, Accept, Idempotency-Key, traceparent, "
            "X-Dynamiq-Session-Id, X-Dynamiq-User-Id, X-Dynamiq-Tags, X-Request-Id",
            "Access-Control-Max-Age": "600",
            "Vary": "Origin",
        }
    assert untouched(stage)


@pytest.mark.parametrize("origins", [LISTED, []])
async def test_a_browser_learns_that_another_page_may_not_call(stage: GateStage, origins: list[str]) -> None:
    port = stage.asleep(origins=origins)
    await stage.start()
    for origin in (OTHER, "null", f"{PAGE}/", f"{PAGE}.", f"{PAGE}:443", "http://app.example.com", f"{PAGE}, {OTHER}", "x" * 60_000, "*"):
        answer = await call(stage, port, "OPTIONS", Origin=origin, **ASKS)
        assert (await code(answer), cors(answer.headers)) == ((403, "origin_not_allowed"), {}), origin
    assert untouched(stage)
    assert not [name for name in await stage.metrics() if name.startswith(("dynamiq_gate_refused_total", "dynamiq_gate_forwarded_total"))]


async def test_an_app_may_allow_every_page(stage: GateStage) -> None:
    port = stage.asleep(origins=["*"])
    stage.serving("chat", await stage.pod(answer=echo))
    await stage.start()
    for origin in (OTHER, "null"):
        assert (await call(stage, port, "OPTIONS", Origin=origin, **ASKS)).headers["Access-Control-Allow-Origin"] == "*"
        assert (await call(stage, port, Origin=origin)).status == 200
    assert not cors((await call(stage, port, Upgrade="websocket")).headers), "a caller that is no page"


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        ({}, 401, "unauthorized"),
        ({"Authorization": "Bearer wrong"}, 401, "unauthorized"),
        ({"Authorization": f"Bearer {HEAD_OF_A_TOKEN}.e30.c2ln"}, 403, "forbidden"),
        ({"Authorization": "Bearer right"}, 503, "starting"),
        ({"Upgrade": "websocket"}, 501, "not_served"),
    ],
)
async def test_a_listed_page_can_read_why_a_call_is_refused(stage: GateStage, headers: dict[str, str], status: int, error: str) -> None:
    port = stage.asleep(private=True, origins=LISTED)
    if error != "starting":
        stage.keys("chat", "right")
    await stage.start()
    for origin in (PAGE, "HTTPS://App.Example.COM"):
        answer = await call(stage, port, Origin=origin, **headers)
        assert await code(answer) == (status, error)
        assert cors(answer.headers) == {
            "Access-Control-Allow-Origin": PAGE,
            "Access-Control-Expose-Headers": "X-Dynamiq-Run-Id, X-Dynamiq-Workflow-Version, X-Dynamiq-Workflow-Hash, X-Dynamiq-Row, Retry-After",
            "Vary": "Origin",
        }
    assert not cors((await call(stage, port, **headers)).headers)


async def test_a_response_of_the_pod_has_the_headers_of_the_pod_alone(stage: GateStage) -> None:
    async def of_a_pod(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(headers={"Access-Control-Allow-Origin": PAGE, "Vary": "Origin"})

    port = stage.asleep(origins=LISTED)
    stage.serving("chat", await stage.pod(answer=of_a_pod))
    await stage.start()
    answer = await call(stage, port, Origin=PAGE)
    assert answer.headers.getall("Access-Control-Allow-Origin") == [PAGE]
    assert answer.headers.getall("Vary") == ["Origin"]
    assert "Access-Control-Expose-Headers" not in answer.headers


@pytest.mark.parametrize(
    ("origins", "content", "status"),
    [
        (LISTED, "application/json", 403),
        (LISTED, "text/plain", 403),
        ([], "application/json", 200),  # it passed a preflight, which a proxy in front answered
        ([], "application/json; charset=utf-8", 200),
        ([], "", 403),
        ([], "text/plain;application/json", 403),
        ([], "Multipart/Form-Data; boundary=x", 403),
        ([], "application/x-www-form-urlencoded", 403),
    ],
)
async def test_a_call_of_another_page_is_refused_if_its_browser_did_not_ask(
    stage: GateStage, origins: list[str], content: str, status: int
) -> None:
    port, pod = stage.asleep(origins=origins), await stage.pod(answer=echo)
    stage.serving("chat", pod)
    await stage.start()
    answer = await call(stage, port, Origin=OTHER, Content_Type=content)
    assert (answer.status, cors(answer.headers), len(pod.calls)) == (status, {}, 1 if status == 200 else 0)


async def test_another_page_may_get_what_an_app_without_origins_has(stage: GateStage) -> None:
    port = stage.asleep()
    stage.serving("chat", await stage.pod(answer=echo))
    await stage.start()
    assert (await call(stage, port, "GET", Origin=OTHER, Content_Type="")).status == 200


async def test_a_refused_page_wakes_nothing_and_its_body_is_not_awaited(stage: GateStage) -> None:
    port = stage.asleep(origins=LISTED)
    await stage.start()
    for method in ("POST", "OPTIONS"):
        head = await raw(port, f"{method} / HTTP/1.1", "Host: a", f"Origin: {OTHER}", "Access-Control-Request-Method: POST")
        assert head.startswith(b"HTTP/1.1 403 ")
    twice = await raw(port, "POST / HTTP/1.1", "Host: a", f"Origin: {PAGE}", f"Origin: {OTHER}")
    assert twice.startswith(b"HTTP/1.1 403 ")
    assert untouched(stage)


async def test_the_apps_own_page_and_callers_without_an_origin_are_not_asked(stage: GateStage) -> None:
    port, pod = stage.asleep(origins=LISTED), await stage.pod(answer=echo)
    stage.serving("chat", pod)
    await stage.start()
    for origin, host in (
        ("https://chat.example.com", "chat.example.com"),
        ("http://chat.example.com", "Chat.example.com"),
        ("https://chat.example.com:8443", "chat.example.com:8443"),
        ("", "chat.example.com"),
    ):
        assert (await call(stage, port, Origin=origin, Host=host, Content_Type="text/plain")).status == 200
    assert (await call(stage, port, Origin="https://chat.example.com:8443", Host="chat.example.com")).status == 403
    assert (await call(stage, port, "OPTIONS", Origin="", **ASKS)).status == 200, "OPTIONS without an origin is a call like others"
    assert len(pod.calls) == 5


async def test_probes_are_answered_to_whoever_sends_them(stage: GateStage) -> None:
    asleep, awake = stage.asleep(private=True, origins=LISTED), stage.asleep("awake", private=True, origins=LISTED)
    stage.keys("chat", "right")
    stage.keys("awake", "right")
    stage.serving("awake", await stage.pod(answer=echo))
    await stage.start()
    allowed, other = [await call(stage, asleep, "GET", "/readyz", Origin=origin) for origin in (PAGE, OTHER)]
    assert (allowed.status, other.status) == (200, 200)
    assert (allowed.headers.get("Access-Control-Allow-Origin"), cors(other.headers)) == (PAGE, {})
    assert (await call(stage, awake, "GET", "/readyz", Origin=OTHER)).status == 200


@pytest.mark.parametrize("path", ["/", "/v1/runs", "/healthz", "/anything"])
async def test_a_websocket_is_refused_by_name_on_every_path(stage: GateStage, path: str) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    await stage.start()
    handshake = ("Connection: Upgrade", "Upgrade: WebSocket", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write("\r\n".join([f"GET {path} HTTP/1.1", "Host: a", f"Origin: {OTHER}", *handshake, "", ""]).encode())
    async with asyncio.timeout(PATIENCE):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert head.startswith(b"HTTP/1.1 501 ")
    error: dict[str, Any] = json.loads(body)["error"]
    assert (error["code"], list(error["details"])) == ("not_served", ["WebSocket"])
    assert untouched(stage)


@pytest.mark.parametrize(
    ("key", "status"),
    [
        (f"{HEAD_OF_A_TOKEN}.e30.c2ln", 403),
        (f"{HEAD_OF_A_TOKEN}.e30", 401),
        ("e30.e30.c2ln", 401),  # no alg
        ("WyJhbGciXQ.e30.c2ln", 401),  # no object
        (f"{base64.urlsafe_b64encode(b'[' * 3000).decode().rstrip('=')}.e30.c2ln", 401),
        ("a.b.c", 401),
    ],
)
async def test_a_token_of_the_management_api_is_forbidden(stage: GateStage, key: str, status: int) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    await stage.start()
    assert (await call(stage, port, Authorization=f"Bearer {key}")).status == status
    assert untouched(stage)


async def test_an_access_key_may_look_like_a_token_of_the_management_api(stage: GateStage) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat", f"{HEAD_OF_A_TOKEN}.e30.c2ln")
    stage.serving("chat", await stage.pod(answer=echo))
    await stage.start()
    assert (await call(stage, port, Authorization=f"Bearer {HEAD_OF_A_TOKEN}.e30.c2ln")).status == 200
