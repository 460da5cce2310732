"""Measures how fast stores accept runs, against the raw insert of the same lines: `python -m tests.bench.store_ingest`, some minutes.

Raw: the lines of runs and spans, in batches of one durable transaction each, into tables of the same columns with only their primary keys.
It uses `executemany` on SQLite, and COPY on PostgreSQL. The store does more in the same transaction: it finds ids, and writes indexes,
labels, instances, attribution, and rollups (minute, hour, node). Both run in turn, several times; the medians of the rates and of their
ratios count.
"""

from __future__ import annotations

import argparse
import itertools
import random
import statistics
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from dynamiq_operator.model.runs import CostSource, RunStatus
from dynamiq_recorder.model import Batch, Instance, Run, Span, Tokens
from dynamiq_recorder.store.columns import RUN_COLUMNS, SPAN_COLUMNS, Gathered, add_lines
from dynamiq_recorder.store.database import Connection, Database, Lines
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.postgres import PostgresDatabase
from dynamiq_recorder.store.sql_store import Store
from dynamiq_recorder.store.sqlite import SqliteDatabase
from tests.support import postgres
from tests.support.stored_runs import APP, NOON, a_row, a_run

NODES = 5
SIZES = (10, 200)
RECORDERS = 3
ROUNDS = 5


def runs(count: int, chance: random.Random, instance: str) -> list[Run]:
    """Returns runs as an agent's pod sends them: five nodes, two of them models, at a hundred a second."""
    drawn_runs = []
    for number in range(count):
        started = NOON + number * 10_000
        spans = tuple(_span(chance, n, started) for n in range(NODES))
        run = a_run(
            id=str(uuid.UUID(int=chance.getrandbits(128))),
            started_at=started,
            duration=int(chance.lognormvariate(12, 0.5)),
            status=RunStatus.FAILED if chance.random() < 0.03 else RunStatus.SUCCEEDED,
            trace_id=f"{chance.getrandbits(128):032x}",
            session_id=f"session-{number // 6}",
            user_id=f"user-{chance.randrange(2_000)}",
            tags=("eu",) if chance.random() < 0.1 else (),
            workflow_hash=f"sha256:{0:064x}",
            tokens=Tokens(input=900, output=120, cache_read=400),
            cost=chance.randrange(10**7),
            models=("gpt-4o",),
            model_calls=2,
            instance=instance,
            seq=number + 1,
            spans=spans,
            node_count=NODES,
        )
        drawn_runs.append(run)
    return drawn_runs


def _span(chance: random.Random, n: int, started: int) -> Span:
    is_model = n in (2, 3)
    return Span(
        span_id=f"{chance.getrandbits(64):016x}",
        node_id=f"node-{n}",
        name=f"Node {n}",
        started_at=started + n * 1_000,
        duration=int(chance.lognormvariate(11, 0.5)),
        type="dynamiq.nodes.llms.OpenAI" if is_model else "dynamiq.nodes.tools.HttpApiCall",
        model="gpt-4o" if is_model else None,
        provider="openai" if is_model else None,
        is_model=is_model,
        tokens=Tokens(input=450, output=60, cache_read=200) if is_model else Tokens(),
        cost=chance.randrange(10**7) if is_model else None,
        cost_source=CostSource.REPORTED if is_model else None,
    )


def batches(all_runs: Sequence[Run], size: int) -> list[Batch]:
    pieces = []
    for start in range(0, len(all_runs), size):
        part = all_runs[start : start + size]
        instance = Instance(
            id=str(part[0].instance),
            app_uid=APP,
            pod_uid="pod-1",
            last_seq=part[-1].seq or 0,
            dropped=0,
            ended=False,
            at=part[-1].started_at,
        )
        pieces.append(Batch(runs=tuple(part), instances=(instance,)))
    return pieces


_TEXT = (
    *("status", "source", "reason", "trigger_name", "session_id", "user_id", "tags", "models", "pins", "workflow_version", "workflow_hash"),
    *("trace_id", "span_id", "parent_id", "node_id", "name", "type", "model", "provider", "error_type", "cost_source"),
)


class Raw:
    """The raw insert into a separate database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        kinds = {"id": "uuid" if isinstance(database, PostgresDatabase) else "BLOB"} | dict.fromkeys(_TEXT, "text")

        def create(on: Connection) -> None:
            for table, names, key in (("runs", RUN_COLUMNS, "id"), ("spans", SPAN_COLUMNS, "run_key, span_id")):
                columns = ", ".join(f"{name} {kinds.get(name, 'bigint')}" for name in names)
                on.do(f"CREATE TABLE {table} ({columns}, PRIMARY KEY ({key}))")

        database.transact(create)

    def lines(self, all_batches: Sequence[Batch]) -> list[Gathered]:
        keys = itertools.count(1)
        gathered = []
        for each in all_batches:
            lines = Gathered()
            for run in each.runs:
                add_lines(lines, run, next(keys), 1, 1, 1, self._database.id_in(run.id))
            gathered.append(lines)
        return gathered

    def write(self, lines: Gathered) -> None:
        def work(on: Connection) -> None:
            on.insert([Lines("runs", RUN_COLUMNS, lines.runs), Lines("spans", SPAN_COLUMNS, lines.spans)])

        self._database.transact(work)


def timed(work: Callable[[], None]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def raw_rate(database: Database, all_batches: Sequence[Batch]) -> float:
    """Returns runs a second; the lines are made before."""
    raw = Raw(database)
    lines = raw.lines(all_batches)

    def work() -> None:
        for each in lines:
            raw.write(each)

    took = timed(work)
    database.close()
    return sum(len(each.runs) for each in all_batches) / took


def store_rate(stores: Sequence[Store], parts: Sequence[Sequence[Batch]]) -> float:
    """Returns runs a second of all stores together, each with its own part."""
    stores[0].put_rows([a_row(1, pins=a_run().pins, began=0, ended=1)])

    def write(store: Store, part: Sequence[Batch]) -> None:
        for each in part:
            store.write([each])

    def work() -> None:
        threads = [threading.Thread(target=write, args=each) for each in zip(stores, parts, strict=True)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    took = timed(work)
    for store in stores:
        store.close()
    return sum(len(each.runs) for part in parts for each in part) / took


def measured(name: str, size: int, count: int, addresses: Iterator[str], recorders: int) -> str:
    chance = random.Random(size)  # noqa: S311
    raws, rates = [], []
    for _ in range(ROUNDS):
        parts = [batches(runs(count // recorders, chance, f"instance-{number}"), size) for number in range(recorders)]
        address = next(addresses)
        database: Database = PostgresDatabase(address) if name != "SQLite" else SqliteDatabase(Path(address.removeprefix("sqlite://")))
        raws.append(raw_rate(database, [each for part in parts for each in part]))
        address = next(addresses)
        rates.append(store_rate([opened(address) for _ in range(recorders)], parts))
    raw, rate = statistics.median(raws), statistics.median(rates)
    part = statistics.median(rate / raw for raw, rate in zip(raws, rates, strict=True))
    beside = f", {recorders} recorders" if recorders > 1 else ""
    return f"{name}{beside}, batches of {size}: raw {raw:,.0f} runs/s, store {rate:,.0f} runs/s, {part:.2f} of raw"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=6_000, help="runs of each measurement")
    parser.add_argument("--only", choices=["sqlite", "postgres"])
    options = parser.parse_args()
    print(f"Durable runs of {NODES} nodes, median of {ROUNDS} rounds by turns, {options.runs} runs each; one App, one row:", flush=True)
    if options.only != "postgres":
        with tempfile.TemporaryDirectory(prefix="dynamiq-bench-", dir="/var/tmp") as folder:
            files = (f"sqlite://{folder}/{number}/runs.db" for number in range(1000))
            for size in SIZES:
                print(measured("SQLite", size, options.runs, files, 1), flush=True)
    if options.only != "sqlite":
        with postgres.running(settings=("synchronous_commit=on", "shared_buffers=512MB", "max_wal_size=4GB")) as server:
            databases = (server.database() for _ in range(1000))
            for recorders in (1, RECORDERS):
                for size in SIZES:
                    print(measured("PostgreSQL", size, options.runs, databases, recorders), flush=True)


if __name__ == "__main__":
    main()
