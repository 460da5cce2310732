"""A store in trouble: killed, full, without its database, opened twice, older or newer than its tables."""

from __future__ import annotations

import os
import re
import resource
import signal
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from dynamiq_recorder.model import Filter
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.postgres import PostgresDatabase
from dynamiq_recorder.store.results import Unavailable, WrongStore
from dynamiq_recorder.store.schema import migrations
from dynamiq_recorder.store.sql_store import Store
from tests.support import postgres
from tests.support.history_stage import in_full
from tests.support.preloaded import Preloaded, preloaded
from tests.support.stored_runs import APP, a_row, a_run, answers, batch
from tests.support.waiting import eventually

KILLS = 8 if in_full() else 5
WRITER = "tests.unit.support.store_writer"


@pytest.fixture(scope="module")
def writers() -> Iterator[Preloaded]:
    """Yields a starter of processes that write."""
    with preloaded(sys.executable, [WRITER]) as made:
        yield made


def _killed_writer(writers: Preloaded, folder: Path, address: str, first: int, acknowledged: int) -> int:
    """Starts a process that writes runs from `first` on, and kills it after enough acknowledgements. Returns the last acknowledged run."""
    printed, errors = folder / "printed", folder / "errors"
    printed.unlink(missing_ok=True)
    process = writers.start(WRITER, address, str(first), environment=dict(os.environ), files=(Path(os.devnull), printed, errors))

    def last() -> int:
        return max([first - 1, *(int(line) for line in printed.read_text().split("\n")[:-1])]) if printed.exists() else 0

    eventually("it wrote", lambda: process.poll() is not None or last() >= first + acknowledged, every=0.01)
    assert process.poll() is None, errors.read_text()
    process.kill()
    process.wait()
    return last()


@pytest.mark.full_count
def test_a_writer_that_is_killed_loses_nothing_that_it_acknowledged_and_counts_nothing_twice(
    address: str, writers: Preloaded, tmp_path: Path
) -> None:
    first = 1
    for kill in range(KILLS):
        last = _killed_writer(writers, tmp_path, address, first, 20 + 17 * kill)
        assert last >= first
        first = max(1, last - 30)  # a sender that has no answer sends again

    store = opened(address)
    there = {run.seq for run in store.every(Filter(app_uid=APP), content=False)}
    before = answers(store, APP, ["row-1"])
    store.rebuild_rollups()
    again = answers(store, APP, ["row-1"])
    missing = store.wholeness(APP, ["pod-1"]).missing
    store.close()

    assert set(range(1, last + 1)) <= there
    assert again == before
    assert missing == 0


def test_a_second_recorder_on_one_file_is_refused_and_takes_over_after_the_first(tmp_path: Path) -> None:
    address = f"sqlite://{tmp_path}/runs.db"
    first = opened(address)
    first.write([batch(a_run())])

    with pytest.raises(WrongStore, match="used by another recorder"):
        opened(address)

    first.close()
    second = opened(address)
    assert second.page(Filter(app_uid=APP)).total == 1
    second.close()


def test_two_recorders_may_share_a_postgresql(server: postgres.Server) -> None:
    address = server.database()
    first, second = opened(address), opened(address)
    first.write([batch(a_run(1))])
    second.write([batch(a_run(1), a_run(2))])

    assert first.page(Filter(app_uid=APP)).total == second.page(Filter(app_uid=APP)).total == 2
    first.close()
    second.close()


def test_recorders_that_start_at_once_make_the_tables_once(server: postgres.Server) -> None:
    address = server.database()
    stores: list[Store] = []
    threads = [threading.Thread(target=lambda: stores.append(opened(address))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(stores) == 4
    for store in stores:
        store.close()


def test_a_file_or_address_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database, but long enough to be taken for one by its size" * 100)
    wrong = {
        f"sqlite://{tmp_path}/text.db": "cannot be opened",
        "sqlite:///proc/nowhere/runs.db": "cannot be opened",
        "mysql://somewhere": "a store must be sqlite",
    }
    for address, says in wrong.items():
        with pytest.raises(WrongStore, match=says):
            opened(address)


def test_a_database_that_is_away_is_not_wrong(server: postgres.Server) -> None:
    for address, says in (("postgresql://postgres@127.0.0.1:1/runs", "refused"), (server.address("nowhere"), '"nowhere" does not exist')):
        with pytest.raises(Unavailable, match=says):
            opened(address)


@pytest.fixture
def small_files() -> Iterator[None]:
    """Limits each file of this process to 2 MB, like a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, ignored)


def _fill(store: Store) -> int:
    """Writes until it fails, and returns the number of stored runs."""
    for number in range(10_000):
        try:
            store.write([batch(a_run(number, input=f'"{"x" * 20_000}"'))])
        except Unavailable:
            return number
    raise AssertionError("there is no end of this disk")


def test_a_full_disk_is_unavailable_loses_nothing_and_is_used_again_when_there_is_room(tmp_path: Path, small_files: None) -> None:
    store = opened(f"sqlite://{tmp_path}/runs.db")
    stored = _fill(store)
    assert stored > 10

    with pytest.raises(Unavailable):
        store.write([batch(a_run(20_000, input=f'"{"x" * 60_000}"'))])
    assert store.page(Filter(app_uid=APP)).total == stored  # it can still be read

    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    store.check()
    assert store.write([batch(a_run(20_000), a_run(0))]).new == 1
    before = answers(store, APP, ())
    store.rebuild_rollups()
    assert answers(store, APP, ()) == before
    assert store.page(Filter(app_uid=APP)).total == stored + 1
    store.close()


@pytest.fixture
def many_descriptors() -> Iterator[None]:
    """Makes every new descriptor larger than 1024, as with a thousand connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    held = [os.dup(0)]
    while held[-1] <= 1024:
        held.append(os.dup(0))
    yield
    for each in held:
        os.close(each)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_database_that_is_restarted_is_unavailable_and_used_again() -> None:
    with postgres.running() as server:
        store = opened(server.database())
        store.put_rows([a_row(1)])
        store.write([batch(a_run(1))])

        for kill in (False, True):
            server.stop(kill=kill)
            for ask in (lambda: store.write([batch(a_run(2))]), lambda: store.page(Filter(app_uid=APP)), store.check):
                with pytest.raises(Unavailable):
                    ask()
            server.start()
            eventually("the store is there again", lambda: _is_there(store))
            store.write([batch(a_run(2))])
            assert store.page(Filter(app_uid=APP)).total == 2
        store.close()


def _is_there(store: Store) -> bool:
    try:
        store.check()
    except Unavailable:
        return False
    return True


def test_connections_that_are_cut_are_made_again(server: postgres.Server) -> None:
    address = server.database()
    store = opened(address)
    store.write([batch(a_run(1))])
    store.page(Filter(app_uid=APP))
    with psycopg.connect(server.address(), autocommit=True) as raw:
        raw.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dynamiq-recorder'")

    eventually("the store is there again", lambda: _is_there(store))
    assert store.write([batch(a_run(2))]).new == 1
    assert store.page(Filter(app_uid=APP)).total == 2
    store.close()


def test_a_recorder_with_a_thousand_senders_reads_and_writes(address: str, many_descriptors: None) -> None:
    store = opened(address)
    store.write([batch(a_run(1))])
    assert store.page(Filter(app_uid=APP)).total == 1
    store.close()


def test_prepared_statements_of_a_connection_may_be_missing(server: postgres.Server) -> None:
    database = PostgresDatabase(server.database())
    store = Store(database, migrations("postgres"))
    for number in range(10):
        store.write([batch(a_run(number))])
    database.transact(lambda connection: connection.tell("DEALLOCATE ALL", [()]))

    assert store.write([batch(a_run(20))]).new == 1
    store.close()


def test_a_store_of_a_newer_version_is_refused_and_left_as_it_is(address: str) -> None:
    opened(address).close()
    if address.startswith("sqlite"):
        raw = sqlite3.connect(address.removeprefix("sqlite://"), isolation_level=None)
        raw.execute("INSERT INTO schema_version (version) VALUES (9999)")
        raw.close()
    else:
        with psycopg.connect(address) as connection:
            connection.execute("INSERT INTO schema_version (version) VALUES (9999)")

    for _ in range(2):
        with pytest.raises(WrongStore, match="has version 9999 of its tables"):
            opened(address)


def test_the_fullness_of_the_disk_and_the_size_of_the_store_are_known(address: str, store: Store) -> None:
    empty = store.bytes()
    store.write([batch(*(a_run(number, input=f'"{"abc" * 3_000}"') for number in range(300)))])

    assert store.bytes() > empty + 100_000
    fullness = store.fullness()
    if address.startswith("sqlite"):
        assert fullness is not None
        of_df = subprocess.run(["df", "--output=pcent", address.removeprefix("sqlite://")], capture_output=True, text=True, check=True)
        assert int(re.findall(r"(\d+)%", of_df.stdout)[0]) == pytest.approx(fullness * 100, abs=1.5)
    else:
        assert fullness is None
