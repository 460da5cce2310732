"""What a database has to do for a store: connections of one transaction each, in one dialect of SQL with `?` for parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

Cell = tuple[Any, ...]
"""A line of a table, as a driver gives and takes it."""
T = TypeVar("T")

MANY = 500
"""Values in one list of a statement, and lines in one piece of work."""


class Connection(Protocol):
    """One transaction."""

    def all(self, sql: str, parameters: Sequence[object] = ()) -> list[Cell]: ...

    def do(self, sql: str, parameters: Sequence[object] = ()) -> int:
        """Lines changed."""
        ...

    def many(self, sql: str, lines: Sequence[Cell]) -> None:
        """The same statement for each line of parameters."""
        ...

    def insert(self, table: str, columns: Sequence[str], lines: Sequence[Cell]) -> None:
        """New lines, in bulk. A line that is there makes the transaction fail, or begin again where another one put it there meanwhile."""
        ...

    def put(self, table: str, key: Sequence[str], columns: Sequence[str], lines: Sequence[Cell]) -> None:
        """Lines in the place of those of the same key. `columns` begin with the key."""
        ...

    def matching(self, table: str, key: Sequence[str], columns: Sequence[str], keys: Sequence[Cell]) -> list[Cell]:
        """Lines whose key is one of `keys`."""
        ...

    def within(self, column: str, values: Sequence[object]) -> tuple[str, list[object]]:
        """A condition: the column is one of these (at most MANY), with its parameters."""
        ...

    def contains(self, column: str) -> str:
        """A condition: the column's text has the parameter's in it."""
        ...

    def run_keys(self, count: int) -> Sequence[int]:
        """Keys for so many new runs, ascending."""
        ...

    def hold_schema(self) -> None:
        """Until the end: nobody else changes tables."""
        ...

    def hold_rows(self, apps: Sequence[tuple[str, str]], *, alone: bool) -> None:
        """Until the end: nobody else puts rows of Apps of these namespaces and names; `alone`: nor changes runs of them. Before hold_rollups."""
        ...

    def hold_rollups(self, apps: Sequence[int]) -> None:
        """Until the end: nobody else writes rollups of these Apps."""
        ...


class Database(Protocol):
    """All of it raise Unavailable."""

    locking: str
    """What follows a SELECT whose lines are about to be changed."""

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
