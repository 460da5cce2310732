"""A store of an older program is upgraded to today's tables, without loss."""

from __future__ import annotations

import re
from pathlib import Path

import msgspec
import pytest

from dynamiq_operator.model.runs import MetricsInterval, RunSource, RunStatus
from dynamiq_recorder.__main__ import main
from dynamiq_recorder.model import Filter, RunShape
from dynamiq_recorder.store import schema
from dynamiq_recorder.store.database import Cell, Connection, Database
from dynamiq_recorder.store.opening import opened, taken_back
from dynamiq_recorder.store.postgres import PostgresDatabase
from dynamiq_recorder.store.results import WrongStore
from dynamiq_recorder.store.sql_store import Store
from dynamiq_recorder.store.sqlite import SqliteDatabase
from tests.support.stored_runs import APP, HOUR, NOON, OTHER, a_run, batch
from tests.unit.support import first_store

ACCEPTED, SHAPES = 5, 6
"""The versions from which on background runs have their acceptance, and shapes of inputs are counted."""


def _dialect(address: str) -> str:
    return address.partition(":")[0].replace("postgresql", "postgres")


def _database(address: str) -> Database:
    return SqliteDatabase(Path(address.removeprefix("sqlite://"))) if address.startswith("sqlite") else PostgresDatabase(address)


@pytest.fixture
def first(address: str) -> str:
    """Returns the address of a store as the first program left it."""
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
    assert list(store.scores(APP, scored.id)) == held.scores
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


def test_figures_of_the_first_release_have_no_sketches_of_cost_until_they_are_rebuilt(first: str) -> None:
    store = opened(first)
    old = next(run for run in first_store.runs(store) if run.row_uid and not run.unpriced and run.status is RunStatus.SUCCEEDED)

    def sketched() -> tuple[int, int, int]:
        """Returns the runs in sketches of cost, the priced runs, and the runs in sketches of tokens minus those with tokens."""
        found = [each.sums for each in store.figures(APP, first_store.ROWS, nodes=True)]
        costs = sum(sum(each.cost_sketch.buckets.values()) for each in found)
        tokens = sum(sum(each.token_sketch.buckets.values()) - each.with_tokens for each in found)
        return costs, sum(each.priced for each in found), tokens

    none, priced, _ = sketched()
    same_line = msgspec.structs.replace(old, id=a_run(6_000).id, instance=None, seq=None, spans=())
    another = msgspec.structs.replace(same_line, id=a_run(6_001).id, started_at=old.started_at + 40 * HOUR)

    assert (none, priced > 0) == (0, True)
    assert store.write([batch(same_line, another)]).new == 2
    assert sketched()[:2] == (1, priced + 2)
    assert store.delete_run(APP, old.id)
    assert sketched()[:2] == (1, priced + 1)
    store.rebuild_rollups()
    assert sketched() == (priced + 1, priced + 1, 0)
    store.close()


def _later(address: str, *statements: str) -> list[schema.Migration]:
    known = schema.migrations(_dialect(address))
    return [*known, schema.Migration(known[-1].version + 1, "later.sql", statements)]


def test_a_migration_is_carried_out_once(first: str) -> None:
    later = _later(first, "CREATE TABLE more (key INTEGER)", "INSERT INTO more (key) SELECT key FROM runs")
    for _ in range(2):
        store = Store(_database(first), later)
        assert store.version == later[-1].version
        assert first_store.runs(store) == first_store.held().runs
        store.close()

    database = _database(first)
    with database.reading() as connection:
        assert connection.all("SELECT count(*) FROM more")[0][0] == len(first_store.held().runs)
    database.close()
    with pytest.raises(WrongStore, match="run the newer recorder again"):
        opened(first)


def test_a_migration_that_fails_changes_nothing(first: str) -> None:
    with pytest.raises(Exception, match="nowhere"):
        Store(_database(first), _later(first, "CREATE TABLE more (key INTEGER)", "INSERT INTO nowhere (key) SELECT key FROM runs"))

    store = opened(first)
    assert first_store.runs(store) == first_store.held().runs
    store.close()
    database = _database(first)

    def create(connection: Connection) -> None:
        connection.do("CREATE TABLE more (key INTEGER)")

    database.transact(create)
    database.close()


_TABLES = {
    "sqlite": (
        'SELECT m.name, c.name, c.type, c."notnull", c.dflt_value, c.pk FROM sqlite_master m JOIN pragma_table_info(m.name) c '
        "WHERE m.type = 'table' ORDER BY m.name, c.cid",
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' ORDER BY name",
    ),
    "postgres": (
        "SELECT table_name, column_name, data_type, is_nullable, column_default FROM information_schema.columns "
        "WHERE table_schema = 'public' ORDER BY table_name, ordinal_position",
        "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' ORDER BY indexname",
    ),
}


def _tables(address: str) -> list[list[Cell]]:
    """Returns the tables and indexes, with their definitions."""
    database = _database(address)
    with database.reading() as connection:
        found = connection.ask([(question, ()) for question in _TABLES[_dialect(address)]])
    database.close()
    return found


def test_an_older_recorder_continues_with_downgraded_tables(
    first: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The older recorder has everything except runs whose id another App shares. Deleted runs stay deleted."""
    older = schema.migrations(_dialect(first))[: schema.OLDEST]
    database = _database(first)
    schema.upgrade(database, older)
    database.close()
    before = _tables(first)
    held = first_store.held().runs
    store = opened(first)
    theirs = msgspec.structs.replace(held[0], app_uid="new-app", app="new", source=RunSource.SDK)
    assert store.write([batch(theirs, a_run(5_000))]).new == 2
    assert store.delete_run(APP, a_run(5_000).id)
    assert store.write([batch(a_run(5_000, app_uid="new-app", app="new"))]).new == 1
    assert store.delete_run("new-app", a_run(5_000).id)
    store.close()
    with pytest.raises(WrongStore, match="tables-back --to 2"):
        Store(_database(first), older)

    for to, code, lost in (("1", 1, None), ("2", 0, 1), ("2", 0, 0), ("3", 1, None)):
        monkeypatch.setattr("sys.argv", ["dynamiq_recorder", "tables-back", "--store", first, "--to", to])
        assert main() == code
        assert lost is None or f"{lost} runs were deleted" in capsys.readouterr().out

    assert _tables(first) == before
    database = _database(first)
    schema.upgrade(database, older)
    with database.reading() as connection:
        assert connection.all("SELECT count(*) FROM deleted") == [(1,)]
        assert connection.all("SELECT count(*) FROM runs") == [(len(held),)]
    database.close()
    store = opened(first)
    assert first_store.runs(store) == held
    assert store.metrics("new-app", 0, 1 << 60, MetricsInterval.DAY, None) == ()
    assert store.write([batch(a_run(5_000))]).new == 0
    store.close()


def test_a_background_run_is_an_ordinary_one_to_an_older_recorder(address: str) -> None:
    """It then began where its busy time does, and the newer recorder has no other times of it either."""
    known = schema.migrations(_dialect(address))
    older = [migration for migration in known if migration.version < ACCEPTED]
    database = _database(address)
    schema.upgrade(database, older)
    database.close()
    before = _tables(address)
    store = opened(address)
    background = a_run(1, started_at=NOON, accepted_at=NOON - 72 * HOUR)
    assert store.write([batch(background)]).new == 1
    assert store.run(APP, background.id, content=True) == background
    store.close()

    assert taken_back(address, ACCEPTED - 1) == 0

    assert _tables(address) == before
    store = opened(address)
    assert store.run(APP, background.id, content=True) == msgspec.structs.replace(background, accepted_at=None)
    store.close()


def test_an_older_recorder_goes_on_without_shapes_and_a_newer_one_counts_from_then_on(address: str) -> None:
    older = [migration for migration in schema.migrations(_dialect(address)) if migration.version < SHAPES]
    database = _database(address)
    schema.upgrade(database, older)
    database.close()
    before = _tables(address)
    runs = [a_run(number, shape=RunShape(key="web", fields=(("question", "string"),))) for number in range(3)]
    store = opened(address)
    assert store.write([batch(runs[0])]).new == 1
    store.close()

    assert taken_back(address, SHAPES - 1) == 0

    assert _tables(address) == before
    store = Store(_database(address), older)
    assert store.page(Filter(app_uid=APP)).total == 1
    store.close()
    store = opened(address)
    assert store.write([batch(*runs)]).new == 2
    found = store.shapes(APP, 0, ["question"])
    assert (found.recorded, [each.runs for each in found.callers]) == (3, [2])
    store.close()


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_background_runs_cost_no_change_of_a_large_table(dialect: str) -> None:
    (migration,) = (each for each in schema.migrations(dialect) if each.version == ACCEPTED)
    assert all(
        re.match(r"(CREATE TABLE|CREATE INDEX \w+ ON|DROP TABLE) accepted\b", each) for each in (*migration.statements, *migration.back)
    )


def test_every_migration_after_the_first_release_has_a_downgrade() -> None:
    known = [*schema.migrations("sqlite"), *schema.migrations("postgres")]
    assert all(migration.back for migration in known if migration.version > schema.OLDEST)


def test_migrations_are_numbered_without_a_gap_and_both_databases_have_the_same() -> None:
    sqlite, postgres = schema.migrations("sqlite"), schema.migrations("postgres")

    assert [migration.version for migration in sqlite] == list(range(1, len(sqlite) + 1))
    assert [migration.name for migration in sqlite] == [migration.name for migration in postgres]
    assert all(migration.statements for migration in (*sqlite, *postgres))
