"""Logs of figures in docs/measured: what is printed while they are taken is kept, up to the line at which a run was ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.cluster import REPOSITORY

MEASURED = REPOSITORY / "docs" / "measured"
Say = Callable[[str], None]


@contextmanager
def kept(log: Path, *, beside_older: bool = False) -> Iterator[Say]:
    """Gives a function that prints a line and writes it to the log, in place of what that had, or, with `beside_older`, after it."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a" if beside_older else "w") as file:

        def say(line: str) -> None:
            print(line, flush=True)
            file.write(f"{line}\n")
            file.flush()

        yield say
