"""Runs a flow in threads, so that a slow run holds up neither the others nor the probes, and ends a run that takes too long.

Each run has a thread of its own, at most `MAX_THREADS` at a time. A run past its time gets its answer at once; its thread is
told to end, again and again until it has, and counts as in use until then.
"""

from __future__ import annotations

import asyncio
import ctypes
import threading
from collections.abc import Callable
from typing import Any, TypeVar

T = TypeVar("T")
MAX_THREADS = 32
REAP_EVERY = 0.5  # seconds between two attempts to end a thread


class TimedOutError(Exception):
    """The run did not end in its time."""


class BusyError(Exception):
    """No thread became free in the run's time."""


class _Abandoned(BaseException):
    """Raised inside a run's thread to end it; a BaseException, so that the author's `except Exception` does not hold it."""


class Runner:
    """A bounded set of threads for one process; `call` is for its event loop alone."""

    def __init__(self, timeout: float, threads: int = MAX_THREADS) -> None:
        self._timeout = timeout
        self._threads = threads
        self._free = asyncio.Semaphore(threads)
        self._reapers: set[asyncio.Task[None]] = set()

    @property
    def stuck(self) -> bool:
        """Whether every thread is in a run that was given up: nothing can be answered until one ends."""
        return len(self._reapers) >= self._threads

    async def call(self, work: Callable[[], T]) -> T:
        """The value of `work()`, made in a thread. Raises TimedOutError, BusyError, and whatever `work` raises."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self._timeout
        try:
            async with asyncio.timeout_at(deadline):
                await self._free.acquire()
        except TimeoutError:
            raise BusyError from None
        answer: asyncio.Future[T] = loop.create_future()
        thread = threading.Thread(target=_body, args=(loop, answer, work), name="run", daemon=True)
        thread.start()
        try:
            async with asyncio.timeout_at(deadline):
                return await answer
        except TimeoutError:
            if answer.done() and not answer.cancelled():
                raise  # the author's own TimeoutError
            raise TimedOutError from None
        finally:
            if thread.is_alive() and (answer.cancelled() or not answer.done()):
                reaper = asyncio.create_task(self._reap(thread))
                self._reapers.add(reaper)
                reaper.add_done_callback(self._reapers.discard)
            else:
                self._free.release()

    async def _reap(self, thread: threading.Thread) -> None:
        while thread.is_alive():
            if thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_Abandoned))
            await asyncio.sleep(REAP_EVERY)
        self._free.release()


def _body(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], work: Callable[[], T]) -> None:
    try:
        try:
            value = work()
        except Exception as error:
            _tell(loop, answer, answer.set_exception, error)
        else:
            _tell(loop, answer, answer.set_result, value)
    except (_Abandoned, RuntimeError):
        return  # nobody waits any more: the run was given up, or the loop is closed
    except BaseException as error:  # SystemExit from the author's code ends this run, not the server
        _tell(loop, answer, answer.set_exception, RuntimeError(f"the code raised {type(error).__name__}"))


def _tell(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], tell: Callable[[Any], None], value: Any) -> None:
    loop.call_soon_threadsafe(lambda: None if answer.done() else tell(value))
