"""Runs that ask persons and wait: no answer is lost or taken twice, whoever comes first. Each run goes on, expires or is held as it must."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from dynamiq_recorder.journal import operations, waiting
from dynamiq_recorder.journal.model import (
    LEASE,
    MICROSECONDS,
    QUESTION_MAX,
    QUESTIONS_MOST,
    REJECTED,
    RUN_MAX,
    Limits,
    Pause,
    Refused,
    State,
)
from dynamiq_recorder.journal.operations import Claim
from tests.support.journal import APP, OTHER
from tests.support.journal_store import NOON, Kept, a_new_run, a_question, a_save, an_end

YES = b'{"feedback":"yes","request_id":"ask:1"}'
NEWER = msgspec.structs.replace(APP, pins="9999999999999999")


def answers(claim: Claim) -> dict[str, bytes | None]:
    return {each.id: each.answer for each in claim.questions}


def code(call: Callable[[], Any]) -> str:
    try:
        call()
    except Refused as refused:
        return refused.code
    return ""


def test_a_run_that_asks_waits_without_a_pod_and_goes_on_with_the_answer(kept: Kept) -> None:
    run_id = kept.paused(a_question())
    run = kept.run(run_id)
    assert (run.state, run.holder, run.paused_at, run.waits_since, run.open_questions) == (State.WAITING, None, NOON, NOON, 1)
    assert kept.claim() == []
    asked: dict[str, object] = {"id": "ask:1", "type": "human_feedback", "node": "ask", "name": "Ask", "prompt": "Go on?", "params": None}
    asked |= {"params_omitted": False, "editable_params": [], "questions": None}
    assert kept.event(run_id, "agent.human_feedback.requested") == {"request": asked}
    assert kept.event(run_id, "run.paused") == {"waits_for": ["ask:1"], "resume_at": None}
    kept.clock.pass_by(5)
    assert kept.answer(run_id)
    assert kept.event(run_id, "run.input_received") == {"request_id": "ask:1", "type": "human_feedback", "by": "ann"}
    (claim,) = kept.claim()
    assert (claim.run.fence, claim.parts, answers(claim), claim.answer_waits) == (2, {"a": b"1"}, {"ask:1": YES}, (0,))
    assert kept.save(a_save(run_id, 2, 1, parts={"ask": b"2"}, used=("ask:1",)), a_save(run_id, 2, 2, hand_back=True))[0].answers == {}
    (claim,) = kept.claim()
    assert claim.questions == ()
    kept.end(run_id, 3)


def test_an_answer_is_given_to_each_claim_until_its_node_is_saved(kept: Kept) -> None:
    run_id = kept.paused(a_question())
    kept.answer(run_id)
    for fence in (2, 3):
        (claim,) = kept.claim()
        assert (claim.run.fence, answers(claim)) == (fence, {"ask:1": YES})
        kept.clock.pass_by(LEASE + 1)
        assert kept.sweep() == 1
    (claim,) = kept.claim()
    again = a_question("ask:2")
    kept.save(a_save(run_id, 4, 1, questions=(a_question(), again), pause=Pause()))
    run = kept.run(run_id)
    assert (run.state, run.open_questions) == (State.WAITING, 1), "the pod had the first answer: the run waits for the second one"
    assert kept.kinds(run_id).count("agent.human_feedback.requested") == 2, "what is asked again is no new question"


def test_the_run_that_was_accepted_first_goes_on_first(kept: Kept) -> None:
    ids = []
    for _ in range(3):
        ids.append(kept.paused(a_question()))
        kept.clock.pass_by(1)
    later = kept.accepted()
    for run_id in reversed(ids):
        kept.clock.pass_by(1)
        kept.answer(run_id)
    assert [each.run.id for each in kept.claim(free=4)] == [*ids, later]


def _answered_before_the_pause(kept: Kept, run_id: str) -> None:
    kept.save(a_save(run_id, 1, 1, questions=(a_question(),)))
    kept.answer(run_id)
    kept.save(a_save(run_id, 1, 2, pause=Pause()))


def _answered_before_a_pause_that_the_pod_sends_nevertheless(kept: Kept, run_id: str) -> None:
    kept.save(a_save(run_id, 1, 1, questions=(a_question(),)))
    kept.answer(run_id)
    assert kept.save(a_save(run_id, 1, 2))[0].answers == {"ask:1": YES}
    kept.save(a_save(run_id, 1, 3, pause=Pause()))


def _answered_after_the_pause(kept: Kept, run_id: str) -> None:
    kept.save(a_save(run_id, 1, 1, questions=(a_question(),), pause=Pause()))
    kept.answer(run_id)


def _answered_after_the_pods_death_before_the_pause(kept: Kept, run_id: str) -> None:
    kept.save(a_save(run_id, 1, 1, questions=(a_question(),)))
    kept.clock.pass_by(LEASE + 1)
    assert kept.sweep() == 1
    kept.answer(run_id)


def _answered_while_nobody_knows_of_the_pods_death(kept: Kept, run_id: str) -> None:
    kept.save(a_save(run_id, 1, 1, questions=(a_question(),)))
    kept.answer(run_id)
    kept.clock.pass_by(LEASE + 1)
    assert kept.sweep() == 1


def _answered_after_a_hand_back(kept: Kept, run_id: str) -> None:
    kept.save(a_save(run_id, 1, 1, questions=(a_question(),), hand_back=True))
    kept.answer(run_id)


def _answered_and_held(kept: Kept, run_id: str) -> None:
    kept.save(a_save(run_id, 1, 1, questions=(a_question(),)))
    kept.answer(run_id)
    assert kept.save(a_save(run_id, 1, 2))[0].answers == {"ask:1": YES}
    assert kept.hold() == kept.unhold() == 1


def _answered_before_the_time(kept: Kept, run_id: str) -> None:
    kept.save(a_save(run_id, 1, 1, questions=(a_question(),), pause=Pause(NOON + MICROSECONDS)))
    kept.answer(run_id)


@pytest.mark.parametrize(
    "story",
    [
        _answered_before_the_pause,
        _answered_before_a_pause_that_the_pod_sends_nevertheless,
        _answered_after_the_pause,
        _answered_after_the_pods_death_before_the_pause,
        _answered_while_nobody_knows_of_the_pods_death,
        _answered_after_a_hand_back,
        _answered_and_held,
        _answered_before_the_time,
    ],
)
def test_an_answer_wakes_its_run_whenever_it_comes(kept: Kept, story: Callable[[Kept, str], None]) -> None:
    run_id, _ = kept.begun()
    story(kept, run_id)
    (claim,) = kept.claim()
    assert (claim.run.id, answers(claim)) == (run_id, {"ask:1": YES})


@pytest.mark.parametrize("held", [False, True])
def test_a_run_with_an_answer_that_no_pod_uses_waits_for_no_other_question(kept: Kept, *, held: bool) -> None:
    run_id, fence = kept.begun()
    kept.save(a_save(run_id, fence, 1, questions=(a_question(), a_question("ask:2"))))
    kept.answer(run_id)
    if held:  # the pod that got the answer stops
        assert kept.save(a_save(run_id, fence, 2))[0].answers == {"ask:1": YES}
        assert kept.hold() == kept.unhold() == 1
    else:
        kept.save(a_save(run_id, fence, 2, pause=Pause()))
    (claim,) = kept.claim()
    assert answers(claim) == {"ask:1": YES, "ask:2": None}
    kept.save(a_save(run_id, claim.run.fence, 1, pause=Pause()))
    assert kept.run(run_id).state is State.WAITING


def test_a_pod_that_keeps_its_run_gets_the_answer_with_a_save_also_if_a_result_was_lost(kept: Kept) -> None:
    run_id, fence = kept.begun()
    kept.save(a_save(run_id, fence, 1, questions=(a_question(),)))
    assert kept.save(a_save(run_id, fence, 2))[0].answers == {}
    kept.answer(run_id)
    assert kept.save(a_save(run_id, fence, 3))[0].answers == {"ask:1": YES}
    assert kept.save(a_save(run_id, fence, 3))[0].answers == {"ask:1": YES}, "the same save comes again"
    assert kept.save(a_save(run_id, fence, 4))[0].answers == {}
    kept.save(a_save(run_id, fence, 5, used=("ask:1",)))
    assert kept.save(a_save(run_id, fence, 5))[0].answers == {}


def test_one_of_many_answers_at_once_counts_and_the_same_one_again_is_taken(kept: Kept) -> None:
    run_id = kept.paused(a_question())
    results: list[str] = []

    def answer(number: int) -> None:
        results.append(code(partial(kept.answer, run_id, feedback=f"answer {number}")))

    threads = [threading.Thread(target=answer, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(results) == ["", *["already_answered"] * 7]
    (claim,) = kept.claim()
    won = msgspec.json.decode(answers(claim)["ask:1"] or b"")["feedback"]
    assert not kept.answer(run_id, by="bob", feedback=won)
    assert kept.kinds(run_id).count("run.input_received") == 1
    kept.end(run_id, 2)
    assert not kept.answer(run_id, feedback=won), "its caller may not have got the result"
    assert code(partial(kept.answer, run_id, feedback="late")) == "already_answered"


def test_a_run_waits_for_a_time_and_does_not_expire(kept: Kept) -> None:
    run_id = kept.paused(resume_at=NOON + 60 * MICROSECONDS)
    past = kept.paused(resume_at=NOON)
    assert (kept.run(run_id).state, kept.run(past).state) == (State.WAITING, State.QUEUED)
    kept.clock.pass_by(59)
    kept.do(operations.renew_leases)
    assert kept.do(waiting.resume_due) is False
    kept.do(partial(waiting.expire, app_uid=APP.app_uid, wait=1))
    assert kept.run(run_id).state is State.WAITING
    kept.clock.pass_by(1)
    kept.do(waiting.resume_due)
    assert [each.run.id for each in kept.claim(free=5)] == [run_id, past]


def test_a_pause_that_waits_for_nothing_goes_on(kept: Kept) -> None:
    run_id = kept.paused()
    assert kept.run(run_id).state is State.QUEUED, "nothing would ever wake it"


def test_questions_that_nobody_answers_in_time_end_their_run(kept: Kept) -> None:
    run_id, fence = kept.begun()
    kept.save(a_save(run_id, fence, 1, questions=(a_question(),)))
    kept.clock.pass_by(60)
    kept.save(a_save(run_id, fence, 2, questions=(a_question("ask:2"),), pause=Pause(NOON * 2)))
    other = kept.paused(a_question(), place=OTHER)
    kept.clock.pass_by(39)
    expire = partial(waiting.expire, app_uid=APP.app_uid, wait=100)
    kept.do(expire)
    assert kept.run(run_id).state is State.WAITING
    kept.clock.pass_by(1)
    kept.do(expire)
    run = kept.run(run_id)
    assert (run.state, run.reason, run.error is not None, run.recorded) == (State.EXPIRED, "expired", True, False)
    assert kept.kinds(run_id)[-1] == "run.failed"
    assert kept.run(other, OTHER).state is State.WAITING
    assert code(partial(kept.answer, run_id)) == "run_ended"


def test_the_oldest_open_question_counts(kept: Kept) -> None:
    run_id, fence = kept.begun()
    kept.save(a_save(run_id, fence, 1, questions=(a_question(),)))
    kept.clock.pass_by(10)
    kept.save(a_save(run_id, fence, 2, questions=(a_question("ask:2"), a_question("ask:3"))))
    kept.answer(run_id)
    assert kept.run(run_id).waits_since == NOON + 10 * MICROSECONDS
    (counted,) = kept.store.open_runs()
    assert (counted.questions, counted.waiting_since) == (2, NOON + 10 * MICROSECONDS)
    kept.save(a_save(run_id, fence, 3, closed=("ask:1", "ask:2", "unknown"), used=("ask:3",)))
    assert (kept.run(run_id).open_questions, kept.run(run_id).new_answers) == (1, 0), "what nobody asks any more is closed or used"
    assert code(partial(kept.answer, run_id, request_id="ask:2", feedback="x")) == "no_such_request"
    kept.save(a_save(run_id, fence, 4, questions=(a_question("ask:2"),), pause=Pause()))
    assert kept.run(run_id).open_questions == 2


def test_open_questions_are_listed_oldest_first(kept: Kept) -> None:
    ids = []
    for _ in range(3):
        ids.append(kept.paused(a_question(), a_question("ask:2")))
        kept.clock.pass_by(1)
    kept.paused(a_question(), place=OTHER)
    kept.answer(ids[1])
    kept.cancel(ids[2])
    listed, total = kept.store.questions(APP.app_uid, 2, 1)
    assert ([(each.run.id, each.question.id) for each in listed], total) == ([(ids[0], "ask:2"), (ids[1], "ask:2")], 3)
    shown = kept.store.run(APP.app_uid, ids[1])
    assert shown is not None
    assert [(each.id, each.content) for each in shown.questions] == [("ask:2", a_question("ask:2").content)]


def test_a_waiting_run_is_canceled_at_once_and_deleted_with_its_questions(kept: Kept) -> None:
    canceled = kept.paused(a_question())
    kept.cancel(canceled)
    run_id, fence = kept.begun()
    kept.cancel(run_id)
    kept.save(a_save(run_id, fence, 1, questions=(a_question(),), pause=Pause()))
    kept.accepted(OTHER)
    of_deleted = kept.paused(a_question())
    kept.do(partial(operations.close_app, app_uid=APP.app_uid))
    for each in (canceled, run_id, of_deleted):
        assert (kept.run(each).state, kept.kinds(each)[-1]) == (State.CANCELED, "run.canceled")
        assert code(partial(kept.answer, each)) == "run_ended"
    kept.clock.pass_by(8 * 86_400)
    kept.do(partial(operations.delete_ended, app_uid=APP.app_uid, keep=60))
    assert kept.do(lambda work: work.connection.all("SELECT count(*) FROM question")) == [(0,)]


def test_a_held_run_waits_for_a_decision_and_its_pod_saves_nothing_more(kept: Kept) -> None:
    running, fence = kept.begun()
    kept.save(a_save(running, fence, 1, parts={"a": b"1"}))
    queued, asking = kept.accepted(), kept.paused(a_question())
    timed, newer = kept.paused(resume_at=NOON * 2), kept.accepted(NEWER)
    assert (kept.hold(), kept.hold(), kept.hold("Lost")) == (4, 0, 0), "a rejection outlasts other reasons"
    assert kept.event(running, "run.held") == {"reason": REJECTED}
    assert not kept.save(a_save(running, fence, 2, end=an_end()))[0].ok
    assert kept.claim(free=9) == []
    assert kept.run(newer, NEWER).state is State.QUEUED
    assert code(partial(kept.answer, asking)) == "run_held"
    kept.clock.pass_by(LEASE + 1)
    assert kept.sweep() == 0
    release = partial(waiting.release, app_uid=APP.app_uid, by="ann")
    assert code(lambda: kept.do(partial(release, run_id=queued))) == "run_rejected"
    assert (kept.unhold("Lost"), kept.unhold(), kept.unhold()) == (0, 4, 0)
    assert [kept.run(each).state for each in (asking, timed)] == [State.WAITING] * 2
    assert {each.run.id: each.parts for each in kept.claim(free=9)} == {running: {"a": b"1"}, queued: {}}
    assert code(lambda: kept.do(partial(release, run_id=queued))) == "not_held"
    assert kept.hold("Lost") == 4
    kept.do(partial(release, run_id=queued))
    assert kept.event(queued, "run.released") == {"by": "ann"}
    assert (kept.hold("Lost"), kept.hold(), kept.unhold("Lost")) == (1, 4, 0)
    kept.cancel(asking)
    assert kept.run(asking).state is State.CANCELED


def test_a_run_with_a_requested_cancellation_is_canceled_and_not_held(kept: Kept) -> None:
    run_id, fence = kept.begun()
    kept.cancel(run_id)
    kept.hold()
    assert kept.run(run_id).state is State.CANCELED
    assert not kept.save(a_save(run_id, fence))[0].ok


def test_a_held_run_begins_again_on_other_pins(kept: Kept) -> None:
    run_id = kept.paused(a_question(), input=b'{"q":1}')
    restart = partial(waiting.restart, app_uid=APP.app_uid, run_id=run_id, by="ann")
    assert code(lambda: kept.do(partial(restart, pins=None, workflow_hash=None))) == "not_held"
    kept.hold()
    assert kept.do(partial(restart, pins=NEWER.pins, workflow_hash="sha256:f3")).id == run_id
    assert kept.event(run_id, "run.restarted") == {"pins": NEWER.pins, "by": "ann"}
    assert kept.claim(free=9) == []
    (claim,) = kept.claim(NEWER)
    assert (claim.run.fence, claim.input, claim.parts, claim.questions, claim.run.workflow_hash) == (2, b'{"q":1}', {}, (), "sha256:f3")
    assert not kept.save(a_save(run_id, 1, 9), place=NEWER)[0].ok
    kept.save(a_save(run_id, 2, 1, questions=(a_question(),), pause=Pause()), place=NEWER)
    assert code(partial(kept.answer, run_id)) == ""
    kept.hold(place=NEWER)
    kept.do(partial(restart, pins=None, workflow_hash=None))
    assert [each.run.workflow_hash for each in kept.claim(NEWER)] == ["sha256:f3"]


def test_a_run_that_begins_again_asks_nothing_under_an_earlier_id(kept: Kept) -> None:
    """Pods number questions by this part: somebody may still be answering an earlier one."""
    run_id, fence = kept.begun()
    asked = {"~asked": b'{"pay": 1}'}
    kept.save(a_save(run_id, fence, 1, parts={"pay": b"1", **asked}, questions=(a_question(),), pause=Pause()))
    kept.hold()
    kept.do(partial(waiting.restart, app_uid=APP.app_uid, run_id=run_id, by="ann", pins=None, workflow_hash=None))
    (claim,) = kept.claim()
    assert claim.parts == asked


def test_a_sync_run_is_accepted_when_it_pauses(kept: Kept) -> None:
    new = a_new_run()
    paused = a_save(new.id, 1, 1, parts={"a": b"1"}, events=1, questions=(a_question(),), pause=Pause(), busy_ms=70, node="ask")
    accepted = kept.accept(id=new.id, paused=paused, started_at=NOON - 5)
    assert ([each.id for each in accepted.questions], accepted.claim) == (["ask:1"], None)
    run = kept.run(new.id)
    assert (run.state, run.started_at, run.busy_ms, run.node, run.fence) == (State.WAITING, NOON - 5, 70, "ask", 1)
    kinds = ["run.accepted", "run.started", "node.ended", "agent.human_feedback.requested", "run.paused"]
    assert kept.kinds(new.id) == kinds
    again = kept.accept(id=new.id, paused=paused)
    assert (again.is_new, [each.id for each in again.questions]) == (False, ["ask:1"])
    with pytest.raises(Refused):
        kept.accept(paused=msgspec.structs.replace(paused, parts={"a": bytes(1000)}), limits=Limits(of_namespace=2000))
    kept.answer(new.id)
    (claim,) = kept.claim()
    assert (claim.parts, answers(claim)) == ({"a": b"1"}, {"ask:1": YES})


def test_questions_have_limits_and_count_towards_the_size_of_a_run(kept: Kept) -> None:
    run_id, fence = kept.begun()
    large = a_question(prompt="x" * (QUESTION_MAX + 1))
    assert code(lambda: kept.save(a_save(run_id, fence, 1, questions=(large,)))) == "checkpoint_too_large"
    many = tuple(a_question(f"ask:{number}") for number in range(QUESTIONS_MOST + 1))
    assert code(lambda: kept.save(a_save(run_id, fence, 1, questions=many))) == "checkpoint_too_large"
    before = kept.run(run_id).size
    kept.save(a_save(run_id, fence, 1, questions=many[:-1]))
    assert code(lambda: kept.save(a_save(run_id, fence, 2, questions=many[-1:]))) == "checkpoint_too_large"
    assert before < kept.run(run_id).size < RUN_MAX
    kept.save(a_save(run_id, fence, 2, closed=tuple(each.id for each in many)))
    assert kept.run(run_id).open_questions == 0
