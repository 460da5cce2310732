"""Ten million runs in a store, a tenth of them with spans, and how long questions take: `python -m tests.bench.many_runs --runs 10000000`."""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import time
from collections.abc import Iterator

from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.sql_store import SqlStore
from tests.support import many_runs, postgres

SETTINGS = ("shared_buffers=1GB", "max_wal_size=8GB", "maintenance_work_mem=512MB", "synchronous_commit=on")


@contextlib.contextmanager
def _address(kind: str, folder: str | None) -> Iterator[str]:
    if kind == "sqlite":
        with tempfile.TemporaryDirectory(prefix="dynamiq-many-", dir="/var/tmp") as made:
            yield f"sqlite://{folder or made}/runs.db"
    else:
        with postgres.running(settings=SETTINGS) as server:
            yield server.database()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("kind", choices=["sqlite", "postgres"])
    parser.add_argument("--runs", type=int, default=1_000_000)
    parser.add_argument("--folder", help="of a SQLite store that stays, and is loaded where it is not there")
    given = parser.parse_args()
    with _address(given.kind, given.folder) as address:
        store = opened(address)
        assert isinstance(store, SqlStore)
        for app in many_runs.SHARES:
            store.put_rows(many_runs.rows(app))
        began = time.monotonic()
        if not store.figures(many_runs.uid("large"), ["large-1"])[0].sums.runs:
            loaded = store.load(many_runs.made(given.runs))
            took = time.monotonic() - began
            print(f"{loaded:,} runs loaded in {took:,.0f} s, {loaded / took:,.0f} a second; {store.bytes() / 1e9:.2f} GB", flush=True)
        answers = []
        for question in many_runs.questions(store, given.runs):
            answers.append(many_runs.answered(question))
            print(answers[-1], flush=True)
        store.close()
    return 0 if all(answer.is_in_time for answer in answers) else 1


if __name__ == "__main__":
    sys.exit(main())
