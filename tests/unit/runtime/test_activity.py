"""A pod's report on its metrics port: readiness, idle time, calls in flight, and whether runs ended well or by whose fault."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from dynamiq_runtime import delivery
from dynamiq_runtime.metrics_server import CAPABILITIES
from dynamiq_runtime.server import Server
from dynamiq_runtime.settings import from_environment
from tests.support.flows import a_flow
from tests.support.runtime import DEADLINE, ECHO, WAITS, Served, refused, serving
from tests.support.waiting import eventually

DOING = a_flow(
    "import time\ndef run(d):\n"
    "    if d['do'] == 'fail':\n        return d['gone']\n"
    "    if d['do'] == 'nan':\n        return float('nan')\n"
    "    if d['do'] == 'exit':\n        raise SystemExit\n"
    "    while d['do'] == 'sleep':\n        time.sleep(0.05)\n"
    "    return 'done'\n"
)
TAKES_AN_ORDER = json.dumps(
    {
        "nodes": [
            {"id": "start", "type": "dynamiq.nodes.utils.Input", "input_transformer": {"path": "$.order"}},
            {
                "id": "code",
                "type": "dynamiq.nodes.tools.Python",
                "code": "def run(d):\n    return d['amount']\n",
                "input_transformer": {"path": "$.start.output"},
                "depends": [{"node": "start"}],
            },
            {"id": "end", "type": "dynamiq.nodes.utils.Output", "depends": [{"node": "code"}]},
        ]
    }
)
RUN_TIMEOUT = "15"  # seconds, which no other run takes on a machine that stands still for a while
BODY_WAITED_FOR = timedelta(seconds=10)  # aiohttp lets the rest of a body come for so long
A_WHILE = 0.2  # seconds of idleness that a call is seen to end


def test_the_port_of_callers_answers_calls_and_probes_and_the_other_one_neither(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served:
        for path in ("/metrics", "/activity"):
            outside = served.request("GET", path)
            assert (outside.status, outside.body["error"]["code"]) == (404, "not_found")
            assert served.request("GET", path, port=served.metrics_port).status == 200
        for path in ("/", "/v1/runs", "/healthz", "/readyz"):
            assert served.request("GET", path, port=served.metrics_port).status == 404
            assert served.request("POST", path, b"{}", port=served.metrics_port).status == 404


def test_a_port_that_is_taken_is_named_with_its_variable(tmp_path: Path) -> None:
    with socket.create_server(("", 0)) as taken:
        port = taken.getsockname()[1]
        for variable in ("PORT", "DYNAMIQ_METRICS_PORT"):
            code, line = refused(tmp_path, ECHO, **{variable: str(port)})
            assert code == 1
            assert line.startswith(f"dynamiq-runtime: it can't listen on port {port}, which {variable} chooses: ")


def test_a_stop_does_not_wait_for_readers_of_figures(tmp_path: Path) -> None:
    """A paused machine can hide it: the test then stops the server again."""
    eventually("it has stopped before a body is given up", lambda: _stop_with_readers(tmp_path) < BODY_WAITED_FOR)


def _stop_with_readers(tmp_path: Path) -> timedelta:
    with serving(tmp_path, ECHO) as served, _connected(served) as kept, _connected(served) as half, _connected(served):
        kept.sendall(b"GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n")
        assert kept.recv(12) == b"HTTP/1.1 200"
        half.sendall(b"GET /metrics HTTP/1.1\r\nHost: here\r\nContent-Length: 9\r\n\r\n{")
        assert half.recv(12) == b"HTTP/1.1 200"
        served.terminate()
        assert served.process.wait(DEADLINE) == 0
        at = {line["message"]: datetime.fromisoformat(line["time"]) for line in map(json.loads, served.log.read_text().splitlines())}
        return at["stopped"] - at["draining"]


def _connected(served: Served) -> socket.socket:
    return socket.create_connection(("127.0.0.1", served.metrics_port), DEADLINE)


async def test_a_pod_that_loads_its_flow_is_neither_ready_nor_idle() -> None:
    server = Server(from_environment({"PORT": "0", "DYNAMIQ_METRICS_PORT": "0"}), None)
    _, port = await server.start()
    try:
        async with aiohttp.ClientSession() as session, session.get(f"http://127.0.0.1:{port}/activity") as answer:
            data = await answer.json()
    finally:
        await server.close()
    nothing_yet = {"succeeded": 0, "failed": 0, "refused": 0}
    told_of_runs = {"runs": nothing_yet, "running_seconds": [], "failed_seconds": 0.0}
    assert data == {
        "ready_seconds": None,
        "idle_seconds": None,
        "in_flight": 0,
        "standby": False,
        **told_of_runs,
        "capabilities": list(CAPABILITIES),
    }


def test_idleness_counts_from_readiness_and_only_a_call_ends_it(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "default").write_text("a-key")
    with serving(tmp_path, ECHO, DYNAMIQ_ACCESS_KEYS_DIR=str(tmp_path / "keys")) as served:
        eventually("it has been idle for a while", lambda: served.activity["idle_seconds"] >= A_WHILE)
        before = served.activity
        assert before["ready_seconds"] == before["idle_seconds"]
        for path in ("/healthz", "/readyz", "/favicon.ico", "/"):
            served.request("GET", path)
        assert [served.run({}).status, served.run({}, key="wrong").status] == [401, 401]
        after = served.activity
        assert after["idle_seconds"] >= before["idle_seconds"], "probes and callers without a key keep it awake"
        assert after["ready_seconds"] == after["idle_seconds"]
        began = time.monotonic()
        assert served.run({}, key="a-key").status == 200
        called = served.activity
        assert called["idle_seconds"] <= time.monotonic() - began
        assert called["ready_seconds"] >= A_WHILE
        eventually("it is idle again", lambda: served.activity["idle_seconds"] > called["idle_seconds"])


def test_running_waiting_and_streaming_calls_are_in_flight(tmp_path: Path) -> None:
    with (
        serving(tmp_path, WAITS, DYNAMIQ_MAX_CONCURRENT_RUNS="2") as served,
        ThreadPoolExecutor(3) as pool,
    ):
        calls = [pool.submit(served.run, {"until": str(tmp_path / "over")}, stream=stream) for stream in (False, True, False)]
        eventually("three calls are in flight", lambda: served.activity["in_flight"] == 3)
        assert served.activity["idle_seconds"] == 0
        assert served.metric("dynamiq_runtime_runs_waiting") == 1
        oldest_first = served.activity["running_seconds"]
        assert len(oldest_first) == 3
        assert oldest_first == sorted(oldest_first, reverse=True)
        (tmp_path / "over").touch()
        assert {call.result().status for call in calls} == {200}
        assert (served.activity["in_flight"], served.activity["running_seconds"]) == (0, [])


def test_a_body_that_is_still_coming_is_in_flight(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served, socket.create_connection(("127.0.0.1", served.port), DEADLINE) as caller:
        caller.sendall(b'POST / HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n{"input"')
        eventually("it is in flight", lambda: served.activity["in_flight"] == 1)
        caller.sendall(b": {}}")
        assert caller.recv(1 << 16).startswith(b"HTTP/1.1 200 ")
        eventually("it has ended", lambda: served.activity["in_flight"] == 0)


LARGE = a_flow("def run(d):\n    return 'x' * (1 << 24)\n")


@pytest.mark.parametrize("path", ["/", "/v1/runs"])
def test_an_answer_is_in_flight_until_its_reader_has_taken_it(tmp_path: Path, path: str) -> None:
    with serving(tmp_path, LARGE) as served, _half_read(served, path) as caller:
        eventually("its run has ended", lambda: served.activity["runs"]["succeeded"] == 1)
        assert (served.activity["in_flight"], served.activity["running_seconds"]) == (1, []), "its caller is no slow run"
        served.terminate()
        eventually("it drains", lambda: served.request("GET", "/readyz").status == 503)
        received = 0
        while chunk := caller.recv(1 << 20):
            received += len(chunk)
        assert received > 1 << 24, "a stop cut the answer off"
        assert served.process.wait(DEADLINE) == 0


@contextmanager
def _half_read(served: Served, path: str = "/") -> Iterator[socket.socket]:
    """Yields a caller whose answer has begun, and who reads no more of it."""
    with socket.socket() as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 16)
        caller.settimeout(DEADLINE)
        caller.connect(("127.0.0.1", served.port))
        head = f"POST {path} HTTP/1.1\r\nHost: here\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"
        caller.sendall(head.encode() + b'{"input": {}}')
        assert caller.recv(12) == b"HTTP/1.1 200"
        yield caller


async def test_a_reader_who_takes_nothing_any_more_is_not_in_flight_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delivery, "TAKEN_WITHIN", 3)

    class Large:
        nodes = outputs = 1
        workflow = "told"
        waits = False

        def execute(self, *_: Any) -> str:
            return "x" * (1 << 24)

    server = Server(from_environment({"PORT": "0", "DYNAMIQ_METRICS_PORT": "0"}), None)
    port, metrics_port = await server.start()
    server.begin(Large())
    try:
        async with aiohttp.ClientSession() as session:
            inside = f"http://127.0.0.1:{metrics_port}/activity"
            loop = asyncio.get_running_loop()

            async def read() -> dict[str, Any]:
                async with session.get(inside) as answer:
                    data: dict[str, Any] = await answer.json()
                    return data

            def is_over() -> bool:
                return bool(asyncio.run_coroutine_threadsafe(read(), loop).result(DEADLINE)["in_flight"] == 0)

            async with session.post(f"http://127.0.0.1:{port}/", json={"input": {}}, read_bufsize=1) as response:
                assert (response.status, (await read())["in_flight"]) == (200, 1)
                await asyncio.to_thread(eventually, "it is given up", is_over)
            assert (await read())["runs"] == {"succeeded": 1, "failed": 0, "refused": 0}
    finally:
        await server.close()


@pytest.fixture(scope="module")
def doing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    limits = {
        "DYNAMIQ_MAX_CONCURRENT_RUNS": "1",
        "DYNAMIQ_MAX_QUEUED_RUNS": "0",
        "DYNAMIQ_RUN_TIMEOUT": RUN_TIMEOUT,
        "DYNAMIQ_BODY_LIMIT": "1000",
    }
    with serving(tmp_path_factory.mktemp("doing"), DOING, **limits) as served:
        yield served


def _too_many(served: Served) -> None:
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(served.run, {"do": "sleep"})
        eventually("a run is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1)
        assert served.run({"do": "it"}).status == 429
        assert first.result().status == 504


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        (lambda served: served.run({"do": "it"}), {"succeeded": 1}),
        (lambda served: served.run({"do": "it"}, "/v1/runs", stream=True), {"succeeded": 1}),
        (lambda served: served.run({"do": "fail"}), {"failed": 1}),
        (lambda served: served.run({"do": "fail"}, stream=True), {"failed": 1}),
        (lambda served: served.run({"do": "nan"}), {"failed": 1}),
        (lambda served: served.run({"do": "exit"}), {"failed": 1}),
        (lambda served: served.run({"do": "exit"}, stream=True), {"failed": 1}),
        (lambda served: served.run({"do": "sleep"}), {"failed": 1}),
        (_too_many, {"failed": 1, "refused": 1}),
        (lambda served: served.request("POST", "/", b"{"), {"refused": 1}),
        (lambda served: served.request("POST", "/", b"[]"), {"refused": 1}),
        (lambda served: served.run({"x": "y" * 2000}), {"refused": 1}),
        (lambda served: served.request("POST", "/", b"{}", {"Content-Type": "text/plain"}), {"refused": 1}),
        (lambda served: served.request("POST", "/nowhere", b"{}"), {"refused": 1}),
        (lambda served: served.request("GET", "/readyz"), {}),
    ],
    ids=lambda value: "".join(f"{count} {name} " for name, count in value.items()) if isinstance(value, dict) else "",
)
def test_runs_end_by_the_servers_doing_or_the_callers(doing: Served, call: Callable[[Served], object], expected: dict[str, int]) -> None:
    eventually("no thread is in a run that was given up", lambda: doing.run({"do": "it"}).status == 200)
    before = doing.activity["runs"]
    call(doing)
    _has_counted(doing, {name: before[name] + expected.get(name, 0) for name in before})


def _has_counted(served: Served, expected: dict[str, int]) -> None:
    """Asserts that the operator and Prometheus get equal counts, and that these are `expected`."""
    nothing = {"succeeded": 0, "failed": 0, "refused": 0}
    assert served.activity["runs"] == nothing | expected
    samples = served.request("GET", "/metrics", port=served.metrics_port).body
    runs = {name: int(float(value)) for name, value in re.findall(r'^dynamiq_runtime_runs_total{outcome="(\w+)"} (\S+)$', samples, re.M)}
    refusals = {
        code: int(float(value))
        for code, value in re.findall(r'^dynamiq_runtime_requests_refused_total{code="(\w+)"} (\S+)$', samples, re.M)
    }
    by_server = {code: refusals.pop(code) for code in ("starting", "internal") if code in refusals}
    assert nothing | expected == {
        "succeeded": runs["succeeded"],
        "failed": runs["failed"] + runs["timed_out"] + runs["cut_off"] + sum(by_server.values()),
        "refused": runs["refused"] + sum(refusals.values()),
    }


def test_an_input_that_the_flows_input_node_can_not_take_is_the_callers_to_correct(tmp_path: Path) -> None:
    with serving(tmp_path, TAKES_AN_ORDER) as served:
        assert served.run({"order": {"amount": 3}}).body["code"]["output"] == {"content": 3}
        without = served.run({})
        assert (without.status, without.body["error"]["code"]) == (400, "input_refused")
        assert without.body["error"]["details"]["nodes"][0]["id"] == "start"
        assert [name for name, _ in served.run({}, stream=True).events] == ["message", "error"]
        assert served.run({"order": {}}).status == 500, "what the author's code raises is a failure of the flow"
        _has_counted(served, {"succeeded": 1, "failed": 1, "refused": 2})


def test_a_caller_who_leaves_early_is_no_failure(tmp_path: Path) -> None:
    over = tmp_path / "over"
    waits = "import io, time\ndef run(d):\n    while True:\n        try:\n            io.open({!r}).close()\n            return 'x' * (1 << 24)\n"
    waits += "        except OSError:\n            time.sleep(0.02)\n"
    with serving(tmp_path, a_flow(waits.format(str(over)))) as served:
        with socket.create_connection(("127.0.0.1", served.port), DEADLINE) as without_body:
            without_body.sendall(b"POST / HTTP/1.1\r\nHost: here\r\nContent-Length: 100\r\n\r\n{")
            eventually("it is in flight", lambda: served.activity["in_flight"] == 1)
        with socket.create_connection(("127.0.0.1", served.port), DEADLINE) as before_the_answer:
            head = b"POST / HTTP/1.1\r\nHost: here\r\nContent-Type: application/json\r\nContent-Length: 13\r\n\r\n"
            before_the_answer.sendall(head + b'{"input": {}}')
            eventually("its run is under way", lambda: served.metric("dynamiq_runtime_runs_in_flight") == 1)
        over.touch()
        eventually("nothing is in flight", lambda: served.activity["in_flight"] == 0)
        with _half_read(served):
            pass
        eventually("nothing is in flight", lambda: served.activity["in_flight"] == 0)
        counts = served.activity["runs"]
        assert (counts["failed"], counts["refused"]) == (0, 0)
        assert '"error"' not in served.log.read_text()
