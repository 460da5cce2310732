"""Archived rows: written once, found page by page, and deleted some time after their App."""

from __future__ import annotations

import threading

import msgspec
import orjson
import pytest

from dynamiq_recorder.store import archive
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.sql_store import Store
from tests.support.archived_rows import ENDED, flows, for_store, history, sequences
from tests.support.stored_runs import APP, OTHER, SECOND, a_row

DAY = 86_400


def test_a_row_is_archived_with_its_flow_as_it_was_stored(store: Store) -> None:
    rows = history(3)
    done = store.archive(for_store(rows), flows(rows))

    assert (set(done.taken), dict(done.refused)) == ({row["metadata"]["uid"] for row in rows}, {})
    found = store.archived_row(APP, rows[1]["metadata"]["uid"])
    assert found is not None
    assert orjson.loads(found.content) == rows[1]
    assert store.archived_row(APP, rows[1]["metadata"]["name"]) == found
    for flow_hash, text in flows(rows).items():
        assert store.archived_flow(APP, flow_hash) == text
    assert store.archived_flows(APP, [*flows(rows), "sha256:none"]) == set(flows(rows))


def test_a_row_that_is_sent_twice_is_stored_once(store: Store) -> None:
    rows = history(3)
    first, again = (store.archive(for_store(rows), flows(rows)).taken for _ in range(2))

    assert (len(first), again) == (3, first), "it says when it was stored first"
    assert {key.uid: key.archived_at for key in store.archived_keys(APP, 0).keys} == first
    assert sequences(store) == [3, 2, 1]
    assert store.archived(APP, limit=1).total == 3


def test_a_row_is_written_once(store: Store) -> None:
    """The operator deletes a row once it is acknowledged: a different row with its uid must not be in its place."""
    (row,) = for_store(history(1))
    store.archive([row], {})
    for other in (
        msgspec.structs.replace(row, outcome_digest="sha256:other"),
        msgspec.structs.replace(row, digest="sha256:other"),
        msgspec.structs.replace(row, name="renamed"),
        msgspec.structs.replace(row, app_uid=OTHER, app="beside"),
    ):
        done = store.archive([other], {})
        assert (done.taken, list(done.refused)) == ({}, [row.uid])
    assert store.archived_row(APP, row.uid) == msgspec.structs.replace(row, namespace="", app="")


def test_pages_come_by_sequence_from_either_end_and_from_any_place(store: Store) -> None:
    rows = for_store(history(40))
    store.archive(rows[20:], {})
    store.archive(rows[:20], {})

    assert sequences(store) == list(range(40, 0, -1))
    assert sequences(store, newest_first=False) == list(range(1, 41))
    for offset in (0, 1, 19, 20, 21, 38, 39):
        assert [row.sequence for row in store.archived(APP, limit=3, offset=offset).rows] == list(range(40, 0, -1))[offset : offset + 3]
        upwards = store.archived(APP, limit=3, offset=offset, newest_first=False)
        assert [row.sequence for row in upwards.rows] == list(range(1, 41))[offset : offset + 3]
    assert store.archived(APP, limit=3, offset=40).rows == ()
    for wrong in ("", "1", "a.b", "1.2.3", "-1.2", "9" * 60, f"{2**63}.0", f"1.{2**63}"):
        with pytest.raises(ValueError, match="cursor"):
            store.archived(APP, limit=3, cursor=wrong)


def test_any_place_of_an_archive_with_gaps_is_found(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is so across the blocks that are counted together, also after a restore has joined two archives."""
    monkeypatch.setattr(archive, "BLOCK", 4)
    rows = [row for row in for_store(history(41)) if row.sequence % 5 and not 12 <= row.sequence < 24]
    store.archive(rows[::2], {})
    store.archive(rows[1::2], {})
    newest = [row.sequence for row in rows[::-1]]
    for offset in range(len(newest) + 1):
        assert [row.sequence for row in store.archived(APP, limit=2, offset=offset).rows] == newest[offset : offset + 2]
        upwards = store.archived(APP, limit=2, offset=offset, newest_first=False)
        assert [row.sequence for row in upwards.rows] == newest[::-1][offset : offset + 2]

    again = "c0ffee00-0000-4000-8000-00000000000c"
    store.put_rows([a_row(1, digest="sha256:first")])
    store.put_rows([a_row(1, uid="new-1", app_uid=again, digest="sha256:first")])
    assert [row.sequence for row in store.archived(again, limit=3, offset=9).rows] == newest[9:12]


def test_the_rows_from_a_sequence_on_are_known_by_their_digests(store: Store) -> None:
    rows = for_store(history(9))
    store.archive(rows, {})
    found = store.archived_keys(APP, 7)
    assert [(key.uid, key.sequence, key.outcome_digest) for key in found.keys] == [
        (row.uid, row.sequence, row.outcome_digest) for row in rows[:5:-1]
    ]
    assert (found.total, store.archived_keys(APP, 10).keys, store.archived_keys(OTHER, 0).total) == (9, (), 0)


def test_the_rows_around_a_time_are_found(store: Store) -> None:
    """In an archive of any length, it returns the row that was live, its successor, and the rows in rollout then."""
    rows = [msgspec.structs.replace(row, succeeded=row.sequence % 10 == 0) for row in for_store(history(60))]
    store.archive(rows, {})

    def around(second: int) -> list[int]:
        return [row.sequence for row in store.archived_around(APP, ENDED + second * SECOND)]

    assert around(25) == [1, 10, 20, *range(26, 46)]
    assert around(30) == [1, 10, 30, *range(31, 51)]
    assert around(5) == [1, *range(6, 26)]
    assert around(70) == [1, 10, 60]
    assert store.archived_around(OTHER, ENDED) == ()


def test_one_app_has_nothing_of_another(store: Store) -> None:
    rows = history(2)
    store.archive(for_store(rows), flows(rows))

    assert sequences(store, OTHER) == []
    assert store.archived_row(OTHER, rows[0]["metadata"]["uid"]) is None
    assert store.archived_flow(OTHER, next(iter(flows(rows)))) is None


def test_two_that_send_the_same_at_once_leave_one_of_each(address: str) -> None:
    """On PostgreSQL two recorders write, as while one replaces the other; on SQLite two requests."""
    one = opened(address)
    two = opened(address) if address.startswith("postgres") else one
    rows = history(60)
    errors: list[BaseException] = []

    def send(to: Store) -> None:
        try:
            for at in range(0, 60, 5):
                assert len(to.archive(for_store(rows)[at : at + 5], flows(rows)).taken) == 5
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=send, args=(each,)) for each in (one, two)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert errors == []
    assert sequences(one) == list(range(60, 0, -1))
    assert one.archived(APP, limit=1).total == 60
    for each in {id(each): each for each in (one, two)}.values():
        each.close()


def test_an_app_that_is_restored_has_the_archive_of_the_one_before(store: Store) -> None:
    """Its rows are restored under other uids, and archived ones are handed over as if for the first time."""
    rows = history(5)
    digests = {row["spec"]["sequence"]: row["spec"]["pinned"]["digest"] for row in rows}
    store.put_rows([a_row(number, digest=digests[number]) for number in digests])
    store.archive(for_store(rows[:4]), flows(rows[:4]))

    again = "c0ffee00-0000-4000-8000-00000000000c"
    store.put_rows([a_row(number, uid=f"new-{number}", app_uid=again, digest=digests[number]) for number in (4, 5)])
    brought_back = [msgspec.structs.replace(row, uid=f"new-{row.sequence}") for row in for_store(rows, app_uid=again)]
    done = store.archive(brought_back[3:], flows(rows))

    assert list(done.taken) == ["new-4", "new-5"]
    assert sequences(store, again) == [5, 4, 3, 2, 1]
    assert store.archived(again, limit=1).total == 5
    assert store.archived_flows(again, list(flows(rows))) == set(flows(rows))


def test_rows_that_are_archived_before_it_is_known_that_their_app_was_restored_are_there_once(store: Store) -> None:
    """A recorder that is just starting does not know of the restore yet: `verify` must still walk each row once."""
    rows = history(5)
    digests = {row["spec"]["sequence"]: row["spec"]["pinned"]["digest"] for row in rows}
    store.put_rows([a_row(number, digest=digests[number]) for number in digests])
    store.archive(for_store(rows[:4]), flows(rows[:4]))

    again = "c0ffee00-0000-4000-8000-00000000000c"
    brought_back = [msgspec.structs.replace(row, uid=f"new-{row.sequence}") for row in for_store(rows, app_uid=again)]
    assert store.archive(brought_back[2:], flows(rows)).taken.keys() == {"new-3", "new-4", "new-5"}
    assert sequences(store, again) == [5, 4, 3]
    store.put_rows([a_row(5, uid="new-5", app_uid=again, digest=digests[5])])

    assert sequences(store, again) == [5, 4, 3, 2, 1]
    assert store.archived(again, limit=1).total == 5
    assert [row.sequence for row in store.archived(again, limit=5, offset=2).rows] == [3, 2, 1]
    assert store.archived_flows(again, list(flows(rows))) == set(flows(rows))


def test_rows_after_the_restore_of_an_older_backup_are_stored_beside_the_former_ones(store: Store) -> None:
    store.archive(for_store(history(3)), {})
    (branch,) = for_store(history(1, start=3, salt="-after"))

    assert list(store.archive([branch], {}).taken) == [branch.uid]
    assert sequences(store) == [3, 3, 2, 1]


def test_an_archive_goes_once_its_app_is_missed_for_long_enough(store: Store) -> None:
    rows = history(3)
    store.archive(for_store(rows), flows(rows))
    now = 1_000 * DAY * SECOND

    def forget(at: int, *there: str) -> int:
        return store.forget_archives(lambda uid: uid in there, at, 400 * DAY)

    assert forget(now, APP) == 0
    assert forget(now) == 0
    assert forget(now + 300 * DAY * SECOND, APP) == 0, "it was there all the time: somebody did not see it"
    assert forget(now + 500 * DAY * SECOND) == 0
    assert forget(now + 899 * DAY * SECOND) == 0
    assert sequences(store) == [3, 2, 1]
    assert forget(now + 901 * DAY * SECOND) == 3
    assert sequences(store) == []
    assert not store.archived_flows(APP, list(flows(rows)))


@pytest.mark.parametrize("uid", [APP, "c0ffee00-0000-4000-8000-00000000000c"], ids=["the same", "another"])
def test_an_app_that_comes_back_while_its_archive_is_about_to_go_keeps_it(store: Store, uid: str) -> None:
    """It may have the same uid, if etcd is restored, or another one, if a backup restores it."""
    rows = history(3)
    store.put_rows([a_row(1, digest="sha256:first")])
    store.archive(for_store(rows[:2]), flows(rows))
    now = 1_000 * DAY * SECOND
    store.forget_archives(lambda _: False, now, 400 * DAY)

    def is_there(_: str) -> bool:
        store.put_rows([a_row(1, uid="new-1", app_uid=uid, digest="sha256:first")])
        store.archive(for_store(rows[2:], app_uid=uid), flows(rows))
        return False

    assert store.forget_archives(is_there, now + 500 * DAY * SECOND, 400 * DAY) == 0
    assert sequences(store, uid) == [3, 2, 1]
