"""Measures the runtime's overhead: on a bare handler with the tiny engine, on the SDK's `run_sync`, and of recording on a run. No cluster.

Both sides run at the same time and are called in turn, so that the machine's other work affects both.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
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
from tests.support.flows import a_flow
from tests.support.runtime import ECHO, OPERATOR, Served, serving

LOG = REPOSITORY / "docs" / "measured" / "runtime.txt"
SDK = REPOSITORY / ".venv-sdk" / "bin" / "python"
WARM, PAIRS = 100, 1000
ADDED_MOST = 3.0
CONCURRENT, RUNS, ROUNDS = 50, 200, 5
THROUGHPUT_LEAST = 0.5
BODY = {"Content-Type": "application/json"}
NAP = a_flow("import time\ndef run(d):\n    time.sleep(0.02)\n    return d\n")
ECHOED, NAPPED = 4000, 500
SLOW_ANSWER = 5  # seconds
P50_RATIO, P95_RATIO = 1.02, 1.05
P50_ADDED, P95_ADDED = 30e-6, 0.3e-3  # seconds
AT_REST, WHEN_FULL = 8.0, 40.0  # MiB
FILLING, FULL = 8, 10_500


@contextmanager
def bare(python: str, kind: str, flow: Path | str) -> Iterator[subprocess.Popen[str]]:
    """Runs one side of a comparison."""
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
    """Sends calls over one kept connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def __call__(self, number: int) -> float:
        """Returns seconds until the last byte of a correct answer."""
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
def test_the_runtime_adds_little_to_a_bare_handler(tmp_path: Path) -> None:
    with serving(tmp_path, ECHO, python=sys.executable) as served, bare(sys.executable, "http", tmp_path / "flow") as plain:
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
    client_state = local()

    def call(number: int) -> None:
        if not hasattr(client_state, "caller"):
            client_state.caller = Caller(served.port)
        client_state.caller(number)

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
    ratio = statistics.median(rate / bare_rate for rate, bare_rate in rounds)
    _write(
        f"engine sdk, {CONCURRENT} callers, beside run_sync in a bare loop, {ROUNDS} rounds of {RUNS} runs in turn: "
        f"{ours:.1f} runs/s, bare {theirs:.1f} runs/s, ratio {ratio:.2f} (median of the rounds')"
    )
    assert ratio > THROUGHPUT_LEAST


def _recorder(state: str) -> contextlib.AbstractContextManager[str]:
    return _down() if state == "down" else _up(SLOW_ANSWER if state == "slow" else 0)


@contextmanager
def _up(seconds: float) -> Iterator[str]:
    with bare(sys.executable, "recorder", str(seconds)) as process:
        yield f"http://127.0.0.1:{int(_line(process))}"


@contextmanager
def _down() -> Iterator[str]:
    """Yields a URL with a port on which no server listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{bound.getsockname()[1]}"


@contextmanager
def _both(folder: Path, flow: str, url: str, **variables: str) -> Iterator[tuple[Served, Served]]:
    """Runs two servers of one flow: one that records, and one that does not."""
    (folder / "plain").mkdir()
    with serving(folder, flow, DYNAMIQ_RECORDER=url, **variables) as recorded, serving(folder / "plain", flow) as plain:
        yield recorded, plain


def _in_turn(recorded: Served, plain: Served, pairs: int) -> tuple[list[float], list[float]]:
    """Returns the sorted seconds of both, called in turn; their order alternates. A failed run is an error."""
    sides = Caller(recorded.port), Caller(plain.port)
    took: tuple[list[float], list[float]] = ([], [])
    for number in range(-WARM, pairs):
        for side in (0, 1) if number % 2 else (1, 0):
            seconds = sides[side](number)
            if number >= 0:
                took[side].append(seconds)
    return sorted(took[0]), sorted(took[1])


def _at(ordered: list[float], share: float) -> float:
    return ordered[int(share * (len(ordered) - 1))]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("state", ["up", "slow", "down"])
def test_recording_adds_little_to_a_run(tmp_path: Path, state: str) -> None:
    with _recorder(state) as url, _both(tmp_path, NAP, url) as sides:
        ours, theirs = _in_turn(*sides, NAPPED)
    p50, p95 = (_at(ours, share) / _at(theirs, share) for share in (0.5, 0.95))
    _write(
        f"recording, recorder {state}, a run of 20 ms, {NAPPED} pairs, load {os.getloadavg()[0]:.1f}: "
        f"p50 {_at(ours, 0.5) * 1000:.2f} ms, ratio {p50:.3f}; p95 {_at(ours, 0.95) * 1000:.2f} ms, ratio {p95:.3f}; failed 0"
    )
    assert (p50 < P50_RATIO, p95 < P95_RATIO) == (True, True)


@pytest.mark.timeout(900)
@pytest.mark.parametrize("state", ["up", "slow", "down"])
def test_recording_adds_little_to_a_run_that_takes_no_time(tmp_path: Path, state: str) -> None:
    with _recorder(state) as url, _both(tmp_path, ECHO, url) as sides:
        ours, theirs = _in_turn(*sides, ECHOED)
    p50, p95 = (_at(ours, share) - _at(theirs, share) for share in (0.5, 0.95))
    _write(
        f"recording, recorder {state}, a run of no time, {ECHOED} pairs, load {os.getloadavg()[0]:.1f}: "
        f"p50 {_at(ours, 0.5) * 1e6:.0f} µs, added {p50 * 1e6:.0f} µs; p95 {_at(ours, 0.95) * 1e6:.0f} µs, added {p95 * 1e6:.0f} µs; failed 0"
    )
    assert (p50 < P50_ADDED, p95 < P95_ADDED) == (True, True)


@pytest.mark.timeout(900)
def test_two_equal_servers_show_the_accuracy(tmp_path: Path) -> None:
    """Shows the accuracy of the figures above on this machine, now."""
    with _both(tmp_path, ECHO, "") as sides:
        ours, theirs = _in_turn(*sides, ECHOED)
    p50, p95 = (_at(ours, share) - _at(theirs, share) for share in (0.5, 0.95))
    _write(
        f"recording, none in either, a run of no time, {ECHOED} pairs, load {os.getloadavg()[0]:.1f}: "
        f"p50 apart {p50 * 1e6:.0f} µs; p95 apart {p95 * 1e6:.0f} µs"
    )


@pytest.mark.timeout(900)
def test_recording_inputs_and_outputs_has_a_figure_of_its_own(tmp_path: Path) -> None:
    """It has no limit: recording content is an option of an App, and its cost depends on the content."""
    redact = {"fields": ["password"], "patterns": [r"\b\d{4}[ -]?\d{4}[ -]?\d{4}[ -]?\d{4}\b", r"[\w.+-]{1,31}@[\w-]{1,31}\.[a-z]{2,10}"]}
    runs = json.dumps({"content": True, "redact": redact})
    with _up(0) as url, _both(tmp_path, ECHO, url, DYNAMIQ_RUNS=runs) as sides:
        ours, theirs = _in_turn(*sides, ECHOED)
    p50, p95 = (_at(ours, share) - _at(theirs, share) for share in (0.5, 0.95))
    _write(
        f"recording with content and two patterns, a run of no time, {ECHOED} pairs, load {os.getloadavg()[0]:.1f}: "
        f"p50 added {p50 * 1e6:.0f} µs; p95 added {p95 * 1e6:.0f} µs; failed 0"
    )


@pytest.mark.timeout(900)
def test_recording_takes_little_memory(tmp_path: Path) -> None:
    with _down() as url, _both(tmp_path, ECHO, url) as sides:
        for served in sides:
            _fill(served, WARM)
        at_rest = _mebibytes(sides[0]) - _mebibytes(sides[1])
        for served in sides:
            _fill(served, FULL)
        assert sides[0].metric("dynamiq_runtime_records_dropped_total") > 0
        full = _mebibytes(sides[0]) - _mebibytes(sides[1])
    _write(f"recording takes {at_rest:.1f} MiB at rest, and {full:.1f} MiB with 10,000 runs that no recorder takes")
    assert (at_rest < AT_REST, full < WHEN_FULL) == (True, True)


def _fill(served: Served, runs: int) -> None:
    """Makes so many runs, each with all headers of callers, a few at once."""
    headers = {"X-Dynamiq-Session-Id": "a" * 36, "X-Dynamiq-User-Id": "ann", "X-Dynamiq-Tags": "blue,green", "X-Dynamiq-Trigger": "nightly"}

    def call(numbers: range) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=300)
        for number in numbers:
            connection.request("POST", "/", json.dumps({"input": {"n": number}}), {**BODY, **headers})
            response = connection.getresponse()
            assert (response.status, len(response.read()) > 0) == (200, True)

    with ThreadPoolExecutor(FILLING) as pool:
        list(pool.map(call, [range(part, runs, FILLING) for part in range(FILLING)]))


def _mebibytes(served: Served) -> float:
    """Returns resident memory."""
    lines = Path(f"/proc/{served.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS")) / 1024
