"""Changes a run from state to state. It reads no clock and no database: `tables` loads and writes what is decided here.

    queued ── claim ──> running ── end ──> completed, failed, canceled
      ^                    │
      └─ handed back, or its lease is over: interrupted; too often: failed

    running ── pause ──> waiting ── too long ──> expired
    queued <── answer, time ──┘

Each open run can be held. Then it is released to where it was, restarted from its input, or canceled.

Each change adds its events, whose numbers have no gaps.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping

import msgspec

from dynamiq_operator.model.journal import OPEN_STATES
from dynamiq_operator.serving.encoding import dumps
from dynamiq_recorder.journal import records
from dynamiq_recorder.journal.callback import size_of
from dynamiq_recorder.journal.model import (
    ALONE_FROM,
    FENCES,
    OUTPUT_MAX,
    PARTS_MAX,
    QUESTION_MAX,
    QUESTIONS_MOST,
    REJECTED,
    RESTORED,
    RUN_MAX,
    STATUSES,
    Asks,
    End,
    NewCallback,
    NewQuestion,
    Pause,
    Refused,
    Save,
    State,
)
from dynamiq_recorder.journal.pending import Event, Pending
from dynamiq_recorder.journal.question import QUESTION_SIZE, Question
from dynamiq_recorder.reads.times import shown_or_none

RUN_SIZE, EVENT_SIZE = 512, 48
"""Bytes that a run and an event take beside their contents."""
INPUT, OUTPUT, RECORD = "input", "output", "record"
NUMBERS = "~asked"
"""The part in which pods keep the number of the last question of each node."""
NOTE = "~"
"""The beginning of the names of parts that are no node's state, such as which nodes began. Saving one is no progress."""
OPEN = frozenset(map(State, OPEN_STATES))
ASKED: Mapping[Asks, str] = {Asks.HUMAN_FEEDBACK: "agent.human_feedback.requested", Asks.APPROVAL: "approval_request.created"}
"""The types of the events of new questions."""


class Run(msgspec.Struct, kw_only=True):
    """A run. Its first fields change with a restart at most; the names are those of the table's columns. `key`: 0 before it is stored."""

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
    paused_at: int | None = None
    resume_at: int | None = None
    waits_since: int | None = None
    hold_reason: str | None = None
    open_questions: int = 0
    new_answers: int = 0
    was: State | None = None
    """The stored state, and below it the stored pins and size; None for a new run."""
    was_pins: str = ""
    had: int = 0
    pending: Pending = msgspec.field(default_factory=Pending)

    @property
    def is_open(self) -> bool:
        return self.state in OPEN

    @property
    def claims(self) -> int:
        """Returns how often it was claimed; a hold of a claimed run counts, too."""
        return self.fence % FENCES

    def accept(self, data: bytes, now: int, callbacks: tuple[NewCallback, ...] = ()) -> None:
        """Begins the life of a new run. `data`: its input."""
        self.due, self.size, self.pending.callbacks = now, RUN_SIZE + sum(map(size_of, callbacks)), callbacks
        self._put_content(INPUT, data)
        self._note(now, "run.accepted", b"{}")

    def claim(self, holder: str, now: int, lease: int, questions: Iterable[Question] = ()) -> None:
        """Gives the run to a pod until the end of a lease; saves of earlier claims are refused from now on.

        `questions`: its unused ones, whose answers the pod gets.
        """
        self.state, self.fence, self.number, self.holder = State.RUNNING, self.fence + 1, 0, holder
        self.lease_until = lease
        if self.started_at is None:
            self.started_at = now
            self._note(now, "run.started", b"{}")
        else:
            self._note(now, "run.resumed", dumps({"attempt": self.claims}))
        self.give(questions)

    def give(self, questions: Iterable[Question]) -> None:
        """Notes that the present claim has all answers."""
        for each in questions:
            if each.waits_for_its_node:
                each.given = self.fence
                self.pending.questions[each.id] = each
        self.new_answers = 0

    def is_held_by(self, fence: int) -> bool:
        """Returns True if this claim has the run, even after its lease if nobody took the run since."""
        return self.state is State.RUNNING and self.fence == fence

    def save(self, save: Save, sizes: dict[str, int], questions: dict[str, Question], now: int, lease: int) -> None:
        """Takes the save of the pod that has the run. `lease`: its new end.

        `sizes`: of its parts by node. `questions`: all of its questions by id, if the save changes them. Both are kept up to date.

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
        self._close((*save.used, *save.closed), save.closed, questions)
        for question in save.questions:
            if question.id not in questions:
                questions[question.id] = self._ask(question, len(questions), now)
        if save.changes_questions:
            self._count_questions(questions)
        if self.parts_size > PARTS_MAX or self.size > RUN_MAX:
            raise Refused("checkpoint_too_large", f"run {self.id} is too large: its state may have {PARTS_MAX} bytes", {"id": self.id})
        if save.end is not None and len(save.end.output or b"") > OUTPUT_MAX:
            message = f"run {self.id} is too large: its output may have {OUTPUT_MAX} bytes"
            raise Refused("checkpoint_too_large", message, {"id": self.id})
        if save.end is not None:
            self._take_end(save.end, now)
        elif save.pause is not None:
            self._pause(save.pause, questions, now)
        elif save.hand_back:
            self._hand_back(now)

    def interrupt(self, most: int, now: int) -> None:
        """Takes the run from a pod that was silent for a lease. `most`: interruptions without progress by which it fails."""
        # A pod that saved nothing may never have got its first claim. A later one counts: the run may end pods at once.
        if self.number > 0 or self.claims > 1:
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

    def answer(self, question: Question, answer: bytes, by: str, now: int, questions: dict[str, Question]) -> None:
        """Takes the answer to an open question. A run that waits goes on. `questions`: all of the run."""
        question.answer, question.answer_by, question.answered_at, question.given = answer, by, now, 0
        question.size += len(answer)
        self.size += len(answer)
        self.pending.questions[question.id] = question
        self._count_questions(questions)
        approved = {"is_approved": msgspec.json.decode(answer)["is_approved"]} if question.kind is Asks.APPROVAL else {}
        self._note(now, "run.input_received", dumps({"request_id": question.id, "type": question.kind, **approved, "by": by}))
        if self.state is State.WAITING:
            self._go_on(now)

    def resume(self, now: int) -> None:
        """Lets a run go on whose time has come."""
        if self.state is State.WAITING and self._is_due(now):
            self._go_on(now)

    def expire(self, now: int) -> None:
        """Ends a run whose questions were open for too long."""
        if self.state is State.WAITING:
            message = "nobody answered its questions in time"
            self.error = dumps({"code": "expired", "message": message, "details": {}}).decode()
            self._end_by_journal(State.EXPIRED, "expired", now)

    def hold(self, reason: str, now: int, questions: dict[str, Question]) -> bool:
        """Holds an open run, also one that a pod has. Returns False if it changes nothing. `questions`: all of a run that a pod has."""
        if not self.is_open or (self.state is State.HELD and self.hold_reason in (reason, REJECTED)):
            return False
        if self.canceling:
            self._end_by_journal(State.CANCELED, "canceled", now)
            return True
        if self.state is State.RUNNING:
            # The pod stops at its next save. It used answers that nobody has then, so they are new ones.
            self.fence, self.number = self.fence + 1, 0
            self._count_questions(questions)
        if self.state is not State.WAITING:
            self.resume_at = now  # it had something to do, which a release lets go on
        self.state, self.hold_reason, self.lease_until, self.holder = State.HELD, reason, None, None
        self.paused_at = self.paused_at or now
        self._note(now, "run.held", dumps({"reason": reason}))
        return True

    def restore(self, epoch: int, now: int, questions: dict[str, Question]) -> bool:
        """Continues an open run of a restored store: one that waits asks again, and one that had begun or was to begin is held.

        Returns True if it is held. Fences of the time that is lost are below those of the new epoch. `questions`: all of the run.
        """
        self.fence, self.number = epoch * FENCES + self.claims, 0
        self._count_questions(questions)
        is_asking = self.state is State.WAITING and not self._is_due(now)
        return self.state is not State.HELD and not is_asking and self.hold(RESTORED, now, questions)

    def release(self, by: str | None, now: int) -> None:
        """Lets a held run wait again for what it waited for, or go on."""
        self._note(now, "run.released", dumps({"by": by} if by is not None else {}))
        if self._has_to_wait(now):
            self.state, self.hold_reason = State.WAITING, None
        else:
            self._go_on(now)

    def restart(self, pins: str | None, workflow_hash: str | None, by: str, now: int, questions: Iterable[Question], asked: bytes) -> None:
        """Lets a held run begin again with its input. `pins`: None for its own. `questions`: all of the run. `asked`: its part NUMBERS, or empty.

        It stays: no later question has the id of one that somebody may still be answering.
        """
        if pins is not None:
            self.pins, self.workflow_hash = pins, workflow_hash
        self.size -= self.parts_size + sum(each.size for each in questions)
        self.parts_size, self.pending.clears_parts, self.pending.clears_questions = len(asked), True, True
        self.size += len(asked)
        self.pending.puts.update({NUMBERS: asked} if asked else {})
        self.number, self.attempts, self.alone, self.busy_ms, self.node = 0, 0, False, 0, None
        self._count_questions({})
        self._note(now, "run.restarted", dumps({"pins": self.pins, "by": by}))
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

    def _pause(self, pause: Pause, questions: dict[str, Question], now: int) -> None:
        if self.canceling:
            self._end_by_journal(State.CANCELED, "canceled", now)
            return
        waits_for = [each.id for each in questions.values() if each.is_open]
        self._note(now, "run.paused", dumps({"waits_for": waits_for, "resume_at": shown_or_none(pause.resume_at)}))
        self.state, self.paused_at, self.resume_at = State.WAITING, now, pause.resume_at
        self.lease_until, self.holder = None, None
        if not self._has_to_wait(now):
            self._go_on(now)

    def _is_due(self, now: int) -> bool:
        return self.resume_at is not None and self.resume_at <= now

    def _has_to_wait(self, now: int) -> bool:
        """Returns False if an answer came before the pause, or nothing would ever wake the run."""
        return not self.new_answers and not self._is_due(now) and (self.open_questions > 0 or self.resume_at is not None)

    def _go_on(self, now: int) -> None:
        """Queues a run that paused, by its age: it has waited longer than those that came meanwhile."""
        self._queue(min(self.accepted_at, now))

    def _queue(self, due: int) -> None:
        self.state, self.due, self.lease_until, self.holder = State.QUEUED, due, None, None
        self.paused_at, self.resume_at, self.hold_reason = None, None, None

    def _ask(self, new: NewQuestion, count: int, now: int) -> Question:
        if len(new.content) > QUESTION_MAX or count >= QUESTIONS_MOST:
            message = f"run {self.id} is too large: it may have {QUESTIONS_MOST} questions, each of {QUESTION_MAX} bytes"
            raise Refused("checkpoint_too_large", message, {"id": self.id})
        size = QUESTION_SIZE + len(new.id) + len(new.content)
        question = Question(
            id=new.id, node=new.node, kind=new.kind, name=new.name, size=size, asked_at=now, content=new.content, is_new=True
        )
        self.size += size
        self.pending.questions[new.id] = question
        self._note(now, ASKED[new.kind], dumps({"request": question.asked()}))
        return question

    def _close(self, ids: Iterable[str], closed: Iterable[str], questions: dict[str, Question]) -> None:
        """Ends questions whose node is saved. `closed`: those of them whose node needed no answer."""
        for each in [questions[name] for name in dict.fromkeys(ids) if name in questions]:
            if each.waits_for_its_node:  # also if its answer came before the pod knew
                each.used = True
                self.pending.questions[each.id] = each
            elif each.is_open and each.id in closed:
                del questions[each.id]
                self.size -= each.size
                self.pending.questions[each.id] = None

    def _count_questions(self, questions: Mapping[str, Question]) -> None:
        asked = [each.asked_at for each in questions.values() if each.is_open]
        self.open_questions, self.waits_since = len(asked), min(asked, default=None)
        self.new_answers = sum(each.waits_for_its_node and each.given != self.fence for each in questions.values())

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
        self.paused_at, self.resume_at, self.hold_reason = None, None, None
        self._count_questions({})
        self.pending.calls_back = True
        # Nothing resumes it, so its parts go at once.
        self.size, self.parts_size = self.size - self.parts_size, 0
        self.pending.clears_parts = True
        self.pending.puts.clear()
        self._note(now, f"run.{STATUSES[state]}", None)

    def _end_by_journal(self, state: State, reason: str, now: int) -> None:
        """Ends a run that no pod ends, with a record of its own: else the recorder would count a version's crashes as no runs."""
        self._end(state, reason, now)
        self.pending.unheard = True
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
