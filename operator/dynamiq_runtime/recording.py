"""Sends a record of each ended run to the recorder by OTLP over HTTP: 200 runs, or those of a second, in its own thread.

A run neither waits for its record nor fails for it. A batch that the recorder does not take is sent again with the same ids, so it is
stored once. Later runs wait in a bounded queue; when it is full the oldest are dropped and counted.
"""

from __future__ import annotations

import threading
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping

from dynamiq_runtime.batches import Batch, Delivery, Outcome
from dynamiq_runtime.content import Content
from dynamiq_runtime.engine import given_up
from dynamiq_runtime.logs import log
from dynamiq_runtime.otlp import HEAD, SpanWriter, tail
from dynamiq_runtime.recorder_client import Recorder
from dynamiq_runtime.records import RECORD_LIMIT, Record, RecordQueue, bytes_of, without_content
from dynamiq_runtime.run import CANCELED, Run
from dynamiq_runtime.settings import Settings

PERIOD = 1.0  # seconds for which a run waits for others
FULL = 200  # runs that are sent without waiting
BATCH_LIMIT = 1000  # runs of one batch, where more than FULL wait
BATCH_BYTES = 2 << 20  # characters of JSON from which on a batch takes no more runs: the recorder takes 8 MiB
NODES_LIMIT = 5000  # of one run, those that began first: the recorder keeps no more
CLOSE_WITHIN = 2.0  # seconds that a stop waits for the remaining runs
SLICE, PAUSE = 0.0002, 0.0005
"""Seconds of writing at a time, and of the pause after it: while Python writes JSON no other thread runs."""
COMPRESSED_AT_ONCE = 16 << 10  # characters
GZIP, FASTEST = 31, 1  # zlib's


class Recording:
    """The sender of one server's runs. `start` and `add` are for its event loop; `close` blocks, and is for a thread."""

    def __init__(self, settings: Settings, recorder: Recorder, on_drop: Callable[[int], None]) -> None:
        self.instance = str(uuid.uuid4())
        self._settings, self._resource = settings, _resource(settings, self.instance)
        self._redaction = settings.redaction
        self._on_drop = on_drop
        self._queue = RecordQueue(on_drop)
        self._writer = SpanWriter()
        self._delivery = Delivery(recorder)
        self._last_seq = self._refused = 0
        self._under_way = 0
        """Runs taken from the queue that the recorder has neither taken nor refused for good."""
        self._wake, self._closing = threading.Event(), False
        self._thread = threading.Thread(target=self._work, name="recorder", daemon=True)

    def start(self) -> None:
        """Starts to send."""
        self._thread.start()

    def content(self) -> Content | None:
        """Returns the extractor of content for a new run; None if the App records none."""
        return None if self._redaction is None else Content(self._redaction)

    def add(self, run: Run, trace_id: str | None) -> str:
        """Adds an ended run and returns the id of its trace: `trace_id`, else its caller's, else its own. No I/O."""
        self._last_seq += 1
        self._queue.put(_record(run, trace_id, self._last_seq))
        if len(self._queue) == FULL:
            self._wake.set()
        return trace_id or run.caller.trace_id or run.id.replace("-", "")

    def encoded(self, run: Run, busy_ms: int) -> bytes:
        """Encodes an ended background run as a request of its own, which the journal sends. It belongs to no process.

        It blocks, and is for a thread.
        """
        pieces = [HEAD, *SpanWriter().spans(_record(run, None, 0), busy_ms=busy_ms), tail(_resource(self._settings, ""))]
        return zlib.compress("".join(pieces).encode("utf-8", "replace"), FASTEST)

    def close(self) -> None:
        """Sends the rest and reports the end of the process, within `CLOSE_WITHIN`. Nothing may be added afterwards."""
        until = time.monotonic() + CLOSE_WITHIN
        self._closing = True
        self._delivery.hurry(until)
        self._wake.set()
        self._thread.join(CLOSE_WITHIN)
        if remaining := len(self._queue) + self._under_way:
            log("the recorder did not take all runs before the stop", level="warning", runs=remaining)

    def _work(self) -> None:
        while not self._closing:
            self._wake.wait(PERIOD)
            self._wake.clear()
            while len(self._queue) and not self._closing:
                batch = self._next()
                if len(self._queue) < FULL and not (batch is not None and batch.is_full):
                    break
        while not self._delivery.is_over:
            batch = self._next()
            if batch is None or batch.is_last:
                break
        self._delivery.close()

    def _next(self) -> Batch | None:
        """Returns the next batch, delivered or refused; None after an unexpected error, so that the thread continues."""
        try:
            batch = self._taken()
            self._under_way += len(batch.runs)
            self._send(batch)
        except Exception as error:
            log("runs could not be sent to the recorder", level="error", error=type(error).__name__)
            time.sleep(PERIOD)
            return None
        return batch

    def _send(self, batch: Batch) -> None:
        runs, outcome = len(batch.runs), self._delivery.deliver(batch)
        if outcome is Outcome.TOO_LARGE and runs > 1:
            half = runs // 2
            self._send(self._encoded(iter(batch.runs[:half]), is_last=False))
            self._send(self._encoded(iter(batch.runs[half:]), is_last=batch.is_last))
        elif outcome is Outcome.TOO_LARGE:
            self._send(self._encoded(map(without_content, batch.runs), is_last=batch.is_last))
        else:
            if outcome is not Outcome.LATE:
                self._under_way -= runs
            if outcome is not Outcome.TAKEN:
                self._refuse(runs)

    def _refuse(self, runs: int) -> None:
        self._refused += runs
        self._on_drop(runs)

    def _taken(self) -> Batch:
        """Encodes the oldest runs of the queue as a request."""
        return self._encoded(iter(self._queue.take, None), is_last=None)

    def _encoded(self, records: Iterator[Record], *, is_last: bool | None) -> Batch:
        """Encodes as many of the records as fit a request. `is_last`: True to report the end of the process.

        With None it does so if the server stops and the queue is empty.
        """
        body = _Body()
        body.write([HEAD])
        runs: list[Record] = []
        while len(runs) < BATCH_LIMIT and body.size < BATCH_BYTES and (record := next(records, None)) is not None:
            pieces = [","] if runs else []
            try:
                for piece in self._writer.spans(record):
                    pieces.append(piece)
                    body.give_way()
            except Exception as error:  # a record that cannot be written must not stop the others
                log("a run cannot be recorded", level="error", run_id=record.id, error=type(error).__name__)
                self._refuse(1)
                continue
            body.write(pieces)
            runs.append(record)
        is_last = self._closing and not len(self._queue) if is_last is None else is_last
        dropped = self._queue.dropped + self._refused
        body.write([tail(self._resource, last_seq=self._last_seq, dropped=dropped, ended=is_last)])
        return Batch(body.close(), runs, is_last, body.size >= BATCH_BYTES)


class _Body:
    """The body of a request, compressed as it is written, without blocking others. `size`: its characters."""

    def __init__(self) -> None:
        self.size = 0
        self._compressor = zlib.compressobj(FASTEST, zlib.DEFLATED, GZIP)
        self._compressed: list[bytes] = []
        self._pieces: list[str] = []
        self._waiting = 0
        self._since = time.perf_counter()

    def write(self, pieces: list[str]) -> None:
        self._pieces += pieces
        added = sum(map(len, pieces))
        self.size += added
        self._waiting += added
        if self._waiting >= COMPRESSED_AT_ONCE:
            self._compress()

    def give_way(self) -> None:
        """Pauses for other threads after SLICE seconds of writing."""
        if time.perf_counter() - self._since > SLICE:
            time.sleep(PAUSE)
            self._since = time.perf_counter()

    def close(self) -> bytes:
        self._compress()
        return b"".join([*self._compressed, self._compressor.flush()])

    def _compress(self) -> None:
        self._compressed.append(self._compressor.compress("".join(self._pieces).encode("utf-8", "replace")))
        self._pieces, self._waiting = [], 0


def _record(run: Run, trace_id: str | None, seq: int) -> Record:
    """Returns the record of an ended run, without content if that is too large. `seq`: 0 for a run that belongs to no process."""
    caller, report = run.caller, run.report
    nodes = report.nodes if run.was_answered else given_up(report.nodes, run.outcome, run.ended)
    nodes = nodes if len(nodes) <= NODES_LIMIT else nodes[:NODES_LIMIT]
    size = bytes_of(len(nodes), (*caller, run.key), run.shape, report.content.bytes if report.content else 0)
    # The recorder has one word for runs whose outcome nobody waited for.
    outcome, reason = ("abandoned", CANCELED) if run.outcome == CANCELED else (run.outcome, run.reason)
    record = Record(
        seq, run.id, outcome, reason, run.began, run.ended, run.first_chunk, trace_id, caller, run.key, run.shape,
        nodes, run.error, run.input, run.output, size,
    )  # fmt: skip
    return record if size <= RECORD_LIMIT else without_content(record)


def _resource(settings: Settings, instance: str) -> Mapping[str, str]:
    return {
        "service.name": settings.app or "dynamiq-runtime",
        "service.instance.id": instance,
        "dynamiq.app": settings.app,
        "dynamiq.app.id": settings.app_id,
        "dynamiq.pins": settings.pins or "",
        "dynamiq.workflow.version": settings.workflow_version or "",
        "dynamiq.workflow.hash": settings.flow_hash or "",
        "dynamiq.engine": settings.engine,
    }
