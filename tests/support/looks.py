"""Checks a condition repeatedly on a thread while a test acts: one check at the end could miss a forbidden state."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

EVERY = 0.05  # seconds


@contextlib.contextmanager
def all_along(look: Callable[[], None]) -> Iterator[None]:
    """Calls `look` again and again while the block runs. A failed check, even one without an answer, fails the block at its end."""
    end, failed = threading.Event(), list[Exception]()

    def loop() -> None:
        while not end.wait(EVERY):
            try:
                look()
            except Exception as error:
                failed.append(error)
                return

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield
    finally:
        end.set()
        thread.join()
    if failed:
        raise failed[0]
