"""A journal's store moves from a volume to PostgreSQL and back with all that it has, or not at all."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

import pytest

from dynamiq_recorder.__main__ import main
from dynamiq_recorder.journal import command, copying, operations, waiting
from dynamiq_recorder.journal.model import LEASE, NewCallback, State
from dynamiq_recorder.journal.store import opened
from dynamiq_recorder.journal.tables import Work
from tests.support import postgres
from tests.support.journal import APP, OTHER
from tests.support.journal_store import HOOK, Clock, Kept, a_new_run, a_question, a_save, everything

SESSION = "0123456789abcdef0123456789abcdef"


@pytest.fixture(params=["to PostgreSQL", "from PostgreSQL"])
def addresses(request: pytest.FixtureRequest, tmp_path: Path, server: postgres.Server) -> tuple[str, str]:
    """Returns the address of the store that is copied, and that of the new one."""
    both = f"sqlite://{tmp_path}/journal.db", server.database()
    return both if request.param == "to PostgreSQL" else (both[1], both[0])


def copied(monkeypatch: pytest.MonkeyPatch, addresses: tuple[str, str]) -> int:
    """Runs the command. Returns its exit code."""
    monkeypatch.setattr(sys, "argv", ["dynamiq_recorder", "journal-copy", addresses[0], "--store", addresses[1]])
    return main()


def everything_of(kept: Kept) -> object:
    """Returns what readers see of all runs and questions."""
    runs = [each for place in (APP, OTHER) for each in kept.store.page(everything(place))[0]]
    events = [kept.store.events(each.run.app_uid, each.run.id, 0, 10_000) for each in runs]
    return runs, events, kept.store.questions(APP.app_uid), kept.store.open_runs(), kept.store.unrecorded(), kept.store.epoch()


def add_session(work: Work) -> None:
    values = (APP.app_uid, work.database.id_in(SESSION), APP.pins)
    work.connection.do("INSERT INTO session (app_uid, id, pins, began_at, last_seen) VALUES (?, ?, ?, 1, 2)", values)
    work.add_to("session_tally", ("app_uid", "pins"), "sessions", {(APP.app_uid, APP.pins): 1})


def test_all_is_copied_and_goes_on_in_the_new_store(
    addresses: tuple[str, str], clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = Kept(opened(addresses[0], clock, clock), clock)
    monkeypatch.setattr(copying, "LINES", 2)
    monkeypatch.setattr(copying, "BYTES", 3_000)
    asking = source.paused(a_question(), a_question("ask:2"))
    source.accepted(OTHER, input=b'{"text":"%s"}' % (b"long " * 3000), tags=("a", 'quote"\\'), user_id="ann")
    ended, fence = source.begun(session_id="s", callbacks=(NewCallback("https://a.example", "token", b'{"a":1}'), NewCallback(HOOK)))
    source.end(ended, fence, record=b"xrecord")
    source.settle(source.claim_callbacks(1)[0], ended, 500, "refused")
    called = source.callbacks_of(ended)
    running, fence = source.begun()
    source.save(a_save(running, fence, 1, parts={f"n{number}": bytes(2000) for number in range(5)}, events=20))
    source.do(add_session)
    source.do(partial(waiting.note_epoch, epoch=7))
    before = everything_of(source)
    source.store.close()
    monkeypatch.setattr(command, "SHOWN_EVERY", 0.0)
    assert copied(monkeypatch, addresses) == 0
    shown = capsys.readouterr()
    assert "runs: 4, conversations: 1;" in shown.out
    assert "lines of the table event are copied" in shown.err
    new = Kept(opened(addresses[1], clock, clock), clock)
    assert everything_of(new) == before
    new.check()
    assert new.accept(id=a_new_run().id).is_new, "its key is no copied run's"
    assert new.answer(asking)
    assert new.save(a_save(running, fence, 2))[0].ok
    assert (new.callbacks_of(ended), called[0].tries) == (called, 1)
    assert [each.n for each in new.claim_callbacks()] == [1], "the other one's time has not come"
    ((identity,),) = new.do(lambda work: work.connection.all("SELECT id FROM session"))
    assert new.store.database.id_out(identity).replace("-", "") == SESSION
    clock.pass_by(LEASE + 1)
    assert new.sweep() == 1
    assert new.run(running).state is State.QUEUED
    new.check()
    new.store.close()


def test_nothing_is_copied_over_other_runs_and_from_or_to_a_store_in_use(
    addresses: tuple[str, str], clock: Clock, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A failure in the middle leaves the new store empty."""
    source = Kept(opened(addresses[0]), clock)
    source.accepted()
    source.store.check()
    assert copied(monkeypatch, addresses) == 1
    error = capsys.readouterr().err
    assert "is used by another" in error or "a journal serves the database" in error
    source.store.close()
    with monkeypatch.context() as patch:
        patch.setattr(copying, "_converted", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            copied(patch, addresses)
    assert copied(monkeypatch, addresses) == 0
    assert copied(monkeypatch, addresses) == 1
    assert "is not empty" in capsys.readouterr().err
    assert copied(monkeypatch, ("sqlite:///none/such.db", addresses[1])) == 1
    new = Kept(opened(addresses[1], clock, clock), clock)
    new.do(operations.renew_leases)
    assert new.store.page(everything())[1] == 1
    new.store.close()
