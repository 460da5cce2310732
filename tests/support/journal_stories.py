"""Tells the lives of background runs step by step, so that a test knows what a journal must have after each acknowledged step."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from dynamiq_recorder.journal import operations, waiting
from dynamiq_recorder.journal.model import Limits, Pause, Place, Save
from dynamiq_recorder.journal.operations import Turns
from dynamiq_recorder.journal.question import Input
from dynamiq_recorder.journal.store import opened
from dynamiq_recorder.journal.tables import Work
from tests.support.journal import APP
from tests.support.journal_store import Clock, Kept, a_new_run, a_question, a_save, an_end

LIMITS = Limits(of_app=10**9, of_key=10**9, of_namespace=1 << 50)
INPUT = b'{"text":"%s"}' % (b"long " * 1000)
Operation = Callable[[Work], Any]
Snapshot = tuple[object, ...]


@dataclass
class Life:
    """A run of a place that no other run has, so that a claim gets no other."""

    id: str
    place: Place
    turns: Turns


@dataclass(frozen=True)
class Step:
    """One operation. `is_done`: returns True if its result is the one of the step."""

    operation: Callable[[Life], Operation]
    is_done: Callable[[Life, Any], bool]


def accept(*, claims: bool) -> Step:
    def operation(life: Life) -> Operation:
        new = a_new_run(id=life.id, input=INPUT)
        return partial(operations.accept, place=life.place, new=new, limits=LIMITS, claims=claims)

    return Step(operation, lambda life, result: bool(result.run.id == life.id))


def claim() -> Step:
    return Step(
        lambda life: partial(operations.claim, place=life.place, free=1, held=0, turns=life.turns),
        lambda life, result: [each.run.id for each in result] == [life.id],
    )


def save(fence: int, number: int, **fields: Any) -> Step:
    def operation(life: Life) -> Operation:
        one: Save = a_save(life.id, fence, number, **fields)
        return partial(operations.save, place=life.place, saves=[one])

    return Step(operation, lambda _, result: bool(result[0].ok))


def node(fence: int, number: int) -> Step:
    return save(fence, number, parts={f"n{fence}-{number}": bytes(2000)}, events=2)


def end(fence: int, number: int, status: str) -> Step:
    return save(fence, number, end=an_end(status, status, record=bytes(500)))


def cancel() -> Step:
    return Step(
        lambda life: partial(operations.cancel, app_uid=life.place.app_uid, run_id=life.id, by="ann"),
        lambda life, result: bool(result.id == life.id),
    )


ASK = a_question()


def answer() -> Step:
    def operation(life: Life) -> Operation:
        given = Input("ask:1", feedback="yes")
        return partial(waiting.answer, app_uid=life.place.app_uid, run_id=life.id, kind=ASK.kind, given=given, by="ann")

    return Step(operation, lambda life, result: bool(result[0].id == life.id))


def resume() -> Step:
    """Claims a run that has an answer which no node has used."""
    return Step(claim().operation, lambda _, result: [each.answer is not None for each in result[0].questions] == [True])


def hold(*, holds: bool) -> Step:
    operation = waiting.hold if holds else waiting.unhold
    return Step(
        lambda life: partial(operation, app_uid=life.place.app_uid, pins=life.place.pins, reason="Rejected"),
        lambda _, result: result == (1, False),
    )


STORIES: Mapping[str, tuple[Step, ...]] = {
    "claimed_at_once": (accept(claims=True), *(node(1, number) for number in range(1, 5)), end(1, 5, "completed")),
    "handed_back": (
        *(accept(claims=False), claim(), node(1, 1), save(1, 2, hand_back=True)),
        *(claim(), node(2, 1), end(2, 2, "failed")),
    ),
    "canceled_while_queued": (accept(claims=False), cancel()),
    "answered_while_it_waits": (
        *(accept(claims=True), node(1, 1), save(1, 2, questions=(ASK,), pause=Pause()), answer()),
        *(resume(), save(2, 1, parts={"ask": b"yes"}, used=("ask:1",)), end(2, 2, "completed")),
    ),
    "answered_before_it_waits": (
        *(accept(claims=True), save(1, 1, questions=(ASK,)), answer(), save(1, 2, pause=Pause())),
        *(resume(), end(2, 1, "completed")),
    ),
    "held_while_it_waits": (
        *(accept(claims=True), save(1, 1, questions=(ASK,), pause=Pause()), hold(holds=True), hold(holds=False)),
        *(answer(), resume(), end(2, 1, "failed")),
    ),
    "canceled_while_running": (accept(claims=True), node(1, 1), cancel(), save(1, 2), end(1, 3, "canceled")),
}


def a_life(run_id: str, pins: str) -> Life:
    return Life(run_id, msgspec.structs.replace(APP, pins=pins), Turns())


def snapshot(kept: Kept, run_id: str) -> Snapshot | None:
    """Returns what a journal has of a run, without its times; None if it is missing."""
    shown = kept.store.run(APP.app_uid, run_id)
    if shown is None:
        return None
    run = shown.run
    sizes = kept.do(lambda work: work.sizes([run]))[run.key]
    asked = kept.do(lambda work: [(each.id, each.answer, each.used, each.given) for each in work.questions([run])[run.key].values()])
    kinds = tuple(kept.kinds(run_id))
    return run.state, run.reason, run.fence, run.number, run.canceling, run.recorded, shown.output, sorted(sizes.items()), asked, kinds


def snapshots(folder: Path) -> dict[str, list[Snapshot | None]]:
    """Returns what a journal has after each step of each story; first, before the run is accepted."""
    clock = Clock()
    kept = Kept(opened(f"sqlite://{folder}/expected.db", clock, clock), clock)
    expected: dict[str, list[Snapshot | None]] = {}
    for name, steps in STORIES.items():
        life = a_life(a_new_run().id, name)
        expected[name] = [None]
        for step in steps:
            assert step.is_done(life, kept.do(step.operation(life)))
            expected[name].append(snapshot(kept, life.id))
    kept.store.close()
    return expected
