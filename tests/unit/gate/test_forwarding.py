"""Forwarding by the gate: byte by byte, in both directions, without a time limit, and never twice."""

from __future__ import annotations

import asyncio
import json

import pytest
from aiohttp import web
from yarl import URL

from dynamiq_operator.gate.limits import Limits
from tests.support.gate_stage import HOST, PATIENCE, FakePod, GateStage

HELD = 'dynamiq_gate_held{app="chat",namespace="team"}'
IN_FLIGHT = 'dynamiq_gate_in_flight{app="chat",namespace="team"}'


async def awake(stage: GateStage, pod: FakePod, **options: object) -> int:
    """Starts the gate, and returns its port of an App whose pod is ready."""
    port = stage.asleep()
    stage.serving("chat", pod)
    await stage.start(**options)
    return port


async def raw(port: int, request: bytes) -> bytes:
    """Sends these bytes, and returns everything that is answered until the connection ends."""
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()


async def test_a_call_arrives_as_it_was_sent(stage: GateStage) -> None:
    port = await awake(stage, await stage.pod())
    headers = {
        "Host": "chat.example.com",
        "X-Forwarded-For": "203.0.113.7",
        "X-Forwarded-Proto": "https",
        "Accept": "text/event-stream",
        "Connection": "X-Secret, X-Forwarded-For, keep-alive",
        "X-Secret": "hop",
        "Keep-Alive": "timeout=5",
        "TE": "trailers",
        "Proxy-Authorization": "Basic x",
        "Cookie": "a=b",
    }
    path = "/v1/runs//a%2Fb/../c?x=%20y&x=1+2&&"
    async with stage.session.post(URL(f"http://{HOST}:{port}{path}", encoded=True), data=b'{"input": {}}', headers=headers) as answer:
        data = await answer.json()
    found = [(name.lower(), value) for name, value in data["headers"]]
    assert data["path"] == path
    assert data["body"] == '{"input": {}}'
    for kept in ("Host", "X-Forwarded-For", "X-Forwarded-Proto", "Accept", "Cookie"):
        assert (kept.lower(), headers[kept]) in found
    assert not {"x-secret", "keep-alive", "te", "proxy-authorization", "upgrade"} & {name for name, _ in found}
    assert dict(found)["content-length"] == "13"


async def test_nothing_is_added_to_a_call(stage: GateStage) -> None:
    port = await awake(stage, await stage.pod())
    answer = await raw(port, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
    data = json.loads(answer.partition(b"\r\n\r\n")[2])
    assert sorted(name.lower() for name, _ in data["headers"]) == ["connection", "content-length", "host"]


async def test_an_answer_comes_as_it_was_given(stage: GateStage) -> None:
    async def unusual(_request: web.BaseRequest) -> web.StreamResponse:
        answer = web.Response(status=418, reason="I am a teapot", body=b"\x1f\x8bnot really", headers={"Content-Encoding": "gzip"})
        answer.headers.add("Set-Cookie", "a=1")
        answer.headers.add("Set-Cookie", "b=2")
        answer.headers["Keep-Alive"] = "timeout=5"
        return answer

    port = await awake(stage, await stage.pod(answer=unusual))
    async with stage.session.get(f"http://{HOST}:{port}/") as answer:
        assert (answer.status, answer.reason) == (418, "I am a teapot")
        assert answer.headers.getall("Set-Cookie") == ["a=1", "b=2"]
        assert answer.headers["Content-Encoding"] == "gzip"
        assert answer.headers["Content-Length"] == "12"
        assert answer.headers["Connection"] == "close"
        assert "Keep-Alive" not in answer.headers
        assert await answer.read() == b"\x1f\x8bnot really"


async def test_answers_without_a_body(stage: GateStage) -> None:
    async def empty(request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "HEAD":
            return web.Response(headers={"Content-Length": "1234"})
        return web.Response(status=204)

    port = await awake(stage, await stage.pod(answer=empty))
    head = await raw(port, b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"content-length: 1234\r\n" in head.lower()
    assert head.endswith(b"\r\n\r\n")
    nothing = await raw(port, b"DELETE / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert nothing.startswith(b"HTTP/1.1 204 ")
    assert nothing.endswith(b"\r\n\r\n")


async def test_a_caller_of_http_1_0_gets_the_whole_answer(stage: GateStage) -> None:
    async def parts(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        for part in (b"one ", b"two"):
            await answer.write(part)
        return answer

    port = await awake(stage, await stage.pod(answer=parts))
    answer = await raw(port, b"GET / HTTP/1.0\r\nHost: a\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 200 ")
    assert answer.endswith(b"\r\n\r\none two")


async def test_each_part_of_an_answer_comes_when_it_is_given(stage: GateStage) -> None:
    go_on = asyncio.Event()

    async def events(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await answer.prepare(request)
        await answer.write(b"data: one\n\n")
        await go_on.wait()
        await answer.write(b"data: two\n\n")
        return answer

    port = await awake(stage, await stage.pod(answer=events))
    async with stage.session.get(f"http://{HOST}:{port}/") as answer:
        assert await answer.content.readany() == b"data: one\n\n"
        go_on.set()
        assert await answer.content.read() == b"data: two\n\n"


async def test_a_body_is_passed_on_while_it_comes(stage: GateStage) -> None:
    seen: asyncio.Queue[bytes] = asyncio.Queue()

    async def reading(request: web.BaseRequest) -> web.StreamResponse:
        async for chunk in request.content.iter_any():
            seen.put_nowait(chunk)
        return web.Response(text="read")

    port = await awake(stage, await stage.pod(answer=reading))
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
    assert await asyncio.wait_for(seen.get(), PATIENCE) == b"one"
    writer.write(b"3\r\ntwo\r\n0\r\n\r\n")
    assert await asyncio.wait_for(seen.get(), PATIENCE) == b"two"
    assert (await reader.read()).endswith(b"read")
    writer.close()


async def test_a_caller_with_expect_continues_when_a_pod_is_ready(stage: GateStage) -> None:
    port, pod = stage.asleep(), await stage.pod()
    stage.wakeable()
    await stage.start()
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")

    async def held() -> bool:
        return (await stage.metrics()).get(HELD) == 1

    await stage.until("it is held", held)
    stage.serving("chat", pod)
    assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
    writer.write(b"{}")
    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
    writer.close()
    assert "Expect" not in pod.calls[0].headers


async def test_bodies_beyond_the_limit_are_refused(stage: GateStage) -> None:
    async def reading(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text=str(len(await request.read())))

    port = await awake(stage, await stage.pod(answer=reading), limits=Limits(body=1000))
    async with stage.session.post(f"http://{HOST}:{port}/", data=b"x" * 1001) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (413, "body_too_large")

    async def chunks(count: int) -> object:
        for _ in range(count):
            yield b"x" * 100

    async with stage.session.post(f"http://{HOST}:{port}/", data=chunks(11)) as answer:
        assert answer.status == 413
    async with stage.session.post(f"http://{HOST}:{port}/", data=chunks(10)) as answer:
        assert (answer.status, await answer.text()) == (200, "1000")


async def test_a_refusal_of_a_pod_in_the_middle_of_a_body_is_forwarded(stage: GateStage) -> None:
    async def refusing(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.Response(status=413, text="too much")
        answer.force_close()
        return answer

    port = await awake(stage, await stage.pod(answer=refusing))
    async with stage.session.post(f"http://{HOST}:{port}/", data=b"x" * 3_000_000) as answer:
        assert (answer.status, await answer.text()) == (413, "too much")


async def test_a_caller_who_leaves_ends_the_call_at_the_pod(stage: GateStage) -> None:
    ended = asyncio.Event()

    async def long(_request: web.BaseRequest) -> web.StreamResponse:
        try:
            await asyncio.sleep(60)
        finally:
            ended.set()
        return web.Response()

    pod = await stage.pod(answer=long)
    port = await awake(stage, pod)
    calling = asyncio.create_task(stage.session.post(f"http://{HOST}:{port}/", data=b"{}").__aenter__())

    async def in_flight(count: int) -> bool:
        return (await stage.metrics()).get(IN_FLIGHT) == count

    await stage.until("it is at the pod", lambda: in_flight(1))
    calling.cancel()
    await asyncio.wait_for(ended.wait(), PATIENCE)
    await stage.until("its place is free", lambda: in_flight(0))


@pytest.mark.parametrize("method", ["POST", "GET", "PUT", "DELETE"])
async def test_a_call_that_a_pod_may_have_seen_is_not_sent_again(stage: GateStage, method: str) -> None:
    async def cutting(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.abort()
        raise ConnectionResetError

    first = await stage.pod(2, answer=cutting)
    port = await awake(stage, first)
    async with stage.session.request(method, f"http://{HOST}:{port}/", data=b"{}" if method == "POST" else None) as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (502, "bad_gateway")
    assert len(first.calls) == 1


async def test_an_answer_that_is_cut_does_not_look_whole(stage: GateStage) -> None:
    async def cutting(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await answer.write(b"half")
        await asyncio.sleep(0)
        assert request.transport is not None
        request.transport.close()
        raise ConnectionResetError

    port = await awake(stage, await stage.pod(answer=cutting))
    for version in (b"1.1", b"1.0"):  # in the older one an answer ends with its connection
        with pytest.raises(ConnectionResetError):
            await raw(port, b"GET / HTTP/" + version + b"\r\nHost: a\r\n\r\n")


async def test_a_caller_who_takes_nothing_of_an_answer_frees_its_place(stage: GateStage) -> None:
    async def large(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(body=b"x" * (1 << 26))

    port = await awake(stage, await stage.pod(answer=large), limits=Limits(taken_within=0.3))
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.transport.pause_reading()  # type: ignore[attr-defined]
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    async def in_flight(count: int) -> bool:
        return (await stage.metrics()).get(IN_FLIGHT) == count

    await stage.until("it is at the pod, and its place is free again", lambda: in_flight(0))
    writer.transport.resume_reading()  # type: ignore[attr-defined]
    with pytest.raises(ConnectionResetError):
        await reader.read()


async def test_a_pod_that_cannot_be_reached_is_passed_over(stage: GateStage) -> None:
    gone, there = await stage.pod(2, started=False), await stage.pod(3)
    port = stage.asleep()
    stage.serving("chat", gone, there)
    there.port = gone.port
    await there.stop()
    await there.start()
    await stage.start()
    for _ in range(10):
        async with stage.session.post(f"http://{HOST}:{port}/", data=b"{}") as answer:
            assert answer.status == 200
    assert len(there.calls) == 10


async def test_a_missing_pod_is_tried_again_until_the_timeout(stage: GateStage) -> None:
    pod, gone = await stage.pod(started=False), await stage.pod(3, started=False)
    port, hasty = stage.asleep(), stage.asleep("hasty", holdSeconds=1)
    stage.serving("chat", pod)
    stage.serving("hasty", gone)
    await stage.start()
    async with stage.session.post(f"http://{HOST}:{hasty}/", data=b"{}") as answer:
        assert answer.status == 503
    calling = asyncio.create_task(stage.session.post(f"http://{HOST}:{port}/", data=b"{}").__aenter__())
    await pod.start()
    assert (await calling).status == 200


async def test_headers_that_are_not_utf_8_and_tunnels_are_refused(stage: GateStage) -> None:
    port = await awake(stage, await stage.pod())
    for request, status in (
        (b"GET / HTTP/1.1\r\nHost: a\r\nX-A: \xff\r\n\r\n", b"400"),
        (b"CONNECT a:80 HTTP/1.1\r\nHost: a:80\r\n\r\n", b"405"),
        (b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", b"405"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", b"400"),
    ):
        assert (await raw(port, request)).split(b" ")[1] == status


async def test_invalid_http_is_refused_without_a_line_in_the_log(stage: GateStage, caplog: pytest.LogCaptureFixture) -> None:
    port = await awake(stage, await stage.pod())
    answer = await raw(port, b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: +2\r\n\r\n{}")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["error"]["code"] == "bad_request"
    assert not [each for each in caplog.records if each.exc_info]


async def test_an_absolute_target_is_forwarded_as_its_path(stage: GateStage) -> None:
    port = await awake(stage, await stage.pod())
    for target, path in ((b"http://chat.example.com/a?b", "/a?b"), (b"http://chat.example.com", "/")):
        answer = await raw(port, b"GET " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["path"] == path


async def test_an_upgrade_is_not_passed_on(stage: GateStage) -> None:
    port = await awake(stage, await stage.pod())
    request = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"
    data = json.loads((await raw(port, request)).partition(b"\r\n\r\n")[2])
    assert "upgrade" not in {name.lower() for name, _ in data["headers"]}


async def test_a_connection_that_sends_no_call_is_closed(stage: GateStage) -> None:
    port = await awake(stage, await stage.pod(), limits=Limits(head_within=0.3))
    assert await raw(port, b"GET / HT") == b""


async def test_a_head_without_an_end_is_read_to_a_limit_and_not_kept(stage: GateStage) -> None:
    port = await awake(stage, await stage.pod())
    headers = [b"X-%d: %s\r\n" % (number, b"a" * 1000) for number in range(100)]
    assert (await raw(port, b"".join([b"GET / HTTP/1.1\r\nHost: a\r\n", *headers]))).startswith(b"HTTP/1.1 431 ")
    body = b"a" * 200_000
    whole = b"".join([b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n", *headers[:50], b"\r\n", body])
    assert (await raw(port, whole)).startswith(b"HTTP/1.1 200 ")


async def test_an_answer_whose_head_has_no_end_is_no_answer(stage: GateStage) -> None:
    async def endless(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\n")
        for number in range(100):
            request.transport.write(b"X-%d: %s\r\n" % (number, b"a" * 60_000))
            await asyncio.sleep(0)
        await asyncio.Event().wait()
        raise AssertionError

    port = await awake(stage, await stage.pod(answer=endless))
    async with stage.session.get(f"http://{HOST}:{port}/") as answer:
        assert (answer.status, (await answer.json())["error"]["code"]) == (502, "bad_gateway")


async def test_a_gate_that_is_cut_off_with_a_call_under_way_leaves_nothing_behind(stage: GateStage) -> None:
    port = stage.asleep()
    stage.wakeable()
    before = asyncio.all_tasks()
    await stage.start()
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")

    async def held() -> bool:
        return (await stage.metrics()).get(HELD) == 1

    await stage.until("it is held", held)
    await stage.cut()
    left = [each.get_coro() for each in asyncio.all_tasks() - before]
    assert not [each for each in left if "dynamiq_operator" in each.cr_code.co_filename]  # type: ignore[union-attr]
    async with asyncio.timeout(PATIENCE):
        assert await reader.read() == b""
    writer.close()


async def answering(stage: GateStage, answer: bytes, **options: object) -> int:
    """Starts the gate, and returns its port of an App whose pod answers with these bytes and keeps the connection."""

    async def sending(request: web.BaseRequest) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.write(answer)
        await asyncio.sleep(3600)
        raise AssertionError

    return await awake(stage, await stage.pod(answer=sending), **options)


@pytest.mark.parametrize(
    "beside",
    [b"0\r\n" + (b"X: " + b"a" * 8000 + b"\r\n") * 16, b"0\r\nX: " + b"a" * (60 << 10), b"1\r\na\r\n1;" + b"a" * (1 << 17)],
    ids=["trailers", "one trailer", "of a chunk"],
)
async def test_an_answer_is_cut_that_has_much_beside_its_body(stage: GateStage, beside: bytes) -> None:
    port = await answering(stage, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + beside)
    with pytest.raises(ConnectionResetError):
        await raw(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")


KIB = b"X: " + b"a" * 1019 + b"\r\n"


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\n" + KIB * 120,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 8000,
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + KIB * 120,
    ],
    ids=["a head", "interim answers", "a head behind an interim answer"],
)
async def test_an_answer_without_an_end_of_its_head_is_none(stage: GateStage, head: bytes) -> None:
    port = await answering(stage, head)
    assert (await raw(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).startswith(b"HTTP/1.1 502 ")


@pytest.mark.parametrize(("end", "room", "status"), [(b"\r\n", 1 << 20, b"200"), (b"\r\n", 1 << 18, b"502"), (b"", 1 << 18, b"502")])
async def test_a_large_head_of_an_answer_takes_of_its_namespaces_share(stage: GateStage, end: bytes, room: int, status: bytes) -> None:
    port = await answering(stage, b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + KIB * 50 + end, limits=Limits(calls=room, under_way=100))
    assert (await raw(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")).split(b" ")[1] == status


@pytest.mark.parametrize(
    ("calls", "of_another", "lines"),
    [(5, 2, 0), (5, 2, 7), (3, 3, 20)],
    ids=["a head of nothing", "a head that was reserved", "a head that takes more"],
)
async def test_a_call_under_way_is_answered_where_its_namespaces_share_has_shrunk(
    stage: GateStage, calls: int, of_another: int, lines: int
) -> None:
    """The pod has carried out the call. The growth of another namespace refuses new calls alone."""
    carried_out = asyncio.Event()

    async def late(request: web.BaseRequest) -> web.StreamResponse:
        await carried_out.wait()
        assert request.transport is not None
        for part in (b"HTTP/1.1 200 OK\r\n", *[KIB] * lines, b"Content-Length: 1\r\n\r\n", b"a"):
            request.transport.write(part)
            for _ in range(5):
                await asyncio.sleep(0)  # the gate reads this part by itself
        request.transport.close()
        raise asyncio.CancelledError

    pod = await stage.pod(answer=late)
    another = stage.asleep("other", namespace="another")
    stage.serving("other", pod, namespace="another")
    own = await awake(stage, pod, limits=Limits(calls=640 << 10, under_way=10))
    under_way: list[asyncio.Task[bytes]] = []

    async def are_there() -> bool:
        return len(pod.calls) == len(under_way)

    for port in [own] * calls + [another] * of_another:
        under_way.append(asyncio.create_task(raw(port, b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")))
        await stage.until("the call is under way", are_there)
    carried_out.set()
    answers = await asyncio.gather(*under_way, return_exceptions=True)
    assert [isinstance(each, bytes) and (each[9:12], each[-1:]) for each in answers] == [(b"200", b"a")] * len(under_way)


async def test_an_answer_may_come_in_pieces_as_small_as_can_be(stage: GateStage) -> None:
    port = await answering(stage, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\na\r\n" * 20_000 + b"0\r\nX: a\r\n\r\n")
    async with stage.session.get(f"http://{HOST}:{port}/") as answer:
        assert await answer.read() == b"a" * 20_000
