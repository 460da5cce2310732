"""What a database has to do for a store: connections of one transaction each, in one dialect of SQL with `?` for parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import msgspec

Cell = tuple[Any, ...]
"""A line of a table, as a driver gives and takes it."""
T = TypeVar("T")
Question = tuple[str, Sequence[object]]
"""SQL and its parameters."""


class Wanted(msgspec.Struct, frozen=True):
    """Lines of a table by their keys. `columns` begin with the key's."""

    table: str
    key: tuple[str, ...]
    columns: tuple[str, ...]
    keys: Sequence[Cell]


class Lines(msgspec.Struct, frozen=True):
    """Lines for a table."""

    table: str
    columns: tuple[str, ...]
    lines: Sequence[Cell]


MANY = 500
"""Values in one list of a statement, and lines in one piece of work."""


class Connection(Protocol):
    """One transaction. `again`: whether another one was in its way before, so that it had better be alone."""

    again: bool
    looked_up: str
    """After a list of keys `i`: JOIN runs r, each by its key, whatever the database thinks of how many there are."""
    locking: str
    """What follows a SELECT whose lines are about to be changed."""
    weighed: bool
    """Set where the store counts what the runs of each App take, since it knows how full its disk is."""
    fence: str
    """At the end of a subquery that is to be asked for each line, by its index."""

    def ask(self, questions: Sequence[Question]) -> list[list[Cell]]:
        """The lines of each, one after the other, with one wait for all."""
        ...

    def all(self, sql: str, parameters: Sequence[object] = ()) -> list[Cell]: ...

    def do(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Lines changed."""
        ...

    def tell(self, sql: str, lines: Sequence[Sequence[object]]) -> None:
        """The same statement for each line of parameters, before the next question or the end; so are `insert` and `put`."""
        ...

    def insert(self, parts: Sequence[Lines]) -> None:
        """New lines, in bulk. A line that is there makes the transaction fail, or begin again where another one put it there meanwhile."""
        ...

    def take(self, table: str, key: tuple[str, ...], keys: Sequence[Cell]) -> None:
        """Deletes the lines of these keys, by an index that begins with the key."""
        ...

    def put(self, parts: Sequence[tuple[Lines, tuple[str, ...]]]) -> None:
        """Lines in the place of those of the same key, with the columns of each key."""
        ...

    def rollups(self, apps: Sequence[int], wanted: Sequence[Wanted]) -> list[list[Cell]]:
        """The lines of these keys, after `hold_rollups`."""
        ...

    def within(self, column: str, values: Sequence[object]) -> tuple[str, list[object]]:
        """A condition: the column is one of these (at most MANY), with its parameters."""
        ...

    def contains(self, column: str) -> str:
        """A condition: the column's text has the parameter's in it."""
        ...

    def by(self, index: str) -> str:
        """After the name of a table: read by this index. "" where the database finds out by itself."""
        ...

    def new_keys(self, count: int) -> Question:
        """What gives `keys_of` its lines."""
        ...

    def keys_of(self, lines: Sequence[Cell], count: int) -> Sequence[int]:
        """Keys for so many new runs, ascending."""
        ...

    def hold_schema(self) -> None:
        """Until the end: nobody else changes tables."""
        ...

    def rows_held(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> list[Question]:
        """Questions that wait as hold_rows does."""
        ...

    def hold_rows(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> None:
        """Until the end: nobody else puts rows of Apps of these namespaces and names; `alone`: nor changes runs of them. Before hold_rollups."""
        ...

    def hold_rollups(self, apps: Sequence[int]) -> None:
        """Until the end: nobody else writes rollups of these Apps."""
        ...


class Database(Protocol):
    """All of it raise Unavailable."""

    def reading(self) -> AbstractContextManager[Connection]:
        """What is there at its begin."""
        ...

    def transact(self, work: Callable[[Connection], T]) -> T:
        """Does the work in a transaction, and again where another one was in its way: so it changes nothing else."""
        ...

    def id_in(self, run_id: str) -> object:
        """A run's id as the column has it. Raises ValueError where it is no UUID."""
        ...

    def id_out(self, value: Any) -> str: ...

    def deleted(self) -> None:
        """After deletes: what was there is overwritten, and space is given back, as far as this database does it itself."""
        ...

    def scrub(self) -> None:
        """After deletes by a person: writes anew what may have copies of their text in its gaps. Of a large store it takes long."""
        ...

    def sorting(self) -> AbstractContextManager[None]:
        """Within it indexes of large tables are made, in transactions of this thread."""
        ...

    def loading(self) -> AbstractContextManager[None]:
        """Within it much is written to a store that nobody else uses."""
        ...

    def bytes(self) -> int: ...

    def fullness(self) -> float | None: ...

    def check(self) -> None: ...

    def close(self) -> None: ...


def pieces(values: Sequence[T], size: int = MANY) -> Iterator[Sequence[T]]:
    for start in range(0, len(values), size):
        yield values[start : start + size]
