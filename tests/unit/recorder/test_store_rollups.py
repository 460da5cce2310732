"""Rollups equal a plain sum over the runs: after writes, repeats, rows that move runs, deletions, and when they are recomputed."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence

import msgspec
import pytest

from dynamiq_operator.model.runs import MetricsGroup, MetricsInterval, NodeStatus, RunStatus
from dynamiq_recorder.model import Filter, Row, Run, Sums
from dynamiq_recorder.store.merging import union
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.sql_store import Store
from tests.support.history_stage import in_full
from tests.support.stored_runs import (
    APP,
    HOUR,
    NOON,
    OTHER,
    PINS,
    SECOND,
    Plain,
    a_call,
    a_row,
    a_run,
    a_span,
    answers,
    batch,
    drawn,
    sums_of,
)

GROUPS = (None, MetricsGroup.DEPLOYMENT, MetricsGroup.WORKFLOW_VERSION, MetricsGroup.TRIGGER, MetricsGroup.STATUS)


def assert_same(store: Store, plain: Plain) -> None:
    """Compares metrics by every interval and group, and figures of every row with its nodes."""
    for app in (APP, OTHER):
        for interval in MetricsInterval:
            for group in GROUPS:
                points = store.metrics(app, NOON, NOON + 40 * HOUR, interval, group)
                metrics = {(point.at, point.key): point.sums for point in points}
                assert metrics == plain.metrics(app, interval, group), (interval, group)
                assert [point.at for point in points] == sorted(point.at for point in points)
    uids = sorted(uid for uid, row in plain.rows.items() if row.app_uid == APP)
    for figures in store.figures(APP, uids, nodes=True):
        uid = figures.row.uid
        assert figures.sums == plain.figures(uid), uid
        nodes = {
            node.node_id: (node.sums.runs, node.sums.failed, node.caused, node.sums.duration, node.own_duration, node.sums.cost)
            for node in figures.nodes
        }
        assert nodes == plain.nodes(uid), uid
    within_a_minute = NOON + 2 * HOUR + 1837 * SECOND + 250
    for figures in store.figures(APP, uids, nodes=True, before=within_a_minute):
        assert figures.sums == plain.figures(figures.row.uid, within_a_minute), figures.row.uid


def _drawn_rows(chance: random.Random, count: int) -> list[Row]:
    rows = []
    for sequence in range(1, count + 1):
        began = NOON + chance.randrange(6 * HOUR)
        succeeded = chance.choice([True, True, False, None])
        ended = began + chance.randrange(HOUR) if succeeded is not None else None
        rows.append(a_row(sequence, pins=chance.choice(PINS), began=began, succeeded=succeeded, ended=ended))
    return rows


@pytest.mark.full_count
@pytest.mark.parametrize("round_", range(3 if in_full() else 1))
def test_figures_equal_the_runs_after_any_writes_and_deletes(store: Store, round_: int) -> None:
    seed = random.randrange(10**6)  # noqa: S311
    print("seed", seed)
    chance = random.Random(seed)  # noqa: S311
    plain, sent = Plain(), 0
    for what in ("write", *chance.sample(["write"] * 4 + ["again"] * 2 + ["row"] * 3 + ["delete"] * 2, 11)):
        if what == "write":
            runs = [drawn(chance, sent + number) for number in range(chance.randrange(60))]
            sent += len(runs)
            assert store.write([batch(*runs[::2]), batch(*runs[1::2], *runs[:5])]).new == len(runs)
            plain.write(runs)
        elif what == "again":
            for run in chance.sample(list(plain.runs.values()), min(5, len(plain.runs))):
                more = msgspec.structs.replace(run, spans=(*run.spans[1:], a_call(70, cost=9)), status=RunStatus.CUT_OFF)
                assert store.write([batch(more)]).new == 0
                plain.write([union(run, more)])
        elif what == "row":
            rows = chance.sample(_drawn_rows(chance, 8), 3)
            before = {run.id: plain.row_of(run) for run in plain.runs.values()}
            plain.rows |= {row.uid: row for row in rows}
            moved = store.put_rows(rows)
            after = {run.id: plain.row_of(run) for run in plain.runs.values()}
            assert moved == sum(
                (a.uid if a else None) != (b.uid if b else None) for a, b in zip(before.values(), after.values(), strict=True)
            )
        elif what == "delete":
            deleted = Filter(app_uid=APP, session_id=f"s{chance.randrange(30)}")
            gone = plain.matching(deleted)
            assert store.delete(deleted) == len(gone)
            for run in gone:
                del plain.runs[run.id]
        assert_same(store, plain)
    said = answers(store, APP, plain.rows)

    store.rebuild_rollups()

    assert answers(store, APP, plain.rows) == said
    rows_of = {run.id: run.row_uid for run in store.every(Filter(app_uid=APP), content=False)}
    assert rows_of == {run.id: row.uid if (row := plain.row_of(run)) else None for run in plain.runs.values() if run.app_uid == APP}


def test_a_sum_without_values_is_unknown_and_again_after_the_runs_with_values_are_deleted(store: Store) -> None:
    known = a_run(1, cost=0, session_id="s", spans=(a_call(1, cost=0, given=0, made=0),), node_count=1)
    unknown = a_run(2, unpriced=1, model_calls=1, spans=(a_call(1, cost=None),), node_count=1)
    store.write([batch(msgspec.structs.replace(known, tokens=known.spans[0].tokens), unknown)])

    def total() -> Sums:
        (point,) = store.metrics(APP, NOON, NOON + HOUR, MetricsInterval.DAY, None)
        return point.sums

    both = total()
    store.delete(Filter(app_uid=APP, session_id="s"))
    left = total()

    assert (both.cost, both.input_tokens, both.cache_write_tokens, both.unpriced) == (0, 0, None, 1)
    assert (left.cost, left.input_tokens, left.unpriced, left.runs) == (None, None, 1, 1)
    (node,) = store.metrics(APP, NOON, NOON + HOUR, MetricsInterval.HOUR, MetricsGroup.MODEL)
    assert (node.key, node.sums.cost, node.sums.unpriced) == ("gpt", None, 1)


def test_a_node_has_its_name_its_failures_and_the_time_that_is_its_own(store: Store) -> None:
    inner = a_span(2, parent_id=f"{1:016x}", duration=700, status=NodeStatus.FAILED, name="Inner")
    outer = a_span(1, duration=1_000, status=NodeStatus.FAILED, name="Outer")
    store.put_rows([a_row(1, pins=PINS[0])])
    run = a_run(started_at=a_row(1).ended, spans=(outer, inner), node_count=2, status=RunStatus.FAILED)
    store.write([batch(run)])

    (figures,) = store.figures(APP, ["row-1"], nodes=True)

    nodes = {node.name: (node.sums.failed, node.caused, node.sums.duration, node.own_duration) for node in figures.nodes}
    assert nodes == {"Outer": (1, 0, 1_000, 300), "Inner": (1, 1, 700, 700)}


def test_metrics_begin_and_end_with_the_points_that_the_time_touches(store: Store) -> None:
    store.write([batch(*(a_run(number, started_at=NOON + number * 60 * SECOND) for number in range(180)))])

    def ats(since: int, until: int, interval: MetricsInterval) -> list[int]:
        return [(point.at - NOON) // (60 * SECOND) for point in store.metrics(APP, since, until, interval, None)]

    assert ats(NOON + 90 * SECOND, NOON + 180 * SECOND, MetricsInterval.MINUTE) == [1, 2]
    assert ats(NOON + 61 * 60 * SECOND, NOON + 121 * 60 * SECOND, MetricsInterval.HOUR) == [60, 120]
    assert ats(NOON, NOON, MetricsInterval.HOUR) == []


def test_usage_counts_its_points_from_the_begin_by_whole_units(store: Store) -> None:
    store.write([batch(*(a_run(number, started_at=NOON + number * 60 * SECOND) for number in range(300)))])

    def runs(since: int, until: int, minutes: int) -> dict[int, int]:
        points = store.usage(APP, NOON + since * 60 * SECOND + SECOND, NOON + until * 60 * SECOND, minutes * 60)
        return {(point.at - NOON) // (60 * SECOND): point.sums.runs for point in points}

    assert runs(10, 250, 90) == {10: 90, 100: 90, 190: 60}, "of minutes"
    assert runs(70, 240, 120) == {60: 120, 180: 60}, "of hours"
    assert runs(0, 299, 24 * 60) == {0: 300}
    assert store.usage(OTHER, NOON, NOON + HOUR, 60) == ()


def test_figures_keep_the_requested_order_with_zeros_and_without_rows_of_other_apps(store: Store) -> None:
    store.put_rows([a_row(1), a_row(2), a_row(1, uid="beside", app_uid=OTHER, app="beside")])

    found = store.figures(APP, ["row-2", "nowhere", "beside", "row-1"])

    assert [(each.row.uid, each.sums) for each in found] == [("row-2", Sums()), ("row-1", Sums())]
    assert store.figures("nowhere", ["row-1"]) == ()
    assert store.metrics("nowhere", NOON, NOON + HOUR, MetricsInterval.HOUR, None) == ()


def test_writers_at_once_of_the_same_runs_count_each_once(address: str) -> None:
    """Three threads write: on PostgreSQL with two recorders, on SQLite with the only one."""
    chance = random.Random(3)  # noqa: S311
    runs = [drawn(chance, number) for number in range(300)]
    rows = [a_row(sequence) for sequence in range(1, 5)]
    count = 2 if address.startswith("postgres") else 1
    stores = [opened(address) for _ in range(count)]
    failures: list[BaseException] = []
    new: list[int] = []

    def write(own: Store, seed: int) -> None:
        order = random.Random(seed)  # noqa: S311
        mine: Sequence[Run] = order.sample(runs, len(runs))
        try:
            for start in range(0, len(mine), 20):
                new.append(own.write([batch(*mine[start : start + 20])]).new)
                if start % 100 == 0:
                    own.put_rows([order.choice(rows)])
            own.put_rows(rows)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=(stores[number % count], number)) for number in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert failures == []
    plain = Plain()
    plain.write(runs)
    plain.rows = {row.uid: row for row in rows}
    assert sum(new) == len(runs)
    assert_same(stores[0], plain)
    for each in stores:
        each.close()


def test_the_plain_sums_leave_out_of_a_count_what_the_caller_did() -> None:
    sums = sums_of([a_run(1), a_run(2, status=RunStatus.REFUSED), a_run(3, status=RunStatus.ABANDONED), a_run(4, status=RunStatus.FAILED)])

    assert (sums.runs, sums.counted, sums.failed, sums.refused, sums.abandoned) == (4, 2, 1, 1, 1)
