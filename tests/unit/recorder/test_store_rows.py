"""The row of a run, whichever of the two is stored first, and an App that a backup restores under another uid."""

from __future__ import annotations

import random

import msgspec
import pytest

from dynamiq_operator.model.runs import MetricsGroup, MetricsInterval, RunSource
from dynamiq_recorder.model import Filter, Row, Run, Score
from dynamiq_recorder.store.sql_store import Store
from tests.support.stored_runs import APP, HOUR, NOON, OTHER, PINS, SECOND, Plain, a_call, a_row, a_run, answers, batch

P = PINS[0]
FIRST = a_row(1, pins=P)
AGAIN = a_row(3, pins=P)
"""A row with the same pins as the first: it scales, or rolls back."""
FAILED = a_row(5, pins=P, succeeded=False)
OPEN = a_row(7, pins=P, succeeded=None, ended=None)


def _at(row: Row, after: int) -> int:
    """Returns the time `after` seconds after the row began."""
    return row.began + after * SECOND


CASES = [
    pytest.param([FIRST], FIRST.began - 1, "row-1", id="by a clock that is behind, before its row began"),
    pytest.param([FAILED, OPEN], FAILED.began - 1, "row-5", id="before all of its rows: of the first"),
    pytest.param([FIRST], _at(FIRST, 5), "row-1", id="while its row progresses"),
    pytest.param([FIRST], FIRST.ended, "row-1", id="at the end of its row's deploy"),
    pytest.param([FIRST, AGAIN], _at(AGAIN, 5), "row-1", id="a newer row with its pins progresses, and its pods are the older's"),
    pytest.param([FIRST, AGAIN], AGAIN.ended, "row-3", id="from the newer row's success on"),
    pytest.param([FIRST, AGAIN], _at(FIRST, 60), "row-1", id="between the two"),
    pytest.param([FAILED], _at(FAILED, 5), "row-5", id="while a row progresses that will fail"),
    pytest.param([FAILED], FAILED.ended, "row-5", id="after a row failed, whose pods still end"),
    pytest.param([FIRST, FAILED], FAILED.ended, "row-1", id="after a row with the pins of the live one failed"),
    pytest.param([FAILED, OPEN], _at(OPEN, 500), "row-7", id="while the first that works progresses"),
    pytest.param(
        [OPEN, a_row(2, pins=P, began=OPEN.began, succeeded=None, ended=None)], _at(OPEN, 1), "row-7", id="two progress: the newer"
    ),
    pytest.param([a_row(2)], _at(a_row(2), 60), "row-2", id="other pins are another row's"),
    pytest.param([a_row(2, pins=PINS[1])], _at(a_row(2), 60), None, id="a row of other pins alone"),
]


@pytest.mark.parametrize("order", ["rows first", "runs first", "rows as they go on"])
@pytest.mark.parametrize(("rows", "time", "expected"), CASES)
def test_a_run_is_of_the_row_that_made_its_pod(store: Store, rows: list[Row], time: int, expected: str | None, order: str) -> None:
    pins = next((row.pins for row in rows if row.uid == expected), P)
    run = a_run(started_at=time, pins=pins)
    if order == "runs first":
        store.write([batch(run)])
    if order == "rows as they go on":
        for row in rows:
            store.put_rows([msgspec.structs.replace(row, succeeded=None, ended=None)])
        store.write([batch(run)])
    store.put_rows(rows)
    if order == "rows first":
        store.write([batch(run)])

    read = store.run(APP, run.id, content=False)

    assert read is not None
    assert read.row_uid == expected
    counted = {
        point.key: point.sums.runs for point in store.metrics(APP, NOON, NOON + 40 * HOUR, MetricsInterval.DAY, MetricsGroup.DEPLOYMENT)
    }
    assert counted == {expected or "": 1}
    assert store.page(Filter(app_uid=APP, row_uid=expected)).total == 1


def test_a_session_has_the_row_of_its_newest_run(store: Store) -> None:
    store.put_rows([FIRST, a_row(9, pins=PINS[1])])
    moved = a_run(2, session_id="moved", started_at=_at(a_row(9), 60), pins=PINS[1], workflow_version="v9")
    before = a_run(1, session_id="moved", started_at=_at(FIRST, 60), workflow_version="v1")
    store.write([batch(moved, before, a_run(3, session_id="loose", pins="of-no-row"))])

    def rows(selection: Filter) -> dict[str, tuple[int | None, str | None]]:
        sessions, _ = store.sessions(selection, limit=10, offset=0)
        return {each.session_id: (each.sequence, each.workflow_version) for each in sessions}

    assert rows(Filter(app_uid=APP))["moved"] == (9, "v9")
    assert rows(Filter(app_uid=APP))["loose"][0] is None
    assert rows(Filter(app_uid=APP, until=_at(FIRST, 61)))["moved"] == (1, "v1")


def test_a_run_has_the_sequence_and_digest_of_its_row_and_not_those_that_it_claims(store: Store) -> None:
    store.put_rows([FIRST])
    store.write([batch(a_run(started_at=_at(FIRST, 60), row_uid="row-9", sequence=9, row_digest="sha256:9"))])

    (run,) = store.page(Filter(app_uid=APP)).runs
    assert (run.row_uid, run.sequence, run.row_digest) == ("row-1", 1, FIRST.digest)


def test_a_run_of_the_sdk_is_of_no_row_and_one_without_pins_neither(store: Store) -> None:
    store.put_rows([FIRST])
    time = _at(FIRST, 60)
    store.write([batch(a_run(1, started_at=time, source=RunSource.SDK), a_run(2, started_at=time, pins=None))])
    store.put_rows([AGAIN])

    assert [run.row_uid for run in store.page(Filter(app_uid=APP)).runs] == [None, None]
    assert store.wholeness(APP).unattributed == 1


def test_rows_are_listed_newest_first_as_they_were_put_last(store: Store) -> None:
    store.put_rows([OPEN, FIRST])
    ended = msgspec.structs.replace(OPEN, succeeded=True, ended=_at(OPEN, 10))
    store.put_rows([ended])

    assert store.rows(APP) == (ended, FIRST)
    assert store.rows("nowhere") == ()
    assert store.put_rows([]) == 0


def test_scores_go_with_their_run(store: Store) -> None:
    run = a_run(started_at=_at(AGAIN, 60))
    store.put_rows([FIRST])
    store.write([batch(run)])
    store.add_score(APP, run.id, Score(name="good", value=1, comment=None, by="ann", at=NOON))

    assert store.put_rows([AGAIN]) == 1

    assert [figures.scores for figures in store.figures(APP, ["row-1", "row-3"])] == [{}, {"good": (1.0, 1)}]


def _moved(store: Store) -> dict[str, int]:
    return {figures.row.uid: figures.sums.runs for figures in store.figures(OTHER, [row.uid for row in store.rows(OTHER)])}


def _restored(row: Row, **changes: object) -> Row:
    return msgspec.structs.replace(row, uid=f"new-{row.uid}", app_uid=OTHER, **changes)


def _runs() -> list[Run]:
    call = (a_call(1, cost=5),)
    return [
        a_run(1, started_at=_at(FIRST, 60), tags=("eu",), error="KeyError", spans=call, node_count=1, instance="i", seq=1),
        a_run(2, started_at=_at(AGAIN, 60), spans=call, node_count=1, cost=5),
        a_run(3, started_at=_at(FIRST, 61), pins="c" * 16),
    ]


def test_an_app_that_is_restored_takes_its_runs_and_rows_with_it(store: Store) -> None:
    store.put_rows([FIRST, AGAIN])
    store.write([batch(*_runs())])
    store.add_score(APP, _runs()[1].id, Score(name="good", value=1, comment=None, by="ann", at=NOON))

    moved = store.put_rows([_restored(FIRST), _restored(AGAIN)])

    assert moved == 3
    assert _moved(store) == {"new-row-1": 1, "new-row-3": 1}
    assert [run.row_uid for run in store.page(Filter(app_uid=OTHER)).runs] == ["new-row-3", None, "new-row-1"]
    assert store.figures(OTHER, ["new-row-3"], nodes=True)[0].nodes[0].sums.cost == 5
    assert store.figures(OTHER, ["new-row-3"])[0].scores == {"good": (1.0, 1)}
    found = [Filter(app_uid=OTHER, tags=("eu",)), Filter(app_uid=OTHER, error="keyerror"), Filter(app_uid=OTHER, row_uid="new-row-1")]
    assert [store.page(chosen).total for chosen in found] == [1, 1, 1]
    assert store.wholeness(OTHER).instances == 1


def test_a_restored_app_has_each_id_once_whatever_came_before_it_was_known(store: Store) -> None:
    """The first run of an id is kept, but a pod's run replaces one from outside. A run deleted in either App is deleted."""
    store.put_rows([FIRST])
    old = [a_run(number, started_at=_at(FIRST, 60 + number), source=source) for number, source in enumerate([*RunSource, RunSource.SDK])]
    new = [msgspec.structs.replace(run, app_uid=OTHER, source=RunSource.RUNTIME, duration=7) for run in old]
    store.write([batch(*old)])
    store.write([batch(*new)])
    assert store.delete_run(APP, old[-1].id)

    store.put_rows([_restored(FIRST)])

    durations = [50_000 if run.source is RunSource.RUNTIME else 7 for run in old[:-1]]
    assert [run.duration for run in store.every(Filter(app_uid=OTHER), content=False)] == durations
    before = answers(store, OTHER, ["new-row-1"])
    store.rebuild_rollups()
    assert answers(store, OTHER, ["new-row-1"]) == before
    assert store.write([batch(old[-1], new[-1])]).new == 0


def test_late_runs_of_the_old_uid_belong_to_the_restored_app(store: Store) -> None:
    store.put_rows([FIRST])
    store.put_rows([_restored(FIRST)])

    store.write([batch(*_runs()[:2])])

    assert _moved(store) == {"new-row-1": 2}
    assert store.page(Filter(app_uid=APP)).total == 2  # who knows it by its old uid finds it


def test_rows_of_a_restored_app_may_come_one_by_one_and_runs_before_them(store: Store) -> None:
    store.put_rows([FIRST, AGAIN])
    store.write([batch(*_runs())])
    later = a_run(4, app_uid=OTHER, started_at=_at(AGAIN, 5 * 3600))
    store.write([batch(later)])

    store.put_rows([_restored(AGAIN)])
    store.put_rows([_restored(FIRST)])

    assert _moved(store) == {"new-row-1": 1, "new-row-3": 2}
    assert [row.uid for row in store.rows(OTHER)] == ["new-row-3", "new-row-1"]
    store.rebuild_rollups()
    assert _moved(store) == {"new-row-1": 1, "new-row-3": 2}


def test_an_app_that_is_restored_a_second_time_goes_on_as_the_third(store: Store) -> None:
    store.put_rows([FIRST])
    store.write([batch(*_runs()[:1])])
    store.put_rows([_restored(FIRST)])
    third = msgspec.structs.replace(FIRST, uid="third", app_uid="third-app")
    store.put_rows([third])

    store.write([batch(*_runs()[1:])])

    assert store.figures("third-app", ["third"])[0].sums.runs == 2
    assert store.page(Filter(app_uid="third-app")).total == 3


@pytest.mark.parametrize(
    "change",
    [{"digest": "sha256:other"}, {"namespace": "elsewhere"}, {"app": "another"}],
    ids=["its rows are others", "another namespace", "another name"],
)
def test_an_app_that_only_looks_alike_takes_nothing(store: Store, change: dict[str, str]) -> None:
    store.put_rows([FIRST])
    store.write([batch(*_runs())])

    store.put_rows([_restored(FIRST, **change)])

    assert store.page(Filter(app_uid=APP)).total == 3
    assert store.page(Filter(app_uid=OTHER)).total == 0


def test_a_long_history_with_the_same_pins_attributes_as_a_short_one_does(store: Store) -> None:
    """It is so for any rows before, between and after the runs, and whichever is stored first."""
    chance = random.Random(12)  # noqa: S311
    rows = []
    for sequence in range(1, 121):
        succeeded = chance.choice([True, True, False, None])
        began = NOON + sequence * 60 * SECOND
        ended = began + chance.randrange(300) * SECOND if succeeded is not None else None
        rows.append(a_row(sequence, pins=PINS[sequence % 2], began=began, succeeded=succeeded, ended=ended))
    plain = Plain()
    runs = [a_run(number, pins=PINS[number % 2], started_at=NOON + chance.randrange(130 * 60) * SECOND) for number in range(200)]
    for start in range(0, 120, 20):
        part = [*rows[start : start + 20], *chance.sample(rows[: start + 20], 5)]
        store.put_rows(part)
        plain.rows |= {row.uid: row for row in part}
        own = runs[start : start + 20] if start else runs[120:]
        for piece in (own[:3], own[3:]):
            store.write([batch(*piece)])
            plain.write(piece)
        found = {run.id: run.row_uid for run in store.every(Filter(app_uid=APP), content=False)}
        assert found == {run.id: row.uid if (row := plain.row_of(run)) else None for run in plain.runs.values()}
