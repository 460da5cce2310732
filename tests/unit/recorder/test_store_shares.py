"""The disk space of each App's runs, and the order of deletions when it is too much. A database that does not know its disk counts nothing."""

from __future__ import annotations

import contextlib
import random
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from dynamiq_operator.model.runs import MetricsInterval, RunSource, RunStatus
from dynamiq_recorder.model import Batch, Filter, Instance, Run, RunShape, Score
from dynamiq_recorder.store import retention, schema, shares
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.results import Retention
from dynamiq_recorder.store.sql_store import Store
from dynamiq_recorder.store.sqlite import SqliteDatabase
from tests.support.stored_runs import APP, HOUR, NOON, OTHER, SECOND, a_call, a_row, a_run, a_span, batch, drawn
from tests.unit.support import first_store

PAGE = 4096
WORDS = "wörter " * 50


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return opened(f"sqlite://{tmp_path}/runs.db")


def taken(store: Store) -> dict[str, int]:
    return {uid: size for (_, uid), size in store.taken().items()}


def counted_anew(store: Store, folder: Path) -> dict[str, int]:
    """Returns the space of each App in another store with the same runs."""
    other = opened(f"sqlite://{folder}/other.db")
    for app in (APP, OTHER):
        other.write([batch(*store.every(Filter(app_uid=app), content=True))])
    return taken(other)


def _with_words(number: int, **changes: object) -> Run:
    spans = (a_call(1, cost=5, input=f'"{WORDS}"', extra=f'{{"m": "{WORDS}"}}'), a_span(2, error=WORDS))
    return a_run(number, **{"tags": (WORDS, "short"), "spans": spans, "node_count": 2, "output": f'"{WORDS}"', **changes})


def test_the_space_of_runs_is_known_after_any_writes_and_deletes(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "count_beside", lambda _: None)
    seed = random.randrange(10**6)  # noqa: S311
    print("seed", seed)
    chance = random.Random(seed)  # noqa: S311
    runs = [drawn(chance, number) for number in range(300)]
    runs += [_with_words(number, app_uid=chance.choice([APP, OTHER]), app="chat") for number in range(300, 340)]
    for start in range(0, len(runs), 60):
        store.write([batch(*runs[start : start + 60])])
    more = [msgspec.structs.replace(run, spans=(*run.spans, a_call(99, cost=1)), node_count=len(run.spans) + 1) for run in runs[::5]]
    store.write([batch(*more)])
    store.write([batch(*(_with_words(number, source=RunSource.SDK) for number in range(400, 420)))])
    store.write([batch(*(a_run(number) for number in range(400, 410)))])
    store.delete(Filter(app_uid=APP, user_id="ann"))
    store.delete_run(OTHER, runs[7].id)
    store.retain(NOON + 8 * 24 * HOUR, Retention())

    assert taken(store) == counted_anew(store, tmp_path)


def wide(chance: random.Random, length: int) -> str:
    return "".join(chr(chance.randrange(0x10000, 0x1F000)) for _ in range(length))


_NAMES: dict[str, Callable[[random.Random, int], dict[str, Any]]] = {
    "names that runs are found by": lambda chance, _: {
        **{name: wide(chance, 256) for name in ("session_id", "user_id", "trigger")},
        "tags": tuple(wide(chance, 64) for _ in range(20)),
    },
    "many short tags": lambda _, number: {"tags": tuple(f"{number + each}" for each in range(20))},
    "names of nodes": lambda chance, _: {"spans": tuple(a_span(n, name=wide(chance, 256), error_type=wide(chance, 256)) for n in range(5))},
    "outputs of half a page": lambda chance, _: {"spans": tuple(a_span(n, output=f'"{wide(chance, 515)}"') for n in range(5))},
    "errors": lambda chance, _: {"error": wide(chance, 300)},
}


@pytest.mark.parametrize("names", _NAMES)
def test_nothing_that_a_sender_names_makes_a_run_seem_small(tmp_path: Path, names: str) -> None:
    store = opened(f"sqlite://{tmp_path}/runs.db")
    chance = random.Random(7)  # noqa: S311 - any will do
    sizes = []
    with contextlib.closing(sqlite3.connect(tmp_path / "runs.db")) as file:
        for part in range(3):  # what the first ones begin is not the runs'
            store.write([batch(*(a_run(number, **_NAMES[names](chance, number)) for number in range(part * 100, part * 100 + 100)))])
            sizes.append((sum(taken(store).values()), PAGE * file.execute("PRAGMA page_count").fetchone()[0]))
    counted, real = (sizes[-1][each] - sizes[0][each] for each in range(2))
    assert counted > 0.7 * real


def test_the_other_data_of_an_app_count_too_and_are_deleted_last(store: Store, tmp_path: Path) -> None:
    """A sender can make many scores, processes and figures, with names of the greatest length."""
    chance = random.Random(7)  # noqa: S311 - any will do
    store.write([batch(a_run(1), a_run(2, app_uid=OTHER, app="beside"))])
    with contextlib.closing(sqlite3.connect(tmp_path / "runs.db")) as file:
        before = PAGE * file.execute("PRAGMA page_count").fetchone()[0]
        for hour in range(3):
            names = [{each: wide(chance, 250) for each in ("node_id", "name", "model")} for _ in range(300)]
            spans = tuple(a_span(n, **each) for n, each in enumerate(names))
            store.write([batch(a_run(10 + hour, started_at=NOON + hour * HOUR, spans=spans, node_count=300))])
        for number in range(500):
            store.add_score(APP, a_run(1).id, Score(name=f"{number}", value=1, comment=wide(chance, 1024), by="ann", at=NOON))
        processes = [
            Instance(id=f"{number:064}", app_uid=APP, pod_uid="p" * 36, last_seq=0, dropped=0, ended=False, at=NOON)
            for number in range(2_000)
        ]
        store.write([Batch(runs=(), instances=tuple(processes))])
        store.retain(NOON, Retention())
        real = PAGE * file.execute("PRAGMA page_count").fetchone()[0] - before
        assert taken(store)[APP] > 0.7 * real

        while store.trim(APP):
            pass

        assert taken(store).get(APP, 0) == 0
        left = PAGE * (file.execute("PRAGMA page_count").fetchone()[0] - file.execute("PRAGMA freelist_count").fetchone()[0])
        assert left - before < 0.1 * real
    assert sum(point.sums.runs for point in store.metrics(OTHER, NOON, NOON + HOUR, MetricsInterval.HOUR, None)) == 1


def test_shapes_of_inputs_count_and_go_with_the_last_figures_of_their_day(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(retention, "HOURS", 1)
    fields = tuple((f"{number:064}", "string") for number in range(64))
    day = NOON // (24 * HOUR) * 24 * HOUR
    times = [day, day + HOUR, day + 24 * HOUR]
    store.write([batch(*(a_run(number, started_at=at, shape=RunShape(fields=fields)) for number, at in enumerate(times)))])
    store.retain(day, Retention())
    assert taken(store)[APP] > 3 * shares.RUN + 2 * 64 * len(fields), "two days have a line each"
    while list(store.every(Filter(app_uid=APP), content=False)):
        assert store.trim(APP) > 0

    def left() -> tuple[int, int]:
        """Returns the hours of figures, and the runs in shapes."""
        hours = store.metrics(APP, day, day + 48 * HOUR, MetricsInterval.HOUR, None)
        return len(hours), sum(each.runs for each in store.shapes(APP, 0, ()).callers)

    steps = [left()]
    while store.trim(APP):
        steps.append(left())
    assert steps == [(3, 3), (2, 3), (1, 1), (0, 0)]


def test_a_restored_app_takes_what_the_one_before_took(store: Store) -> None:
    store.put_rows([a_row(1, digest="sha256:first")])
    store.write([batch(*(_with_words(number) for number in range(5)), _with_words(9, app_uid=OTHER, app="beside"))])
    again = "c0ffee00-0000-4000-8000-00000000000c"

    store.put_rows([a_row(1, uid="new-1", app_uid=again, digest="sha256:first")])

    each = taken(store)[OTHER]
    assert taken(store) == {again: 5 * each, OTHER: each}


def test_runs_of_an_older_programs_store_are_counted_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shares, "count_beside", lambda _: None)
    address = f"sqlite://{tmp_path}/runs.db"
    database = SqliteDatabase(tmp_path / "runs.db")
    schema.upgrade(database, schema.migrations("sqlite")[:1])
    first_store.put_into(database, first_store.held().tables)
    database.close()
    store = opened(address)
    store.write([batch(_with_words(5_000))])
    assert store.delete_run(APP, first_store.held().runs[0].id), "what is not counted yet is not subtracted"
    assert store.taken() == {}, "one of which nothing is known may take more"

    store.retain(NOON, Retention())

    assert taken(store) == counted_anew(store, tmp_path)
    store.close()


def test_the_oldest_details_of_an_app_go_first_and_then_its_oldest_runs(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures are kept, as they are when runs are too old. No data of another App is deleted."""
    monkeypatch.setattr(retention, "FEW", 3)
    monkeypatch.setattr(retention, "TRIMMED", 1)
    runs = [_with_words(number, started_at=NOON + number // 4 * SECOND, status=RunStatus.FAILED) for number in range(8)]
    beside = _with_words(99, app_uid=OTHER, app="beside", started_at=NOON)
    store.write([batch(*runs, beside)])
    before = taken(store)

    def kept() -> list[int]:
        return [len(run.spans) + (run.output is not None) for run in store.every(Filter(app_uid=APP), content=True)]

    for expected in ([0, 0, 0, 3, 3, 3, 3, 3], [0] * 6 + [3, 3], [0] * 8, [0] * 5, [0] * 2, []):
        assert store.trim(APP) > 0
        assert kept() == expected
    assert store.trim(APP) == 0
    (left,) = store.every(Filter(app_uid=OTHER), content=True)
    assert (left.spans, left.output) == (beside.spans, beside.output)
    assert taken(store) == {OTHER: before[OTHER], APP: 0}
    assert sum(point.sums.runs for point in store.metrics(APP, NOON, NOON + HOUR, MetricsInterval.HOUR, None)) == 8
