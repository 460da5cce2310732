"""Measures runs through the recorder, from HTTP to the commit, and by its stages: the rate, the time until the acknowledgement, and the
memory.

The recorder and each sender are separate processes. Senders have prepared and compressed bodies, like pods: one request at a time, with 200
runs of five nodes. The API server is scripted, since tokens and pods are checked once.
"""

from __future__ import annotations

import gzip
import http.client
import multiprocessing
import os
import statistics
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from dynamiq_recorder.identity.senders import Sender
from dynamiq_recorder.ingest import otlp, spans
from dynamiq_recorder.model import Batch
from dynamiq_recorder.pricing import Prices
from dynamiq_recorder.store.opening import opened
from tests.support import postgres
from tests.support.measured import MEASURED, Say, kept
from tests.support.otlp_runs import a_run, request
from tests.support.recorder_process import as_process
from tests.support.recorder_stage import APP_UID, HOST, NAMESPACE, PINS, POD_TOKEN, RecorderStage

LOG = MEASURED / "recorder.txt"
EACH, NODES = 200, 5
SENDERS, REQUESTS = 4, int(os.environ.get("REQUESTS", "25"))
LEAST = 1_500
"""Runs a second, from HTTP to the commit, on the two cores that the senders use, too."""
MEMORY_MOST = 200 * 1024 * 1024
SENDER = Sender(app_uid=APP_UID, namespace=NAMESPACE, app="chat", pod_uid="pod-uid-1", pins=PINS)


def a_body(instance: str, first: int) -> bytes:
    runs = (a_run(seq=seq, nodes=NODES, session__id=f"s-{seq % 50}") for seq in range(first, first + EACH))
    return orjson.dumps(request(*runs, instance=instance))


def send(port: int, bodies: list[bytes], into: Any) -> None:
    """Sends like one pod: each request after the acknowledgement of the previous one."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    headers = {"Authorization": f"Bearer {POD_TOKEN}", "Content-Type": "application/json", "Content-Encoding": "gzip"}
    took = []
    for body in bodies:
        began = time.perf_counter()
        while True:
            connection.request("POST", "/v1/traces", body, headers)
            answer = connection.getresponse()
            content = answer.read()
            if answer.status == 200:
                break
            assert answer.status in (429, 503), content
            time.sleep(0.05)
        took.append(time.perf_counter() - began)
    into.put(took)


@pytest.fixture(scope="module")
def say() -> Iterator[Say]:
    with kept(LOG) as printer:
        yield printer


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.running() as running:
        yield running


@pytest.fixture(params=["sqlite", "postgres"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite://{tmp_path}/runs.db"
    running: postgres.Server = request.getfixturevalue("server")
    return running.database()


def test_from_http_to_the_commit(address: str, tmp_path: Path, say: Say) -> None:
    bodies = [
        [gzip.compress(a_body(instance, 1 + EACH * number), 1) for number in range(REQUESTS)]
        for instance in (str(uuid.uuid4()) for _ in range(SENDERS))
    ]
    with RecorderStage(tmp_path) as stage, as_process(stage, address) as process:
        warm = [gzip.compress(a_body(str(uuid.uuid4()), 1), 1)]
        _all_at_once(stage.port, [warm])
        began = time.perf_counter()
        took = _all_at_once(stage.port, bodies)
        seconds = time.perf_counter() - began
        memory = _peak(process.pid)
        metrics = stage.metrics()
        commits = metrics["dynamiq_recorder_commit_duration_seconds_count"]
        stored = metrics["dynamiq_recorder_runs_stored_total"] - EACH
    rate = SENDERS * REQUESTS * EACH / seconds
    kind = address.partition(":")[0]
    acks = statistics.quantiles(took, n=20)
    say(
        f"{kind}: {rate:,.0f} runs/s of {NODES} nodes, {SENDERS} senders of {EACH} runs a request; acknowledged after p50 "
        f"{statistics.median(took) * 1000:.0f} ms, p95 {acks[-1] * 1000:.0f} ms; {commits:.0f} commits; most memory {memory / 2**20:.0f} MiB",
    )
    assert stored == SENDERS * REQUESTS * EACH
    assert rate >= LEAST
    assert memory <= MEMORY_MOST


def test_ingestion_is_timed_by_stages(address: str, say: Say) -> None:
    """One thread reads a body, makes runs of it, and commits 500 runs to the store; each stage is timed."""
    raw = [a_body(str(uuid.uuid4()), 1) for _ in range(20)]
    prices, now = Prices(), time.time_ns() // 1000
    began = time.perf_counter()
    groups = [spans.from_json(each) for each in raw]
    read = time.perf_counter()
    batches: list[Batch] = [otlp.parse(each, SENDER, prices, now).batch for each in groups]
    converted_at = time.perf_counter()
    store = opened(address)
    written = time.perf_counter()
    for place in range(0, len(batches), 2):
        store.write(batches[place : place + 2])
    stored = time.perf_counter()
    store.close()
    count = len(raw) * EACH
    kind = address.partition(":")[0]
    say(
        f"{kind}, one thread: JSON {count / (read - began):,.0f} runs/s ({len(raw[0]) / EACH:,.0f} bytes each), "
        f"runs of it {count / (converted_at - read):,.0f}/s, store {count / (stored - written):,.0f}/s",
    )


def _all_at_once(port: int, bodies: list[list[bytes]]) -> list[float]:
    """Returns the seconds of each request."""
    queue: Any = multiprocessing.Queue()
    senders = [multiprocessing.Process(target=send, args=(port, each, queue)) for each in bodies]
    for each in senders:
        each.start()
    took = [seconds for _ in senders for seconds in queue.get(timeout=300)]
    for each in senders:
        each.join()
    return took


def _peak(pid: int) -> int:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024
