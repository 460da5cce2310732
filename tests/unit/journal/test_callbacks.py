"""Callbacks of runs: when they are due, who sends them, how often they are tried, and until when they are kept."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from dynamiq_recorder.journal import callbacks, operations, waiting
from dynamiq_recorder.journal.callback import TRIES, CallbackState, Settled, problem
from dynamiq_recorder.journal.model import MICROSECONDS, LateCallbacks, NewCallback, Refused
from dynamiq_recorder.journal.store import opened
from tests.support.journal import APP, OTHER
from tests.support.journal_store import HOOK, Clock, Kept, a_question, a_save, an_end

FIRST, SECOND = "https://a.example/1", "https://b.example/2"
DAY = 86_400


def seconds_until_due(kept: Kept) -> float | None:
    return kept.store.next_callback(APP.app_uid)


def test_callbacks_are_stored_with_their_run_and_due_with_its_end(kept: Kept) -> None:
    accepted = kept.accept(claims=True, callbacks=(NewCallback(FIRST, "secret", b'{"order":1}'), NewCallback(SECOND)))
    assert [(each.url, each.token, each.metadata, each.due) for each in accepted.callbacks] == [
        (FIRST, "secret", b'{"order":1}', None),
        (SECOND, None, None, None),
    ]
    assert kept.accept(id=accepted.run.id).callbacks == accepted.callbacks, "a repeated request has those that are stored"
    assert (kept.claim_callbacks(), seconds_until_due(kept)) == ([], None)
    saved = kept.end(accepted.run.id, 1)
    assert (saved.callbacks, seconds_until_due(kept)) == (2, 0.0)
    assert kept.end(accepted.run.id, 1).callbacks == 2, "its pod may not have got the answer"
    assert kept.claim_callbacks(place=OTHER) == []
    claimed = kept.claim_callbacks()
    assert [(each.url, each.token, each.metadata, each.tries) for each in claimed] == [
        (FIRST, "secret", b'{"order":1}', 1),
        (SECOND, None, None, 1),
    ]


def test_every_end_by_the_journal_makes_callbacks_due_and_tells_pods(kept: Kept) -> None:
    called = (NewCallback(HOOK),)
    expiring, (interrupted, _) = kept.paused(a_question(), callbacks=called), kept.begun(callbacks=called)
    kept.clock.pass_by(100)
    kept.do(partial(waiting.expire, app_uid=APP.app_uid, wait=99))
    kept.sweep(0)
    canceled, deleted = kept.accepted(callbacks=called), kept.accepted(callbacks=called)
    news = kept.store.commit(partial(operations.cancel, app_uid=APP.app_uid, run_id=canceled, by=None))[1]
    kept.do(partial(operations.close_app, app_uid=APP.app_uid))
    ended = {kept.run(each).key for each in (expiring, interrupted, canceled, deleted)}
    assert {each.run for each in kept.claim_callbacks()} == ended
    assert ("unheard", APP.app_uid) in news


def test_a_claim_is_leased_and_fenced(kept: Kept) -> None:
    run_id = kept.called()
    (first,) = kept.claim_callbacks()
    assert (kept.claim_callbacks(), seconds_until_due(kept)) == ([], 60.0)
    kept.clock.pass_by(61)
    (second,) = kept.claim_callbacks()
    assert second.tries == 2
    assert kept.settle(first, run_id, 200) is None, "another claim has it"
    assert kept.settle(second, run_id, 204) is Settled.DELIVERED
    assert kept.settle(second, run_id, 204) is None
    assert kept.settle(second, "no id", 204) is None
    (delivered,) = kept.callbacks_of(run_id)
    assert (delivered.state, delivered.status, delivered.last_at) == (CallbackState.DELIVERED, 204, kept.clock.now)
    assert (kept.claim_callbacks(), seconds_until_due(kept)) == ([], None)


def test_a_step_of_the_wall_clock_ends_no_lease(tmp_path: Path) -> None:
    wall, ticks = Clock(), Clock()
    kept = Kept(opened(f"sqlite://{tmp_path}/journal.db", wall, ticks), wall)
    kept.called()
    kept.claim_callbacks()
    wall.pass_by(3600)
    assert kept.claim_callbacks() == []
    ticks.pass_by(61)
    assert len(kept.claim_callbacks()) == 1
    kept.store.close()


def test_a_late_result_counts_while_no_other_claim_has_it(kept: Kept) -> None:
    run_id = kept.called()
    (claimed,) = kept.claim_callbacks()
    kept.clock.pass_by(120)
    assert kept.settle(claimed, run_id, 200) is Settled.DELIVERED


def test_a_callback_is_tried_less_and_less_until_a_day_after_the_end(kept: Kept) -> None:
    run_id, ended, waits = kept.called(), kept.clock.now, []
    while claimed := kept.claim_callbacks():
        outcome = kept.settle(claimed[0], run_id, 500)
        if outcome is not Settled.RETRIED:
            break
        waits.append(seconds_until_due(kept) or 0)
        kept.clock.pass_by(waits[-1])
    assert waits == [5, 30, 120, 600, *[3600] * 23]
    (failed,) = kept.callbacks_of(run_id)
    assert (failed.state, failed.status, failed.tries) == (CallbackState.FAILED, 500, 28)
    assert kept.clock.now - ended < DAY * MICROSECONDS
    assert seconds_until_due(kept) is None


@pytest.mark.parametrize(("chance", "seconds"), [(0.0, 4.0), (1.0, 6.0)])
def test_waits_are_spread(kept: Kept, chance: float, seconds: float) -> None:
    run_id = kept.called()
    kept.settle(kept.claim_callbacks()[0], run_id, None, "unreachable", chance=chance)
    assert seconds_until_due(kept) == seconds


def test_a_receiver_may_ask_for_a_longer_wait_of_an_hour_at_most(kept: Kept) -> None:
    for asked, waits in ((1.0, 5.0), (90.0, 90.0), (1e9, 3600.0)):
        run_id = kept.called()
        kept.settle(kept.claim_callbacks()[0], run_id, 503, retry_after=asked)
        assert seconds_until_due(kept) == waits
        kept.clock.pass_by(waits)
        kept.settle(kept.claim_callbacks()[0], run_id, 200)


def test_a_receiver_that_is_gone_is_tried_no_more(kept: Kept) -> None:
    run_id = kept.called()
    assert kept.settle(kept.claim_callbacks()[0], run_id, 410) is Settled.FAILED
    assert seconds_until_due(kept) is None


def test_the_error_names_limits_of_egress_and_neither_url_nor_token(kept: Kept) -> None:
    run_id, fence = kept.begun(callbacks=(NewCallback(HOOK, "t0ken"),))
    kept.end(run_id, fence)
    (claimed,) = kept.claim_callbacks()
    kept.settle(claimed, run_id, None, "unreachable", limits_egress=True)
    assert kept.callbacks_of(run_id)[0].error == "unreachable; the App's network.egress may not allow it"
    kept.clock.pass_by(5)
    (claimed,) = kept.claim_callbacks()
    kept.settle(claimed, run_id, 500, f"failed for {HOOK} with t0ken", limits_egress=True)
    assert kept.callbacks_of(run_id)[0].error == "failed for … with …"
    assert "secret" not in repr(claimed)


def test_a_host_that_is_no_longer_allowed_gets_none(kept: Kept) -> None:
    run_id = kept.called(FIRST, SECOND)
    assert [each.url for each in kept.claim_callbacks(hosts=("b.example",))] == [SECOND]
    refused, sent = kept.callbacks_of(run_id)
    assert (refused.state, refused.tries, sent.state) == (CallbackState.FAILED, 0, CallbackState.PENDING)
    assert refused.error == "runs.durable.callbackHosts no longer allows this host"


@pytest.mark.parametrize(
    ("url", "hosts", "is_right"),
    [
        ("https://a.example", (), True),
        ("https://A.example.:8443/path?query=1", (), True),
        ("https://93.184.216.34/", (), True),
        ("http://a.example", (), False),
        ("https://ann@a.example", (), False),
        ("https://a.example/#part", (), False),
        ("https://a.example:port", (), False),
        ("https://", (), False),
        ("https://a b.example", (), False),
        ("https://bücher.example", (), False),
        ("https://a.example/" + "x" * 2048, (), False),
        *((f"https://{host}/", (), False) for host in ("127.0.0.1", "10.0.0.1", "127.1", "0x7f000001", "2130706433", "[::1]")),
        *((f"https://{host}/", (), False) for host in ("169.254.169.254", "100.64.0.1", "[fd00::1]", "[::ffff:10.0.0.1]")),
        ("https://receiver.team.svc/", ("receiver.team.svc",), True),
        ("https://a.example/", ("receiver.team.svc",), False),
    ],
)
def test_urls_where_no_callback_may_go_are_refused(url: str, hosts: tuple[str, ...], *, is_right: bool) -> None:
    wrong = problem(url, hosts)
    assert (wrong is None) == is_right
    assert "example" not in (wrong or ""), "it quotes none"


def test_callbacks_of_an_ended_run_are_sent_again(kept: Kept) -> None:
    def again(run_id: str, n: int | None = None) -> object:
        return kept.do(partial(callbacks.send_again, app_uid=APP.app_uid, run_id=run_id, n=n))

    run_id = kept.called(FIRST, SECOND)
    first, second = kept.claim_callbacks()
    kept.settle(first, run_id, 200)
    kept.settle(second, run_id, 410)
    kept.clock.pass_by(3 * DAY)
    again(run_id, 1)
    (claimed,) = kept.claim_callbacks()
    assert (claimed.n, claimed.own_tries, claimed.tries > TRIES) == (1, 1, True)
    again(run_id)
    assert kept.settle(claimed, run_id, 200) is None, "this try began before"
    assert [(each.n, each.own_tries) for each in kept.claim_callbacks()] == [(0, 1), (1, 1)]
    with pytest.raises(Refused, match="no callback 2"):
        again(run_id, 2)
    opened = kept.accepted(callbacks=(NewCallback(HOOK),))
    with pytest.raises(Refused) as refused:
        again(opened)
    assert refused.value.code == "not_ended"
    assert again("00000000-0000-4000-8000-000000000000") is None


def test_a_run_is_kept_while_a_callback_waits_and_a_day_at_most(kept: Kept) -> None:
    def deleted() -> int:
        return int(kept.do(partial(operations.delete_ended, app_uid=APP.app_uid, keep=60))[0])

    run_id, _, plain = kept.called(FIRST), kept.called(SECOND), kept.begun()
    kept.end(*plain)
    kept.settle(kept.claim_callbacks(1)[0], run_id, 200)
    kept.clock.pass_by(61)
    assert deleted() == 2, "one whose callback is delivered, and one without"
    kept.clock.pass_by(DAY)
    assert deleted() == 0
    assert kept.do(partial(callbacks.give_up, app_uid=APP.app_uid)) == (1, False)
    assert kept.store.callback_counts().pending == 0
    assert deleted() == 1


def test_what_a_callback_takes_counts_for_its_namespace(kept: Kept) -> None:
    plain = kept.run(kept.accepted()).size
    token, metadata = "t" * 4096, b'{"a":"' + b"x" * 4000 + b'"}'
    run_id = kept.accepted(callbacks=(NewCallback(HOOK, token, metadata),))
    assert kept.run(run_id).size - plain > len(HOOK) + len(token) + len(metadata)


def test_a_claim_has_outputs_of_bounded_size(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callbacks, "OUTPUT_MAX", 3000)
    monkeypatch.setattr(callbacks, "CLAIM_BYTES", 150)
    outputs = (b'{"a":"%s"}' % (b"x" * 4000), b'{"b":1}', b'{"c":"%s"}' % (b"y" * 130), b'{"d":1}')
    for output in outputs:
        run_id, fence = kept.begun(callbacks=(NewCallback(HOOK),))
        kept.end(run_id, fence, output=output)
        kept.clock.pass_by(0.001)
    claimed = kept.store.claimed_callbacks(kept.claim_callbacks())
    assert [(each.output, each.is_omitted) for each in claimed] == [(None, True), (outputs[1], False)]
    rest = kept.store.claimed_callbacks(kept.claim_callbacks())
    assert [each.output for each in rest] == [*outputs[2:]]


def test_late_callbacks_are_counted_by_pins(kept: Kept) -> None:
    run_id = kept.called(FIRST, SECOND)
    kept.called(place=OTHER)
    kept.clock.pass_by(4)
    assert (kept.store.callback_counts().pending, kept.store.callback_counts().late) == (3, ())
    kept.clock.pass_by(2)
    of_chat, of_rival = (LateCallbacks(each.namespace, each.app, each.app_uid, each.pins, 1) for each in (APP, OTHER))
    (sent,) = kept.claim_callbacks(1)
    assert kept.store.callback_counts().late == (of_rival, of_chat), "one that a pod sends is not late"
    kept.settle(sent, run_id, 200)
    kept.claim_callbacks()
    assert kept.store.callback_counts().late == (of_rival,)


def test_a_start_gives_leases_their_full_time_and_no_more(kept: Kept) -> None:
    kept.called(FIRST)
    kept.claim_callbacks()
    kept.do(lambda work: work.connection.do("UPDATE callback SET due = due * 2, lease_until = lease_until * 2"))
    kept.do(callbacks.renew)
    kept.clock.pass_by(4321)
    assert len(kept.claim_callbacks()) == 1, "the wall clock had gone back"


def test_a_run_that_pauses_with_its_acceptance_has_its_callbacks_at_its_end(kept: Kept) -> None:
    run_id = kept.paused(a_question(), callbacks=(NewCallback(HOOK),))
    kept.answer(run_id)
    (claim,) = kept.claim()
    assert kept.end(run_id, claim.run.fence).callbacks == 1


def test_one_save_ends_several_runs_with_callbacks(kept: Kept) -> None:
    runs = [kept.begun(callbacks=(NewCallback(HOOK),) * count) for count in (1, 0, 3)]
    assert [each.callbacks for each in kept.save(*(a_save(*run, end=an_end()) for run in runs))] == [1, 0, 3]
