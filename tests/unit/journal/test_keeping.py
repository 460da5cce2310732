"""Ended runs are deleted in time, those of a deleted App sooner, and a copy of the store opens."""

from __future__ import annotations

import sqlite3
from functools import partial
from pathlib import Path

import pytest

from dynamiq_recorder.journal import operations
from dynamiq_recorder.journal.model import LEASE, State
from dynamiq_recorder.journal.store import back_up, opened
from dynamiq_recorder.store.results import WrongStore
from tests.support.journal import APP, OTHER
from tests.support.journal_store import Clock, Kept, a_save, everything

DAY = 86_400
WEEK = 7 * DAY


def delete(kept: Kept, keep: int = DAY, app_uid: str = APP.app_uid) -> int:
    return int(kept.do(partial(operations.delete_ended, app_uid=app_uid, keep=keep))[0])


def test_ended_runs_are_deleted_after_their_time_and_open_ones_are_not(kept: Kept) -> None:
    run_id, fence = kept.begun(idempotency_key="once", request_hash="h")
    kept.end(run_id, fence)
    kept.accepted()
    kept.clock.pass_by(DAY)
    assert delete(kept) == 0
    kept.clock.pass_by(1)
    assert delete(kept, app_uid=OTHER.app_uid) == 0
    assert delete(kept) == 1
    assert kept.store.run(APP.app_uid, run_id) is None
    assert kept.store.events(APP.app_uid, run_id) is None
    assert kept.accept(idempotency_key="once", request_hash="other").is_new
    kept.clock.pass_by(WEEK * 10)
    assert delete(kept) == 0


def test_a_run_that_waits_for_the_recorder_is_kept_for_a_week(kept: Kept) -> None:
    run_id, fence = kept.begun()
    kept.end(run_id, fence, record=b"xrecord")
    sent, fence = kept.begun()
    kept.end(sent, fence, record=b"xrecord")
    first, _ = kept.store.records(APP.app_uid, APP.pins, 10, 10_000)
    assert (first.id, first.data) == (run_id, b"xrecord")
    assert kept.store.unrecorded() == ((APP.app_uid, APP.pins, 2),)
    kept.do(partial(operations.note_recorded, keys=[kept.run(sent).key]))
    kept.do(partial(operations.note_recorded, keys=[kept.run(sent).key]))
    assert [each.id for each in kept.store.records(APP.app_uid, APP.pins, 10, 10_000)] == [run_id]
    kept.clock.pass_by(DAY + 1)
    assert delete(kept) == 1
    kept.clock.pass_by(WEEK - DAY)
    assert delete(kept) == 1
    assert kept.store.unrecorded() == ()


def test_records_are_read_oldest_first_and_bounded(kept: Kept) -> None:
    ids = []
    for _ in range(5):
        run_id, fence = kept.begun()
        kept.end(run_id, fence, record=b"x" * 3000)
        ids.append(run_id)
        kept.clock.pass_by(1)
    assert [each.id for each in kept.store.records(APP.app_uid, APP.pins, 3, 10_000)] == ids[:3]
    assert kept.store.records(APP.app_uid, APP.pins, 1, 10_000)[0].data == b"x" * 3000, "it is kept as the pod compressed it"
    assert [each.id for each in kept.store.records(APP.app_uid, APP.pins, 3, 7_500)] == ids[:2]
    assert [each.id for each in kept.store.records(APP.app_uid, APP.pins, 3, 1)] == ids[:1]


def test_without_a_recorder_no_run_waits_for_it(kept: Kept) -> None:
    run_id, fence = kept.begun()
    kept.end(run_id, fence, record=b"xrecord")
    kept.clock.pass_by(DAY + 1)
    assert kept.do(partial(operations.delete_ended, app_uid=APP.app_uid, keep=DAY, record_waits=0)) == (1, False)


def test_a_deleted_apps_runs_are_canceled_at_once_and_go_after_an_hour(kept: Kept) -> None:
    ended, fence = kept.begun()
    kept.end(ended, fence, record=b"xrecord")
    running, fence = kept.begun()
    queued = kept.accepted()
    other = kept.accepted(OTHER)
    assert kept.do(partial(operations.close_app, app_uid=APP.app_uid)) is False
    assert [kept.run(each).state for each in (running, queued)] == [State.CANCELED] * 2
    assert not kept.save(a_save(running, fence))[0].ok
    assert {uid: missing for uid, _, _, missing in kept.store.apps()} == {APP.app_uid: True, OTHER.app_uid: False}
    kept.clock.pass_by(3599)
    kept.do(partial(operations.close_app, app_uid=APP.app_uid))
    assert delete(kept) == 0
    kept.clock.pass_by(2)
    assert delete(kept) == 3
    assert [uid for uid, _, _, _ in kept.store.apps()] == [OTHER.app_uid]
    assert kept.run(other, OTHER).is_open


def test_many_runs_are_swept_canceled_and_deleted_in_pieces(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operations, "PIECE", 10)
    for _ in range(25):
        kept.accepted()
    kept.claim(free=25)
    kept.clock.pass_by(LEASE + 1)
    swept = [kept.do(partial(operations.sweep, interruptions=lambda _: 5)) for _ in range(3)]
    assert swept == [(10, True), (10, True), (5, False)]
    assert [kept.do(partial(operations.close_app, app_uid=APP.app_uid)) for _ in range(3)] == [True, True, False]
    kept.clock.pass_by(DAY + 1)
    assert [delete(kept) for _ in range(4)] == [10, 10, 5, 0]
    kept.do(operations.forget_counts)


def test_a_copy_of_a_store_in_use_opens_and_has_its_runs(tmp_path: Path, clock: Clock) -> None:
    kept = Kept(opened(f"sqlite://{tmp_path}/journal.db", clock, clock), clock)
    run_id, fence = kept.begun()
    kept.save(a_save(run_id, fence, parts={"a": b"1"}, events=3))
    copy = tmp_path / "copy.db"
    assert back_up(f"sqlite://{tmp_path}/journal.db", copy) == copy.stat().st_size
    kept.accepted()
    with pytest.raises(FileExistsError):
        back_up(f"sqlite://{tmp_path}/journal.db", copy)
    restored = Kept(opened(f"sqlite://{copy}", clock, clock), clock)
    restored.check()
    assert [each.run.id for each in restored.store.page(everything())[0]] == [run_id]
    assert restored.kinds(run_id) == kept.kinds(run_id)
    restored.store.close()
    assert sorted(path.name for path in tmp_path.glob("copy*")) == ["copy.db", "copy.db.lock"]
    with pytest.raises(WrongStore, match="there is no store"):
        back_up(f"sqlite://{tmp_path}/none.db", tmp_path / "other.db")
    with pytest.raises(WrongStore, match="pg_dump --schema=journal"):
        back_up("postgresql://host/db", tmp_path / "other.db")
    kept.store.close()


def test_a_store_of_a_newer_journal_and_one_in_use_are_refused(tmp_path: Path) -> None:
    address = f"sqlite://{tmp_path}/journal.db"
    store = opened(address)
    with pytest.raises(WrongStore, match="used by another"):
        opened(address)
    store.close()
    opened(address).close()
    with sqlite3.connect(tmp_path / "journal.db") as raw:
        raw.execute("UPDATE meta SET value = 99 WHERE name = 'schema'")
    with pytest.raises(WrongStore, match=r"version 99 of its tables.*run the newer journal again"):
        opened(address)
    for wrong in ("mysql://host/db", "journal.db", ""):
        with pytest.raises(WrongStore, match="must be sqlite"):
            opened(wrong)
