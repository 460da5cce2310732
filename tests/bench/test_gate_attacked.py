"""Measures calls through the gate while another tenant attacks it, against the same attack on a listener that does nothing.

The attack costs the machine the same in both, so the ratio shows the gate's part. The figure is p95 of calls in turn, and the median of
five such turns.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support import programs
from tests.support.gate_stage import HOST, GateStage
from tests.support.measured import MEASURED, kept
from tests.support.ports import free_port

TURNS, CALLS, WARM = 5, 300, 50
MOST = 1.5
ATTACKERS = 200
HEAD = b"GET / HTTP/1.1\r\nHost: a\r\n" + b"".join(b"X-%d: " % number + b"a" * 1000 + b"\r\n" for number in range(50))
PAUSE = 0.02
"""Seconds until an attacker repeats: a machine full of attackers would only measure itself."""

LISTENER = """
import asyncio, sys
async def serve():
    server = await asyncio.get_running_loop().create_server(asyncio.Protocol, sys.argv[1], int(sys.argv[2]), backlog=1024)
    await server.serve_forever()
asyncio.run(serve())
"""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[GateStage]:
    async with GateStage(tmp_path) as gates:
        yield gates


@asynccontextmanager
async def attacking(port: int) -> AsyncIterator[None]:
    """Sends unfinished heads, and opens silent connections, one after the other from each attacker."""

    async def one(number: int) -> None:
        while True:
            await asyncio.sleep(PAUSE * ATTACKERS / 10)
            try:
                _, writer = await asyncio.open_connection(HOST, port)
            except OSError:
                continue
            if number % 2:
                writer.write(HEAD)
            await asyncio.sleep(PAUSE)
            writer.transport.abort()

    tasks = [asyncio.create_task(one(number)) for number in range(ATTACKERS)]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def p95(stage: GateStage, port: int) -> float:
    """Returns milliseconds of a call, one after the other."""
    took = []
    for number in range(WARM + CALLS):
        began = time.perf_counter()
        async with stage.session.post(f"http://{HOST}:{port}/", data=b"{}") as answer:
            await answer.read()
            assert answer.status == 200
        if number >= WARM:
            took.append((time.perf_counter() - began) * 1000)
    return statistics.quantiles(took, n=20)[-1]


async def test_calls_beside_an_attack_at_the_gate_take_what_they_take_beside_one_elsewhere(stage: GateStage, tmp_path: Path) -> None:
    evil, chat = stage.asleep("evil", namespace="evil", holdSeconds=3600), stage.asleep()
    stage.serving("chat", await stage.pod())
    gate = await stage.process("--memory=268435456")
    dummy, ratios = free_port(), []
    command = [sys.executable, "-c", LISTENER, HOST, str(dummy)]
    with (
        programs.running(command, tmp_path / "listener.log", lambda: programs.listens(f"{HOST}:{dummy}")),
        kept(MEASURED / "gate-attacked.txt") as say,
    ):
        say(f"make bench: {ATTACKERS} attackers, p95 of {CALLS} calls in turns, at the gate and beside a listener that takes nothing in")
        say(f"load average {os.getloadavg()[0]:.1f} of {os.cpu_count()} cores: the gate's process has to find one free")
        for turn in range(TURNS):
            times = {}
            for name, port in [("gate", evil), ("elsewhere", dummy)][:: 1 if turn % 2 else -1]:
                async with attacking(port):
                    times[name] = await p95(stage, chat)
            ratios.append(times["gate"] / times["elsewhere"])
            say(f"  attacked {times['gate']:6.2f} ms, elsewhere {times['elsewhere']:6.2f} ms, ratio {ratios[-1]:.2f}")
        metrics = await asyncio.to_thread(gate.metrics)
        say(
            f"median of the ratios {statistics.median(ratios):.2f} (at most {MOST}); memory {metrics['process_resident_memory_bytes'] / (1 << 20):.0f} MiB"
        )
    assert statistics.median(ratios) <= MOST
