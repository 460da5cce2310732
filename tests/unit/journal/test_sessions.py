"""A conversation has the pins that it began with, until these are closed, another row takes it, or it is silent for too long."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynamiq_recorder.journal import operations, sessions
from dynamiq_recorder.journal.model import MICROSECONDS, Limits, Pause, Place, Refused
from dynamiq_recorder.journal.placement import PlacedRow, Placement, Session, hash_of, moments
from dynamiq_recorder.journal.sessions import Owned
from dynamiq_recorder.journal.store import opened
from dynamiq_recorder.journal.tables import Work
from dynamiq_recorder.store.database import Connection, Database
from tests.support.journal import APP, OTHER
from tests.support.journal_store import NOON, Clock, Kept, a_save

NEWER = msgspec.structs.replace(APP, pins="9999999999999999", workflow_hash="sha256:f9", pod="chat-2")
ROWS = {
    APP.pins: {"sequence": 3, "service": "chat-012345-turns", "workflow_hash": "sha256:f1"},
    NEWER.pins: {"sequence": 4, "service": "chat-999999-turns", "workflow_hash": "sha256:f9"},
}


def test_a_conversation_is_of_the_pod_that_asks_first(kept: Kept) -> None:
    kept.place_sessions(live=NEWER.pins, rows=ROWS)
    first, second = kept.whose(), kept.whose(place=NEWER)
    assert (first.is_new, second.is_new) == (True, False)
    assert (second.session.pins, second.session.sequence, second.session.began_at) == (APP.pins, 3, kept.clock.now)
    assert second.placement.service(second.session.pins) == "chat-012345-turns"
    assert kept.whose("s-2", NEWER).session.pins == NEWER.pins
    assert kept.conversations() == {APP.pins: (1, 1), NEWER.pins: (1, 1)}


def test_a_conversation_that_began_before_its_row_was_known_has_a_row_later(kept: Kept) -> None:
    assert kept.whose().session.sequence is None
    kept.place_sessions(rows=ROWS)
    owned = kept.whose()
    assert owned.placement.sequence(owned.session) == 3


def test_apps_with_equal_pins_and_equal_ids_share_nothing(kept: Kept) -> None:
    rival = msgspec.structs.replace(OTHER, pins=APP.pins)
    other = msgspec.structs.replace(rival, pins=OTHER.pins)
    assert [kept.whose(place=each).is_new for each in (APP, rival, NEWER, other)] == [True, True, False, False]
    kept.place_sessions(closed=[APP.pins])
    assert kept.whose(place=NEWER).session.pins == NEWER.pins
    assert kept.whose(place=other).session.pins == rival.pins
    assert kept.conversations(OTHER.app_uid) == {rival.pins: (1, 1)}


def test_conversations_of_closed_pins_move_with_the_commit_that_closes_them(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MANY", 2)
    for number in range(5):
        kept.whose(f"s-{number}")
    kept.whose("newer", NEWER)
    closing = Placement(live=NEWER.pins, rows=msgspec.convert(ROWS, dict[str, PlacedRow]), closed=(APP.pins,))
    kept.do(lambda work: sessions.put_placement(work, APP.app_uid, closing, "closing"))
    with pytest.raises(Refused) as refused:
        kept.whose("s-0")
    assert (refused.value.code, refused.value.details) == ("moved", {"pins": NEWER.pins, "service": "chat-999999-turns"})
    moved = kept.whose("s-0", NEWER)
    assert (moved.is_new, moved.session.pins, moved.session.sequence, moved.placement.epoch) == (True, NEWER.pins, 4, 1)
    assert kept.place_sessions(live=NEWER.pins, rows=ROWS, closed=[APP.pins]) == {APP.pins: 4}, "one has moved by itself"
    assert (kept.conversations(), kept.moved()) == ({NEWER.pins: (2, 2)}, {APP.pins: 5})
    assert kept.store.conversations({}) == kept.store.conversations({}, APP.app_uid)[1:], "what has left is no news of what is open"
    with pytest.raises(Refused):
        kept.do(lambda work: sessions.wake(work, APP, APP.pins))


def test_a_row_takes_the_conversations_that_began_before_it(kept: Kept) -> None:
    kept.whose("old"), kept.whose("kept", NEWER)
    kept.clock.pass_by(10)
    before = kept.clock.now
    later = kept.whose("later")
    moved = kept.place_sessions(live=NEWER.pins, rows=ROWS, taken={"pins": NEWER.pins, "before": before})
    assert (moved, later.session.began_at) == ({APP.pins: 1}, before)
    assert [kept.whose(each, NEWER).session.pins for each in ("old", "later")] == [NEWER.pins, APP.pins]
    assert kept.whose("kept").session.pins == NEWER.pins, "it was there already"
    assert kept.whose("another").session.pins == APP.pins, "a pod of older pins still begins its own"


def test_the_epoch_rises_when_conversations_move_alone(kept: Kept) -> None:
    def epoch() -> int:
        return kept.store.placement(APP.app_uid).epoch

    epochs = []
    placements: list[dict[str, Any]] = [
        {"live": APP.pins, "rows": {APP.pins: ROWS[APP.pins]}},
        {"live": NEWER.pins, "rows": ROWS},
        {"live": NEWER.pins, "rows": ROWS, "closed": [APP.pins]},
        {"live": NEWER.pins, "rows": ROWS, "closed": [APP.pins]},
        {"live": NEWER.pins, "rows": ROWS, "closed": [APP.pins], "taken": {"pins": NEWER.pins, "before": NOON}},
        {"live": NEWER.pins, "rows": ROWS},
    ]
    for fields in placements:
        kept.place_sessions(**fields)
        epochs.append(epoch())
    assert epochs == [0, 0, 1, 1, 2, 3]


def test_reported_turns_keep_conversations_and_silent_ones_end(kept: Kept) -> None:
    ids = [hash_of(name) for name in ("spoken", "silent", "missing")]
    kept.whose("spoken"), kept.whose("silent")
    kept.clock.pass_by(1700)

    def seen(**ages: int) -> None:
        kept.do(lambda work: sessions.note_seen(work, APP.app_uid, {hash_of(name): age for name, age in ages.items()}, 1800))

    def end() -> bool:
        return bool(kept.do(lambda work: sessions.end_idle(work, APP.app_uid, 1800)))

    seen(spoken=1000, missing=0)
    assert end() is False
    assert kept.conversations(warm=10) == {APP.pins: (2, 1)}
    seen(spoken=60_000)
    assert kept.conversations(warm=10) == {APP.pins: (2, 1)}, "an older report takes nothing back"
    kept.clock.pass_by(200)
    assert end() is False
    assert [kept.store.session(APP.app_uid, each)[1] is not None for each in ids] == [True, False, False]
    assert kept.whose("silent", NEWER).session.pins == NEWER.pins


def test_a_question_whose_it_is_keeps_a_conversation(kept: Kept) -> None:
    kept.whose()
    kept.clock.pass_by(1700)
    kept.whose(place=NEWER)
    kept.clock.pass_by(200)
    assert kept.do(lambda work: sessions.end_idle(work, APP.app_uid, 1800)) is False
    assert kept.whose(place=NEWER).session.pins == APP.pins


def test_a_report_is_few_changes_and_ends_nothing_early() -> None:
    ages = {f"{number:032x}": number * 100 for number in range(20_000)}
    groups = moments(ages, NOON, 1800)
    assert len(groups) <= 65
    assert sum(map(len, groups.values())) == 18_001, "those of longer ago have ended"
    for at, members in groups.items():
        for each in members:
            assert 0 <= at - (NOON - ages[each] * 1000) <= 1800 * MICROSECONDS // 64
    assert moments({"a": 0}, NOON, 60) == {NOON: ["a"]}


def run_of(kept: Kept, place: Place, session: str = "s-1", *, claims: bool = True, **fields: Any) -> tuple[str, str | None, bool]:
    """Accepts a run of a conversation. Returns its pins, the hash of its flow, and True if the pod has it at once."""
    accepted = kept.accept(place, claims=claims, session=hash_of(session), session_id=session, **fields)
    return accepted.run.pins, accepted.run.workflow_hash, accepted.claim is not None


def test_a_background_run_goes_to_the_pins_of_its_conversation(kept: Kept) -> None:
    kept.place_sessions(live=NEWER.pins, rows=ROWS)
    assert run_of(kept, APP) == (APP.pins, "sha256:f1", True)
    assert run_of(kept, NEWER) == (APP.pins, "sha256:f1", False)
    assert kept.whose(place=NEWER).session.pins == APP.pins
    assert kept.claim(NEWER) == []
    assert len(kept.claim(APP)) == 1


def test_a_background_run_of_closed_pins_begins_its_conversation_on_the_live_ones(kept: Kept) -> None:
    kept.place_sessions(live=NEWER.pins, rows=ROWS, closed=[APP.pins])
    assert run_of(kept, APP) == (NEWER.pins, "sha256:f9", False)
    assert kept.whose(place=NEWER).is_new is False


def test_a_run_that_pauses_has_begun_on_its_pods_pins(kept: Kept) -> None:
    kept.whose()
    run_id = "11111111-0000-4000-8000-000000000001"
    paused = a_save(run_id, 1, pause=Pause(kept.clock.now + 1))
    assert run_of(kept, NEWER, claims=False, id=run_id, paused=paused)[0] == NEWER.pins


def test_a_refused_run_begins_no_conversation(kept: Kept) -> None:
    with pytest.raises(Refused, match="limit"):
        run_of(kept, APP, limits=Limits(of_app=0))
    assert kept.conversations() == {}


def test_turns_that_wait_are_counted_until_they_wait_no_more(kept: Kept) -> None:
    kept.do(lambda work: sessions.wake(work, APP, NEWER.pins))
    kept.whose()

    def waits() -> dict[str, bool]:
        return {each.pins: each.turns_wait for each in kept.store.conversations({}, APP.app_uid)}

    assert waits() == {APP.pins: False, NEWER.pins: True}
    assert kept.store.turn_waits(APP.app_uid, NEWER.pins, 4) is True
    kept.clock.pass_by(5)
    assert waits() == {APP.pins: False}
    kept.clock.pass_by(1)
    assert kept.store.has_past_turns() is True
    kept.do(sessions.forget_turns)
    assert kept.store.has_past_turns() is False


def test_nothing_is_left_of_a_deleted_apps_conversations(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "MANY", 2)
    for number in range(3):
        kept.whose(f"s-{number}")
    kept.whose("other", OTHER)
    kept.place_sessions(rows=ROWS)
    rounds = 0
    while kept.do(lambda work: operations.close_app(work, APP.app_uid)):
        rounds += 1
    assert rounds > 0
    assert (kept.conversations(), kept.store.placements()) == ({}, {})
    assert kept.conversations(OTHER.app_uid) == {OTHER.pins: (1, 1)}


def test_a_conversation_that_another_replica_began_meanwhile_is_its_pods(kept: Kept, monkeypatch: pytest.MonkeyPatch) -> None:
    read, others = sessions.session_of, [NEWER]

    def ask(work: Work) -> Owned:
        def late(database: Database, connection: Connection, app_uid: str, session: str) -> Session | None:
            found = read(database, connection, app_uid, session)
            if others:
                sessions.whose(work, others.pop(), session)  # it is committed between our read and our write
            return found

        monkeypatch.setattr(sessions, "session_of", late)
        return sessions.whose(work, APP, hash_of("s-1"))

    owned = kept.do(ask)
    assert (owned.is_new, owned.session.pins) == (False, NEWER.pins)
    assert kept.conversations() == {NEWER.pins: (1, 1)}


def test_a_stored_placement_survives_a_restart(tmp_path: Path) -> None:
    clock = Clock()
    address = f"sqlite://{tmp_path}/journal.db"
    first = Kept(opened(address, clock, clock), clock)
    first.place_sessions(live=NEWER.pins, rows=ROWS, closed=[APP.pins], taken={"pins": NEWER.pins, "before": NOON})
    before = first.store.placement(APP.app_uid)
    first.store.close()
    again = Kept(opened(address, clock, clock), clock)
    assert again.store.placement(APP.app_uid) == before
    assert (before.epoch, before.closed) == (1, (APP.pins,))
    again.store.close()
