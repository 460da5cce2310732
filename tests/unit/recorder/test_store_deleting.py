"""Deletions leave no copy anywhere. Old data is deleted in pieces, and its disk space is freed."""

from __future__ import annotations

import random
from pathlib import Path

import psycopg
import pytest

from dynamiq_operator.model.runs import MetricsInterval, RunStatus
from dynamiq_recorder.model import Filter, Instance, Run, Score
from dynamiq_recorder.store import deleting, sqlite
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.results import Retention
from dynamiq_recorder.store.sql_store import Store
from tests.support.stored_runs import APP, HOUR, NOON, OTHER, SECOND, a_call, a_row, a_run, a_span, answers, batch

SECRET = "xyzzy-4711"
DAY = 24 * HOUR


def _with_secret(number: int, **changes: object) -> Run:
    """Returns a run with a person's text in every field that can hold text."""
    text = f"{SECRET} {number} "
    spans = (
        a_call(1, cost=5, input=f'"{text * 40}"', output=f'"{text}"', extra=f'{{"m": "{text}"}}'),
        a_span(2, error=text, name=text, node_id=text, type=text, error_type=text),
    )
    fields = {"user_id": SECRET, "session_id": f"{SECRET}-{number % 2}", "tags": (SECRET,), "models": (SECRET,), "trigger": SECRET}
    content = {"input": f'"{text * 2000}"', "output": f'"{text}"', "error": text, "extra": f'{{"e": "{text}"}}', "reason": SECRET}
    return a_run(number, spans=spans, node_count=2, workflow_version=SECRET, **fields, **content, **changes)


_OF_PEOPLE = ["user_id", "session_id", "tags", "value", "folded", "error", "input", "output", "extra", "comment", "by_whom"]
"""Columns about persons or with their texts. Other columns describe the App, such as names of its nodes."""


def _found(address: str) -> list[str]:
    """Returns the places of the secret: files of the store, or tables of a database."""
    if address.startswith("sqlite"):
        folder = Path(address.removeprefix("sqlite://")).parent
        return [str(path) for path in folder.iterdir() if SECRET.encode() in path.read_bytes()]
    with psycopg.connect(address) as raw:
        tables = [line[0] for line in raw.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")]
        query = psycopg.sql.SQL("SELECT count(*) FROM {0} t WHERE t::text LIKE {1}")
        stats = raw.execute("SELECT attname FROM pg_stats WHERE attname = ANY(%s) AND pg_stats::text LIKE %s", (_OF_PEOPLE, f"%{SECRET}%"))
        known = [f"statistics of {name}" for (name,) in stats]
        return known + [
            table for table in tables if raw.execute(query.format(psycopg.sql.Identifier(table), f"%{SECRET}%")).fetchone() != (0,)
        ]


@pytest.mark.parametrize(
    "wanted",
    [
        Filter(app_uid=APP, user_id=SECRET),
        Filter(app_uid=APP, until=NOON + DAY),
        Filter(app_uid=APP, tags=(SECRET,), error=SECRET, model=SECRET),
    ],
    ids=["a person", "a time", "words"],
)
def test_deleted_runs_leave_nothing_in_any_table_or_file(address: str, store: Store, wanted: Filter) -> None:
    other = [a_run(number, started_at=NOON + 2 * DAY + number) for number in range(1000, 1040)]
    runs = [_with_secret(number) for number in range(60)]
    store.write([batch(*other[:20])])
    for start in range(0, 60, 7):
        store.write([batch(*runs[start : start + 7])])
    store.write([batch(*runs[:30]), batch(*other[20:])])
    assert store.add_score(APP, runs[0].id, Score(name="good", value=1, comment=SECRET, by=SECRET, at=NOON))
    if not address.startswith("sqlite"):
        with psycopg.connect(address, autocommit=True) as raw:
            raw.execute("ANALYZE")
    assert _found(address)

    assert store.delete(wanted) == 60

    assert _found(address) == []
    assert store.page(Filter(app_uid=APP)).total == 40
    (left,) = store.metrics(APP, NOON - DAY, NOON + 3 * DAY, MetricsInterval.DAY, None)
    assert left.sums.runs == 40


@pytest.mark.parametrize("small", [True, False])
def test_thousands_of_runs_deleted_in_any_order_leave_nothing_in_gaps_of_pages(
    tmp_path: Path, small: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A page that is split or joined keeps copies of lines that moved. For a large store the next retention deletes them."""
    if not small:
        monkeypatch.setattr(deleting, "SMALL", 0)
        monkeypatch.setattr(sqlite, "SMALL", 0)
    address, chance = f"sqlite://{tmp_path}/runs.db", random.Random(1)  # noqa: S311
    store = opened(address)
    runs = []
    for number in range(5_000):
        user = f"user-2{SECRET}" if chance.random() < 0.05 else f"user-{chance.randrange(300)}"
        content = {"tags": (user,), "error": f"err {user}", "input": f'"{user}"'} if number % 2 else {}
        session = f"{user}-{chance.randrange(5)}"
        runs.append(a_run(number, started_at=NOON + chance.randrange(20 * HOUR), user_id=user, session_id=session, **content))
    for start in range(0, len(runs), 20):
        store.write([batch(*runs[start : start + 20])])
    left = [run for run in runs if SECRET not in str(run.user_id)]

    assert store.delete(Filter(app_uid=APP, user_id=f"user-2{SECRET}")) == len(runs) - len(left)
    if not small:
        store.retain(NOON + 20 * HOUR, Retention())

    assert _found(address) == []
    assert store.page(Filter(app_uid=APP)).total == len(left)
    tagged = Filter(app_uid=APP, tags=("user-7",), error="user-7")
    assert store.page(tagged).total == sum("user-7" in run.tags for run in left)
    store.write([batch(a_run(9_999, tags=("user-7",), error="err user-7"))])
    assert store.page(tagged).total == sum("user-7" in run.tags for run in left) + 1
    store.close()


def test_a_session_is_deleted_and_others_are_not(store: Store) -> None:
    store.write([batch(*(_with_secret(number) for number in range(10)), _with_secret(11, app_uid=OTHER, app="beside"))])

    assert store.delete(Filter(app_uid=APP, session_id=f"{SECRET}-1")) == 5

    assert {run.session_id for run in store.page(Filter(app_uid=APP)).runs} == {f"{SECRET}-0"}
    assert store.page(Filter(app_uid=OTHER)).total == 1
    assert store.delete(Filter(app_uid="nowhere")) == 0


def test_one_run_is_deleted_with_all_that_is_its(address: str, store: Store) -> None:
    run = _with_secret(1)
    store.write([batch(run)])

    assert store.delete_run(APP, run.id)

    assert _found(address) == []
    assert store.run(APP, run.id, content=True) is None
    assert not store.delete_run(APP, run.id)
    assert answers(store, APP, ()) == {key: [] for key in answers(store, APP, ())}


def test_a_run_that_was_sent_again_leaves_none_of_what_was_replaced(address: str, store: Store) -> None:
    store.write([batch(_with_secret(1))])
    store.write([batch(a_run(1, spans=(a_span(1), a_span(2)), input="1", output="1", error="x", reason="x", node_count=2))])
    store.delete(Filter(app_uid=OTHER))
    store.delete_run(APP, a_run(1).id)

    assert _found(address) == []


def _days(count: int, per_day: int = 40) -> list[Run]:
    """Returns runs with spans of the `count` days before noon. One in ten failed, and a day's last run is by far the slowest."""
    runs = []
    for number in range(count * per_day):
        day, within = divmod(number, per_day)
        slowest = within == per_day - 1
        runs.append(
            a_run(
                number,
                started_at=NOON - day * DAY + within * SECOND,
                status=RunStatus.FAILED if within % 10 == 5 else RunStatus.SUCCEEDED,
                duration=90 * SECOND if slowest else 50_000 + within,
                spans=(a_call(1, cost=5, input='"long"'), a_span(2)),
                node_count=2,
                instance=f"i-{number}",
            )
        )
    return runs


def test_old_runs_go_and_what_they_came_to_stays(store: Store) -> None:
    store.put_rows([a_row(1, pins=a_run().pins, began=0, ended=1)])
    store.write([batch(*_days(12))])
    before = store.figures(APP, ["row-1"])[0].sums

    gone = store.retain(NOON + HOUR, Retention(runs=5 * 86400))

    assert gone > 7 * 40
    assert store.page(Filter(app_uid=APP)).total == 5 * 40
    assert store.figures(APP, ["row-1"])[0].sums == before
    assert store.retain(NOON + HOUR, Retention(runs=5 * 86400)) == 0
    store.rebuild_rollups()
    assert store.figures(APP, ["row-1"], nodes=True)[0].sums == before


def test_rollups_go_when_they_are_old(store: Store) -> None:
    store.write([batch(*_days(12))])

    store.retain(NOON + HOUR, Retention(runs=3 * 86400, rollups=6 * 86400))

    days = {point.at // DAY for point in store.metrics(APP, NOON - 20 * DAY, NOON + DAY, MetricsInterval.DAY, None)}
    minutes = {point.at // DAY for point in store.metrics(APP, NOON - 20 * DAY, NOON + DAY, MetricsInterval.MINUTE, None)}
    assert len(days) == 6
    assert len(minutes) == 3


def _with_spans(store: Store) -> set[str]:
    return {run.id for run in store.every(Filter(app_uid=APP), content=True) if run.spans}


def test_spans_go_before_their_runs_but_for_those_that_failed_and_the_slowest(store: Store) -> None:
    runs = _days(4)
    store.write([batch(*runs)])
    before = answers(store, APP, ())

    store.retain(NOON + HOUR, Retention(spans=2 * 86400))

    old = NOON - DAY
    kept = {run.id for run in runs if run.started_at >= old or run.status is RunStatus.FAILED or run.duration > SECOND}
    assert _with_spans(store) == kept
    bare = next(run for run in runs if run.id not in kept)
    read = store.run(APP, bare.id, content=True)
    assert read is not None
    assert (read.spans, read.node_count, read.input, read.content_kept) == ((), 2, None, False)
    store.rebuild_rollups()
    assert answers(store, APP, ()) == before


def test_the_share_of_kept_spans_follows_the_ratio_and_stays(store: Store) -> None:
    store.write([batch(*_days(2, per_day=400))])
    keep = Retention(ratio=0.25)

    store.retain(NOON + 4 * HOUR, keep)

    kept = _with_spans(store)
    expected = 2 * (0.1 * 400 + 1 + 0.25 * (0.9 * 400 - 1))
    assert expected * 0.8 < len(kept) < expected * 1.2
    store.retain(NOON + 8 * HOUR, keep)
    assert _with_spans(store) == kept


def test_disk_is_given_back(tmp_path: Path) -> None:
    store = opened(f"sqlite://{tmp_path}/runs.db")
    empty = store.bytes()
    text = '"' + "".join(random.Random(1).choices("abcdef ", k=20_000)) + '"'  # noqa: S311
    for start in range(0, 600, 100):
        store.write([batch(*(a_run(number, input=text) for number in range(start, start + 100)))])
    full = store.bytes()

    store.retain(NOON + 90 * DAY, Retention())

    assert full > 12_000_000
    assert store.bytes() < empty + 200_000
    store.close()


def test_a_process_of_which_nothing_is_missing_goes_with_its_runs_and_others_stay_with_the_figures(store: Store) -> None:
    def process(name: str, **said: int | bool) -> Instance:
        given = {"last_seq": 1, "dropped": 0, "ended": True, "at": NOON, **said}
        return Instance(id=name, app_uid=APP, pod_uid="pod-1", **given)  # type: ignore[arg-type]

    processes = [process("whole"), process("gap", last_seq=2), process("full", dropped=1), process("killed", ended=False)]
    processes.append(process("young", at=NOON + 2 * DAY))
    store.write([batch(*(a_run(number, instance=each.id, seq=1) for number, each in enumerate(processes)), instances=processes)])
    store.retain(NOON + DAY // 2, Retention(runs=86400))
    assert store.wholeness(APP).instances == 5
    store.retain(NOON + 2 * DAY, Retention(runs=86400))
    found = store.wholeness(APP)
    assert (found.instances, found.missing, found.cut_off) == (4, 2, 1)
    assert store.instance_pod("whole") is None
    store.retain(NOON + 500 * DAY, Retention(runs=86400))
    assert store.wholeness(APP).instances == 0
