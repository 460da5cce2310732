"""A server that gets too many requests, and the settings of its limits."""

from __future__ import annotations

import asyncio
import socket
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from dynamiq_runtime import bodies
from dynamiq_runtime.server import BODIES_LEAST, Server
from dynamiq_runtime.settings import from_environment
from tests.support.runtime import DEADLINE, ECHO, SLOW, WAITS, Served, serving
from tests.support.waiting import eventually

ONE = {"DYNAMIQ_MAX_CONCURRENT_RUNS": "1", "DYNAMIQ_MAX_QUEUED_RUNS": "1"}


def test_a_run_too_many_is_refused_at_once_and_those_that_wait_are_answered(tmp_path: Path) -> None:
    with serving(tmp_path, WAITS, **ONE) as served, ThreadPoolExecutor(2) as pool:
        first = pool.submit(served.run, {"until": str(tmp_path / "over")})
        eventually("a run is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1)
        second = pool.submit(served.run, {})
        eventually("a run waits", lambda: served.metric("dynamiq_runtime_runs_waiting") == 1)
        refusals = [served.run({}), served.run({}, "/v1/runs"), served.run({}, stream=True)]
        for refused in refusals:
            assert (refused.status, refused.headers["Retry-After"], refused.body["error"]["code"]) == (429, "1", "too_many_runs")
            assert refused.body["error"]["details"] == {"concurrent_runs": 1, "queued_runs": 1}
        assert [served.request("GET", path).status for path in ("/healthz", "/readyz")] == [200, 200]
        (tmp_path / "over").touch()
        assert [future.result().body for future in (first, second)] == [{"result": "slept"}] * 2
        assert served.metric('dynamiq_runtime_requests_refused_total{code="too_many_runs"}') == 3
        assert served.metric('dynamiq_runtime_runs_total{outcome="succeeded"}') == 2
        assert served.run({}).status == 200


def test_a_run_that_waits_in_vain_is_refused(tmp_path: Path) -> None:
    with serving(tmp_path, SLOW, DYNAMIQ_RUN_TIMEOUT="6", **ONE) as served, ThreadPoolExecutor(1) as pool:
        endless = pool.submit(served.run, {"seconds": DEADLINE})
        eventually("a run is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1)
        assert served.run({"seconds": 0}).status == 429  # its thread sleeps on, given up or not
        assert endless.result().status == 504


def test_a_body_may_be_as_large_as_is_set(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO, DYNAMIQ_BODY_LIMIT="1000") as served:
        assert served.run({"x": "y" * 900}).status == 200
        refused = served.run({"x": "y" * 1000})
        assert (refused.status, refused.body["error"]["details"]) == (413, {"limit": 1000})


LARGE = 200 << 10
HALF_A_BODY = b"POST / HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % LARGE
REST = b'{"input": {}}'.ljust(LARGE)


@pytest.mark.parametrize("framing", [b"Content-Length: %d" % LARGE, b"Transfer-Encoding: chunked"], ids=["of a length", "in chunks"])
def test_large_bodies_wait_while_others_come_and_small_ones_do_not(tmp_path: Path, framing: bytes) -> None:
    head = HALF_A_BODY.replace(b"Content-Length: %d" % LARGE, framing)
    with (
        serving(tmp_path, ECHO, DYNAMIQ_BODY_LIMIT=str(LARGE), **ONE) as served,
        ThreadPoolExecutor(1) as pool,
        ExitStack() as opened,
    ):
        first, *_ = slow = [opened.enter_context(_connected(served)) for _ in range(BODIES_LEAST)]
        for each in slow:
            each.sendall(head)
        eventually("as many bodies as may are coming", lambda: served.activity["in_flight"] == BODIES_LEAST)
        second = pool.submit(served.run, {"x": "y" * (100 << 10)})
        eventually("a large one is there, too", lambda: served.activity["in_flight"] == BODIES_LEAST + 1)
        assert served.run({"small": True}).status == 200
        assert (served.activity["in_flight"], served.metric('dynamiq_runtime_runs_total{outcome="succeeded"}')) == (BODIES_LEAST + 1, 1)
        first.sendall(REST if b"Length" in framing else b"%x\r\n%b\r\n0\r\n\r\n" % (LARGE, REST))
        assert first.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        assert second.result().status == 200


async def test_a_large_body_that_waits_in_vain_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "ROOM_WITHIN", 0.1)
    server = Server(from_environment({"PORT": "0", "DYNAMIQ_METRICS_PORT": "0", "DYNAMIQ_BODY_LIMIT": str(LARGE), **ONE}), None)
    port, _ = await server.start()
    try:
        opened = [await asyncio.open_connection("127.0.0.1", port) for _ in range(BODIES_LEAST + 1)]
        for _, writer in opened:
            writer.write(HALF_A_BODY)
        answered = asyncio.as_completed([reader.read() for reader, _ in opened], timeout=DEADLINE)
        event = (await next(answered)).decode()
        assert event.startswith("HTTP/1.1 503 ")
        assert "Retry-After: 1\r\n" in event
        assert '"code": "busy"' in event
        for _, writer in opened:
            writer.close()
        for each in answered:
            await each
    finally:
        await server.close()


def _connected(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.port), DEADLINE)


def test_a_caller_cut_off_by_a_stop_gets_503(tmp_path: Path) -> None:
    with serving(tmp_path, SLOW, DYNAMIQ_DRAIN_SECONDS="0.2") as served, ThreadPoolExecutor(2) as pool:
        plain, stream = pool.submit(served.run, {"seconds": 60}), pool.submit(served.run, {"seconds": 60}, stream=True)
        eventually("two runs are under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 2)
        served.terminate()
        answer = plain.result()
        assert (answer.status, answer.headers["Retry-After"], answer.body["error"]["code"]) == (503, "1", "stopping")
        *_, (name, data) = stream.result().events
        assert (name, data["error"]["code"]) == ("error", "stopping")
        assert served.process.wait(DEADLINE) == 0
