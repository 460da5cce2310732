"""Keeps what happens in a claimed background run until the journal has it: states of nodes, events, the end. It sends nothing itself."""

from __future__ import annotations

import base64
import json
import threading
import time
import zlib
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Future
from datetime import UTC, datetime
from typing import Any

from dynamiq_runtime.content import Excerpt
from dynamiq_runtime.engine import NodeRun, Question, StoppedError, Usage
from dynamiq_runtime.frames import ANSWER_DELTA, NODE_DELTA, ChunkEvents, json_text
from dynamiq_runtime.questions import Answer, Questions
from dynamiq_runtime.run import CANCELED

CHECKPOINT_LIMIT = 4 << 20  # bytes of all states of one run, compressed
LEND_AFTER = 0.5  # seconds that a run waits for a commit before others may use its thread
FENCED, HANDED_BACK, TOO_LARGE = "fenced", "handed_back", "checkpoint_too_large"
"""Why a run stops in this process, beside CANCELED and codes by which the journal refuses a save for good; `Segment.stopped`."""
LOST = frozenset({FENCED, "not_found"})
"""Codes of a save of a run that another process has, or whose App is deleted."""
BEGUN, TRACE, ASKED = "~begun", "~trace/", "~asked"
"""Names of parts that are no node's: how often each unfinished node began, the nodes that each save reported, and numbers of questions."""
JOINED = frozenset({NODE_DELTA, ANSWER_DELTA})
STEP = ("id", "name", "type", "began", "within", "ended", "status", "attempts", "cached", "is_model", "model", "provider")
STEP_ERROR = ("error_type", "error_line", "error")


class Segment:
    """A run as far as this process executes it: the run's Steps. `begin`, `emit` and `save` are for its threads, all else for the loop.

    `stopped`: why no further node may begin here; empty while one may. `dirty`: called, on any thread, when there is something to save.
    `gives_way`: lets others use the run's thread until a future is done; it blocks. `has_begun`: False while the run waits for a thread.
    `refused`: the code by which the journal refused a save for good; empty if it did not. `cancel`: ends a node that waits in its thread.
    """

    keeps = True

    def __init__(self, claim: Mapping[str, Any], dirty: Callable[[bool], None], gives_way: Callable[[Future[object] | None], None]) -> None:
        self.id: str = claim["run"]["id"]
        self.fence: int = claim["fence"]
        self.stopped = ""
        self.refused = ""
        self.ended = self.has_begun = False
        self.saved_at = time.monotonic()
        self.cancel: Callable[[], None] = _nothing
        self._dirty, self._gives_way = dirty, gives_way
        self._lock = threading.Lock()
        self._busy, self._since, self._paused = claim["busy_ms"] / 1000, time.monotonic(), 1
        self._number = self._traced = 0
        self._parts: dict[str, str] = {}
        self._dropped: set[str] = set()
        self._events: list[tuple[str, dict[str, Any]]] = []
        self._waiting: list[Future[object]] = []
        self._end: Mapping[str, Any] | None = None
        self._hand_back = False
        self._pausing: Mapping[str, Any] | None = None
        self._chunks = ChunkEvents()
        self._sizes = {name: len(text) * 3 // 4 for name, text in claim["parts"].items()}
        kept = {name: _unpacked(text) for name, text in claim["parts"].items()}
        self._begun: dict[str, int] = json.loads(kept.pop(BEGUN, b"{}"))
        self._keeps_questions = "questions" in claim  # a journal from before them does not
        self._awaited = 0
        self._questions = Questions(claim.get("questions") or (), json.loads(kept.pop(ASKED, b"{}")))
        traces = sorted((name for name in kept if name.startswith(TRACE)), key=_order)
        self.nodes = [node for name in traces for node in _nodes(kept.pop(name))]
        """The nodes of the run's report. Those of earlier processes come first."""
        self._seen = len(self.nodes)
        self._open: list[NodeRun] = []
        self._last: str | None = None
        self.kept: Mapping[str, bytes] = kept

    @property
    def busy_seconds(self) -> float:
        """The time that pods spent on the run, without what it waited for a thread and for the journal."""
        with self._lock:
            return self._busy_now()

    def _busy_now(self) -> float:
        return float(self._busy) + (0.0 if self._paused else time.monotonic() - self._since)

    def start_clock(self) -> None:
        """Notes that the run has its thread."""
        with self._lock:
            self.has_begun = True
            self._pause(-1)

    def begin(self, node: NodeRun) -> None:
        with self._lock:
            self._begun[node.id] = attempt = self._begun.get(node.id, 0) + 1
            self._last = node.id
            self._put(BEGUN, json.dumps(self._begun).encode())
            self._events.append(("node.started", {"object": "node", "id": node.id, "name": node.name, "attempt": attempt}))
        self._dirty(False)

    def emit(self, chunk: Mapping[str, Any]) -> None:
        """Adds what a node streams; pieces of one text that wait together are joined."""
        with self._lock:
            if (event := self._chunks.of(chunk)) is not None:
                kind, data = event[0], json.loads(json_text(event[1]))
                if not (self._events and _joined(self._events[-1], kind, data)):
                    self._events.append((kind, data))
        self._dirty(False)

    @property
    def is_asking(self) -> bool:
        """True if a node waits for an answer in its thread: the journal tells it with the answer to a save."""
        with self._lock:
            return self._questions.awaited > 0

    def ask(self, question: Question, deliver: Callable[[Answer], None] | None = None) -> Answer | None:
        if not self._keeps_questions:
            self.stopped = "no_journal"
            raise StoppedError(self.stopped)
        with self._lock:
            answer = self._questions.ask(question, deliver)
            self._put(ASKED, json.dumps(self._questions.highest).encode())
            self._count_awaited()
        self._dirty(deliver is not None)
        return answer

    def save(self, states: Mapping[str, bytes], *, waits: bool = True, settled: Collection[str] = ()) -> None:
        if self.stopped:
            raise StoppedError(self.stopped)
        committed: Future[object] = Future()
        with self._lock:
            for node_id, state in states.items():
                self._put(node_id, state)
                self._begun.pop(node_id, None)
            self._questions.settle(settled)
            self._count_awaited()
            self._put(BEGUN, json.dumps(self._begun).encode())
            self._report_ended()
            if sum(self._sizes.values()) > CHECKPOINT_LIMIT:
                self.stopped = TOO_LARGE
                self._parts.clear()
                self._sizes.clear()
                raise StoppedError(TOO_LARGE)
            if not waits:
                return
            if self.ended:
                raise StoppedError(self.stopped)
            self._waiting.append(committed)
            self._pause(1)
        self._dirty(True)
        try:
            try:
                committed.result(LEND_AFTER)
            except TimeoutError:
                self._gives_way(committed)
            else:
                self._gives_way(None)
        finally:
            with self._lock:
                self._pause(-1)
        if self.stopped:
            raise StoppedError(self.stopped)

    def finish(self, end: Mapping[str, Any] | None, pause: Mapping[str, Any] | None = None) -> Future[object]:
        """Ends the run; without `end` it waits as `pause` has it, or is handed back. Returns what is done once the journal has it."""
        committed: Future[object] = Future()
        with self._lock:
            self._end, self._pausing, self._hand_back = end, pause, end is None and pause is None
            self._report_ended()
            if self.ended:
                committed.set_result(None)
                return committed
            self._waiting.append(committed)
        self._dirty(True)
        return committed

    def hand_back(self) -> None:
        """Hands the run back with its next save."""
        with self._lock:
            self._hand_back = not self.ended

    def take(self) -> tuple[dict[str, Any], list[Future[object]]]:
        """Returns the next save, and what waits for it."""
        with self._lock:
            self._number += 1
            # An answer that came while the run did something else: it goes on at once.
            is_heard = self._pausing is not None and self._questions.has_news
            save = {
                "id": self.id,
                "fence": self.fence,
                "number": self._number,
                "busy_ms": round(self._busy_now() * 1000),
                "node": self._last,
                "parts": self._parts,
                "drop_parts": [],
                "events": [{"type": kind, "data": data} for kind, data in self._events],
                "hand_back": (self._hand_back or is_heard) and bool(self._waiting),
                "pause": None if is_heard else self._pausing,
                "end": self._end,
                **self._questions.take(),
            }
            waiting = self._waiting
            self._parts, self._events, self._waiting = {}, [], []
        return save, waiting

    def answered(self, save: Mapping[str, Any], waiting: list[Future[object]], result: Mapping[str, Any]) -> None:
        """Takes the journal's answer to a save. `waiting`: those that waited for it."""
        self.saved_at = time.monotonic()
        came: list[tuple[Callable[[Answer], None], Answer]] = []
        with self._lock:
            for each in result.get("answers") or ():
                if (deliver := self._questions.receive(each["id"], each["answer"])) is not None:
                    came.append((deliver, each["answer"]))
            self._count_awaited()
            if not result["ok"] and result["code"] not in LOST and not self.refused:
                # It would be refused again and again, and the run with its effects repeated: the run ends without what is at fault.
                self.refused = self.stopped = str(result["code"])
                self._parts, self._events, self._last = {}, [], None
                if save["end"] is not None or save["pause"] is not None:
                    self._end, self._pausing = failed(self.refused), None
                    self._waiting += waiting
                    waiting = []
            elif not result["ok"]:
                self.stopped, self.ended = FENCED, True
            elif save["end"] is not None or save["pause"] is not None:
                self.ended = True
            elif save["hand_back"]:
                self.stopped, self.ended = HANDED_BACK, True
            elif result.get("cancel"):
                self.stopped = self.stopped or CANCELED
            if self.ended:  # it is not saved again
                waiting, self._waiting = [*waiting, *self._waiting], []
            is_left = bool(self._waiting)
        for deliver, answer in came:
            deliver(answer)
        for waiter in waiting:
            waiter.set_result(None)
        if self.stopped and self.is_asking:
            self.cancel()
        if is_left:
            self._dirty(True)

    def lose(self) -> None:
        """Stops the run here: this process has claimed it again, after its lease."""
        with self._lock:
            self.stopped, self.ended = FENCED, True
            waiting, self._waiting = self._waiting, []
        for each in waiting:
            each.set_result(None)
        if self.is_asking:
            self.cancel()

    def _count_awaited(self) -> None:
        """Stops the clock for each question for which a node waits in its thread: a person's time is no pod's."""
        awaited = self._questions.awaited
        self._pause(awaited - self._awaited)
        self._awaited = awaited

    def _pause(self, by: int) -> None:
        """Stops the clock while a thread waits for the journal."""
        now = time.monotonic()
        if not self._paused:
            self._busy += now - self._since
        self._paused, self._since = self._paused + by, now

    def _put(self, name: str, content: bytes) -> None:
        packed = zlib.compress(content, 1)
        self._parts[name], self._sizes[name] = base64.b64encode(packed).decode(), len(packed)

    def _report_ended(self) -> None:
        """Adds the nodes that ended since the last save: events of those of the flow, and all of them for the run's record."""
        new = self._open + self.nodes[self._seen :]
        self._seen = len(self.nodes)
        self._open = [node for node in new if not node.ended]
        ended = [node for node in new if node.ended]
        for node in ended:
            if node.parent is None:
                failed = {"error_type": node.error_type} if node.error_type else {}
                took = round((node.ended - node.began) / 1e6, 3)
                data = {"object": "node", "id": node.id, "name": node.name, "status": node.status, "duration_ms": took, **failed}
                self._events.append(("node.ended", data))
        if ended:
            self._traced += 1
            self._put(f"{TRACE}{self.fence}/{self._traced}", _steps(ended))


class CallSegment(Segment):
    """A run in its caller's connection that may have to wait. Nothing is sent before it does: most such runs end without."""

    def __init__(self, run_id: str) -> None:
        super().__init__({"run": {"id": run_id}, "fence": 0, "busy_ms": 0, "parts": {}, "questions": []}, lambda _: None, lambda _: None)
        self._is_too_large = False

    def save(self, states: Mapping[str, bytes], *, waits: bool = True, settled: Collection[str] = ()) -> None:  # noqa: ARG002
        if self._is_too_large:
            states = {}
        try:
            super().save(states, waits=False, settled=settled)
        except StoppedError:
            if self.stopped != TOO_LARGE or self._is_too_large:
                raise
            self.stopped, self._is_too_large = "", True  # it fails only if it has to wait

    def ask(self, question: Question, deliver: Callable[[Answer], None] | None = None) -> Answer | None:
        if deliver is not None or self._is_too_large:
            self.stopped = TOO_LARGE if self._is_too_large else "question_in_call"
            raise StoppedError(self.stopped)
        return super().ask(question)

    def paused(self, resume_at: datetime | None) -> dict[str, Any]:
        """Returns all that is kept of the run, which waits from now on. Raises StoppedError if that is too much."""
        if self._is_too_large:
            raise StoppedError(TOO_LARGE)
        with self._lock:
            self._report_ended()
            self._pausing = pause_of(resume_at)
        save, _ = self.take()
        return {name: save[name] for name in ("busy_ms", "node", "parts", "events", "questions", "pause")}


def _nothing() -> None:
    """Cancels nothing: the engine has not begun the run."""


def pause_of(resume_at: datetime | None) -> dict[str, Any]:
    """Returns the part of a save by which a run waits."""
    return {"resume_at": None if resume_at is None else resume_at.astimezone(UTC).isoformat()}


def failed(code: str) -> dict[str, Any]:
    """Returns the end of a run whose own end the journal refused."""
    error = {"code": code, "message": "the journal cannot keep the states, the events or the output of the run", "details": {}}
    return {"status": "failed", "reason": "failed", "output": None, "error": error, "record": None}


def _order(name: str) -> tuple[int, ...]:
    return tuple(int(number) for number in name.removeprefix(TRACE).split("/"))


def _joined(last: tuple[str, dict[str, Any]], kind: str, data: dict[str, Any]) -> bool:
    """Returns True if a text was added to the last event, which is of the same node."""
    before, after = last[1].get("delta"), data.get("delta")
    if kind not in JOINED or last[0] != kind or last[1].get("node") != data.get("node"):
        return False
    if not isinstance(before, str) or not isinstance(after, str):
        return False
    last[1]["delta"] = before + after
    return True


def _unpacked(text: str) -> bytes:
    return zlib.decompress(base64.b64decode(text))


def _steps(nodes: list[NodeRun]) -> bytes:
    """Serializes nodes that ended. A parent is its place in the list; of one that has not ended it is unknown."""
    places = {id(node): place for place, node in enumerate(nodes)}
    lines = []
    for node in nodes:
        fields: dict[str, Any] = {name: getattr(node, name) for name in (*STEP, *STEP_ERROR)}
        usage = node.usage
        fields["usage"] = None if usage is None else [getattr(usage, name) for name in Usage.__slots__]
        fields |= {
            name: None if value is None else [value.text, value.cut] for name, value in (("input", node.input), ("output", node.output))
        }
        lines.append({**fields, "parent": places.get(id(node.parent))})
    return json.dumps(lines).encode()


def _nodes(content: bytes) -> list[NodeRun]:
    lines = json.loads(content)
    nodes = []
    for fields in lines:
        fields["usage"] = None if fields["usage"] is None else Usage(*fields["usage"])
        for name in ("input", "output"):
            fields[name] = None if fields[name] is None else Excerpt(*fields[name])
        nodes.append(NodeRun(**{**fields, "parent": None}))
    for node, fields in zip(nodes, lines, strict=True):
        node.parent = None if fields["parent"] is None else nodes[fields["parent"]]
    return nodes
