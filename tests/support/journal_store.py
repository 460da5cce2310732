"""Calls a journal's store without HTTP, at a time that the test sets, and checks what must always hold of it."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import msgspec

from dynamiq_recorder.journal import callbacks, operations, sessions, waiting
from dynamiq_recorder.journal.callback import Callback, CallbackState, Delivery, Settled, size_of
from dynamiq_recorder.journal.callbacks import of_run
from dynamiq_recorder.journal.model import (
    MICROSECONDS,
    REJECTED,
    Asks,
    End,
    Limits,
    NewCallback,
    NewEvent,
    NewQuestion,
    NewRun,
    Pause,
    Place,
    Save,
    Saved,
    Selection,
    State,
)
from dynamiq_recorder.journal.operations import Accepted, Claim
from dynamiq_recorder.journal.placement import Placement, hash_of
from dynamiq_recorder.journal.question import Input
from dynamiq_recorder.journal.run import EVENT_SIZE, OPEN, RECORD, RUN_SIZE, Run
from dynamiq_recorder.journal.sessions import Owned
from dynamiq_recorder.journal.store import JournalStore
from dynamiq_recorder.journal.tables import Work, unpacked
from tests.support.journal import APP

HOOK = "https://hooks.example.com/runs?key=secret"
NOON = 1_796_212_800 * MICROSECONDS


class Clock:
    """A time in microseconds."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> int:
        return self.now

    def pass_by(self, seconds: float) -> None:
        self.now += round(seconds * MICROSECONDS)


class Kept:
    """A store and its clock. Each call is one transaction."""

    def __init__(self, store: JournalStore, clock: Clock) -> None:
        self.store, self.clock, self.turns = store, clock, store.turns

    def do(self, operation: Callable[[Work], Any]) -> Any:
        return self.store.commit(operation)[0]

    def accept(self, place: Place = APP, *, claims: bool = False, limits: Limits | None = None, **fields: Any) -> Accepted:
        operation = partial(operations.accept, place=place, new=a_new_run(**fields), limits=limits or Limits(), claims=claims)
        accepted: Accepted = self.do(operation)
        return accepted

    def accepted(self, place: Place = APP, **fields: Any) -> str:
        """Accepts a run. Returns its id."""
        return self.accept(place, **fields).run.id

    def claim(self, place: Place = APP, free: int = 1, held: int = 0) -> list[Claim]:
        claims: list[Claim] | None = self.do(partial(operations.claim, place=place, free=free, held=held, turns=self.turns))
        return claims or []

    def begun(self, place: Place = APP, **fields: Any) -> tuple[str, int]:
        """Accepts and claims a run. Returns its id and its fence."""
        run = self.accept(place, claims=True, **fields).run
        return run.id, run.fence

    def save(self, *saves: Save, place: Place = APP) -> list[Saved]:
        results: list[Saved] = self.do(partial(operations.save, place=place, saves=saves))
        return results

    def end(self, run_id: str, fence: int, number: int = 99, *, place: Place = APP, **fields: Any) -> Saved:
        return self.save(a_save(run_id, fence, number, end=an_end(**fields)), place=place)[0]

    def cancel(self, run_id: str, by: str | None = None, place: Place = APP) -> Run | None:
        run: Run | None = self.do(partial(operations.cancel, app_uid=place.app_uid, run_id=run_id, by=by))
        return run

    def paused(self, *questions: NewQuestion, place: Place = APP, resume_at: int | None = None, **fields: Any) -> str:
        """Accepts a run that a pod begins, and that pauses at these questions. Returns its id."""
        run_id, fence = self.begun(place, **fields)
        save = a_save(run_id, fence, parts={"a": b"1"}, questions=questions, pause=Pause(resume_at))
        assert self.save(save, place=place)[0].ok
        return run_id

    def answer(self, run_id: str, place: Place = APP, by: str = "ann", kind: Asks = Asks.HUMAN_FEEDBACK, **data: Any) -> bool:
        """Answers a question, by default `ask:1` with a text. Returns True if the answer is new. Raises Refused."""
        given = msgspec.convert({"request_id": "ask:1", **(data or {"feedback": "yes"})}, Input)
        result = self.do(partial(waiting.answer, app_uid=place.app_uid, run_id=run_id, kind=kind, given=given, by=by))
        assert result is not None
        return bool(result[1])

    def hold(self, reason: str = REJECTED, place: Place = APP) -> int:
        return int(self.do(partial(waiting.hold, app_uid=place.app_uid, pins=place.pins, reason=reason))[0])

    def unhold(self, reason: str = REJECTED, place: Place = APP) -> int:
        return int(self.do(partial(waiting.unhold, app_uid=place.app_uid, pins=place.pins, reason=reason))[0])

    def whose(self, session: str = "s-1", place: Place = APP) -> Owned:
        """Asks for a pod whose the conversation of an id is."""
        owned: Owned = self.do(partial(sessions.whose, place=place, session=hash_of(session)))
        return owned

    def place_sessions(self, app_uid: str = APP.app_uid, **fields: Any) -> dict[str, int]:
        """Places an App's conversations. Returns how many were moved, by pins."""
        placement = msgspec.convert(fields, Placement)
        digest = hashlib.sha256(repr(fields).encode()).hexdigest()[:16]
        self.do(partial(sessions.put_placement, app_uid=app_uid, new=placement, digest=digest))
        moved, more = Counter[str](), True
        while more:
            piece, more = self.do(partial(sessions.end_moved, app_uid=app_uid))
            moved.update(piece)
        return dict(moved)

    def conversations(self, app_uid: str = APP.app_uid, warm: int = 300) -> dict[str, tuple[int, int]]:
        """Returns how many conversations there are, and how many recent ones, by pins."""
        return {each.pins: (each.sessions, each.recent) for each in self.store.conversations({app_uid: warm}, app_uid) if each.sessions}

    def moved(self, app_uid: str = APP.app_uid) -> dict[str, int]:
        """Returns how many conversations have left which pins."""
        return {each.pins: each.moved for each in self.store.conversations({}, app_uid) if each.moved}

    def called(self, *urls: str, place: Place = APP, **fields: Any) -> str:
        """Accepts and ends a run with callbacks. Returns its id."""
        run_id, fence = self.begun(place, callbacks=tuple(map(NewCallback, urls or (HOOK,))), **fields)
        assert self.end(run_id, fence, place=place).callbacks == len(urls or (HOOK,))
        return run_id

    def claim_callbacks(self, free: int = 20, hosts: tuple[str, ...] = (), place: Place = APP) -> list[Callback]:
        chosen: list[Callback] = self.do(partial(callbacks.claim, app_uid=place.app_uid, free=free, hosts=hosts))[0]
        return chosen

    def settle(self, of: Callback, run_id: str, status: int | None = None, error: str | None = None, **fields: Any) -> Settled | None:
        """Reports a try of a claimed callback. `fields`: those of the result, `limits_egress`, and the chance of the next wait, 0.5."""
        limits_egress, chance = fields.pop("limits_egress", False), fields.pop("chance", 0.5)
        result = Delivery(run_id, of.n, of.tries, status, error, **fields)
        operation = partial(callbacks.settle, app_uid=of.app_uid, results=[result], limits_egress=limits_egress, chance=lambda: chance)
        outcomes: list[Settled | None] = self.do(operation)
        return outcomes[0]

    def callbacks_of(self, run_id: str, place: Place = APP) -> tuple[Callback, ...]:
        shown = self.store.run(place.app_uid, run_id)
        assert shown is not None
        return shown.callbacks

    def event(self, run_id: str, kind: str) -> Any:
        """Returns the data of the last event of a type."""
        found = self.store.events(APP.app_uid, run_id, 0, 100_000)
        assert found is not None
        return [msgspec.json.decode(each.data or b"null") for each in found.events if each.type == kind][-1]

    def sweep(self, interruptions: int = 5) -> int:
        return int(self.do(partial(operations.sweep, interruptions=lambda _: interruptions))[0])

    def silent(self, times: int = 1, place: Place = APP) -> None:
        """Lets a pod claim the oldest run, save it once, and say nothing more of it, so many times."""
        for _ in range(times):
            (claim,) = self.claim(place)
            assert self.save(a_save(claim.run.id, claim.run.fence), place=place)[0].ok
            self.clock.pass_by(31)
            assert self.sweep(99) == 1

    def run(self, run_id: str, place: Place = APP) -> Run:
        shown = self.store.run(place.app_uid, run_id)
        assert shown is not None
        return shown.run

    def kinds(self, run_id: str, place: Place = APP) -> list[str]:
        """Returns the types of a run's events, whose sequence must have no gap."""
        found = self.store.events(place.app_uid, run_id, 0, 100_000)
        assert found is not None
        assert [each.sequence for each in found.events] == list(range(1, found.run.last_event + 1))
        return [each.type for each in found.events]

    def check(self) -> None:
        """Checks that all counts are those of the runs that exist."""
        self.do(_check)


def _check(work: Work) -> None:
    runs = work.load("1 = 1")
    of = work.connection.all
    kept = of("SELECT app_uid, pins, count(*) FROM session GROUP BY app_uid, pins")
    assert sorted(kept) == sorted(of("SELECT app_uid, pins, sessions FROM session_tally WHERE sessions <> 0"))
    tally = Counter((run.app_uid, run.pins, run.state.value) for run in runs if run.state in OPEN)
    assert {line[:3]: line[3] for line in of("SELECT app_uid, pins, state, runs FROM tally WHERE runs <> 0")} == tally
    keys = Counter((run.app_uid, run.key_name) for run in runs if run.state in OPEN)
    assert {line[:2]: line[2] for line in of("SELECT app_uid, key_name, runs FROM key_tally WHERE runs <> 0")} == keys
    space = Counter[str]()
    for run in runs:
        space[run.namespace] += run.size
        parts = of("SELECT coalesce(sum(size), 0), coalesce(sum(length(state)), 0) FROM part WHERE run = ?", (run.key,))
        assert parts == [(run.parts_size, run.parts_size)]
        assert (run.lease_until is not None) == (run.state is State.RUNNING)
        assert (run.ended_at is None) == run.is_open
        assert (run.paused_at is not None) == (run.state in (State.WAITING, State.HELD))
        assert (run.hold_reason is not None) == (run.state is State.HELD)
        _check_questions(work, run)
        assert [number for (number,) in of("SELECT sequence FROM event WHERE run = ? ORDER BY sequence", (run.key,))] == list(
            range(1, run.last_event + 1)
        )
    assert dict(of("SELECT namespace, size FROM space WHERE size <> 0")) == dict(space)
    keys_of_runs = {run.key for run in runs}
    for table in ("content", "part", "event", "question", "callback"):
        assert {key for (key,) in of(f"SELECT DISTINCT run FROM {table}")} <= keys_of_runs  # noqa: S608 - our own names


def _check_questions(work: Work, run: Run) -> None:
    """Checks the counts of a run's questions, and that all of its bytes are counted."""
    questions = list(work.questions([run], unused=True)[run.key].values())
    asked = [each.asked_at for each in questions if each.is_open and run.is_open]
    new = [each for each in questions if each.waits_for_its_node and each.given != run.fence and run.is_open]
    assert (run.open_questions, run.waits_since, run.new_answers) == (len(asked), min(asked, default=None), len(new))
    of = work.connection.all
    contents = sum(
        len(data) if name == RECORD else len(unpacked(data))
        for name, data in of("SELECT name, data FROM content WHERE run = ?", (run.key,))
    )
    events = sum(
        EVENT_SIZE + len(kind) + len(unpacked(data) if data is not None else b"")
        for kind, data in of("SELECT type, data FROM event WHERE run = ?", (run.key,))
    )
    ((asking,),) = of("SELECT coalesce(sum(size), 0) FROM question WHERE run = ?", (run.key,))
    called = of_run(work.connection, run.key)
    callbacks = sum(size_of(NewCallback(each.url, each.token, each.metadata)) for each in called)
    assert run.size == RUN_SIZE + contents + events + run.parts_size + asking + callbacks
    for each in called:
        assert (each.due is None, each.gives_up_at is None) == (run.is_open, run.is_open)
        assert each.state is CallbackState.PENDING or each.lease_until is None


def a_question(name: str = "ask:1", kind: Asks = Asks.HUMAN_FEEDBACK, **content: Any) -> NewQuestion:
    shown = {"prompt": "Go on?", "params": None, "editable_params": [], "questions": None, **content}
    return NewQuestion(name, name.partition(":")[0], kind, "Ask", msgspec.json.encode(shown))


def a_new_run(**fields: Any) -> NewRun:
    return NewRun(**{"id": str(uuid.uuid4()), "key": "of-ann", "input": b'{"question":"hi"}', **fields})


def a_save(run_id: str, fence: int, number: int = 1, *, parts: Mapping[str, bytes] | None = None, events: int = 0, **fields: Any) -> Save:
    """Returns a save. `events`: how many it has."""
    made = tuple(NewEvent("node.ended", b'{"number":%d}' % each) for each in range(events))
    return Save(id=run_id, fence=fence, number=number, parts=parts or {}, events=made, **fields)


def an_end(status: str = "completed", reason: str = "succeeded", **fields: Any) -> End:
    return End(status=State(status), reason=reason, **{"output": b'{"answer":42}', **fields})


def everything(of: Place = APP, **fields: Any) -> Selection:
    return Selection(**{"app_uid": of.app_uid, "limit": 100, **fields})
