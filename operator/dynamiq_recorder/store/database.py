"""Defines what a database does for a store: connections of one transaction each, in one dialect of SQL with `?` for parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import msgspec

Cell = tuple[Any, ...]
"""A line of a table, as a driver returns and accepts it."""
T = TypeVar("T")
Question = tuple[str, Sequence[object]]
"""SQL and its parameters."""


class Wanted(msgspec.Struct, frozen=True):
    """A selection of a table's lines by their keys. `columns` begin with the key's."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    keys: Sequence[Cell]


class Lines(msgspec.Struct, frozen=True):
    """Lines for a table."""

    table: str
    columns: tuple[str, ...]
    lines: Sequence[Cell]


NOTE = "INSERT INTO notes (name, value) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET value = excluded.value"
"""SQL that sets a note, whose value is a whole number."""
MANY = 500
"""Most values in one list of a statement, and lines in one piece of work."""


class Connection(Protocol):
    """One transaction. `again`: True if another one was in its way before, so that it should be alone."""

    again: bool
    looked_up: str
    """SQL after a list of keys `i`: it joins runs r, each by its key, however many the database expects."""
    locking: str
    """SQL after a SELECT whose lines are about to be changed."""
    skipping: str
    """The same, which leaves out lines that another transaction is changing."""
    weighed: bool
    """True if the store counts the bytes of each App's runs, since it knows how full its disk is."""
    fence: str
    """SQL at the end of a subquery that must be evaluated for each line, by its index."""

    def ask(self, questions: Sequence[Question]) -> list[list[Cell]]:
        """Returns the lines of each question, in order, with one wait for all."""
        ...

    def all(self, sql: str, parameters: Sequence[object] = ()) -> list[Cell]: ...

    def do(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Executes a statement. Returns how many lines changed."""
        ...

    def tell(self, sql: str, lines: Sequence[Sequence[object]]) -> None:
        """Executes a statement for each line of parameters, before the next question or the end; `insert` and `put` are as late."""
        ...

    def insert(self, parts: Sequence[Lines]) -> None:
        """Inserts new lines, in bulk. A line that exists fails the transaction, or restarts it if another one inserted the line meanwhile."""
        ...

    def take(self, table: str, key: tuple[str, ...], keys: Sequence[Cell]) -> None:
        """Deletes the lines of these keys, by an index that begins with the key."""
        ...

    def put(self, parts: Sequence[tuple[Lines, tuple[str, ...]]]) -> None:
        """Writes lines, each in place of one of the same key. Each part has the columns of its key."""
        ...

    def rollups(self, apps: Sequence[int], selections: Sequence[Wanted]) -> list[list[Cell]]:
        """Returns the lines of these keys, after a lock as of `hold_rollups`."""
        ...

    def within(self, column: str, values: Sequence[object]) -> tuple[str, list[object]]:
        """Returns a condition with its parameters: the column has one of these values (at most MANY)."""
        ...

    def contains(self, column: str) -> str:
        """Returns a condition: the column's text contains the parameter."""
        ...

    def by(self, index: str) -> str:
        """Returns SQL after the name of a table, by which it is read by this index; empty if the database chooses itself."""
        ...

    def new_keys(self, count: int) -> Question:
        """Returns the question whose lines `keys_of` takes."""
        ...

    def keys_of(self, lines: Sequence[Cell], count: int) -> Sequence[int]:
        """Returns keys for `count` new runs, ascending."""
        ...

    def holds(self, name: str) -> bool:
        """Prevents others from holding a name until the end. Returns False, without a wait, if another one has it."""
        ...

    def hold_schema(self) -> None:
        """Prevents others from changing tables until the end."""
        ...

    def rows_held(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> list[Question]:
        """Returns questions that lock as hold_rows does."""
        ...

    def hold_rows(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> None:
        """Prevents others from putting rows of Apps of these namespaces and names until the end; `alone`: also from changing their runs.

        It comes before hold_rollups.
        """
        ...

    def hold_rollups(self, apps: Sequence[int]) -> None:
        """Prevents others from writing rollups of these Apps until the end."""
        ...


class Database(Protocol):
    """A store's database. Every method may raise Unavailable."""

    def reading(self) -> AbstractContextManager[Connection]:
        """Returns a connection that reads the state at its begin."""
        ...

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Executes the work in a transaction, and again if another one was in its way. The work changes nothing else, therefore."""
        ...

    def id_in(self, run_id: str) -> object:
        """Returns a run's id as the column has it.

        Raises ValueError if it is no UUID.
        """
        ...

    def id_out(self, value: Any) -> str: ...

    def deleted(self) -> None:
        """Overwrites what was deleted and gives space back, as far as this database does it itself."""
        ...

    def scrub(self) -> None:
        """Rewrites what may have copies of text that a person deleted in its gaps. It takes long in a large store."""
        ...

    def sorting(self) -> AbstractContextManager[None]:
        """Returns a context in which indexes of large tables are created, in transactions of this thread."""
        ...

    def loading(self) -> AbstractContextManager[None]:
        """Returns a context in which much is written to a store without other users."""
        ...

    def bytes(self) -> int: ...

    def fullness(self) -> float | None: ...

    def close(self) -> None: ...


def pieces(values: Sequence[T], size: int = MANY) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
