"""Random stories of pods, callers and clocks: the store does what a small model of it does, and its counts are always right."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec
import pytest

from dynamiq_recorder.journal.model import ALONE_FROM, LEASE, Refused, State
from dynamiq_recorder.journal.operations import ALONE_WAITS
from tests.support.journal import APP, OTHER
from tests.support.journal_store import Kept, a_new_run, a_save, an_end

PLACES = (APP, msgspec.structs.replace(APP, pins="9999999999999999"), OTHER)
STEPS, INTERRUPTIONS = 250, 3


@dataclass
class Modeled:
    """A run as the model knows it. `events`: types in order."""

    place: int
    id: str
    due: int
    state: State = State.QUEUED
    fence: int = 0
    number: int = 0
    until: int = 0
    attempts: int = 0
    canceling: bool = False
    parts: dict[str, bytes] = field(default_factory=dict)
    events: list[str] = field(default_factory=lambda: ["run.accepted"])

    def end(self, state: State) -> None:
        self.state, self.parts = state, {}
        self.events.append(f"run.{state.value}")

    def queue(self, now: int, kind: str) -> None:
        if self.canceling:
            self.end(State.CANCELED)
        else:
            self.state, self.due = State.QUEUED, now
            self.events.append(kind)


class Story:
    """A store and its model, and the chance by which both go on."""

    def __init__(self, kept: Kept, seed: int) -> None:
        self.kept, self.chance = kept, random.Random(seed)  # noqa: S311
        self.runs: list[Modeled] = []

    def step(self) -> None:
        self.chance.choice((self.accept, self.claim, self.claim, self.save, self.save, self.save, self.cancel, self.wait))()

    def accept(self) -> None:
        place = self.chance.randrange(3)
        if self.runs and self.chance.random() < 0.2:
            known = self.chance.choice(self.runs)
            assert not self.kept.accept(PLACES[known.place], id=known.id).is_new
            return
        new = a_new_run()
        self.kept.clock.pass_by(0.001)
        assert self.kept.accept(PLACES[place], id=new.id).is_new
        self.runs.append(Modeled(place, new.id, self.kept.clock.now))

    def claim(self) -> None:
        place, free, held = self.chance.randrange(3), self.chance.randint(1, 3), self.chance.randint(0, 1)
        queued = sorted((each for each in self.runs if each.place == place and each.state is State.QUEUED), key=lambda each: each.due)
        usual, lone = ([each for each in queued if (each.attempts >= ALONE_FROM) == alone] for alone in (False, True))
        expected = usual[:free]
        if held and lone and lone[0].due < self.kept.clock.now - ALONE_WAITS:
            expected = []  # each pins' only pod makes room
        elif not held and lone and (not usual or lone[0].due <= usual[0].due):
            expected = lone[:1]
        claims = self.kept.claim(PLACES[place], free, held)
        # Runs that became due at one moment may come in any order.
        assert sorted(self.due_of(each.run.id, place) for each in claims) == sorted(each.due for each in expected)
        for each in claims:
            run = self.of(each.run.id, place)
            assert run.state is State.QUEUED
            assert each.parts == run.parts
            run.events.append("run.started" if run.fence == 0 else "run.resumed")
            run.state, run.fence, run.number, run.until = State.RUNNING, run.fence + 1, 0, self.kept.clock.now + LEASE * 1_000_000
            assert each.run.fence == run.fence

    def of(self, run_id: str, place: int) -> Modeled:
        return next(each for each in self.runs if (each.id, each.place) == (run_id, place))

    def due_of(self, run_id: str, place: int) -> int:
        return self.of(run_id, place).due

    def save(self) -> None:
        if not self.runs:
            return
        run = self.chance.choice(self.runs)
        fence = run.fence - (self.chance.random() < 0.1)
        number = run.number + self.chance.choice((0, 1, 1, 1, 2))
        kind = self.chance.choice(("heartbeat", "parts", "parts", "end", "hand back"))
        parts = {self.chance.choice("abc"): self.chance.randbytes(self.chance.randint(1, 50))} if kind == "parts" else {}
        drops = (self.chance.choice("abc"),) if kind == "parts" and self.chance.random() < 0.3 else ()
        ends = an_end(record=b"xrecord" if self.chance.random() < 0.5 else None) if kind == "end" else None
        save = a_save(run.id, fence, number, parts=parts, drop_parts=drops, events=2, end=ends, hand_back=kind == "hand back")
        (result,) = self.kept.save(save, place=PLACES[run.place])
        is_repeated = fence == run.fence and number <= run.number
        assert result.ok == (is_repeated or (fence == run.fence and run.state is State.RUNNING)), (run, save)
        if not result.ok or is_repeated:
            return
        run.number, run.until = number, self.kept.clock.now + LEASE * 1_000_000
        for node in drops:
            run.parts.pop(node, None)
        run.parts |= parts
        run.attempts = 0 if parts else run.attempts
        run.events += ["node.ended"] * 2
        if kind == "end":
            run.end(State.COMPLETED)
        elif kind == "hand back":
            run.queue(self.kept.clock.now, "run.handed_back")

    def cancel(self) -> None:
        if not self.runs or self.chance.random() < 0.5:
            return
        run = self.chance.choice(self.runs)
        self.kept.cancel(run.id, place=PLACES[run.place])
        if run.state is State.RUNNING:
            run.canceling = True
        elif run.state is State.QUEUED:
            run.end(State.CANCELED)

    def wait(self) -> None:
        self.kept.clock.pass_by(self.chance.choice((0.5, 5, 40)))
        now = self.kept.clock.now
        over = [each for each in self.runs if each.state is State.RUNNING and each.until < now]
        assert self.kept.sweep(INTERRUPTIONS) == len(over)
        for run in over:
            run.attempts += run.fence > 1 or run.number > 0
            if run.attempts >= INTERRUPTIONS and not run.canceling:
                run.end(State.FAILED)
            else:
                run.queue(now, "run.interrupted")

    def compare(self) -> None:
        for each in self.runs:
            run = self.kept.run(each.id, PLACES[each.place])
            assert (run.state, run.fence, run.number, run.attempts) == (each.state, each.fence, each.number, each.attempts)
            assert self.kept.kinds(each.id, PLACES[each.place]) == each.events


@pytest.mark.parametrize("seed", range(12))
def test_a_random_story_goes_as_the_model_says(kept: Kept, seed: int) -> None:
    story = Story(kept, seed)
    for _ in range(STEPS):
        try:
            story.step()
        except Refused as refused:  # none of these stories is above a limit
            raise AssertionError(refused.code) from refused
    story.compare()
