"""A gate in its own process, and a tenant who attacks it in every way at once: no other tenant's call is lost or refused.

Its memory is a quarter of the manifests' limit, and the attack is smaller by the same factor.
"""

from __future__ import annotations

import asyncio
import resource
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from dynamiq_operator.serving.limits import RUNS_MAX
from tests.support.gate_stage import HOST, GateStage

MEMORY = 256 << 20
EVIL = "evil"
KIB = b"X-%d: " + b"a" * 1000 + b"\r\n"
FEW = b"X-%d: " + b"a" * 4000 + b"\r\n"
HEADERS = b"".join(KIB % number for number in range(55))
CALL = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1048576\r\n\r\n"
RUNS = b"POST /v1/traces HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer right\r\nContent-Length: %d\r\n\r\n" % RUNS_MAX
FILES = 8192


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    """Raises the limit of open files to the number of the attack's connections."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(before[0], min(FILES, before[1])), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


class Attack:
    """Connections to one port, each of which sends something and waits."""

    def __init__(self) -> None:
        self._writers: list[asyncio.StreamWriter] = []

    async def begin(self, port: int, sent: bytes, count: int) -> None:
        for _ in range(count):
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                continue
            writer.write(sent)
            self._writers.append(writer)

    def end(self) -> None:
        for writer in self._writers:
            writer.transport.abort()


@asynccontextmanager
async def attacked() -> AsyncIterator[Attack]:
    attack = Attack()
    try:
        yield attack
    finally:
        attack.end()


async def statuses(stage: GateStage, port: int, count: int, path: str = "/") -> Counter[object]:
    """Returns the statuses of `count` calls of a tenant, ten at a time."""
    slots = asyncio.Semaphore(10)

    async def one() -> object:
        async with slots:
            try:
                async with stage.session.post(
                    f"http://{HOST}:{port}{path}", data=b"{}", headers={"Authorization": "Bearer right"}
                ) as answer:
                    await answer.read()
                    return answer.status
            except OSError as error:
                return repr(error)

    return Counter(await asyncio.gather(*(one() for _ in range(count))))


async def test_no_tenant_costs_another_one_a_call_or_the_gate_more_memory_than_it_has(stage: GateStage) -> None:
    never = [stage.asleep(f"never-{number}", namespace=EVIL, holdSeconds=3600) for number in range(5)]
    for number in range(5):
        stage.wakeable(f"never-{number}", namespace=EVIL)
    awake, sleeps = stage.asleep("awake"), stage.asleep("sleeps")
    pod, woken = await stage.pod(2), await stage.pod(3)
    stage.serving("awake", pod)
    stage.on_wake = lambda sent: stage.serving("sleeps", woken) if "/sleeps/" in sent.path else None
    stage.wakeable("sleeps")
    gate = await stage.process(f"--memory={MEMORY}", "--calls-most=1000", "--held-most=200")
    async with attacked() as attack:
        beside = asyncio.create_task(statuses(stage, awake, 300))
        for port in never:
            await attack.begin(port, CALL + b"\r\n" + (CALL + HEADERS + b"\r\n") * 2, 180)
            await attack.begin(port, POST + b"x" * (1 << 18), 20)
            await attack.begin(port, CALL + HEADERS, 200)
        assert await beside == {200: 300}
        assert await statuses(stage, sleeps, 20) == {200: 20}
        metrics = await asyncio.to_thread(gate.metrics)
    held = sum(value for name, value in metrics.items() if name.startswith("dynamiq_gate_held") and EVIL in name)
    assert 300 < held <= 500, "the attack goes on, with half of all calls"
    assert metrics["process_resident_memory_bytes"] < MEMORY


async def test_one_access_key_takes_nothing_that_other_senders_of_runs_need(stage: GateStage, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("of-the-gate")
    evil, chat = stage.asleep("evil", namespace=EVIL, private=True), stage.asleep(private=True)
    stage.keys("evil", "right", namespace=EVIL)
    stage.keys("chat", "right")
    recorder = await stage.pod(9)
    await stage.process(f"--recorder=http://{recorder.address}:{recorder.port}", f"--recorder-token-file={token}", f"--memory={MEMORY}")
    async with attacked() as attack:
        await attack.begin(evil, RUNS + b" " * (RUNS_MAX // 2), 16)
        await attack.begin(evil, RUNS + b" ", 100)
        assert await statuses(stage, chat, 100, "/v1/traces") == {200: 100}
    assert {call.headers["X-Dynamiq-App-Id"] for call in recorder.calls} == {"uid-of-chat"}


async def test_ports_that_everybody_reaches_take_no_memory_that_calls_need(stage: GateStage) -> None:
    pod = await stage.pod(2)
    chat = stage.asleep()
    stage.serving("chat", pod)
    gate = await stage.process(f"--memory={MEMORY}")
    async with attacked() as attack:
        for port in (stage.metrics_port, stage.health_port):
            await attack.begin(port, b"GET /metrics HTTP/1.1\r\nHost: a\r\n" + b"".join(FEW % number for number in range(30)), 600)
        metrics = await asyncio.to_thread(gate.metrics)
        assert await statuses(stage, chat, 20) == {200: 20}
        assert await stage.is_ready()
    assert metrics["process_resident_memory_bytes"] < MEMORY
