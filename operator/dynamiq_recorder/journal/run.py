"""Changes a run from state to state. It reads no clock and no database: `tables` loads and writes what is decided here.

    queued ── claim ──> running ── end ──> completed, failed, canceled
      ^                    │
      └─ handed back, or its lease is over: interrupted; too often: failed

Each change adds its events, whose numbers have no gaps.
"""

from __future__ import annotations

import zlib

import msgspec

from dynamiq_operator.model.journal import OPEN_STATES
from dynamiq_operator.serving.encoding import dumps
from dynamiq_recorder.journal import records
from dynamiq_recorder.journal.model import ALONE_FROM, OUTPUT_MAX, PARTS_MAX, RUN_MAX, End, Refused, Save, State

RUN_SIZE, EVENT_SIZE = 512, 48
"""Bytes that a run and an event take beside their contents."""
INPUT, OUTPUT, RECORD = "input", "output", "record"
NOTE = "~"
"""The beginning of the names of parts that are no node's state, such as which nodes began. Saving one is no progress."""
OPEN = frozenset(map(State, OPEN_STATES))


class Event(msgspec.Struct, frozen=True):
    """An event as it is stored. `data`: None for the last event of the journal itself, which the run has."""

    sequence: int
    at: int
    type: str
    data: bytes | None


class Pending(msgspec.Struct):
    """The data that a change writes beside the run's line. `clears_parts`: all of its parts are deleted."""

    events: list[Event] = []
    puts: dict[str, bytes] = {}
    drops: set[str] = set()
    clears_parts: bool = False
    contents: dict[str, bytes] = {}


class Run(msgspec.Struct, kw_only=True):
    """A run. Its first fields never change; the names are those of the table's columns. `key`: 0 before it is stored."""

    key: int = 0
    app_uid: str
    id: str
    namespace: str
    app: str
    pins: str
    workflow_hash: str | None
    key_name: str
    idempotency_key: str | None
    request_hash: str | None
    user_id: str | None
    session_id: str | None
    trigger_name: str | None
    tags: str
    headers: str
    accepted_at: int
    state: State = State.QUEUED
    reason: str | None = None
    due: int = 0
    fence: int = 0
    number: int = 0
    lease_until: int | None = None
    holder: str | None = None
    attempts: int = 0
    alone: bool = False
    canceling: bool = False
    cancel_by: str | None = None
    busy_ms: int = 0
    node: str | None = None
    started_at: int | None = None
    ended_at: int | None = None
    error: str | None = None
    last_event: int = 0
    size: int = 0
    parts_size: int = 0
    recorded: bool = True
    was: State | None = None
    """The stored state, and below it the stored size; None for a new run."""
    had: int = 0
    pending: Pending = msgspec.field(default_factory=Pending)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    def accept(self, data: bytes, now: int) -> None:
        """Begins the life of a new run. `data`: its input."""
        self.due, self.size = now, RUN_SIZE
        self._put_content(INPUT, data)
        self._note(now, "run.accepted", b"{}")

    def claim(self, holder: str, now: int, lease: int) -> None:
        """Gives the run to a pod until the end of a lease; saves of earlier claims are refused from now on."""
        self.state, self.fence, self.number, self.holder = State.RUNNING, self.fence + 1, 0, holder
        self.lease_until = lease
        if self.started_at is None:
            self.started_at = now
            self._note(now, "run.started", b"{}")
        else:
            self._note(now, "run.resumed", dumps({"attempt": self.fence}))

    def is_held_by(self, fence: int) -> bool:
        """Returns True if this claim has the run, even after its lease if nobody took the run since."""
        return self.state is State.RUNNING and self.fence == fence

    def save(self, save: Save, sizes: dict[str, int], now: int, lease: int) -> None:
        """Takes the save of the pod that has the run. `sizes`: of its parts by node, which are kept up to date. `lease`: its new end.

        Raises Refused if the run becomes too large.
        """
        self.number, self.lease_until = save.number, lease
        self.busy_ms, self.node = max(self.busy_ms, save.busy_ms), save.node or self.node
        for node in save.drop_parts:
            self._size_part(node, 0, sizes)
            self.pending.puts.pop(node, None)
            self.pending.drops.add(node)
        for node, state in save.parts.items():
            self._size_part(node, len(state), sizes)
            self.pending.puts[node] = state
        if not all(node.startswith(NOTE) for node in save.parts):
            self.attempts, self.alone = 0, False
        for event in save.events:
            self._note(now, event.type, event.data)
        if self.parts_size > PARTS_MAX or self.size > RUN_MAX:
            raise Refused("checkpoint_too_large", f"run {self.id} is too large: its state may have {PARTS_MAX} bytes", {"id": self.id})
        if save.end is not None and len(save.end.output or b"") > OUTPUT_MAX:
            message = f"run {self.id} is too large: its output may have {OUTPUT_MAX} bytes"
            raise Refused("checkpoint_too_large", message, {"id": self.id})
        if save.end is not None:
            self._take_end(save.end, now)
        elif save.hand_back:
            self._hand_back(now)

    def interrupt(self, most: int, now: int) -> None:
        """Takes the run from a pod that was silent for a lease. `most`: interruptions without progress by which it fails."""
        # A pod that saved nothing may never have got its first claim. A later one counts: the run may end pods at once.
        if self.number > 0 or self.fence > 1:
            self.attempts += 1
        if self.canceling:
            self._end_by_journal(State.CANCELED, "canceled", now)
        elif self.attempts >= most:
            message = f"its pods ended or were silent {self.attempts} times without progress"
            self.error = dumps({"code": "interrupted", "message": message, "details": {}}).decode()
            self._end_by_journal(State.FAILED, "interrupted", now)
        else:
            self.alone = self.attempts >= ALONE_FROM
            self._note(now, "run.interrupted", dumps({"interruptions": self.attempts}))
            self._queue(now)

    def cancel(self, by: str | None, now: int, *, at_once: bool = False) -> None:
        """Cancels an open run; one that a pod has ends with its next save, unless `at_once`: its App is deleted."""
        if not self.is_open:
            return
        if not self.canceling:
            self.canceling, self.cancel_by = True, by
        if at_once:
            self._end(State.CANCELED, "canceled", now)
        elif self.state is not State.RUNNING:
            self._end_by_journal(State.CANCELED, "canceled", now)

    def _hand_back(self, now: int) -> None:
        if self.canceling:
            self._end_by_journal(State.CANCELED, "canceled", now)
            return
        self._note(now, "run.handed_back", b"{}")
        self._queue(now)

    def _queue(self, now: int) -> None:
        self.state, self.due, self.lease_until, self.holder = State.QUEUED, now, None, None

    def _take_end(self, end: End, now: int) -> None:
        self.error = end.error.decode() if end.error is not None else None
        if end.output is not None:
            self._put_content(OUTPUT, end.output)
        if end.record is not None:
            self._put_content(RECORD, end.record)
            self.recorded = False
        self._end(end.status, end.reason, now)

    def _end(self, state: State, reason: str, now: int) -> None:
        self.state, self.reason, self.ended_at, self.lease_until, self.holder = state, reason, now, None, None
        self.alone = False
        # Nothing resumes it, so its parts go at once.
        self.size, self.parts_size = self.size - self.parts_size, 0
        self.pending.clears_parts = True
        self.pending.puts.clear()
        self._note(now, f"run.{state.value}", None)

    def _end_by_journal(self, state: State, reason: str, now: int) -> None:
        """Ends a run that no pod ends, with a record of its own: else the recorder would count a version's crashes as no runs."""
        self._end(state, reason, now)
        self._put_content(RECORD, zlib.compress(dumps(records.of(self))))
        self.recorded = False

    def _note(self, now: int, kind: str, data: bytes | None) -> None:
        self.last_event += 1
        self.size += EVENT_SIZE + len(kind) + len(data or b"")
        self.pending.events.append(Event(self.last_event, now, kind, data))

    def _put_content(self, name: str, data: bytes) -> None:
        self.size += len(data)
        self.pending.contents[name] = data

    def _size_part(self, node: str, size: int, sizes: dict[str, int]) -> None:
        change = size - sizes.pop(node, 0)
        self.size, self.parts_size = self.size + change, self.parts_size + change
        if size:
            sizes[node] = size
