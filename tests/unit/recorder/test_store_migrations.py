"""A store that an earlier program made is brought to today's tables with all that it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from dynamiq_recorder.model import Filter
from dynamiq_recorder.store import schema
from dynamiq_recorder.store.database import Connection, Database
from dynamiq_recorder.store.interface import WrongStore
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.postgres import PostgresDatabase
from dynamiq_recorder.store.sql_store import SqlStore
from dynamiq_recorder.store.sqlite import SqliteDatabase
from tests.support.stored_runs import APP, OTHER, a_run, batch
from tests.unit.support import first_store


def _dialect(address: str) -> str:
    return address.partition(":")[0].replace("postgresql", "postgres")


def _database(address: str) -> Database:
    return SqliteDatabase(Path(address.removeprefix("sqlite://"))) if address.startswith("sqlite") else PostgresDatabase(address)


@pytest.fixture
def first(address: str) -> str:
    """The address of a store as the first program left it."""
    database = _database(address)
    schema.upgrade(database, schema.migrations(_dialect(address))[:1])
    first_store.put_into(database, first_store.held().tables)
    database.close()
    return address


def test_a_store_of_the_first_version_has_all_that_it_had(first: str) -> None:
    held = first_store.held()
    store = opened(first)

    assert first_store.runs(store) == held.runs
    assert first_store.said(store) == held.said
    (scored,) = store.page(Filter(app_uid=APP, error="keyerror: 'a'")).runs
    assert list(store.scores(scored.id)) == held.scores
    ended = store.wholeness(APP)
    assert (ended.instances, ended.missing, ended.cut_off) == (1, 3, 0)
    store.close()


def test_and_goes_on(first: str) -> None:
    store = opened(first)
    before = store.page(Filter(app_uid=APP)).total
    old = first_store.held().runs[0]

    assert store.write([batch(a_run(5_000, instance="i-1", seq=9), a_run(5_001, app_uid="new-app", app="new"), old)]).new == 2

    assert store.page(Filter(app_uid=APP)).total == before + 1
    store.rebuild_rollups()
    assert first_store.said(store)[OTHER] == first_store.held().said[OTHER]
    assert store.delete(Filter(app_uid=APP)) == before + 1
    store.close()


def _later(address: str, *statements: str) -> list[schema.Migration]:
    known = schema.migrations(_dialect(address))
    return [*known, schema.Migration(known[-1].version + 1, "later.sql", statements)]


def test_a_migration_is_carried_out_once(first: str) -> None:
    later = _later(first, "CREATE TABLE more (key INTEGER)", "INSERT INTO more (key) SELECT key FROM runs")
    for _ in range(2):
        store = SqlStore(_database(first), later)
        assert store.version == later[-1].version
        assert first_store.runs(store) == first_store.held().runs
        store.close()

    database = _database(first)
    with database.reading() as connection:
        assert connection.all("SELECT count(*) FROM more")[0][0] == len(first_store.held().runs)
    database.close()
    with pytest.raises(WrongStore, match="run the newer one again"):
        opened(first)


def test_a_migration_that_fails_changes_nothing(first: str) -> None:
    with pytest.raises(Exception, match="nowhere"):
        SqlStore(_database(first), _later(first, "CREATE TABLE more (key INTEGER)", "INSERT INTO nowhere (key) SELECT key FROM runs"))

    store = opened(first)
    assert first_store.runs(store) == first_store.held().runs
    store.close()
    database = _database(first)

    def create(connection: Connection) -> None:
        connection.do("CREATE TABLE more (key INTEGER)")

    database.transact(create)
    database.close()


def test_migrations_are_numbered_without_a_gap_and_both_databases_have_the_same() -> None:
    sqlite, postgres = schema.migrations("sqlite"), schema.migrations("postgres")

    assert [migration.version for migration in sqlite] == list(range(1, len(sqlite) + 1))
    assert [migration.name for migration in sqlite] == [migration.name for migration in postgres]
    assert all(migration.statements for migration in (*sqlite, *postgres))
