"""How often the gate probes pods that are not ready: no App takes all its time for probes."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from time import monotonic

import pytest

from dynamiq_operator.gate.probing import PROBES_MOST
from tests.support.gate_stage import HOST, FakePod, GateStage, echo
from tests.support.ports import gate_port
from tests.support.waiting import eventually

QUESTIONS = 2000


class Starting:
    """Pods at every address of one port, none of which is ready. `asked`: probes by the first two parts of the address after 127."""

    def __init__(self, port: int) -> None:
        self.port, self.asked = port, Counter[str]()

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        self.asked[".".join(writer.get_extra_info("sockname")[0].split(".")[1:3])] += 1
        writer.write(b"HTTP/1.1 503 \r\n\r\n")
        writer.close()

    def pods(self, network: str, count: int) -> list[FakePod]:
        return [FakePod(f"127.{network}.{number % 250 + 1}", self.port, echo) for number in range(count)]


@pytest.fixture
async def starting() -> AsyncIterator[Starting]:
    made = Starting(gate_port())
    async with await asyncio.start_server(made.answer, "0.0.0.0", made.port, backlog=1024):
        yield made


async def test_pods_that_do_not_start_are_probed_at_a_limited_rate(stage: GateStage, starting: Starting) -> None:
    evil, chat = stage.asleep("evil", namespace="evil", holdSeconds=3600), stage.asleep("chat", holdSeconds=3600)
    stage.serving("evil", *starting.pods("1.0", 250), ready=False, namespace="evil")
    stage.serving("chat", *starting.pods("2.0", 1), ready=False)
    await stage.process()
    callers = [await asyncio.open_connection(HOST, port) for port in (evil, chat)]  # a stream that nobody holds is closed
    for _, writer in callers:
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    await asyncio.to_thread(eventually, "both are asked", lambda: len(starting.asked) == 2)
    began, before = monotonic(), starting.asked.copy()
    await asyncio.to_thread(eventually, "they were asked often", lambda: (starting.asked - before).total() >= QUESTIONS)
    assert monotonic() - began >= 0.5 * QUESTIONS / PROBES_MOST, "those that a machine at a stand answers later are told with the next ones"
    probes = starting.asked - before
    assert probes["2.0"] * 50 > probes["1.0"], "one pod of another namespace is asked as often as if there were no others"
