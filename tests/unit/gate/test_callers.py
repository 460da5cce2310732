"""Connections without a whole call: many, slow and large ones do not stop the gate from answering other callers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web

from dynamiq_operator.gate.callers import UNTAKEN
from dynamiq_operator.gate.limits import Limits
from tests.support.gate_stage import HOST, PATIENCE, GateStage

CALL = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
KIB = b"X-Filling: " + b"a" * 1000 + b"\r\n"
Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def awake(
    stage: GateStage, answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]] | None = None, **options: object
) -> tuple[int, int]:
    """Starts the gate. Returns its ports of an App with many callers, and of one of another namespace; both have a pod."""
    pod = await (stage.pod() if answer is None else stage.pod(answer=answer))
    ports = stage.asleep("busy", namespace="evil"), stage.asleep("chat")
    stage.serving("busy", pod, namespace="evil")
    stage.serving("chat", pod)
    await stage.start(**options)
    return ports


async def connected(port: int, sent: bytes = b"") -> Connection:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(sent)
    return reader, writer


async def answered(connection: Connection, sent: bytes = CALL) -> bytes:
    """Sends these bytes, and returns the status line of the answer."""
    reader, writer = connection
    writer.write(sent)
    async with asyncio.timeout(PATIENCE):
        return (await reader.readline()).strip()


async def ended(stage: GateStage, namespace: str = "evil") -> float:
    return (await stage.metrics()).get(f'dynamiq_gate_ended_total{{namespace="{namespace}"}}', 0)


async def test_silent_connections_block_no_caller(stage: GateStage) -> None:
    busy, chat = await awake(stage, limits=Limits(connections=20, head_within=PATIENCE))
    patient = [await connected(chat, CALL[:10]) for _ in range(3)]
    silent = [await connected(busy) for _ in range(60)]

    async def are_ended() -> bool:
        return await ended(stage) >= 43

    await stage.until("the oldest of the many have gone", are_ended)
    assert await answered(await connected(busy)) == b"HTTP/1.1 200 OK", "who calls the App that they are at"
    for each in patient:
        assert await answered(each, CALL[10:]) == b"HTTP/1.1 200 OK", "who was there before them, of another namespace"
    assert await ended(stage, "team") == 0
    for _, writer in silent:
        writer.close()


async def test_a_call_under_way_is_never_ended_for_another_connection(stage: GateStage) -> None:
    may_end = asyncio.Event()

    async def slow(_request: web.BaseRequest) -> web.StreamResponse:
        await may_end.wait()
        return web.Response()

    busy, _ = await awake(stage, slow, limits=Limits(connections=4, head_within=PATIENCE))
    calling = [asyncio.create_task(answered(await connected(busy))) for _ in range(3)]

    async def under_way() -> bool:
        return (await stage.metrics()).get('dynamiq_gate_in_flight{app="busy",namespace="evil"}') == 3

    await stage.until("they are at the pod", under_way)
    silent = [await connected(busy) for _ in range(10)]

    async def are_ended() -> bool:
        return await ended(stage) >= 9

    await stage.until("those go that say nothing", are_ended)
    may_end.set()
    assert await asyncio.gather(*calling) == [b"HTTP/1.1 200 OK"] * 3
    for _, writer in silent:
        writer.close()


async def test_the_oldest_unfinished_head_of_the_callers_with_most_is_dropped(stage: GateStage) -> None:
    busy, chat = await awake(stage, limits=Limits(heads=256 << 10, head_within=PATIENCE))
    patient = await connected(chat, CALL[:-2] + KIB * 40)
    large = [await connected(busy, CALL[:-2] + KIB * 40) for _ in range(12)]

    async def are_ended() -> bool:
        return await ended(stage) >= 7

    await stage.until("there is room again", are_ended)
    assert await answered(patient, b"\r\n") == b"HTTP/1.1 200 OK"
    assert await answered(large[-1], b"\r\n") == b"HTTP/1.1 200 OK", "the newest of the many"
    assert await ended(stage, "team") == 0
    for _, writer in large:
        writer.close()


@pytest.mark.parametrize(
    ("header", "status"),
    [
        (b"Authorization: Bearer right\r\n", b"HTTP/1.1 200 OK"),
        (b"Authorization: Bearer wrong\r\n", b"HTTP/1.1 431 Request Header Fields Too Large"),
        (b"", b"HTTP/1.1 431 Request Header Fields Too Large"),
    ],
    ids=["right", "wrong", "none"],
)
async def test_a_large_head_of_a_private_app_is_read_on_once_its_key_was_seen(stage: GateStage, header: bytes, status: bytes) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    stage.serving("chat", await stage.pod())
    await stage.start()
    connection = await connected(port, CALL[:-2] + header + KIB * 15)
    await asyncio.sleep(0)
    connection[1].write(KIB * 20)
    assert await answered(connection, b"\r\n") == status


TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large"


@pytest.mark.parametrize(
    ("head", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: a\r\nCookie: " + b"a" * 20_000 + b"\r\n\r\n", b"HTTP/1.1 200 OK"),
        (b"GET /?" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", b"HTTP/1.1 200 OK"),
        (CALL[:-2] + KIB * 67 + b"\r\n", TOO_LARGE),
        (CALL[:-2] + b"X: a\r\n" * 127 + b"\r\n", b"HTTP/1.1 200 OK"),
        (CALL[:-2] + b"X: a\r\n" * 128 + b"\r\n", TOO_LARGE),
    ],
    ids=["a long header", "a long path", "long", "as many as may be", "many"],
)
async def test_a_head_has_one_limit_however_it_comes(stage: GateStage, head: bytes, status: bytes) -> None:
    port, _ = await awake(stage)
    assert await answered(await connected(port), head) == status
    reader, writer = await connected(port)
    for at in range(0, len(head), 5000):
        writer.write(head[at : at + 5000])
        await asyncio.sleep(0)
    assert await answered((reader, writer), b"") == status


async def test_an_access_key_has_to_be_near_the_front_however_a_head_comes(stage: GateStage) -> None:
    port = stage.asleep(private=True)
    stage.keys("chat", "right")
    stage.serving("chat", await stage.pod())
    await stage.start()
    assert await answered(await connected(port), CALL[:-2] + KIB * 17 + b"Authorization: Bearer right\r\n\r\n") == TOO_LARGE
    assert await answered(await connected(port), CALL[:-2] + b"Authorization: Bearer right\r\n" + KIB * 17 + b"\r\n") == b"HTTP/1.1 200 OK"


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "beside",
    [b"0\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 16, b"0\r\nX: " + b"a" * (1 << 17), b"1\r\na\r\n1;" + b"a" * (1 << 17)],
    ids=["trailers", "one trailer", "of a chunk"],
)
async def test_a_held_call_is_ended_that_sends_much_beside_its_body(stage: GateStage, beside: bytes) -> None:
    port = stage.asleep(holdSeconds=3600)
    stage.wakeable()
    await stage.start()
    reader, _ = await connected(port, CHUNKED + beside)
    with pytest.raises(ConnectionResetError):
        async with asyncio.timeout(PATIENCE):
            await reader.read()


async def test_a_body_may_come_in_pieces_as_small_as_can_be(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod()
    stage.wakeable()
    stage.on_wake = lambda _: stage.serving("chat", pod)
    await stage.start()
    reader, writer = await connected(port, CHUNKED + b"1\r\na\r\n" * 20_000 + b"0\r\nX-Trailer: a\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        assert b"a" * 20_000 in await reader.read()
    writer.close()


async def test_an_empty_line_before_a_head_is_no_end_of_it(stage: GateStage) -> None:
    port, _ = await awake(stage)
    assert await answered(await connected(port), b"\r\n\r\n" + CALL) == b"HTTP/1.1 200 OK"
    connection = await connected(port, b"\r\n")
    await asyncio.sleep(0.05)  # it comes alone, mostly; what is shown holds anyway
    assert await answered(connection) == b"HTTP/1.1 200 OK"
    assert await answered(await connected(port), b"\r\n\r\n" + CALL[:-2] + KIB * 100) == b"HTTP/1.1 431 Request Header Fields Too Large"


async def test_bytes_after_a_call_are_no_call(stage: GateStage) -> None:
    port, _ = await awake(stage)
    body = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"
    for first in (CALL, body):
        reader, writer = await connected(port, (first + CALL) * 3)
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).count(b"HTTP/1.1 200 OK") == 1
        writer.close()


async def test_a_caller_who_reads_no_response_is_dropped_before_others(stage: GateStage) -> None:
    async def large(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"x" * (1 << 24))

    busy, chat = await awake(stage, large, limits=Limits(answers=4 * UNTAKEN, taken_within=PATIENCE))
    slow = await connected(chat)
    many = [await connected(busy) for _ in range(8)]
    for _, writer in (slow, *many):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(CALL)

    async def are_ended() -> bool:
        return await ended(stage) >= 5

    await stage.until("there is room again", are_ended)
    slow[1].transport.resume_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(PATIENCE):
        assert len(await slow[0].read()) > 1 << 24
    assert await ended(stage, "team") == 0
    for _, writer in many:
        writer.transport.abort()


async def test_a_head_and_trailers_at_the_gates_own_ports_are_as_small_as_a_probes(stage: GateStage) -> None:
    await stage.start()
    for port, path in ((stage.health_port, b"/healthz"), (stage.metrics_port, b"/metrics")):
        ask = b"GET " + path + b" HTTP/1.1\r\nHost: a\r\n"
        assert await answered(await connected(port), ask + b"Authorization: Bearer " + b"a" * 2000 + b"\r\n\r\n") == b"HTTP/1.1 200 OK"
        for large in (b"X: a\r\n" * 40, b"X: " + b"a" * 5000 + b"\r\n"):
            assert await answered(await connected(port), ask + large) == b"HTTP/1.0 400 Bad Request", "before it has an end"
