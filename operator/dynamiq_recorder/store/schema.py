"""The version of a store's tables: numbered files of SQL, each carried out once and whole."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from dynamiq_recorder.store.database import Connection, Database
from dynamiq_recorder.store.interface import WrongStore


class Migration(msgspec.Struct, frozen=True):
    version: int
    name: str
    statements: tuple[str, ...]


def migrations(dialect: str) -> list[Migration]:
    """Those of sqlite or postgres that come with this program, in order."""
    folder = resources.files("dynamiq_recorder.store.migrations").joinpath(dialect)
    found = [_read(file) for file in folder.iterdir() if file.name.endswith(".sql")]
    return sorted(found, key=lambda migration: migration.version)


def _read(file: Traversable) -> Migration:
    """A file's statements end in a semicolon at the end of a line; comments begin with two dashes."""
    text = "\n".join(line.split("--")[0].rstrip() for line in file.read_text("utf-8").splitlines())
    statements = (statement.strip() for statement in text.split(";\n"))
    return Migration(int(file.name[:4]), file.name, tuple(statement.rstrip(";") for statement in statements if statement))


def upgrade(database: Database, known: list[Migration]) -> int:
    """Brings the tables to the newest of `known`, in one transaction, and returns that version. Raises WrongStore where they are newer."""
    return database.transact(lambda connection: _upgrade(connection, known))


def _upgrade(connection: Connection, known: list[Migration]) -> int:
    connection.hold_schema()
    connection.do("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    lines = connection.all("SELECT max(version) FROM schema_version")
    version = int(lines[0][0] or 0)
    newest = known[-1].version
    if version > newest:
        raise WrongStore(f"the store has version {version} of its tables, and this recorder knows up to {newest}: run the newer one again")
    for migration in known:
        if migration.version > version:
            for statement in migration.statements:
                connection.do(statement)
            connection.do("INSERT INTO schema_version (version) VALUES (?)", (migration.version,))
    return newest
