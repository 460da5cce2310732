"""Shapes of inputs in a store: each new run counts once, under its caller and day, and no caller takes the room for others' names."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
import psycopg
import pytest

from dynamiq_operator.model.runs import RunSource
from dynamiq_recorder.model import MORE, Filter, Run, RunShape
from dynamiq_recorder.store import shapes
from dynamiq_recorder.store.merging import union
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.pools import lock_number
from dynamiq_recorder.store.results import CallerFields, Retention
from dynamiq_recorder.store.sql_store import Store
from tests.support import postgres
from tests.support.stored_runs import APP, HOUR, NOON, OTHER, SECOND, a_row, a_run, batch
from tests.support.waiting import IN_TIME, eventually

DAY = 24 * HOUR
TODAY = NOON // DAY * DAY // SECOND
MORNING = TODAY * SECOND
FIRST, AGAIN = a_row(1, pins="a" * 16), a_row(3, pins="a" * 16)
QUESTION = {"question": "string"}


def shape(fields: dict[str, str], key: str = "web", trigger: str = "", *, has_more: bool = False) -> RunShape:
    return RunShape(key=key, trigger=trigger, fields=tuple(sorted(fields.items())), has_more=has_more)


def run(number: int = 1, fields: dict[str, str] = QUESTION, key: str = "web", trigger: str = "", **changes: Any) -> Run:
    """Returns a run of an early second of the day."""
    changes = {"started_at": MORNING + number % 3600 * SECOND, "shape": shape(fields, key, trigger), **changes}
    return a_run(number, **changes)


def names(prefix: str, count: int, first: int = 0) -> dict[str, str]:
    return {f"{prefix}{number}": "string" for number in range(first, first + count)}


def shapes_of(store: Store, *fields: str, app: str = APP, since: int = TODAY) -> dict[tuple[str, str], CallerFields]:
    return {(each.key, each.trigger): each for each in store.shapes(app, since, fields).callers}


def the_caller(store: Store, *fields: str, app: str = APP) -> tuple[int, int, Any]:
    """Returns the runs of the only caller, those of which names are left out, and the counts of fields."""
    (caller,) = store.shapes(app, TODAY, fields).callers
    return caller.runs, caller.left_out, caller.fields


def test_runs_are_counted_by_caller_and_fields_by_type(store: Store) -> None:
    store.write([batch(run(1), run(2, {"question": "null", "debug": "boolean"}), run(3, {}, "", "nightly"))])
    store.write([batch(run(4), run(5, key="bot"), a_run(6, started_at=MORNING))])

    found = store.shapes(APP, TODAY, ["question", "debug", "missing"])

    assert found.recorded == 6
    assert [(each.key, each.trigger, each.runs, each.left_out, each.fields) for each in found.callers] == [
        ("web", "", 3, 0, {"question": {"string": 2, "null": 1}, "debug": {"boolean": 1}}),
        ("", "nightly", 1, 0, {}),
        ("bot", "", 1, 0, {"question": {"string": 1}}),
    ]
    assert store.shapes(APP, TODAY, None).callers == ()
    assert store.shapes("unknown", TODAY, ["question"]).callers == ()


def test_a_day_ends_at_midnight_in_utc_and_the_window_has_whole_days(store: Store) -> None:
    times = [MORNING - 1, MORNING, MORNING + DAY - 1, MORNING + DAY]
    store.write([batch(*(run(number, started_at=at) for number, at in enumerate(times)))])

    windows = [store.shapes(APP, TODAY + days * 86_400, ()) for days in (-1, 0, 1, 2)]

    assert [(found.recorded, sum(each.runs for each in found.callers)) for found in windows] == [(4, 4), (3, 3), (1, 1), (0, 0)]


def test_runs_of_other_senders_are_not_recorded_ones(store: Store) -> None:
    from_outside: dict[str, Any] = {"pins": None, "workflow_version": None, "shape": None}
    store.write([batch(run(1), run(2, source=RunSource.SDK, **from_outside), run(3, source=RunSource.OTLP, **from_outside))])

    assert store.shapes(APP, TODAY, ()).recorded == 1


def test_a_run_that_is_sent_again_counts_once(store: Store) -> None:
    store.write([batch(run(1), run(1)), batch(run(1))])
    store.write([batch(run(1), run(2))])
    store.write([batch(run(2, duration=7, shape=shape({"other": "array"})))])

    assert the_caller(store, "question", "other") == (2, 0, {"question": {"string": 2}})
    stored = store.run(APP, run(1).id, content=False)
    assert stored is not None
    assert stored.shape is None


def test_a_stored_run_that_is_sent_again_with_its_shape_is_not_written_again() -> None:
    assert union(a_run(), run(1, started_at=a_run().started_at)) == a_run()


def test_deleted_runs_stay_counted_and_are_not_counted_again(store: Store) -> None:
    store.write([batch(run(1, user_id="ann"), run(2), run(3))])
    store.delete(Filter(app_uid=APP, user_id="ann"))
    store.delete_run(APP, run(2).id)
    store.write([batch(run(1), run(2))])

    assert the_caller(store, "question") == (3, 0, {"question": {"string": 3}})


@pytest.mark.parametrize(("until", "left"), [(None, 0), (MORNING + DAY, 1), (MORNING + 1, 1), (MORNING, 2)])
def test_deleting_what_an_app_has_deletes_the_shapes_of_days_that_began_before(store: Store, until: int | None, left: int) -> None:
    store.write([batch(run(1), run(2, started_at=MORNING + DAY), run(3, app_uid=OTHER, app="other"))])

    store.delete(Filter(app_uid=APP, until=until))

    assert sum(each.runs for each in shapes_of(store).values()) == left
    assert the_caller(store, app=OTHER)[0] == 1


def test_retention_deletes_days_as_it_deletes_figures(store: Store) -> None:
    keep = Retention(rollups=10 * 86_400)
    store.write([batch(run(1), run(2, app_uid=OTHER, app="other"))])

    store.retain(MORNING + 11 * DAY - 1, keep)
    assert the_caller(store)[0] == 1, "of its last hour"
    store.retain(MORNING + 11 * DAY, keep)

    assert (shapes_of(store), shapes_of(store, app=OTHER)) == ({}, {})


def _restored(row: Any) -> Any:
    return msgspec.structs.replace(row, uid=f"new-{row.uid}", app_uid=OTHER)


def test_a_restored_app_has_the_shapes_of_both(store: Store) -> None:
    store.put_rows([FIRST])
    store.write([batch(run(1), run(2, key="bot"))])
    store.write([batch(run(3, {"question": "array", "new": "null"}, app_uid=OTHER))])

    store.put_rows([_restored(FIRST)])
    store.write([batch(run(4))])

    for app in (APP, OTHER):
        found = shapes_of(store, "question", "new", app=app)
        assert (found["web", ""].runs, found["bot", ""].runs) == (3, 1)
        assert found["web", ""].fields == {"question": {"string": 2, "array": 1}, "new": {"null": 1}}


def test_merged_rows_have_one_line_of_a_caller(store: Store) -> None:
    """A row was restored under another uid, and runs came for both."""
    twin = msgspec.structs.replace(FIRST, uid="twin", digest="sha256:twin", sequence=2, began=AGAIN.began, ended=AGAIN.ended)
    store.put_rows([FIRST, twin])
    late = [AGAIN.began + HOUR + second * SECOND for second in range(2)]
    store.write([batch(run(1, started_at=FIRST.began + HOUR), *(run(2 + place, started_at=at) for place, at in enumerate(late)))])
    assert lines(store) == 2

    store.put_rows([msgspec.structs.replace(FIRST, uid="twin")])

    since = FIRST.began // SECOND // 86_400 * 86_400
    assert lines(store) == 1
    assert shapes_of(store, "question", since=since)["web", ""].fields == {"question": {"string": 3}}


def lines(store: Store) -> int:
    with store._database.reading() as connection:
        return int(connection.all("SELECT count(*) FROM run_shapes")[0][0])


def test_names_beyond_the_limit_of_a_run_are_said_to_be_left_out(store: Store) -> None:
    store.write([batch(run(1, shape=shape(QUESTION, has_more=True)), run(2))])

    assert the_caller(store, "question", MORE) == (2, 1, {"question": {"string": 2}})


@pytest.mark.parametrize("together", [1, 40])
def test_one_attacker_takes_no_room_for_the_names_of_others(store: Store, together: int) -> None:
    """It sends 10,000 different names, 64 a run. Callers that come later have all of their names, and it has those of theirs."""
    store.write([batch(run(1, names("early", 64), "early"))])
    attacks = [run(100 + number, names("x", 64, 64 * number), "evil") for number in range(157)]
    for place in range(0, len(attacks), together):
        store.write([batch(*attacks[place : place + together])])
    for number in range(10):
        store.write([batch(run(1000 + number, names(f"app{number}-", 20), f"caller{number}"))])
    store.write([batch(run(2000, names("early", 64) | QUESTION, "evil"), run(2001, names("early", 64), "early"))])

    found = shapes_of(
        store, *names("x", 128), "question", "early7", *(f"app{number}-{field}" for number in range(10) for field in range(9))
    )
    evil = found.pop(("evil", ""))
    assert (evil.runs, evil.left_out) == (158, 157), "of the first run every name is counted"
    assert (len(evil.fields), "question" in evil.fields, evil.fields["early7"]) == (104 + 1, False, {"string": 1})
    assert [each.left_out for each in found.values()] == [0] * 11
    assert found["early", ""].runs == 2
    assert [len(found[f"caller{number}", ""].fields) for number in range(10)] == [9] * 10


def test_however_many_callers_an_attacker_forges_a_new_one_has_room_and_there_are_a_thousand_names(store: Store) -> None:
    """Each forged caller has a trigger's name of its own."""
    forged = (
        run(number, names(f"t{trigger}-", 64, 64 * part), "", f"t{trigger}")
        for trigger in range(33)
        for part, number in ((0, trigger), (1, 100 + trigger), (2, 200 + trigger))
    )
    store.write([batch(*forged)])
    store.write([batch(run(500, QUESTION, "web"))])

    every = [f"t{trigger}-{number}" for trigger in range(33) for number in range(192)]
    found = shapes_of(store, "question", *every)
    assert (found["web", ""].left_out, found["web", ""].fields) == (0, {"question": {"string": 1}})
    kept = sum(len(each.fields) for each in found.values())
    assert 900 < kept <= shapes.NAMES_MOST


def test_a_caller_has_a_limit_of_names_that_others_send_too(store: Store) -> None:
    store.write([batch(*(run(number, names(f"n{number}-", 64), f"key{number}") for number in range(6)))])
    store.write([batch(*(run(10 + number, names(f"n{number}-", 64), "all") for number in range(6)))])

    found = shapes_of(store, *(name for number in range(6) for name in names(f"n{number}-", 64)))
    assert (found["all", ""].runs, found["all", ""].left_out, len(found["all", ""].fields)) == (6, 2, shapes.OWN_MOST)
    assert [(found[f"key{number}", ""].left_out, len(found[f"key{number}", ""].fields)) for number in range(6)] == [(0, 64)] * 6


def test_a_day_has_a_limit_of_counts_beyond_which_runs_are_said_to_be_left_out(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Callers that are counted stay counted. The day's lines are read together, so their size has a limit."""
    monkeypatch.setattr(shapes, "CELLS_MOST", 100)
    for _ in range(2):
        store.write([batch(*(run(number, names("n", 30), f"key{number}") for number in range(1, 6)))])
    store.write([batch(run(11, names("n", 30), "key1"))])

    found = shapes_of(store, *names("n", 30))
    assert {key: (each.runs, each.left_out, len(each.fields)) for (key, _), each in found.items()} == {
        "key1": (2, 0, 30), "key2": (1, 0, 30), "key3": (1, 0, 30), "key4": (1, 1, 10), "key5": (1, 1, 0)
    }  # fmt: skip


def test_the_next_day_has_room_again(store: Store) -> None:
    store.write([batch(*(run(number, names("x", 64, 64 * number), "evil") for number in range(5)))])
    store.write([batch(run(10, names("y", 64), "evil", started_at=MORNING + DAY))])

    assert shapes_of(store, since=TODAY + 86_400)["evil", ""].left_out == 0


def test_callers_beyond_the_limit_are_counted_together(store: Store) -> None:
    most = shapes.CALLERS_MOST
    store.write([batch(*(run(number, key=f"key{number:04}") for number in range(most - 1)))])
    store.write([batch(*(run(5000 + number, key=f"late{number}") for number in range(3)))])
    store.write([batch(run(6000, {"question": "array"}, "later"), run(6001, key="key0000"))])

    found = shapes_of(store, "question")
    assert len(found) == most + 1
    assert (found[MORE, ""].runs, found[MORE, ""].fields) == (3, {"question": {"string": 2, "array": 1}})
    assert (found["late0", ""].runs, found["key0000", ""].runs) == (1, 2)


def test_deploys_use_up_no_line_of_a_caller(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each row of a caller has a line of its own while there are few. Then only a new caller gets one."""
    monkeypatch.setattr(shapes, "LINES_MOST", 3)
    rows = [a_row(sequence, pins="a" * 16, app_uid=APP) for sequence in range(1, 4)]
    store.put_rows(rows)
    since = rows[0].began // SECOND // 86_400 * 86_400
    for row in rows:
        for number, key in enumerate(("web", "bot")):
            store.write([batch(run(10 * row.sequence + number, key=key, started_at=row.began + 20 * SECOND))])
    store.write([batch(run(99, key="new", started_at=rows[-1].began + 30 * SECOND))])

    assert lines(store) == 4
    assert {caller: each.runs for caller, each in shapes_of(store, since=since).items()} == {("web", ""): 3, ("bot", ""): 3, ("new", ""): 1}


def test_names_of_any_characters_are_counted(store: Store) -> None:
    odd = ["", '"\\', "a'b", "ü", "😀", "$.x", "{", "a?b", "%s"]
    store.write([batch(run(1, dict.fromkeys(odd, "string"), 'k"\\?'), run(2, dict.fromkeys(odd, "string"), 'k"\\?'))])

    assert shapes_of(store, *odd)['k"\\?', ""].fields == {name: {"string": 2} for name in odd}


def test_two_recorders_that_write_at_once_lose_no_count(server: postgres.Server) -> None:
    """Both wait at the same lock with the same line, and each adds to what the other one has committed."""
    address = server.database()
    first, second = opened(address), opened(address)
    first.write([batch(run(0, names("a", 3)))])
    with psycopg.connect(address) as raw:
        raw.execute("SELECT pg_advisory_xact_lock(%s) FROM apps WHERE uid = %s", (lock_number("rollups/1"), APP))
        threads = [
            threading.Thread(
                target=each.write,
                args=([batch(*(run(number, names("a", 3) | names(f"n{place}", 2)) for number in range(1 + place, 40, 2)))],),
            )
            for place, each in enumerate((first, second))
        ]
        for thread in threads:
            thread.start()
        waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
        eventually("both wait", lambda: raw.execute(waiting).fetchone() == (2,))
    for thread in threads:
        thread.join(IN_TIME)

    runs, left_out, fields = the_caller(first, "a0", "a2", "n01", "n11")
    for store in (first, second):
        store.close()
    assert (runs, left_out) == (40, 0)
    assert fields == {"a0": {"string": 40}, "a2": {"string": 40}, "n01": {"string": 20}, "n11": {"string": 19}}
