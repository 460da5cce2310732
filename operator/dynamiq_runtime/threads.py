"""Executes runs in threads, so that a slow one blocks neither others nor the probes, and ends runs that take too long.

Each run has its own thread, up to a limit. Up to another limit more runs wait for one, in order; the next is refused. A run past its time
gets its answer at once. Its thread is interrupted until it ends, and counts as in use until then.
"""

from __future__ import annotations

import asyncio
import ctypes
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

T = TypeVar("T")
REAP_PERIOD = 0.5  # seconds between two attempts to end a thread


class TimedOutError(Exception):
    """The run did not end in its time."""


class CutOffError(Exception):
    """The server stopped before the run ended."""


class BusyError(Exception):
    """Too many runs wait already, or none ended in this one's time."""


class _RunAbandoned(BaseException):
    """Raised inside a run's thread to end it. A BaseException, so that the author's `except Exception` does not catch it."""


class RunThreads:
    """A bounded set of threads for one process, used by its event loop only."""

    def __init__(self, timeout: float, threads: int, queue: int) -> None:
        self._timeout = timeout
        self._threads = threads
        self._queue = queue
        self._free = asyncio.Semaphore(threads)
        self._answers: set[asyncio.Future[Any]] = set()
        self._reapers: set[asyncio.Task[None]] = set()
        self._patient: set[asyncio.Future[None]] = set()
        self._refuses_patient = False
        self.waiting = self._used = 0

    @property
    def free(self) -> int:
        """The number of runs that could start now."""
        return self._threads - self._used - self.waiting

    @property
    def is_only(self) -> bool:
        """True if there is one thread."""
        return self._threads == 1

    @property
    def stuck(self) -> bool:
        """True if every thread is in a run that was given up: no run can start until one ends."""
        return len(self._reapers) >= self._threads

    def cut_off(self) -> None:
        """Gives up every run in progress: awaiting its answer raises CutOffError."""
        for answer in self._answers:
            _settle(answer, answer.set_exception, CutOffError())

    @asynccontextmanager
    async def start(self, work: Callable[[], T], *, patient: bool = False) -> AsyncIterator[Awaitable[T]]:
        """Yields the value of `work()` to await, once its thread has begun. On leaving, unfinished work is given up.

        `patient`: the work waits for a thread however long, and its caller limits its time.
        Raises BusyError on entering, and CutOffError after `refuse_patient`. Awaiting raises TimedOutError, CutOffError, and the errors of `work`.
        """
        loop = asyncio.get_running_loop()
        deadline = math.inf if patient else loop.time() + self._timeout
        await (self._wait_patiently() if patient else self._reserve_thread(deadline))
        answer: asyncio.Future[T] = loop.create_future()
        thread = threading.Thread(target=_body, args=(loop, answer, work), name="run", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # the system has no more threads for this process
            self._release()
            raise BusyError from None
        late = None if patient else loop.call_at(deadline, lambda: _settle(answer, answer.set_exception, TimedOutError()))
        self._answers.add(answer)
        try:
            yield answer
        finally:
            if late is not None:
                late.cancel()
            self._answers.discard(answer)
            self._release_thread(thread, answer)

    def refuse_patient(self) -> None:
        """Gives up patient work that waits for a thread, now and later: entering `start` raises CutOffError."""
        self._refuses_patient = True
        for waiting in self._patient:
            waiting.cancel()

    async def _wait_patiently(self) -> None:
        if self._refuses_patient:
            raise CutOffError
        waiting = asyncio.ensure_future(self._acquire())
        self._patient.add(waiting)
        try:
            await waiting
        except asyncio.CancelledError:
            if not self._refuses_patient:
                raise
            raise CutOffError from None
        finally:
            self._patient.discard(waiting)

    async def give_way(self, until: Awaitable[object]) -> None:
        """Lets others use the thread of a run that waits, and takes it back behind those that wait for one."""
        self._release()
        try:
            await until
        finally:
            await self._acquire()

    async def _acquire(self) -> None:
        await self._free.acquire()
        self._used += 1

    def _release(self) -> None:
        self._used -= 1
        self._free.release()

    async def _reserve_thread(self, deadline: float) -> None:
        if self._free.locked() and self.waiting >= self._queue:
            raise BusyError
        self.waiting += 1
        try:
            async with asyncio.timeout_at(deadline):
                await self._acquire()
        except TimeoutError:
            raise BusyError from None
        finally:
            self.waiting -= 1

    def _release_thread(self, thread: threading.Thread, answer: asyncio.Future[T]) -> None:
        given_up = answer.cancelled() or not answer.done() or isinstance(answer.exception(), (TimedOutError, CutOffError))
        if given_up and thread.is_alive():
            reaper = asyncio.create_task(self._reap(thread))
            self._reapers.add(reaper)
            reaper.add_done_callback(self._reapers.discard)
        else:
            self._release()

    async def _reap(self, thread: threading.Thread) -> None:
        while thread.is_alive():
            if thread.ident is not None:
                ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_RunAbandoned))
            await asyncio.sleep(REAP_PERIOD)
        self._release()


async def in_thread(work: Callable[[], T]) -> T:
    """Returns the value of `work()`, computed in a thread that a stop of the process does not wait for. Raises the errors of `work`."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()
    threading.Thread(target=_body, args=(loop, answer, work), name="load", daemon=True).start()
    return await answer


def _body(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], work: Callable[[], T]) -> None:
    try:
        try:
            value = work()
        except Exception as error:
            _settle_from_thread(loop, answer, answer.set_exception, error)
        else:
            _settle_from_thread(loop, answer, answer.set_result, value)
    except (_RunAbandoned, RuntimeError):
        return  # the run was given up, or the loop is closed
    except BaseException as error:  # SystemExit of the author's code ends this run, not the server
        _settle_from_thread(loop, answer, answer.set_exception, RuntimeError(f"the code raised {type(error).__name__}"))


def _settle_from_thread(loop: asyncio.AbstractEventLoop, answer: asyncio.Future[T], settle: Callable[[Any], None], value: Any) -> None:
    loop.call_soon_threadsafe(_settle, answer, settle, value)


def _settle(answer: asyncio.Future[T], settle: Callable[[Any], None], value: Any) -> None:
    if not answer.done():
        settle(value)
