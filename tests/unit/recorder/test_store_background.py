"""Background runs: each counts by the time that pods spent on it, when it ended, and belongs to the row of its acceptance."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from dynamiq_operator.model.runs import MetricsGroup, MetricsInterval, RunSource
from dynamiq_recorder.model import Filter, Row, Run
from dynamiq_recorder.sketch import quantile
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.results import Retention, Sort
from dynamiq_recorder.store.sql_store import Store
from tests.support.stored_runs import APP, HOUR, NOON, OTHER, PINS, SECOND, Plain, a_call, a_row, a_run, batch

DAY = 24 * HOUR
BUSY = 3 * SECOND
FIRST, AGAIN, THIRD = (a_row(sequence, pins=PINS[0]) for sequence in (1, 3, 5))
"""Rows with the same pins, two hours apart."""
BETWEEN = AGAIN.began - HOUR


def waited(number: int, accepted_at: int, wait: int = 3 * DAY, **changes: Any) -> Run:
    """Returns a run that ended `wait` after it was accepted, of which pods were busy for 3 s."""
    return a_run(number, accepted_at=accepted_at, started_at=accepted_at + wait - BUSY, **{"duration": BUSY, **changes})


def row_of(store: Store, run: Run, app: str = APP) -> str | None:
    stored = store.run(app, run.id, content=False)
    assert stored is not None
    return stored.row_uid


def by_row(store: Store, app: str = APP) -> dict[str, int]:
    """Returns the runs of each row, as its figures count them."""
    uids = [row.uid for row in store.rows(app)]
    return {each.row.uid: each.sums.runs for each in store.figures(app, uids) if each.sums.runs}


def kept(address: str) -> int:
    """Returns how many acceptances are stored."""
    store = opened(address)
    with store._database.reading() as connection:
        count = int(connection.all("SELECT count(*) FROM accepted")[0][0])
    store.close()
    return count


def test_a_background_run_is_read_as_it_was_written(store: Store) -> None:
    runs = [waited(1, BETWEEN), waited(2, BETWEEN, pins=None), a_run(3, duration=0)]
    store.write([batch(*runs)])

    assert [store.run(APP, run.id, content=True) for run in runs] == runs
    assert list(store.every(Filter(app_uid=APP), content=True)) == sorted(runs, key=lambda run: run.started_at)


@pytest.mark.parametrize("order", ["rows first", "runs first", "runs between", "rows as they go on"])
def test_a_run_finishes_on_the_row_it_began_with(store: Store, order: str) -> None:
    """The same pins are deployed again while it waits. An ordinary run of its last hour is of the newer row."""
    background, ordinary = waited(1, BETWEEN), a_run(2, started_at=BETWEEN + 3 * DAY)
    at_once, later = waited(3, BETWEEN, 0), waited(4, AGAIN.ended or 0)
    runs = batch(background, ordinary, at_once, later)
    if order == "runs first":
        store.write([runs])
    if order == "rows as they go on":
        store.put_rows([FIRST, msgspec.structs.replace(AGAIN, succeeded=None, ended=None)])
        store.write([runs])
    if order == "runs between":
        store.put_rows([FIRST])
        store.write([runs])
        assert by_row(store) == {"row-1": 4}
    store.put_rows([FIRST, AGAIN])
    if order == "rows first":
        store.write([runs])

    assert [row_of(store, run) for run in runs.runs] == ["row-1", "row-3", "row-1", "row-3"]
    assert by_row(store) == {"row-1": 2, "row-3": 2}
    assert store.page(Filter(app_uid=APP, row_uid="row-1")).total == 2
    points = store.metrics(APP, NOON, NOON + 9 * DAY, MetricsInterval.DAY, MetricsGroup.DEPLOYMENT)
    assert sum(point.sums.runs for point in points if point.key == "row-1") == 2
    store.put_rows([THIRD])
    assert by_row(store) == {"row-1": 2, "row-3": 1, "row-5": 1}
    store.rebuild_rollups()
    assert by_row(store) == {"row-1": 2, "row-3": 1, "row-5": 1}


def test_one_of_the_sdk_or_without_pins_is_of_no_row(store: Store) -> None:
    store.put_rows([FIRST])
    store.write([batch(waited(1, BETWEEN, source=RunSource.SDK), waited(2, BETWEEN, pins=None))])
    store.put_rows([AGAIN])

    assert [run.row_uid for run in store.page(Filter(app_uid=APP)).runs] == [None, None]


def test_runs_and_rows_in_any_order_are_attributed_by_the_rule(store: Store) -> None:
    chance = random.Random(5)  # noqa: S311
    rows: list[Row] = []
    for sequence in range(1, 41):
        began = NOON + sequence * 60 * SECOND
        succeeded = chance.choice([True, True, False, None])
        ended = began + chance.randrange(300) * SECOND if succeeded is not None else None
        rows.append(a_row(sequence, pins=PINS[sequence % 2], began=began, succeeded=succeeded, ended=ended))
    plain = Plain()
    for start in range(0, 40, 10):
        part = chance.sample(rows[: start + 10], start // 2 + 5)
        store.put_rows(part)
        plain.rows |= {row.uid: row for row in part}
        times = [(number, NOON + chance.randrange(45 * 60) * SECOND) for number in range(start * 10, start * 10 + 60)]
        runs = [waited(number, at, chance.randrange(3, 3600) * SECOND, pins=PINS[number % 2]) for number, at in times]
        runs[::3] = [a_run(number, started_at=at, pins=PINS[number % 2]) for number, at in times[::3]]
        store.write([batch(*runs)])
        plain.write(runs)
        rows_of = {run.id: run.row_uid for run in store.every(Filter(app_uid=APP), content=False)}
        assert rows_of == {run.id: row.uid if (row := plain.row_of(run)) else None for run in plain.runs.values()}


def test_a_restored_app_has_them_with_the_row_of_their_acceptance(store: Store) -> None:
    background = waited(1, BETWEEN, spans=(a_call(1, cost=5),), node_count=1)
    store.put_rows([FIRST, AGAIN])
    store.write([batch(background, a_run(2, started_at=BETWEEN + 3 * DAY))])

    store.put_rows([msgspec.structs.replace(row, uid=f"new-{row.uid}", app_uid=OTHER) for row in (FIRST, AGAIN)])
    assert by_row(store, OTHER) == {"new-row-1": 1, "new-row-3": 1}

    late = msgspec.structs.replace(FIRST, uid="late", app_uid=OTHER, sequence=2, digest="sha256:2", ended=BETWEEN - SECOND)
    store.put_rows([late])
    assert row_of(store, background, OTHER) == "late"


def test_figures_have_busy_time_in_the_hour_in_which_it_ended(store: Store) -> None:
    store.put_rows([FIRST])
    store.write([batch(*(waited(number, BETWEEN + number, duration=BUSY + number) for number in range(40)))])

    (figures,) = store.figures(APP, ["row-1"])
    (point,) = store.metrics(APP, NOON, NOON + 9 * DAY, MetricsInterval.HOUR, None)

    assert figures.sums.duration == point.sums.duration == 40 * BUSY + sum(range(40))
    assert quantile(figures.sums.sketch.buckets, 0.95) == pytest.approx(BUSY, rel=0.02)
    assert point.at == BETWEEN + 3 * DAY - HOUR
    assert store.figures(APP, ["row-1"], before=BETWEEN + DAY)[0].sums.runs == 0


def test_lists_are_filtered_and_sorted_by_busy_time(store: Store) -> None:
    background, slow = waited(1, BETWEEN), a_run(2, started_at=BETWEEN, duration=BUSY + 1)
    store.write([batch(background, slow, a_run(3, started_at=BETWEEN, duration=BUSY - 1))])

    slowest = store.page(Filter(app_uid=APP), Sort("duration"))
    found = store.page(Filter(app_uid=APP, min_duration=BUSY, since=BETWEEN + DAY))

    assert [run.id for run in slowest.runs[:2]] == [slow.id, background.id]
    assert [run.id for run in found.runs] == [background.id]


@pytest.mark.parametrize("by", ["one", "all", "age"])
def test_a_deleted_one_leaves_no_acceptance(address: str, by: str) -> None:
    store = opened(address)
    run = waited(1, BETWEEN)
    store.write([batch(run)])
    store.close()
    assert kept(address) == 1
    store = opened(address)
    if by == "one":
        assert store.delete_run(APP, run.id)
    elif by == "all":
        assert store.delete(Filter(app_uid=APP)) == 1
    else:
        store.retain(NOON + 999 * DAY, Retention())
    store.close()

    assert kept(address) == 0


def test_one_that_is_old_but_ended_just_now_is_kept(store: Store) -> None:
    """Retention counts from its end: a wait of 90 days is no old run."""
    run = waited(1, NOON, 90 * DAY)
    store.write([batch(run, a_run(2, started_at=NOON))])

    store.retain(NOON + 90 * DAY, Retention())

    assert [each.id for each in store.page(Filter(app_uid=APP)).runs] == [run.id]


def test_one_that_is_sent_again_has_the_times_of_the_last(store: Store) -> None:
    store.put_rows([FIRST, AGAIN])
    store.write([batch(waited(1, BETWEEN), waited(2, BETWEEN, source=RunSource.OTLP, instance=None))])
    again = waited(1, AGAIN.ended or 0)
    ordinary = a_run(2, started_at=BETWEEN + DAY, source=RunSource.OTLP)
    store.write([batch(again, ordinary)])

    assert [store.run(APP, run.id, content=False) for run in (again, ordinary)] == [
        msgspec.structs.replace(run, row_uid=AGAIN.uid, sequence=AGAIN.sequence, row_digest=AGAIN.digest) for run in (again, ordinary)
    ]
    assert by_row(store) == {"row-3": 2}
