"""Measures what shapes of inputs cost: on a run, on the recorder's way from a body to the commit, and on its disk. No cluster.

Both sides of a comparison run in turn, so that the machine's other work affects both.
"""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import os
import random
import sqlite3
import statistics
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import orjson
import psycopg
import pytest

from dynamiq_recorder.ingest import otlp, spans
from dynamiq_recorder.model import RunShape
from dynamiq_recorder.pricing import Prices
from dynamiq_recorder.store.opening import opened
from tests.bench.test_recorder import EACH, NODES, SENDER
from tests.bench.test_runtime import BODY, NAP, bare
from tests.support import postgres
from tests.support.cluster import REPOSITORY
from tests.support.measured import MEASURED, Say, kept
from tests.support.otlp_runs import a_run, request
from tests.support.runtime import ECHO, OPERATOR, listening
from tests.support.stored_runs import APP, NOON, batch
from tests.support.stored_runs import a_run as a_stored_run
from tests.support.waiting import eventually

LOG = MEASURED / "shapes.txt"
CALLS, WARM = 40, 5
RATIO_MOST = 1.01
CALLERS, FIELDS, TIMES = 1_000, 8, 20
BYTES_MOST = 2_000_000
NAMES = [f"field_name_{number}" for number in range(16)]
COUNTING = msgspec.structs.replace(SENDER, counts_shapes=True)


@pytest.fixture(scope="module")
def say() -> Iterator[Say]:
    with kept(LOG) as printer:
        yield printer


@pytest.fixture(scope="module")
def server() -> Iterator[postgres.Server]:
    with postgres.running() as running:
        yield running


class Caller:
    """Sends calls with eight fields over one kept connection."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)

    def __call__(self, number: int) -> float:
        """Returns seconds until the last byte of the answer."""
        given = dict.fromkeys(NAMES[:FIELDS], number)
        began = time.perf_counter()
        self._connection.request("POST", "/", json.dumps({"input": given}), BODY)
        response = self._connection.getresponse()
        body = response.read()
        took = time.perf_counter() - began
        assert (response.status, json.loads(body)) == (200, {"result": given})
        return took


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("what", "flow", "rounds"), [("20 ms", NAP, 10), ("no time", ECHO, 120)], ids=["20 ms", "no time"])
def test_shapes_add_nothing_to_a_run(tmp_path: Path, say: Say, what: str, flow: str, rounds: int) -> None:
    """Three servers a side are called in turn, forty calls at a time. Two of one side show the accuracy.

    Equal servers differ by more than the limit if a run takes no time: it holds for the other runs alone.
    """
    sides = ("dynamiq_runtime", "tests.bench.shapeless") * 3
    took: list[list[float]] = [[] for _ in sides]
    with contextlib.ExitStack() as stack:
        recorder = stack.enter_context(bare(sys.executable, "recorder", "0"))
        assert recorder.stdout is not None
        own = {"DYNAMIQ_RECORDER": f"http://127.0.0.1:{int(recorder.stdout.readline())}", "PYTHONPATH": f"{OPERATOR}:{REPOSITORY}"}
        callers = []
        for place, module in enumerate(sides):
            (folder := tmp_path / str(place)).mkdir()
            served = stack.enter_context(listening(folder, flow, python=sys.executable, module=module, **own))
            eventually("it serves", lambda served=served: '"serving"' in served.log.read_text())  # type: ignore[misc]
            callers.append(Caller(served.port))
        for _ in range(rounds):
            for side in random.sample(range(len(sides)), len(sides)):
                took[side] += [callers[side](number) for number in range(CALLS)][WARM:]
    of_ours, of_theirs = (list(itertools.chain(*took[side::2])) for side in (0, 1))
    ours, theirs = statistics.median(of_ours), statistics.median(of_theirs)
    apart = statistics.median(took[1]) / statistics.median(took[3])
    say(
        f"a run of {what} with {FIELDS} fields, {len(of_ours)} of each, load {os.getloadavg()[0]:.1f}: p50 {ours * 1e6:,.0f} µs "
        f"with shapes, {theirs * 1e6:,.0f} without, ratio {ours / theirs:.4f}; of two equal servers {apart:.4f}"
    )
    assert flow == ECHO or ours / theirs <= RATIO_MOST


def _bodies(*, shaped: bool, count: int) -> list[bytes]:
    shape: dict[str, Any] = (
        {"dynamiq__key": "web", "dynamiq__run__shape": json.dumps(dict.fromkeys(NAMES[:FIELDS], "string"))} if shaped else {}
    )
    return [
        orjson.dumps(
            request(*(a_run(seq=seq, nodes=NODES, session__id=f"s-{seq % 50}", **shape) for seq in range(EACH)), instance=str(uuid.uuid4()))
        )
        for _ in range(count)
    ]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_what_shapes_cost_the_recorder(kind: str, tmp_path: Path, say: Say, request: pytest.FixtureRequest) -> None:
    """One thread reads bodies of 200 runs, makes runs of them, and commits each: with shapes and without, in turn."""
    stores = [
        opened(f"sqlite://{tmp_path}/{side}.db" if kind == "sqlite" else request.getfixturevalue("server").database()) for side in range(2)
    ]
    rounds = 40
    bodies = [_bodies(shaped=shaped, count=rounds) for shaped in (True, False)]
    seconds: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds):
        for side in (0, 1) if number % 2 else (1, 0):
            began = time.perf_counter()
            parsed = otlp.parse(spans.from_json(bodies[side][number]), COUNTING, Prices(), time.time_ns() // 1000)
            assert stores[side].write([parsed.batch]).new == EACH
            seconds[side].append(time.perf_counter() - began)
    for store in stores:
        store.close()
    ours, theirs = map(statistics.median, seconds)
    say(
        f"{kind}, one thread, from a body of {EACH} runs to its commit: {EACH / ours:,.0f} runs/s with shapes, {EACH / theirs:,.0f} without, ratio {ours / theirs:.3f}"
    )


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_a_day_of_a_thousand_callers_takes_little_disk(kind: str, tmp_path: Path, say: Say, request: pytest.FixtureRequest) -> None:
    """Each calls twenty times, with eight of sixteen fields, in commits of 500 runs as they come."""
    chance = random.Random(3)  # noqa: S311
    fields = [tuple((name, "string") for name in sorted(chance.sample(NAMES, FIELDS))) for _ in range(CALLERS)]
    calls = [caller for caller in range(CALLERS) for _ in range(TIMES)]
    chance.shuffle(calls)
    shapes = [RunShape(key=f"access-key-{caller}", fields=fields[caller]) for caller in calls]
    took = {}
    for shaped in (True, False):
        address = f"sqlite://{tmp_path}/{shaped}.db" if kind == "sqlite" else request.getfixturevalue("server").database()
        store = opened(address)
        began = time.perf_counter()
        for place in range(0, len(calls), 500):
            some = (
                a_stored_run(place + number, started_at=NOON, shape=shape if shaped else None)
                for number, shape in enumerate(shapes[place : place + 500])
            )
            store.write([batch(*some)])
        seconds = time.perf_counter() - began
        count = len(store.shapes(APP, 0, ()).callers)
        store.close()
        took[shaped] = (_bytes(address), seconds, count)
    (ours, slower, count), (theirs, faster, _) = took[True], took[False]
    say(
        f"{kind}, a day of {count} callers with {FIELDS} fields each: {(ours - theirs) / 1e6:.2f} MB; {len(calls)} runs were stored in "
        f"{slower:.1f} s, and without shapes in {faster:.1f} s"
    )
    assert (count, ours - theirs <= BYTES_MOST) == (CALLERS, True)


def _bytes(address: str) -> int:
    """Returns the bytes of a store; of PostgreSQL, those of the table and its index after a vacuum that gives space back."""
    if address.startswith("sqlite"):
        with contextlib.closing(sqlite3.connect(address.removeprefix("sqlite://"))) as file:
            pages, free, size = (file.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "freelist_count", "page_size"))
            return int((pages - free) * size)
    with psycopg.connect(address, autocommit=True) as raw:
        raw.execute("VACUUM FULL run_shapes")
        line = raw.execute("SELECT pg_total_relation_size('run_shapes')").fetchone()
        assert line is not None
        return int(line[0])
