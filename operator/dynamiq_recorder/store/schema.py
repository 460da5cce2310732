"""Migrates a store's tables by numbered files of SQL, each executed once and as a whole. From the third on each has a downgrade."""

from __future__ import annotations

from importlib import resources
from importlib.resources.abc import Traversable

import msgspec

from dynamiq_recorder.store.database import Connection, Database
from dynamiq_recorder.store.deleting import one_of_each_id
from dynamiq_recorder.store.results import WrongStore

APP_AND_ID = 4
"""The version from which on several Apps may have runs of one id."""


class Migration(msgspec.Struct, frozen=True):
    version: int
    name: str
    statements: tuple[str, ...]
    back: tuple[str, ...] = ()
    """The statements of the downgrade, for a program that only knows older tables; empty if there is none."""


OLDEST = 2
"""The version of the first release's tables: no downgrade goes below it."""
_DOWN = ".down.sql"


def migrations(dialect: str, package: str = "dynamiq_recorder.store.migrations") -> list[Migration]:
    """Returns the migrations of sqlite or postgres that a package has, in order."""
    folder = resources.files(package).joinpath(dialect)
    files = {file.name: file for file in folder.iterdir() if file.name.endswith(".sql")}
    backwards = {name.removesuffix(_DOWN): _statements(file) for name, file in files.items() if name.endswith(_DOWN)}
    listed = [
        Migration(int(name[:4]), name, _statements(file), backwards.get(name.removesuffix(".sql"), ()))
        for name, file in files.items()
        if not name.endswith(_DOWN)
    ]
    return sorted(listed, key=lambda migration: migration.version)


def _statements(file: Traversable) -> tuple[str, ...]:
    """Parses a file. Its statements end in a semicolon at the end of a line; comments begin with two dashes."""
    text = "\n".join(line.split("--")[0].rstrip() for line in file.read_text("utf-8").splitlines())
    statements = (statement.strip() for statement in text.split(";\n"))
    return tuple(statement.rstrip(";") for statement in statements if statement)


def upgrade(database: Database, known: list[Migration]) -> int:
    """Migrates the tables to the newest of `known`, in one transaction. Returns that version.

    Raises WrongStore if they are newer.
    """
    with database.sorting():
        return database.transact(lambda connection: _upgrade(connection, known))


def _upgrade(connection: Connection, known: list[Migration]) -> int:
    version, newest = _version(connection, known), known[-1].version
    for migration in known:
        if migration.version > version:
            for statement in migration.statements:
                connection.do(statement)
            connection.do("INSERT INTO schema_version (version) VALUES (?)", (migration.version,))
    return newest


def take_back(database: Database, known: list[Migration], to: int) -> int:
    """Downgrades the tables to an older version, in one transaction. Returns how many runs were lost.

    Raises WrongStore if they are newer than `known` or older than `to`, or if there is no downgrade.
    """
    with database.sorting():
        return database.transact(lambda connection: _downgrade(database, connection, known, to))


def _downgrade(database: Database, connection: Connection, known: list[Migration], to: int) -> int:
    version = _version(connection, known)
    if to > version:
        raise WrongStore(f"the tables have version {version}, which is older than {to}")
    undone = [migration for migration in reversed(known) if to < migration.version <= version]
    if to < OLDEST or not all(migration.back for migration in undone):
        raise WrongStore(f"the tables cannot be converted back to version {to}: the oldest is {OLDEST}")
    lost = one_of_each_id(database, connection) if any(migration.version == APP_AND_ID for migration in undone) else 0
    for migration in undone:
        for statement in migration.back:
            connection.do(statement)
        connection.do("DELETE FROM schema_version WHERE version = ?", (migration.version,))
    return lost


def _version(connection: Connection, known: list[Migration]) -> int:
    """Returns the version of the tables, 0 if there are none. It locks the version until the end. Raises WrongStore if it is newer."""
    connection.hold_schema()
    connection.do("CREATE TABLE IF NOT EXISTS schema_version (version INTEGER NOT NULL)")
    version, newest = int(connection.all("SELECT max(version) FROM schema_version")[0][0] or 0), known[-1].version
    if version > newest:
        way = f"run the newer recorder again, or its command `tables-back --to {newest}`"
        raise WrongStore(f"the store has version {version} of its tables, and this recorder knows up to {newest}: {way}")
    return version
