"""Measures what the Runs API costs at an App's hostname: a plain call beside that of the version before it, and a long stream. No cluster.

Both sides of a comparison run at the same time and are called in turn, so that the machine's other work affects both.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.bench.test_runtime import BODY, Caller
from tests.soak.support.upgrades import older
from tests.support.cluster import REPOSITORY
from tests.support.runtime import DEADLINE, ECHO, OPERATOR, Served, events_in, listening, serving
from tests.support.waiting import eventually

BEFORE = "2908bd23"
"""The last commit whose hostname read only `input` and `stream`."""
WARM, PAIRS = 500, 4000
RATIO_MOST = 1.02
EVENTS, BYTES = 10_000, 1000
MORE_MOST = 16.0  # MiB
TAKEN = 64 << 10  # bytes that the slow reader takes at a time
PAUSE = 0.01  # seconds between them


@pytest.mark.timeout(900)
def test_a_call_takes_as_long_as_before(tmp_path: Path) -> None:
    before = older(BEFORE, tmp_path).folder / "operator"
    sides = [tmp_path / name for name in ("now", "before")]
    for side in sides:
        side.mkdir()
    with (
        serving(sides[0], ECHO, python=sys.executable) as now,
        serving(sides[1], ECHO, python=sys.executable, PYTHONPATH=str(before)) as then,
    ):
        ours, theirs = Caller(now.port), Caller(then.port)
        for number in range(WARM):
            ours(number), theirs(number)
        pairs = [(ours(number), theirs(number)) for number in range(PAIRS)]
    new, old = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"\nPOST /, {PAIRS} pairs, load {os.getloadavg()[0]:.1f}: p50 {new * 1000:.3f} ms, before {old * 1000:.3f} ms, ratio {new / old:.3f}"
    )
    assert new / old <= RATIO_MOST


@pytest.mark.timeout(900)
@pytest.mark.parametrize("path", ["/", "/v1/runs"])
def test_a_slow_reader_of_a_long_stream_gets_it_in_order_and_costs_little_memory(tmp_path: Path, path: str) -> None:
    settings = {"PYTHONPATH": f"{OPERATOR}:{REPOSITORY}"}
    with listening(tmp_path, ECHO, python=sys.executable, module="tests.bench.emitting", **settings) as served:
        eventually("it serves", lambda: served.request("GET", "/readyz").status == 200, DEADLINE)
        _streamed(served, path, 100, 0.0)
        before = _most_memory(served)
        events = _streamed(served, path, EVENTS, PAUSE)
        more = _most_memory(served) - before
    if path == "/":
        words = [data["data"]["choices"][0]["delta"]["content"] for name, data in events if name == "chunk"]
    else:
        words = [data["data"]["delta"] for name, data in events if name == "agent.response.delta"]
        assert [data["sequence"] for _, data in events] == list(range(1, len(events) + 1))
    assert [int(word.split()[0]) for word in words] == list(range(EVENTS))
    print(f"\na stream of {EVENTS} events of {BYTES} bytes at {path} to a slow reader: {more:.1f} MiB more, in order, none doubled")
    assert more <= MORE_MOST


def _streamed(served: Served, path: str, chunks: int, pause: float) -> list[tuple[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=300)
    connection.request("POST", path, json.dumps({"input": {"chunks": chunks, "bytes": BYTES}, "stream": True}), BODY)
    response, text = connection.getresponse(), bytearray()
    while part := response.read(TAKEN):
        text += part
        time.sleep(pause)
    connection.close()
    return events_in(text.decode())


def _most_memory(served: Served) -> float:
    """Returns the most memory that the server has had, in MiB."""
    status = Path(f"/proc/{served.process.pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1024
