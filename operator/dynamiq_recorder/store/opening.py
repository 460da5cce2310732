"""Opens the store that an address names, or downgrades its tables."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from dynamiq_recorder.store.database import Database
from dynamiq_recorder.store.postgres import PostgresDatabase
from dynamiq_recorder.store.results import WrongStore
from dynamiq_recorder.store.schema import Migration, migrations, take_back
from dynamiq_recorder.store.sql_store import Store
from dynamiq_recorder.store.sqlite import SqliteDatabase


def opened(address: str) -> Store:
    """Opens sqlite:///var/lib/dynamiq/runs.db, or postgresql://user:password@host/name.

    Raises WrongStore and Unavailable.
    """
    return Store(*_database(address))


def taken_back(address: str, to: int) -> int:
    """Downgrades a store's tables to an older version, while no recorder uses it. Returns how many runs were lost.

    Raises as `opened` does.
    """
    database, known = _database(address)
    try:
        return take_back(database, known, to)
    finally:
        database.close()


def _database(address: str) -> tuple[Database, list[Migration]]:
    scheme = urlsplit(address).scheme
    if scheme == "sqlite":
        return SqliteDatabase(Path(address.removeprefix("sqlite://"))), migrations("sqlite")
    if scheme in ("postgresql", "postgres"):
        return PostgresDatabase(address), migrations("postgres")
    raise WrongStore(f"a store must be sqlite:///PATH or postgresql://…, got {scheme or 'neither'}")
