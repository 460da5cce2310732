"""Opens the store that an address names."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from dynamiq_recorder.store.interface import Store, WrongStore
from dynamiq_recorder.store.postgres import PostgresDatabase
from dynamiq_recorder.store.schema import migrations
from dynamiq_recorder.store.sql_store import SqlStore
from dynamiq_recorder.store.sqlite import SqliteDatabase


def opened(address: str) -> Store:
    """sqlite:///var/lib/dynamiq/runs.db, or postgresql://user:password@host/name. Raises WrongStore and Unavailable."""
    scheme = urlsplit(address).scheme
    if scheme == "sqlite":
        return SqlStore(SqliteDatabase(Path(address.removeprefix("sqlite://"))), migrations("sqlite"))
    if scheme in ("postgresql", "postgres"):
        return SqlStore(PostgresDatabase(address), migrations("postgres"))
    raise WrongStore(f"a store is sqlite:///PATH or postgresql://…, and this is {scheme or 'neither'}")
