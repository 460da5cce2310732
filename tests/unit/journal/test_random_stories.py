"""Random stories of pods, callers and clocks: the store does what a small model of it does, and its counts are always right."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

import msgspec
import pytest

from dynamiq_recorder.journal.callback import LEASE as CALLBACK_LEASE
from dynamiq_recorder.journal.model import ALONE_FROM, LEASE, NewCallback, Pause, Refused, State
from dynamiq_recorder.journal.operations import ALONE_WAITS
from dynamiq_recorder.journal.run import OPEN
from tests.support.journal import APP, OTHER
from tests.support.journal_store import HOOK, Kept, a_new_run, a_question, a_save, an_end

PLACES = (APP, msgspec.structs.replace(APP, pins="9999999999999999"), OTHER)
STEPS, INTERRUPTIONS = 250, 3


@dataclass
class Asked:
    """A question. `given`: the fence that got its answer."""

    answer: str | None = None
    used: bool = False
    given: int = 0


@dataclass
class Modeled:
    """A run as the model knows it. `events`: types in order."""

    place: int
    id: str
    accepted: int
    due: int
    state: State = State.QUEUED
    fence: int = 0
    number: int = 0
    until: int = 0
    waited: bool = False
    """True if it waited when it was held: else it had something to do."""
    attempts: int = 0
    canceling: bool = False
    parts: dict[str, bytes] = field(default_factory=dict)
    asked: dict[str, Asked] = field(default_factory=dict)
    events: list[str] = field(default_factory=lambda: ["run.accepted"])
    callbacks: int = 0

    def end(self, state: State) -> None:
        self.state, self.parts = state, {}
        self.events.append(f"run.{state.value}")

    def queue(self, due: int, kind: str, state: State = State.QUEUED) -> None:
        if self.canceling:
            self.end(State.CANCELED)
        else:
            self.state, self.due = state, due
            self.events.append(kind)

    def answers(self, *, given: bool) -> dict[str, str]:
        """Returns unused answers that the present claim has got, or those that it has not."""
        new = {name: each.answer for name, each in self.asked.items() if (each.given == self.fence) == given and not each.used}
        return {name: answer for name, answer in new.items() if answer is not None}

    def give(self) -> dict[str, str]:
        new = self.answers(given=False)
        for name in new:
            self.asked[name].given = self.fence
        return new

    def after_pause(self) -> State:
        waits = any(each.answer is None for each in self.asked.values()) and not self.answers(given=False)
        return State.WAITING if waits else State.QUEUED


class Story:
    """A store and its model, and the chance by which both go on."""

    def __init__(self, kept: Kept, seed: int) -> None:
        self.kept, self.chance = kept, random.Random(seed)  # noqa: S311
        self.runs: list[Modeled] = []
        self.delivered: set[tuple[int, int]] = set()
        self.not_before: dict[tuple[int, int], int] = {}
        """When callbacks that were claimed may come again, by the run's key and their number."""

    def step(self) -> None:
        usual = (self.accept, self.claim, self.claim, self.save, self.save, self.save, self.save, self.answer, self.answer)
        self.chance.choice((*usual, self.cancel, self.wait, self.hold, self.deliver))()

    def accept(self) -> None:
        place = self.chance.randrange(3)
        if self.runs and self.chance.random() < 0.2:
            known = self.chance.choice(self.runs)
            assert not self.kept.accept(PLACES[known.place], id=known.id).is_new
            return
        new, callbacks = a_new_run(), self.chance.randint(0, 2)
        self.kept.clock.pass_by(0.001)
        assert self.kept.accept(PLACES[place], id=new.id, callbacks=(NewCallback(HOOK),) * callbacks).is_new
        self.runs.append(Modeled(place, new.id, self.kept.clock.now, self.kept.clock.now, callbacks=callbacks))

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
            unused = {name: asked.answer for name, asked in run.asked.items() if not asked.used}
            assert {asked.id: text_of(asked.answer) for asked in each.questions} == unused
            run.give()

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
        kind = self.chance.choice(("heartbeat", "parts", "parts", "end", "hand back", "ask", "ask", "pause", "pause", "use", "close"))
        parts = {self.chance.choice("abc"): self.chance.randbytes(self.chance.randint(1, 50))} if kind == "parts" else {}
        drops = (self.chance.choice("abc"),) if kind == "parts" and self.chance.random() < 0.3 else ()
        ends = an_end(record=b"xrecord" if self.chance.random() < 0.5 else None) if kind == "end" else None
        names = [*run.asked, f"ask:{len(run.events)}"]  # some are asked again
        asked = self.chance.choice(names) if kind == "ask" or (kind == "pause" and self.chance.random() < 0.7) else None
        save = a_save(run.id, fence, number, parts=parts, drop_parts=drops, events=2, end=ends, hand_back=kind == "hand back")
        save = msgspec.structs.replace(
            save,
            questions=(a_question(asked),) if asked is not None else (),
            used=tuple(run.asked) if kind == "use" else (),
            closed=tuple(run.asked) if kind == "close" else (),
            pause=Pause() if kind == "pause" else None,
        )
        (result,) = self.kept.save(save, place=PLACES[run.place])
        is_repeated = fence == run.fence and number <= run.number
        assert result.ok == (is_repeated or (fence == run.fence and run.state is State.RUNNING)), (run, save)
        if not result.ok or is_repeated:
            expected = run.answers(given=True) if result.ok and run.state is State.RUNNING else {}
            assert {name: text_of(answer) for name, answer in result.answers.items()} == expected
            return
        run.number, run.until = number, self.kept.clock.now + LEASE * 1_000_000
        for node in drops:
            run.parts.pop(node, None)
        run.parts |= parts
        run.attempts = 0 if parts else run.attempts
        run.events += ["node.ended"] * 2
        if asked is not None and asked not in run.asked:
            run.asked[asked] = Asked()
            run.events.append("agent.human_feedback.requested")
        for name, each in list(run.asked.items()):
            each.used = each.used or (kind in ("use", "close") and each.answer is not None)
            if kind == "close" and each.answer is None:
                del run.asked[name]
        if kind == "end":
            run.end(State.COMPLETED)
        elif kind == "hand back":
            run.queue(self.kept.clock.now, "run.handed_back")
        elif kind == "pause":
            run.queue(run.accepted, "run.paused", run.after_pause())
        new = run.give() if run.state is State.RUNNING else {}
        assert {name: text_of(answer) for name, answer in result.answers.items()} == new

    def answer(self) -> None:
        asking = [(run, name) for run in self.runs for name in run.asked]
        if not asking:
            return
        run, name = self.chance.choice(asking)
        asked, text = run.asked[name], f"answer {self.chance.randint(1, 2)}"
        try:
            outcome = str(self.kept.answer(run.id, PLACES[run.place], request_id=name, feedback=text))
        except Refused as refused:
            outcome = refused.code
        if asked.answer is not None:
            assert outcome == ("False" if asked.answer == text else "already_answered")
        elif run.state is State.HELD:
            assert outcome == "run_held"
        elif run.state not in OPEN:
            assert outcome == "run_ended"
        else:
            assert outcome == "True"
            asked.answer, asked.given = text, 0
            run.events.append("run.input_received")
            if run.state is State.WAITING:
                run.state, run.due = State.QUEUED, run.accepted

    def hold(self) -> None:
        place = self.chance.randrange(3)
        runs = [each for each in self.runs if each.place == place and each.state in OPEN]
        if any(each.state is State.HELD for each in runs):
            held = [each for each in runs if each.state is State.HELD]
            assert self.kept.unhold(place=PLACES[place]) == len(held)
            for run in held:
                run.queue(run.accepted, "run.released", run.after_pause() if run.waited else State.QUEUED)
        elif self.chance.random() < 0.3:
            assert self.kept.hold(place=PLACES[place]) == len(runs)
            for run in runs:
                if run.state is State.RUNNING and not run.canceling:
                    run.fence, run.number = run.fence + 1, 0
                run.waited = run.state is State.WAITING
                run.queue(run.due, "run.held", State.HELD)

    def cancel(self) -> None:
        if not self.runs or self.chance.random() < 0.5:
            return
        run = self.chance.choice(self.runs)
        self.kept.cancel(run.id, place=PLACES[run.place])
        if run.state is State.RUNNING:
            run.canceling = True
        elif run.state in OPEN:
            run.end(State.CANCELED)

    def deliver(self, most: int = 3, place: int | None = None) -> int:
        """Claims callbacks of an App, and delivers, fails or forgets each. Returns how many were claimed."""
        place = self.chance.randrange(3) if place is None else place
        claimed = self.kept.claim_callbacks(most, place=PLACES[place])
        for each in claimed:
            run = next(run for run in self.runs if self.kept.run(run.id, PLACES[run.place]).key == each.run)
            name, now = (each.run, each.n), self.kept.clock.now
            assert PLACES[run.place].app_uid == PLACES[place].app_uid
            assert run.state not in OPEN
            assert name not in self.delivered
            assert self.not_before.get(name, 0) <= now
            self.not_before[name] = now + CALLBACK_LEASE
            if self.chance.random() < 0.7:
                status = self.chance.choice((200, 200, 500))
                assert self.kept.settle(each, run.id, status) is not None
                self.not_before[name] = now + 5_000_000
                self.delivered |= {name} if status == 200 else set()
        return len(claimed)

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
        expected = sum(each.callbacks for each in self.runs if each.state not in OPEN)
        for _ in range(20):
            self.kept.clock.pass_by(4_321)  # longer than any wait
            for place in (0, 2):
                while self.deliver(20, place):
                    pass
        assert len(self.delivered) == expected, "each is delivered in the end"


def text_of(answer: bytes | None) -> str | None:
    return str(msgspec.json.decode(answer)["feedback"]) if answer is not None else None


@pytest.mark.parametrize("seed", range(12))
def test_a_random_story_goes_as_the_model_says(kept: Kept, seed: int) -> None:
    story = Story(kept, seed)
    for _ in range(STEPS):
        try:
            story.step()
        except Refused as refused:  # none of these stories is above a limit
            raise AssertionError(refused.code) from refused
    story.compare()
