"""Measures migrations of a large store to today's version and back: `python -m tests.bench.store_migrations`, with 1,000,000 runs some
minutes.

The store is filled, migrated back to the tables of the first release, and opened again; both are timed. An upgraded recorder is not ready
while that lasts, and pods keep their runs.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

from dynamiq_recorder.model import Batch
from dynamiq_recorder.store.opening import opened, taken_back
from dynamiq_recorder.store.schema import OLDEST
from tests.support import postgres
from tests.support.stored_runs import NOON, a_run, batch

TOGETHER = 2_000


def pieces(count: int) -> Iterator[list[Batch]]:
    """Yields runs without nodes, which no migration changes, with random ids."""
    chance = random.Random(1)  # noqa: S311
    for start in range(0, count, TOGETHER):
        numbers = range(start, min(start + TOGETHER, count))
        runs = (
            a_run(id=str(uuid.UUID(int=chance.getrandbits(128))), started_at=NOON + number * 1_000, user_id=f"user-{number % 2_000}")
            for number in numbers
        )
        yield [batch(*runs)]


def measure(name: str, address: str, count: int) -> None:
    store = opened(address)
    assert store.load(pieces(count)) == count
    size = store.bytes() >> 20
    store.close()
    began = time.perf_counter()
    taken_back(address, OLDEST)
    back = time.perf_counter() - began
    began = time.perf_counter()
    store = opened(address)
    took = time.perf_counter() - began
    store.close()
    print(f"{name}: {count:,} runs, {size:,} MiB: upgraded in {took:.1f} s, taken back in {back:.1f} s", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1_000_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres.running(settings=()) as server:
        for name, address in (("sqlite", f"sqlite://{Path(folder)}/runs.db"), ("postgres", server.database())):
            measure(name, address, options.runs)


if __name__ == "__main__":
    main()
