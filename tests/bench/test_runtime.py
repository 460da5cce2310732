"""What the runtime adds: to a bare handler with the tiny engine, and to the SDK's own `run_sync` with that engine. No cluster.

Both sides run at the same time and are asked in turn, so that what else the machine does is in both.
"""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import local

import pytest

from tests.support.cluster import REPOSITORY
from tests.support.runtime import ECHO, OPERATOR, serving

LOG = REPOSITORY / "docs" / "measured" / "runtime.txt"
SDK = REPOSITORY / ".venv-sdk" / "bin" / "python"
WARM, PAIRS = 100, 1000
ADDED_MOST = 3.0
CONCURRENT, RUNS, ROUNDS = 50, 200, 5
THROUGHPUT_LEAST = 0.5
BODY = {"Content-Type": "application/json"}


@contextmanager
def bare(python: str, kind: str, flow: Path) -> Iterator[subprocess.Popen[str]]:
    """One side of a comparison, started and ended."""
    command = [python, "-W", "ignore", "-m", "tests.bench.bare", kind, str(flow)]
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": f"{OPERATOR}:{REPOSITORY}", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    process = subprocess.Popen(command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


class Caller:
    """One kept connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def __call__(self, number: int) -> float:
        """Seconds until the last byte of a right answer."""
        began = time.perf_counter()
        self._connection.request("POST", "/", json.dumps({"input": {"n": number}}), BODY)
        response = self._connection.getresponse()
        body = response.read()
        took = time.perf_counter() - began
        assert (response.status, json.loads(body)) == (200, {"result": {"n": number}})
        return took


def _write(text: str) -> None:
    print("\n" + text)
    with LOG.open("a") as log:
        log.write(text + "\n")


@pytest.mark.timeout(600)
def test_what_the_runtime_adds_to_a_bare_handler(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO) as served, bare(sys.executable, "http", tmp_path / "flow") as plain:
        ours, theirs = Caller(served.port), Caller(int(_line(plain)))
        for number in range(WARM):
            ours(number), theirs(number)
        pairs = [(ours(number), theirs(number)) for number in range(PAIRS)]
    added, beside = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = added / beside
    _write(
        f"tiny engine beside a bare aiohttp handler that runs the same flow, {PAIRS} pairs, one caller: "
        f"p50 {added * 1000:.2f} ms, bare {beside * 1000:.2f} ms, added {(added - beside) * 1000:.2f} ms, ratio {ratio:.2f}"
    )
    assert ratio < ADDED_MOST


@pytest.mark.timeout(1800)
def test_throughput_of_the_sdk_beside_a_bare_loop(tmp_path: Path) -> None:
    assert SDK.exists(), "there is no .venv-sdk: `make bench` makes it"
    limits = {"DYNAMIQ_ENGINE": "sdk", "DYNAMIQ_MAX_CONCURRENT_RUNS": str(CONCURRENT)}
    kept = local()

    def call(number: int) -> None:
        if not hasattr(kept, "caller"):
            kept.caller = Caller(served.port)
        kept.caller(number)

    with (
        serving(tmp_path, ECHO, python=str(SDK), **limits) as served,
        bare(str(SDK), "loop", tmp_path / "flow") as plain,
        ThreadPoolExecutor(CONCURRENT) as pool,
    ):
        assert _line(plain) == "ready\n"
        rounds = []
        for turn in range(ROUNDS + 1):  # the first one warms both
            began = time.monotonic()
            list(pool.map(call, range(RUNS)))
            ours = RUNS / (time.monotonic() - began)
            assert plain.stdin is not None
            print(RUNS, file=plain.stdin, flush=True)
            theirs = RUNS / float(_line(plain))
            if turn:
                rounds.append((ours, theirs))
    ours, theirs = (statistics.median(side) for side in zip(*rounds, strict=True))
    ratio = statistics.median(here / there for here, there in rounds)
    _write(
        f"engine sdk, {CONCURRENT} callers, beside run_sync in a bare loop, {ROUNDS} rounds of {RUNS} runs in turn: "
        f"{ours:.1f} runs/s, bare {theirs:.1f} runs/s, ratio {ratio:.2f} (median of the rounds')"
    )
    assert ratio > THROUGHPUT_LEAST
