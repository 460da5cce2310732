"""Answers as server-sent events: from a server in its own process, and from one in this process with a scripted engine."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dynamiq_runtime import bodies, delivery, events
from dynamiq_runtime.engine import Report
from dynamiq_runtime.server import Server
from dynamiq_runtime.settings import from_environment
from tests.support.flows import a_flow
from tests.support.recorder import recording
from tests.support.runtime import DEADLINE, ECHO, WAITS, events_in, serving
from tests.support.waiting import eventually

CHUNKS = 10 * events.BUFFER_EVENTS


def test_a_flow_that_streams_nothing_has_one_event_with_the_usual_answer(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served:
        answer = served.run({"n": 1}, stream=True)
        assert (answer.status, answer.headers["Content-Type"]) == (200, "text/event-stream; charset=utf-8")
        assert answer.events[-1] == ("result", {"result": {"n": 1}})
        by_header = served.run({"n": 1}, "/v1/runs", accept="application/json;q=0.5, text/event-stream")
        assert by_header.events[-1][1]["data"]["output"] == {"result": {"n": 1}}
        assert served.run({"n": 1}, accept="text/event-stream", stream=False).body == {"result": {"n": 1}}
        assert served.run({"n": 1}, accept="*/*").body == {"result": {"n": 1}}
        assert served.run({"n": 1}, stream="yes").status == 400


def test_a_failure_in_a_stream_is_an_event_of_the_usual_shape(tmp_path: Path) -> None:
    with serving(tmp_path, a_flow("def run(d):\n    return d['gone']\n")) as served:
        *_, (name, data) = served.run({}, stream=True).events
        assert name == "error"
        assert data == served.run({}).body | {"error": data["error"]}
        assert (data["error"]["code"], data["error"]["message"]) == ("node_failed", "node \"code\" failed: KeyError: 'gone'")


def test_an_open_stream_ends_before_the_server_does(tmp_path: Path) -> None:
    with serving(tmp_path, WAITS) as served, ThreadPoolExecutor(1) as pool:
        stream = pool.submit(served.run, {"until": str(tmp_path / "over")}, stream=True)
        eventually("a run is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1)
        served.terminate()
        eventually("it is no longer ready", lambda: served.request("GET", "/readyz").status == 503)
        (tmp_path / "over").touch()
        assert stream.result().events[-1] == ("result", {"result": "slept"})
        assert served.process.wait(DEADLINE) == 0


class Telling:
    """An engine that streams `chunks` numbers, waits for `go`, and notes in `left` that its run ended."""

    nodes = outputs = 1

    workflow = "told"
    waits = False

    def __init__(self, chunks: int, padding: str = "\n\n") -> None:
        self.chunks = chunks
        self.padding = padding
        self.emitted = 0
        self.go = threading.Event()
        self.left = threading.Event()

    def execute(self, given: Mapping[str, Any], report: Report) -> Any:
        try:
            for number in range(self.chunks):
                if report.emit:
                    report.emit({"data": f"{number}{self.padding}"})
                    self.emitted += 1
            while not self.go.wait(0.01):
                pass
            return {"said": self.chunks}
        finally:
            self.left.set()


@asynccontextmanager
async def telling(engine: Telling, **variables: str) -> AsyncIterator[tuple[str, str]]:
    """Yields the URL of a server in this process, and that of its metrics."""
    server = Server(from_environment({"PORT": "0", "DYNAMIQ_METRICS_PORT": "0", **variables}), None)
    port, metrics_port = await server.start()
    server.begin(engine)
    try:
        yield f"http://127.0.0.1:{port}/", f"http://127.0.0.1:{metrics_port}/metrics"
    finally:
        engine.go.set()
        await server.close()


async def test_chunks_come_in_order_while_the_run_goes_on_and_the_result_comes_last() -> None:
    engine = Telling(CHUNKS)
    async with telling(engine) as (url, _), aiohttp.ClientSession() as session:
        async with session.post(url, json={"input": {}, "stream": True}) as response:
            async for line in response.content:
                if line.startswith(b"data: ") and json.loads(line[6:])["data"] == f"{CHUNKS - 1}\n\n":
                    break
            assert not engine.left.is_set()
            engine.go.set()
            rest = events_in((await response.read()).decode().lstrip())
        assert rest[-1] == ("result", {"said": CHUNKS})
        async with session.post(url, json={"input": {}, "stream": True}) as response:
            again = events_in(await response.text())
    assert [data["data"] for name, data in again if name == "chunk"] == [f"{number}\n\n" for number in range(CHUNKS)]
    assert again[-1] == ("result", {"said": CHUNKS})


async def test_a_silent_run_is_kept_alive_and_one_past_its_time_ends_with_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_PERIOD", 0.01)
    engine = Telling(1)
    async with telling(engine, DYNAMIQ_RUN_TIMEOUT="3") as (url, _), aiohttp.ClientSession() as session:
        response = await session.post(url, json={"input": {}, "stream": True})
        text = await response.text()
    assert "\n\n: heartbeat\n\n" in text
    assert [name for name, _ in events_in(text)] == ["chunk", "message", "error"]
    assert events_in(text)[-1][1]["error"]["code"] == "run_timed_out"


async def test_a_caller_who_leaves_ends_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_PERIOD", 0.01)
    engine = Telling(1)
    async with telling(engine) as (url, metrics), aiohttp.ClientSession() as session:
        async with session.post(url, json={"input": {}, "stream": True}) as response:
            assert await response.content.readline() == b"event: chunk\n"
        await session.close()
        assert await asyncio.to_thread(engine.left.wait, DEADLINE)
        async with aiohttp.ClientSession() as other, other.get(metrics) as shown:
            assert 'outcome="abandoned"} 1.0' in await shown.text()


async def test_a_stream_is_recorded_with_the_time_of_its_first_chunk_and_one_whose_caller_left_as_abandoned(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(events, "KEEP_ALIVE_PERIOD", 0.01)
    engine = Telling(1)
    with recording() as recorder:
        async with telling(engine, DYNAMIQ_RECORDER=recorder.url) as (url, _), aiohttp.ClientSession() as session:
            async with session.post(url, json={"input": {}, "stream": True}) as response:
                assert await response.content.readline() == b"event: chunk\n"
            await session.close()
            assert await asyncio.to_thread(engine.left.wait, DEADLINE)
            engine.go.set()
            async with aiohttp.ClientSession() as other, other.post(url, json={"input": {}, "stream": True}) as response:
                assert response.headers["X-Dynamiq-Run-Id"]
                await response.read()
    left, whole = recorder.records
    assert (left["dynamiq.run.outcome"], whole["dynamiq.run.outcome"]) == ("abandoned", "succeeded")
    assert all(0 < record["dynamiq.run.first_chunk_ms"] < 1000 * DEADLINE for record in (left, whole))
    assert recorder.posts[-1].resource["dynamiq.instance.ended"]


async def test_a_run_waits_for_a_reader_who_is_slow_and_ends_when_it_leaves() -> None:
    engine = Telling(1000 * events.BUFFER_EVENTS, padding="x" * 1000)
    async with telling(engine) as (url, _), aiohttp.ClientSession() as session:
        async with session.post(url, json={"input": {}, "stream": True}, read_bufsize=1) as response:
            await response.content.readany()
            engine.go.set()
            response.close()
        assert await asyncio.to_thread(engine.left.wait, DEADLINE)
        assert engine.emitted < engine.chunks
        async with session.post(url, json={"input": {}}) as answer:
            assert await answer.json() == {"said": engine.chunks}


async def test_a_reader_who_takes_nothing_any_more_holds_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TAKEN_WITHIN", 0.3)
    engine = Telling(1000 * events.BUFFER_EVENTS, padding="x" * 1000)
    loop = asyncio.get_running_loop()
    async with (
        telling(engine, DYNAMIQ_MAX_CONCURRENT_RUNS="1", DYNAMIQ_MAX_QUEUED_RUNS="0") as (url, _),
        aiohttp.ClientSession() as session,
        session.post(url, json={"input": {}, "stream": True}, read_bufsize=1) as response,
    ):
        await response.content.readany()
        assert await asyncio.to_thread(engine.left.wait, DEADLINE)
        assert engine.emitted < engine.chunks
        engine.go.set()

        def is_served() -> bool:
            return asyncio.run_coroutine_threadsafe(_status(session, url), loop).result(DEADLINE) == 200

        await asyncio.to_thread(eventually, "another run is served", is_served)


async def _status(session: aiohttp.ClientSession, url: str) -> int:
    async with session.post(url, json={"input": {}}) as answer:
        return answer.status


async def test_a_body_that_does_not_come_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_WITHIN", 0.2)
    monkeypatch.setattr(bodies, "BODY_RATE", 1e12)
    async with telling(Telling(1)) as (url, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rstrip("/").rpartition(":")[2]))
        writer.write(b'POST / HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"input": ')
        async with asyncio.timeout(DEADLINE):
            answered = await reader.readuntil(b"}}}")
        assert answered.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answered.partition(b"\r\n\r\n")[2])["error"]["code"] == "body_too_slow"
        writer.close()
