"""Measures pages of a long archive, on each store: `python -m tests.bench.archive_pages`, with 1,000,000 rows of one App some minutes.

Rows are as the operator sends them, without the recorder's digests, which its HTTP side checks. Pages have 25 and 500 rows: the first, the
next one, one in the middle, and the last. It also reads the newest keys, and the live row at a time.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from dynamiq_recorder.model import MICROSECONDS, ArchivedRow
from dynamiq_recorder.store.database import pieces
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.sql_store import Store
from tests.support import postgres
from tests.support.archived_rows import ENDED, for_store, history
from tests.support.stored_runs import APP

TOGETHER = 500
ROUNDS = 9


def rows(count: int) -> Iterator[ArchivedRow]:
    """Yields rows of one App, each as long as a real one."""
    (template,) = for_store(history(1))
    for number in range(1, count + 1):
        yield msgspec.structs.replace(
            template,
            uid=f"00000000-0000-4000-8000-{number:012x}",
            name=f"chat-{number:x}",
            sequence=number,
            digest=f"sha256:{number:064x}",
            outcome_digest=f"sha256:{number + (1 << 200):064x}",
            ended=ENDED + number * MICROSECONDS,
        )


def fill(store: Store, count: int) -> float:
    """Returns the seconds of filling a store."""
    began = time.perf_counter()
    all_rows = rows(count)
    for part in pieces(range(count), TOGETHER):
        done = store.archive([next(all_rows) for _ in part], {})
        assert len(done.taken) == len(part)
    return time.perf_counter() - began


def milliseconds(ask: Callable[[], object]) -> tuple[float, float]:
    """Returns the median and the maximum of some rounds."""
    took = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        ask()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), max(took)


def measure(store: Store, count: int) -> None:
    for limit in (25, 500):
        cursor = store.archived(APP, limit=limit).cursor
        requests: dict[str, Callable[[], object]] = {
            "first": lambda limit=limit: store.archived(APP, limit=limit),  # type: ignore[misc]
            "second, by cursor": lambda limit=limit, cursor=cursor: store.archived(APP, limit=limit, cursor=cursor),  # type: ignore[misc]
            "in the middle": lambda limit=limit: store.archived(APP, limit=limit, offset=count // 2),  # type: ignore[misc]
            "last": lambda limit=limit: store.archived(APP, limit=limit, offset=count - limit),  # type: ignore[misc]
        }
        for title, ask in requests.items():
            print(f"  {limit:3} rows, {title:18} {'{:7.1f} ms, at most {:.1f}'.format(*milliseconds(ask))}", flush=True)
    middle = ENDED + count // 2 * MICROSECONDS
    print("  keys of the newest 50       {:7.1f} ms, at most {:.1f}".format(*milliseconds(lambda: store.archived_keys(APP, count - 49))))
    print("  what was live at a time     {:7.1f} ms, at most {:.1f}".format(*milliseconds(lambda: store.archived_around(APP, middle))))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--store", choices=("sqlite", "postgres"), help="one of them (default: both)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, postgres.running() as server:
        for name, address in (("sqlite", f"sqlite://{Path(folder)}/runs.db"), ("postgres", server.database())):
            if options.store in (None, name):
                store = opened(address)
                seconds = fill(store, options.rows)
                print(f"{name}: {options.rows:,} rows in {seconds:.0f} s, {store.bytes() >> 20:,} MiB", flush=True)
                measure(store, options.rows)
                store.close()


if __name__ == "__main__":
    main()
