"""Runs that ended and were not sent yet: a bounded queue from the event loop to the one thread that sends.

`put` is all that an ended run costs: a few words into a deque. When there are too many the oldest go, and are counted.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from sys import getsizeof
from typing import TYPE_CHECKING, NamedTuple

from dynamiq_runtime.engine import NodeRun

if TYPE_CHECKING:
    from dynamiq_runtime.callers import CallerFacts
    from dynamiq_runtime.content import Excerpt

RUNS_LIMIT = 10_000
BYTES_LIMIT = 16 << 20
RECORD_LIMIT = BYTES_LIMIT // 4  # of one record with its content: one run does not put out all others
EMPTY = getsizeof("")
RECORD_BYTES, NODE_BYTES = 660, 290  # what one takes in memory, as measured; beside it, its content, and what its caller says of it


class Record(NamedTuple):
    """One ended run; times in nanoseconds since 1970, `first_chunk` 0 where nothing was streamed. `bytes`: about what it takes in memory."""

    seq: int
    id: str
    outcome: str
    reason: str | None
    began: int
    ended: int
    first_chunk: int
    trace_id: str | None
    caller: CallerFacts
    nodes: list[NodeRun]
    error: str | None
    input: Excerpt | None
    output: Excerpt | None
    bytes: int


def bytes_of(nodes: int, caller: CallerFacts, content: int) -> int:
    """About what a record takes in memory: characters of content have one or two bytes each, and are counted as two."""
    return RECORD_BYTES + NODE_BYTES * nodes + sum(getsizeof(said) - EMPTY for said in caller if said) + 2 * content


def has_content(record: Record) -> bool:
    """Whether any of what the run was given, answered, or said of its errors is in it."""
    parts: list[Record | NodeRun] = [record, *record.nodes]
    return any(part.input is not None or part.output is not None or part.error is not None for part in parts)


def without_content(record: Record) -> Record:
    """The same, and nothing of what the run was given, answered, or said of its errors."""
    for node in record.nodes:
        node.input = node.output = node.error = None
    size = bytes_of(len(record.nodes), record.caller, 0)
    return record._replace(input=None, output=None, error=None, bytes=size)


class RecordQueue:
    """`put` is for the event loop and `take` for one other thread: no count has two writers, so that neither waits for a lock."""

    def __init__(self, on_drop: Callable[[int], None]) -> None:
        self._records: deque[Record] = deque()
        self._on_drop = on_drop
        self._bytes_in = self._bytes_dropped = self._bytes_out = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._records)

    def put(self, record: Record) -> None:
        """Adds one, and drops the oldest while there are too many or they take too much."""
        self._records.append(record)
        self._bytes_in += record.bytes
        while len(self._records) > RUNS_LIMIT or self._bytes_in - self._bytes_dropped - self._bytes_out > BYTES_LIMIT:
            try:
                oldest = self._records.popleft()
            except IndexError:
                return  # taken meanwhile
            self._bytes_dropped += oldest.bytes
            self.dropped += 1
            self._on_drop(1)

    def take(self) -> Record | None:
        """The oldest, or None."""
        try:
            record = self._records.popleft()
        except IndexError:
            return None
        self._bytes_out += record.bytes
        return record
