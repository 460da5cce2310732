"""Manages streams of events: who is notified of changes in the index, how their reads share the process, and how they end at a shutdown.

A stream holds no thread, and sends no request while nothing changes. The index only wakes it: its data is read again with the caller's
token.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import anyio.to_thread
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from dynamiq_operator.kube.resources import APPS, ROWS
from dynamiq_operator.rest.kube.entries import Entry
from dynamiq_operator.rest.kube.id_index import IdIndex
from dynamiq_operator.serving.connections import STREAM
from dynamiq_operator.serving.encoding import dumps
from dynamiq_operator.serving.lanes import Lane

STREAMS, STREAMS_EACH = 2048, 256
"""Streams of a process, and of one caller. They use none of the slots of requests."""
READS, READS_EACH = 16, 4
"""Reads for streams at once, each in its own worker thread: in all, and for one caller."""
QUERIES = 4
"""Threads that query the index for streams. It answers at once, so none of them waits for a read."""
_PATH = re.compile(r"/v1/(?:apps|(?:apps|projects)/[^/]+)/watch")
EVERYWHERE = ""
"""The namespace of a stream that gets the changes in all namespaces."""
_T = TypeVar("_T")


def is_stream(scope: Scope) -> bool:
    """Returns True if a request opens a stream."""
    return scope["method"] == "GET" and _PATH.fullmatch(scope["path"]) is not None


def event(kind: str, data: Any) -> bytes:
    """Returns one event. JSON has no line break outside of its escapes, so users' text never begins a line."""
    return b"event: %b\ndata: %b\n\n" % (kind.encode(), dumps(data))


class EventStream(StreamingResponse):
    """A response of events. Its connection is closed after it, and is none of those that may be closed for others."""

    media_type = "text/event-stream"

    def __init__(self, events: AsyncGenerator[bytes]) -> None:
        self._events = events
        super().__init__(events, headers={"X-Accel-Buffering": "no", "Connection": "close"})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (begins := (scope.get("extensions") or {}).get(STREAM)) is not None:
            begins["begin"]()
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._events.aclose()


@dataclass(frozen=True, slots=True)
class EntryChange:
    """A change of an object in the index: it is new, has changed, or is deleted."""

    kind: str
    entry: Entry
    is_gone: bool = False


class Stream(Protocol):
    """One stream. Both methods are called in the event loop, and return at once."""

    def notify(self, change: EntryChange) -> None: ...

    def end(self) -> None: ...


class Streams:
    """The streams of a process, by namespace.

    `open`, `read` and `query` are for the event loop, `end` is for any thread and for a signal handler.
    """

    def __init__(self, index: IdIndex) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._by_namespace: dict[str, set[Stream]] = {}
        self._is_ending = False
        self._reads = Lane(READS, READS_EACH, STREAMS_EACH)
        self._threads = anyio.CapacityLimiter(READS)
        self._querying = anyio.CapacityLimiter(QUERIES)
        self._under_way: set[asyncio.Task[Any]] = set()
        for resource in (APPS, ROWS):
            index.of(resource).listen(partial(self._on_change, resource.kind))

    @contextlib.contextmanager
    def open(self, namespace: str, stream: Stream) -> Iterator[None]:
        """Notifies the stream of every change in the namespace, or EVERYWHERE, while the block runs."""
        self._loop = asyncio.get_running_loop()
        streams = self._by_namespace.setdefault(namespace, set())
        streams.add(stream)
        try:
            if self._is_ending:
                stream.end()
            yield
        finally:
            streams.discard(stream)
            if not streams:
                self._by_namespace.pop(namespace, None)

    async def read(self, caller: str, call: Callable[[], _T]) -> _T:
        """Runs the call in a worker thread, of which all callers have the same share. Raises HttpProblem 429 or 503 if none becomes free.

        A cancelled caller stops waiting for it. A call that has begun keeps its slot until it ends: its request to the API server goes on.
        """
        async with contextlib.AsyncExitStack() as held:
            await held.enter_async_context(self._reads.slot(caller))
            reading = asyncio.create_task(self._read(held.pop_all(), call))
        self._under_way.add(reading)
        reading.add_done_callback(self._under_way.discard)
        return await asyncio.shield(reading)

    async def query(self, call: Callable[[], _T]) -> _T:
        """Runs a call that only queries the index in a worker thread: the index may be locked for a moment."""
        return await anyio.to_thread.run_sync(call, limiter=self._querying)

    async def _read(self, held: contextlib.AsyncExitStack, call: Callable[[], _T]) -> _T:
        async with held:
            return await anyio.to_thread.run_sync(call, limiter=self._threads)

    def end(self) -> None:
        """Ends every present and future stream: this process stops."""
        self._is_ending = True
        self._later(self._end)

    def _end(self) -> None:
        for stream in [each for some in self._by_namespace.values() for each in some]:
            stream.end()

    def _on_change(self, kind: str, entry: Entry, is_gone: bool) -> None:
        """Schedules a notification. A thread of the index calls this with the index locked."""
        if entry.namespace in self._by_namespace or EVERYWHERE in self._by_namespace:
            self._later(self._notify, EntryChange(kind, entry, is_gone))

    def _notify(self, change: EntryChange) -> None:
        for namespace in (change.entry.namespace, EVERYWHERE):
            for stream in self._by_namespace.get(namespace, ()):
                stream.notify(change)

    def _later(self, call: Callable[..., None], *arguments: Any) -> None:
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
                self._loop.call_soon_threadsafe(call, *arguments)
