"""Looks at something all along while a test acts, on a thread: what nobody may ever see is not found by one look at the end."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Iterator

EVERY = 0.05  # seconds


@contextlib.contextmanager
def all_along(look: Callable[[], None]) -> Iterator[None]:
    """Looks again and again while the block runs. A look that failed, such as one that was not answered, fails the block at its end."""
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
