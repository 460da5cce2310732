"""A run in the store: accepted once, claimed by one pod, saved once by number, and ended once; every store passes these tests."""

from __future__ import annotations

import threading
from functools import partial
from typing import Any

import msgspec
import pytest

from dynamiq_recorder.journal import operations
from dynamiq_recorder.journal.model import LEASE, PARTS_MAX, Limits, NewEvent, Place, Refused, Saved, State
from tests.support.journal import APP, OTHER
from tests.support.journal_store import NOON, Kept, a_new_run, a_save, an_end, everything

NEWER = msgspec.structs.replace(APP, pins="9999999999999999")


def test_an_accepted_run_is_there_with_its_input_and_waits_for_pods_of_its_pins(kept: Kept) -> None:
    run_id = kept.accepted(user_id="u", session_id="s", trigger="t", tags=("a", "b"), headers={"traceparent": "00-1"})
    shown = kept.store.run(APP.app_uid, run_id)
    assert shown is not None
    assert shown.input == b'{"question":"hi"}'
    run = shown.run
    assert (run.state, run.accepted_at, run.started_at, run.fence, run.workflow_hash) == (State.QUEUED, NOON, None, 0, APP.workflow_hash)
    assert (run.user_id, run.session_id, run.trigger_name, run.tags, run.headers) == ("u", "s", "t", '["a","b"]', '{"traceparent":"00-1"}')
    assert kept.claim(NEWER) == kept.claim(OTHER) == []
    (claim,) = kept.claim()
    assert (claim.run.id, claim.run.fence, claim.input, claim.parts, claim.alone) == (run_id, 1, shown.input, {}, False)
    assert kept.claim() == []
    assert kept.kinds(run_id) == ["run.accepted", "run.started"]
    assert kept.run(run_id).lease_until == NOON + LEASE * 1_000_000


def test_a_run_can_be_claimed_in_the_commit_that_accepts_it(kept: Kept) -> None:
    accepted = kept.accept(claims=True)
    assert accepted.claim is not None
    assert (accepted.is_new, accepted.claim.run.fence, accepted.claim.input) == (True, 1, b'{"question":"hi"}')
    assert kept.claim() == []
    assert kept.kinds(accepted.run.id) == ["run.accepted", "run.started"]


def test_the_same_request_gets_the_same_run(kept: Kept) -> None:
    new = a_new_run(idempotency_key="once", request_hash="h")
    first = kept.accept(claims=True, id=new.id, idempotency_key="once", request_hash="h")
    known: list[dict[str, Any]] = [{"id": new.id}, {"idempotency_key": "once", "request_hash": "h"}]
    for fields in known:
        again = kept.accept(claims=True, input=b"{}", **fields)
        assert (again.is_new, again.claim, again.run.id, again.input) == (False, None, first.run.id, b'{"question":"hi"}')
    with pytest.raises(Refused) as refused:
        kept.accept(idempotency_key="once", request_hash="other")
    assert refused.value.code == "idempotency_key_reused"
    assert kept.kinds(first.run.id) == ["run.accepted", "run.started"]


def test_ids_and_idempotency_keys_are_of_one_app_and_one_key(kept: Kept) -> None:
    new = a_new_run(idempotency_key="once", request_hash="h")
    assert kept.accept(id=new.id, idempotency_key="once", request_hash="h").is_new
    assert kept.accept(OTHER, id=new.id, idempotency_key="once", request_hash="x").is_new
    assert kept.accept(key="of-bob", idempotency_key="once", request_hash="x").is_new
    assert kept.accept().is_new
    assert kept.accept().is_new, "runs without an idempotency key are different ones"


def test_the_oldest_run_is_claimed_first_and_no_more_than_there_is_room_for(kept: Kept) -> None:
    ids = []
    for _ in range(4):
        ids.append(kept.accepted())
        kept.clock.pass_by(1)
    assert [each.run.id for each in kept.claim(free=3)] == ids[:3]
    kept.save(a_save(ids[0], 1, hand_back=True))
    assert [each.run.id for each in kept.claim(free=3)] == [ids[3], ids[0]], "what is handed back queues behind the others"


def test_each_run_is_claimed_by_one_of_many_pods(kept: Kept) -> None:
    ids = {kept.accepted() for _ in range(120)}
    claimed: list[list[str]] = [[] for _ in range(8)]

    def pod(number: int) -> None:
        place = msgspec.structs.replace(APP, pod=f"chat-{number}")
        while claims := kept.claim(place, free=3):
            claimed[number] += [each.run.id for each in claims]

    threads = [threading.Thread(target=pod, args=(number,)) for number in range(8)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    every = [run_id for each in claimed for run_id in each]
    assert len(every) == len(ids)
    assert set(every) == ids


def test_a_save_is_taken_once_by_its_number(kept: Kept) -> None:
    run_id, fence = kept.begun()
    first = a_save(run_id, fence, 1, parts={"a": b"1", "b": b"2"}, events=2, busy_ms=100, node="a")
    ok = Saved(run_id, ok=True)
    assert kept.save(first) == kept.save(first) == kept.save(a_save(run_id, fence, 1, parts={"a": b"x"})) == [ok]
    assert kept.save(a_save(run_id, fence, 2, parts={"b": b"22"}, drop_parts=("a",), events=1, busy_ms=50, node="b")) == [ok]
    run = kept.run(run_id)
    assert (run.busy_ms, run.node, run.number) == (100, "b", 2)
    assert kept.kinds(run_id) == ["run.accepted", "run.started", *["node.ended"] * 3]
    kept.clock.pass_by(LEASE + 1)
    kept.sweep()
    (claim,) = kept.claim()
    assert claim.parts == {"b": b"22"}
    assert (claim.run.fence, claim.run.number, claim.run.busy_ms) == (2, 0, 100)
    assert kept.save(a_save(run_id, 2, 1, drop_parts=("b", "unknown"), parts={"b": b"3"})) == [ok]


def test_several_saves_of_a_run_may_come_at_once(kept: Kept) -> None:
    run_id, fence = kept.begun()
    results = kept.save(
        a_save(run_id, fence, 1, parts={"a": b"1"}), a_save(run_id, fence, 2, events=1), a_save(run_id, fence, 3, end=an_end())
    )
    assert [each.ok for each in results] == [True] * 3
    assert kept.kinds(run_id) == ["run.accepted", "run.started", "node.ended", "run.completed"]


@pytest.mark.parametrize("place", [OTHER, NEWER, msgspec.structs.replace(APP, app_uid=OTHER.app_uid)])
def test_pods_of_another_app_or_pins_save_nothing(kept: Kept, place: Place) -> None:
    run_id, fence = kept.begun()
    assert kept.save(a_save(run_id, fence, events=1), place=place) == [Saved(run_id, ok=False)]
    assert kept.save(a_save("no-uuid", 1), a_save(run_id, fence)) == [Saved("no-uuid", ok=False), Saved(run_id, ok=True)]
    assert kept.kinds(run_id) == ["run.accepted", "run.started"]


def test_an_older_claim_saves_nothing_and_hinders_no_other_run(kept: Kept) -> None:
    run_id, fence = kept.begun()
    other, other_fence = kept.begun()
    kept.clock.pass_by(LEASE + 1)
    assert kept.sweep() == 2
    assert [each.run.id for each in kept.claim(free=2)] == [run_id, other]
    saves = (a_save(run_id, fence, 1, end=an_end()), a_save(other, other_fence + 1, 1, events=1), a_save(run_id, fence + 2))
    assert [each.ok for each in kept.save(*saves)] == [False, True, False]
    assert kept.run(run_id).state is State.RUNNING
    assert kept.end(run_id, fence + 1).ok


def test_a_lease_that_is_over_still_counts_until_somebody_takes_the_run(kept: Kept) -> None:
    run_id, fence = kept.begun()
    kept.clock.pass_by(LEASE + 1)
    assert kept.save(a_save(run_id, fence))[0].ok
    assert kept.sweep() == 0, "a heartbeat renews the lease"
    kept.clock.pass_by(LEASE + 1)
    assert kept.sweep() == 1
    assert not kept.save(a_save(run_id, fence, 2))[0].ok
    assert kept.kinds(run_id)[-1] == "run.interrupted"


def test_a_run_that_is_handed_back_is_queued_at_once_and_not_interrupted(kept: Kept) -> None:
    run_id, fence = kept.begun()
    kept.save(a_save(run_id, fence, 1, parts={"a": b"1"}))
    assert kept.save(a_save(run_id, fence, 2, hand_back=True))[0].ok
    assert kept.save(a_save(run_id, fence, 2, hand_back=True))[0].ok, "the same save comes again"
    assert not kept.save(a_save(run_id, fence, 3))[0].ok
    run = kept.run(run_id)
    assert (run.state, run.attempts, run.started_at) == (State.QUEUED, 0, NOON)
    (claim,) = kept.claim()
    assert claim.parts == {"a": b"1"}
    assert kept.kinds(run_id)[-2:] == ["run.handed_back", "run.resumed"]


def test_a_run_that_ends_its_pods_twice_is_given_to_a_pod_without_others(kept: Kept) -> None:
    run_id = kept.accepted()
    kept.silent(2)
    later = kept.accepted()
    assert [each.run.id for each in kept.claim(free=5, held=1)] == [later]
    (claim,) = kept.claim(free=5)
    assert (claim.run.id, claim.alone, claim.run.attempts) == (run_id, True, 2)
    kept.save(a_save(run_id, claim.run.fence, 1, parts={"a": b"1"}), a_save(later, 1, 1, hand_back=True))
    kept.save(a_save(run_id, claim.run.fence, 2, hand_back=True))
    assert {each.run.id for each in kept.claim(free=5, held=1)} == {run_id, later}, "progress makes it one of many again"


def test_a_run_that_is_to_be_alone_is_the_only_one_of_a_claim(kept: Kept) -> None:
    run_id = kept.accepted()
    kept.silent(2)
    kept.clock.pass_by(1)
    later = kept.accepted()
    (claim,) = kept.claim(free=5)
    assert claim.run.id == run_id
    kept.clock.pass_by(1)
    kept.save(a_save(run_id, claim.run.fence, hand_back=True))
    assert [each.run.id for each in kept.claim(free=5)] == [later], "the other one is due first now"


def test_a_busy_pod_makes_room_for_a_run_that_waits_to_be_alone(kept: Kept) -> None:
    other = msgspec.structs.replace(APP, pod="chat-2")
    run_id = kept.accepted()
    kept.silent(2)
    kept.clock.pass_by(59)
    assert kept.claim(held=1) == []
    kept.accepted()
    assert len(kept.claim(held=1)) == 1, "for a minute pods go on"
    kept.clock.pass_by(2)
    for _ in range(3):
        kept.accepted()
    assert kept.claim(held=1) == [], "then one pod takes nothing more"
    assert len(kept.claim(other, held=1)) == 1, "and the others go on"
    kept.clock.pass_by(80)
    assert kept.claim(held=1) == []
    kept.clock.pass_by(91)
    assert kept.claim(other, held=1) == [], "it asks no more: it is the next one's turn"
    assert [each.run.id for each in kept.claim(other, held=0)] == [run_id]
    assert len(kept.claim(held=1)) == 1


def test_a_run_without_progress_fails_after_its_interruptions(kept: Kept) -> None:
    run_id = kept.accepted()
    for number in range(1, 4):
        assert kept.run(run_id).is_open
        (claim,) = kept.claim()
        kept.save(a_save(run_id, claim.run.fence))
        kept.clock.pass_by(LEASE + 1)
        assert kept.sweep(interruptions=3) == 1
        assert kept.run(run_id).attempts == number
    run = kept.run(run_id)
    assert (run.state, run.reason, run.ended_at) == (State.FAILED, "interrupted", kept.clock.now)
    assert run.error is not None
    assert '"code":"interrupted"' in run.error
    assert kept.kinds(run_id)[-2:] == ["run.resumed", "run.failed"]
    assert kept.claim() == []


def test_leases_get_their_full_time_when_a_journal_starts(kept: Kept) -> None:
    run_id, fence = kept.begun()
    kept.clock.pass_by(3600)
    kept.do(operations.renew_leases)
    assert kept.sweep() == 0
    assert kept.end(run_id, fence).ok
    kept.clock.pass_by(LEASE + 1)
    assert kept.sweep() == 0


@pytest.mark.parametrize(("status", "reason"), [("completed", "succeeded"), ("failed", "timed_out"), ("canceled", "canceled")])
def test_a_run_ends_once_and_its_output_stays(kept: Kept, status: str, reason: str) -> None:
    run_id, fence = kept.begun()
    kept.save(a_save(run_id, fence, 1, parts={"a": b"1"}))
    output = b'{"text":"%s"}' % (b"long " * 1000)
    assert kept.end(run_id, fence, 2, status=status, reason=reason, output=output, error=b'{"code":"x"}') == Saved(run_id, ok=True)
    assert kept.end(run_id, fence, 2, status="failed").ok, "the same save comes again"
    assert not kept.end(run_id, fence, 3, status="failed").ok
    shown = kept.store.run(APP.app_uid, run_id)
    assert shown is not None
    assert (shown.run.state.value, shown.run.reason, shown.output, shown.run.error) == (status, reason, output, '{"code":"x"}')
    assert shown.run.parts_size == 0
    found = kept.store.events(APP.app_uid, run_id)
    assert found is not None
    assert (found.events[-1].type, found.events[-1].data, found.output) == (f"run.{status}", None, output)
    assert kept.cancel(run_id) is not None
    assert kept.run(run_id).canceling is False
    assert kept.claim() == []


def test_a_queued_run_is_canceled_at_once_and_a_running_one_at_its_next_save(kept: Kept) -> None:
    queued = kept.accepted()
    kept.cancel(queued, by="ann")
    run = kept.run(queued)
    assert (run.state, run.reason, run.cancel_by) == (State.CANCELED, "canceled", "ann")
    assert kept.claim() == []
    run_id, fence = kept.begun()
    kept.cancel(run_id, by="ann")
    kept.cancel(run_id, by="bob")
    assert kept.save(a_save(run_id, fence)) == [Saved(run_id, ok=True, cancel=True)]
    assert (kept.run(run_id).state, kept.run(run_id).cancel_by) == (State.RUNNING, "ann")
    assert kept.end(run_id, fence, status="completed") == Saved(run_id, ok=True), "its end is taken as it is"
    assert kept.run(run_id).state is State.COMPLETED
    assert kept.cancel("00000000-0000-4000-8000-000000000000") is None
    assert kept.cancel(run_id, place=OTHER) is None


def test_a_canceled_run_is_not_queued_again(kept: Kept) -> None:
    handed, fence = kept.begun()
    silent, _ = kept.begun()
    kept.cancel(handed)
    kept.cancel(silent)
    kept.save(a_save(handed, fence, hand_back=True))
    kept.clock.pass_by(LEASE + 1)
    kept.sweep()
    for run_id in (handed, silent):
        assert kept.run(run_id).state is State.CANCELED
        assert kept.kinds(run_id)[-1] == "run.canceled"


def test_limits_of_an_app_a_key_and_a_namespace(kept: Kept) -> None:
    def code(place: Place = APP, limits: Limits | None = None, **fields: Any) -> str:
        try:
            kept.accept(place, limits=limits, **fields)
        except Refused as refused:
            return refused.code
        return ""

    limits = Limits(of_app=3, of_key=2, of_namespace=10_000)
    run_id, fence = kept.begun()
    assert (code(limits=limits), code(limits=limits), code(limits=limits, key="of-bob"), code(limits=limits, key="of-eve")) == (
        *("", "too_many_runs"),
        *("", "too_many_runs"),
    )
    assert code(OTHER, limits) == ""
    kept.end(run_id, fence)
    assert code(limits=limits) == "", "an ended run makes room"
    assert code(OTHER, msgspec.structs.replace(limits, of_namespace=600)) == "too_many_runs"
    assert code(limits=limits, id=run_id) == "", "what was accepted is answered even above the limit"


def test_a_run_that_becomes_too_large_is_named_and_nothing_of_the_batch_is_kept(kept: Kept) -> None:
    small, fence = kept.begun()
    large, _ = kept.begun()
    half = bytes(PARTS_MAX // 2)
    kept.save(a_save(large, 1, 1, parts={"a": half}))
    with pytest.raises(Refused) as refused:
        kept.save(a_save(small, fence, 1, events=1), a_save(large, 1, 2, parts={"b": half, "c": b"1"}))
    assert (refused.value.code, refused.value.details) == ("checkpoint_too_large", {"id": large})
    assert kept.kinds(small) == ["run.accepted", "run.started"]
    assert kept.save(a_save(large, 1, 2, parts={"a": b"", "b": half, "c": b"1"}))[0].ok, "what replaces a part counts alone"


def test_events_are_gapless_and_in_order_while_pods_and_callers_write(kept: Kept) -> None:
    run_id, fence = kept.begun()
    last, seen = 0, 0

    def write() -> None:
        for number in range(1, 60):
            kept.save(a_save(run_id, fence, number, events=number % 3))
        kept.end(run_id, fence, 60)

    thread = threading.Thread(target=write)
    thread.start()
    while True:
        found = kept.store.events(APP.app_uid, run_id, last, 7)
        assert found is not None
        assert [each.sequence for each in found.events] == list(range(last + 1, last + 1 + len(found.events)))
        seen += len(found.events)
        last = found.events[-1].sequence if found.events else last
        if not found.run.is_open and last == found.run.last_event:
            break
    thread.join()
    assert seen == len(kept.kinds(run_id)) == 2 + sum(number % 3 for number in range(1, 60)) + 1


def test_lists_select_and_page(kept: Kept) -> None:
    ids = []
    for number in range(5):
        ids.append(kept.accepted(user_id="even" if number % 2 == 0 else "odd", session_id=f"s{number}"))
        kept.clock.pass_by(1)
    kept.accepted(OTHER)
    kept.claim(free=2)
    page, total = kept.store.page(everything(limit=2, offset=1))
    assert ([each.run.id for each in page], total) == ([ids[3], ids[2]], 5)
    assert page[0].input == b'{"question":"hi"}'
    assert kept.store.page(everything(), content=False)[0][0].input is None

    def listed(**fields: Any) -> list[str]:
        return [each.run.id for each in kept.store.page(everything(descending=False, **fields))[0]]

    assert listed(user_id="odd") == [ids[1], ids[3]]
    assert listed(session_id="s4") == [ids[4]]
    assert listed(states=(State.RUNNING,)) == ids[:2]
    assert listed(states=(State.RUNNING,), user_id="odd") == [ids[1]]
    assert listed(states=(State.FAILED, State.EXPIRED)) == []


def test_open_runs_are_counted_by_app_pins_and_state(kept: Kept) -> None:
    kept.accepted()
    kept.clock.pass_by(5)
    run_id, fence = kept.begun()
    kept.accepted(NEWER)
    kept.accepted(OTHER)
    counts = {(each.namespace, each.app, each.pins, each.state.value): (each.runs, each.oldest) for each in kept.store.open_runs()}
    later = NOON + 5_000_000
    assert counts == {
        ("team", "chat", APP.pins, "queued"): (1, NOON),
        ("team", "chat", APP.pins, "running"): (1, later),
        ("team", "chat", NEWER.pins, "queued"): (1, later),
        ("rivals", "chat", OTHER.pins, "queued"): (1, later),
    }
    kept.end(run_id, fence)
    assert len(kept.store.open_runs()) == 3


def test_text_of_every_kind_survives(kept: Kept) -> None:
    run_id = kept.accepted(user_id="ü\U0001f600", input='{"text":"ü\\u0000"}'.encode(), idempotency_key="'; DROP TABLE run; --")
    kept.claim()
    data = '{"x":"ä"}'.encode()
    kept.do(partial(operations.save, place=APP, saves=[msgspec.structs.replace(a_save(run_id, 1), events=(NewEvent("chunk", data),))]))
    found = kept.store.events(APP.app_uid, run_id, 2)
    shown = kept.store.run(APP.app_uid, run_id)
    assert found is not None
    assert shown is not None
    assert (found.events[0].data, shown.input, shown.run.user_id) == (data, '{"text":"ü\\u0000"}'.encode(), "ü\U0001f600")
