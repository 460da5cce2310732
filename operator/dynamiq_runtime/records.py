"""Queues ended runs until they are sent: a bounded queue from the event loop to the one thread that sends.

`put` is the only cost of an ended run: a few words into a deque. Above the limits the oldest are dropped and counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from sys import getsizeof
from typing import TYPE_CHECKING, NamedTuple

from dynamiq_runtime.engine import NodeRun

if TYPE_CHECKING:
    from dynamiq_runtime.callers import CallerFacts
    from dynamiq_runtime.content import Excerpt
    from dynamiq_runtime.shapes import Shape

RUNS_LIMIT = 10_000
BYTES_LIMIT = 16 << 20
RECORD_LIMIT = BYTES_LIMIT // 4  # of one record with its content, so that one run does not displace all others
EMPTY = getsizeof("")
RECORD_BYTES, NODE_BYTES, NAME_BYTES = 660, 290, 100  # memory of one, as measured, without its content and its caller's headers


class Record(NamedTuple):
    """One ended run. Times are nanoseconds since 1970; `first_chunk` is 0 if nothing was streamed. `bytes`: its approximate memory."""

    seq: int
    id: str
    outcome: str
    reason: str | None
    began: int
    ended: int
    first_chunk: int
    trace_id: str | None
    caller: CallerFacts
    key: str | None
    shape: Shape | None
    nodes: list[NodeRun]
    error: str | None
    input: Excerpt | None
    output: Excerpt | None
    bytes: int


def bytes_of(nodes: int, texts: Iterable[str | None], shape: Shape | None, content: int) -> int:
    """Returns the approximate memory of a record. `texts`: of its caller. Characters of content have one or two bytes each, and count as two."""
    names = len(shape[0]) if shape is not None else 0
    own = RECORD_BYTES + NODE_BYTES * nodes + NAME_BYTES * names
    return own + sum(getsizeof(value) - EMPTY for value in texts if value) + 2 * content


def has_content(record: Record) -> bool:
    """Returns True if a record has any input, output or error text of the run."""
    parts: list[Record | NodeRun] = [record, *record.nodes]
    return any(part.input is not None or part.output is not None or part.error is not None for part in parts)


def without_content(record: Record) -> Record:
    """Returns the record without inputs, outputs and error texts."""
    for node in record.nodes:
        node.input = node.output = node.error = None
    size = bytes_of(len(record.nodes), (*record.caller, record.key), record.shape, 0)
    return record._replace(input=None, output=None, error=None, bytes=size)


class RecordQueue:
    """A queue with `put` for the event loop and `take` for one other thread. No count has two writers, so it needs no lock."""

    def __init__(self, on_drop: Callable[[int], None]) -> None:
        self._records: deque[Record] = deque()
        self._on_drop = on_drop
        self._bytes_in = self._bytes_dropped = self._bytes_out = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: Record) -> None:
        """Adds a record, and drops the oldest while there are too many or they take too much memory."""
        self._records.append(record)
        self._bytes_in += record.bytes
        while len(self._records) > RUNS_LIMIT or self._bytes_in - self._bytes_dropped - self._bytes_out > BYTES_LIMIT:
            try:
                oldest = self._records.popleft()
            except IndexError:
                return  # the other thread took it
            self._bytes_dropped += oldest.bytes
            self.dropped += 1
            self._on_drop(1)

    def take(self) -> Record | None:
        """Returns the oldest record, or None."""
        try:
            record = self._records.popleft()
        except IndexError:
            return None
        self._bytes_out += record.bytes
        return record
