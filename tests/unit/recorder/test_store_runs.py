"""Runs that are written and read: complete, once, in any order and by any filter."""

from __future__ import annotations

import base64
import random
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from dynamiq_operator.model.runs import NodeStatus, RunSource, RunStatus
from dynamiq_recorder.model import Filter, Instance, Run, Score, Tokens
from dynamiq_recorder.store import merging
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.results import COUNTED, Sort
from dynamiq_recorder.store.sql_store import Store
from tests.support.history_stage import in_full
from tests.support.stored_runs import APP, HOUR, NOON, SECOND, Plain, a_call, a_row, a_run, a_span, batch, drawn

EVERYTHING = a_run(
    status=RunStatus.FAILED,
    reason="node_failed",
    trigger="nightly",
    session_id="s-1",
    user_id="ann",
    tags=("eu", "vip"),
    first_chunk=1_200,
    tokens=Tokens(input=100, output=10, cache_read=50, cache_write=3),
    cost=77,
    model_calls=2,
    unpriced=1,
    models=("gpt",),
    instance="i-1",
    seq=4,
    node_count=2,
    error="KeyError: 'a'",
    input='{"question": "Où?"}',
    output="null",
    extra='{"source_id": "x"}',
    spans=(
        a_call(1, cost=77, attempts=3, cached=True, type="dynamiq.nodes.llms.OpenAI"),
        a_span(
            2, parent_id=f"{1:016x}", status=NodeStatus.FAILED, error_type="KeyError", error="'a'", input="[1]", extra='{"metadata": {}}'
        ),
    ),
)


def _as_read(run: Run, **changes: Any) -> Run:
    return msgspec.structs.replace(run, content_kept=True, **changes)


def test_a_run_comes_back_as_it_was_written(store: Store) -> None:
    assert store.write([batch(EVERYTHING)]).new == 1

    assert store.run(APP, EVERYTHING.id, content=True) == _as_read(EVERYTHING)


def test_content_is_omitted_by_default_and_fields_of_the_sdk_are_not(store: Store) -> None:
    store.write([batch(EVERYTHING)])
    bare = tuple(msgspec.structs.replace(span, error=None, input=None, output=None) for span in EVERYTHING.spans)

    assert store.run(APP, EVERYTHING.id, content=False) == _as_read(EVERYTHING, error=None, input=None, output=None, spans=bare)


def test_unknown_values_stay_unknown_and_zeros_stay_zero(store: Store) -> None:
    free = a_run(2, tokens=Tokens(input=0), cost=0, first_chunk=0)
    store.write([batch(a_run(1), free)])

    unknown, nothing = (store.run(APP, run.id, content=True) for run in (a_run(1), free))

    assert unknown is not None
    assert (unknown.tokens.input, unknown.cost, unknown.first_chunk, unknown.content_kept) == (None, None, None, False)
    assert nothing is not None
    assert (nothing.tokens.input, nothing.tokens.output, nothing.cost, nothing.first_chunk) == (0, None, 0, 0)


@pytest.mark.parametrize("name", ["no-uuid", "", str(uuid.UUID(int=99))])
def test_a_run_that_is_not_there_is_none(store: Store, name: str) -> None:
    assert store.run(APP, name, content=True) is None
    assert store.scores(APP, name) == ()
    assert not store.add_score(APP, name, Score(name="good", value=1, comment=None, by="ann", at=NOON))
    assert not store.delete_run(APP, name)


def test_a_run_that_is_sent_twice_is_there_once_and_other_spellings_of_its_id_are_it(store: Store) -> None:
    again = msgspec.structs.replace(EVERYTHING, id=EVERYTHING.id.upper())

    assert store.write([batch(EVERYTHING, EVERYTHING), batch(again)]).new == 1
    assert store.write([batch(EVERYTHING)]).new == 0
    assert store.write([batch(again, a_run(2))]).new == 1

    assert store.page(Filter(app_uid=APP)).total == 2
    assert store.run(APP, EVERYTHING.id, content=True) == _as_read(EVERYTHING)


def test_a_run_that_is_sent_in_many_parts_has_as_much_as_one_run_may(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merging, "SPANS_OF_A_RUN", 4)
    monkeypatch.setattr(merging, "CONTENT_OF_A_RUN", 25)
    for number in (4, 1, 5, 2, 3):
        span = a_span(number, started_at=NOON + number, output=f'"{number}{"x" * 7}"')
        store.write([batch(a_run(1, spans=(span,), node_count=1))])
    found = store.run(APP, a_run(1).id, content=True)
    assert found is not None
    assert [(span.span_id[-1], span.output is not None) for span in found.spans] == [("1", True), ("2", True), ("3", False), ("4", False)]
    assert found.node_count == 4


def test_a_run_that_is_sent_again_with_more_is_the_union_and_a_later_span_wins(store: Store) -> None:
    first = a_run(spans=(a_call(1, cost=5), a_span(2)), node_count=2, cost=5, model_calls=1, models=("gpt",), session_id="s")
    second = a_run(spans=(a_call(1, cost=8), a_call(3, cost=None)), node_count=2, status=RunStatus.FAILED, reason="late", duration=90_000)
    store.write([batch(first)])

    assert store.write([batch(second)]).new == 0

    both = store.run(APP, first.id, content=True)
    assert both is not None
    assert {span.span_id: span.cost for span in both.spans} == {f"{1:016x}": 8, f"{2:016x}": None, f"{3:016x}": None}
    assert (both.status, both.reason, both.duration, both.session_id) == (RunStatus.FAILED, "late", 90_000, "s")
    assert (both.cost, both.unpriced, both.model_calls, both.node_count) == (8, 1, 2, 3)
    assert both.tokens == Tokens(input=200, output=20, cache_read=100)


def test_text_that_no_database_takes_is_stored_all_the_same(store: Store) -> None:
    run = a_run(error="half \ud800 and \0 nothing", session_id="a\0b", spans=(a_span(name="\0"),), node_count=1)

    store.write([batch(run)])

    read = store.run(APP, run.id, content=True)
    assert read is not None
    assert (read.error, read.session_id, read.spans[0].name) == ("half ? and \ufffd nothing", "a\ufffdb", "\ufffd")


SORTS = [Sort(by, descending) for by in ("started_at", "duration", "cost") for descending in (True, False)]
SEVERAL = 6
"""Number of filters that combine several kinds, drawn for each store."""


def _filters(chance: random.Random) -> list[Filter]:
    """Returns filters of each kind alone, and random ones of several kinds."""
    made: dict[str, Callable[[], object]] = {
        "row_uid": lambda: chance.choice(["row-1", "row-2", "row-9"]),
        "workflow_version": lambda: chance.choice(["v1", "v9"]),
        "status": lambda: tuple(chance.sample(list(RunStatus), chance.randrange(1, 4))),
        "trigger": lambda: chance.choice(["nightly", "none"]),
        "session_id": lambda: f"s{chance.randrange(30)}",
        "user_id": lambda: chance.choice(["ann", "zoe"]),
        "tags": lambda: tuple(chance.sample(["eu", "beta", "vip"], chance.randrange(1, 3))),
        "model": lambda: chance.choice(["gpt", "claude", "llama"]),
        "error": lambda: chance.choice(["KÖLN", "keyerror: '", "nothing", "%", "_"]),
        "since": lambda: NOON + chance.randrange(6 * HOUR),
        "until": lambda: NOON + chance.randrange(6 * HOUR),
        "min_duration": lambda: int(chance.lognormvariate(11, 1)),
        "min_cost": lambda: chance.randrange(10**7),
    }
    alone = [{name: make()} for name, make in made.items()]
    several = [{name: made[name]() for name in chance.sample(list(made), chance.randrange(2, 4))} for _ in range(SEVERAL)]
    return [msgspec.convert({"app_uid": APP, **each}, Filter) for each in ({}, *alone, *several)]


def _stored(store: Store, chance: random.Random, count: int = 400) -> Plain:
    plain = Plain()
    rows = [a_row(1), a_row(2), a_row(3, pins=a_row(1).pins, succeeded=None, ended=None)]
    runs = [drawn(chance, number) for number in range(count)]
    plain.write(runs)
    plain.rows = {row.uid: row for row in rows}
    store.write([batch(*runs[: count // 2])])
    store.put_rows(rows)
    store.write([batch(*runs[count // 2 :])])
    return plain


@pytest.mark.full_count
def test_pages_are_those_of_the_filter_in_order_each_run_once(store: Store) -> None:
    """All runs are read in each order. Each filter has two orders; with SOAK=1 all of them."""
    seed = random.randrange(10**6)  # noqa: S311
    print("seed", seed)
    chance = random.Random(seed)  # noqa: S311
    plain = _stored(store, chance)
    all_of_it, *filters = _filters(chance)
    cases = [
        *((sort, all_of_it) for sort in SORTS),
        *((sort, each) for each in filters for sort in chance.sample(SORTS, len(SORTS) if in_full() else 2)),
    ]
    for sort, chosen in cases:
        expected = {run.id for run in plain.matching(chosen)}
        limit = chance.choice([7, 25, 500, max(len(expected) - 1, 1)])  # the last: of a second page with one run

        found: list[Run] = []
        cursor = None
        while True:
            page = store.page(chosen, sort, limit=limit, cursor=cursor)
            found += page.runs
            assert page.total == len(expected), chosen
            if (cursor := page.cursor) is None:
                break
        values = [getattr(run, sort.by) for run in found]
        priced = [value for value in values if value is not None]
        at_once = store.page(chosen, sort, limit=500)
        offset = store.page(chosen, sort, limit=5, offset=3)

        assert sorted(run.id for run in found) == sorted(expected), chosen
        assert values == [*sorted(priced, reverse=sort.descending), *[None] * (len(values) - len(priced))], chosen
        assert list(at_once.runs) == found
        assert list(offset.runs) == found[3:8]


def test_an_export_has_every_run_of_the_filter_with_its_spans_oldest_first(store: Store) -> None:
    chance = random.Random(5)  # noqa: S311
    plain = _stored(store, chance, 1_200)
    chosen = Filter(app_uid=APP, status=(RunStatus.SUCCEEDED,))

    found = list(store.every(chosen, content=True))

    assert {run.id: run.spans for run in found} == {run.id: run.spans for run in plain.matching(chosen)}
    assert [run.started_at for run in found] == sorted(run.started_at for run in found)


def test_a_cursor_that_no_page_gave_is_refused(store: Store) -> None:
    store.write([batch(*(a_run(number) for number in range(5)))])
    cursor = store.page(Filter(app_uid=APP), limit=2).cursor

    huge = base64.urlsafe_b64encode(f'["started_at",true,[false,{2**63},1]]'.encode()).decode()
    for wrong, sort in ((cursor, Sort("cost")), ("x", Sort()), ("bm9uZQ", Sort()), (huge, Sort()), (cursor, Sort(descending=False))):
        with pytest.raises(ValueError, match="cursor"):
            store.page(Filter(app_uid=APP), sort, cursor=wrong)
    with pytest.raises(ValueError, match="sort"):
        store.page(Filter(app_uid=APP), Sort("name"))


def test_sessions_are_listed_by_their_last_run_with_what_their_runs_come_to(store: Store) -> None:
    store.write(
        [
            batch(
                a_run(1, session_id="old", user_id="ann", cost=1),
                a_run(2, session_id="new", tokens=Tokens(input=5), unpriced=1, model_calls=1),
                a_run(3, session_id="new", status=RunStatus.TIMED_OUT, cost=4),
                a_run(4),
            )
        ]
    )

    (new, old), total = store.sessions(Filter(app_uid=APP), limit=10, offset=0)
    second, _ = store.sessions(Filter(app_uid=APP), limit=1, offset=1)
    before, _ = store.sessions(Filter(app_uid=APP, until=NOON + 3 * SECOND), limit=10, offset=0)

    assert total == 2
    assert (new.session_id, new.runs, new.failed, new.cost, new.unpriced) == ("new", 2, 1, 4, 1)
    assert (new.tokens.input, new.tokens.output) == (5, None)
    assert (new.first_at, new.last_at) == (NOON + 2 * SECOND, NOON + 3 * SECOND)
    assert (old.session_id, old.user_id, old.cost) == ("old", "ann", 1)
    assert second == (old,)
    assert [session.runs for session in before] == [1, 1]


def test_a_score_is_one_for_each_name_and_person(store: Store) -> None:
    run = a_run(started_at=a_row(1).ended)
    store.put_rows([a_row(1, pins=run.pins)])
    store.write([batch(run)])
    for by, value, at in (("ann", 1.0, 1), ("bob", 0.5, 2), ("ann", 0.0, 3)):
        assert store.add_score(APP, run.id, Score(name="good", value=value, comment=None, by=by, at=at))

    assert [(score.by, score.value) for score in store.scores(APP, run.id)] == [("bob", 0.5), ("ann", 0.0)]
    (figures,) = store.figures(APP, ["row-1"])
    assert figures.scores == {"good": (0.5, 2)}


def _instance(last: int, **changes: Any) -> Instance:
    made = Instance(id="i-1", app_uid=APP, pod_uid="pod-1", last_seq=last, dropped=0, ended=False, at=NOON)
    return msgspec.structs.replace(made, **changes)


def test_gaps_are_exact_whatever_order_and_however_often_runs_arrive(store: Store) -> None:
    runs = [a_run(number, instance="i-1", seq=number) for number in (1, 2, 4, 5, 7)]
    store.write([batch(*runs[3:], instances=[_instance(7)])])
    store.write([batch(*runs[:3], instances=[_instance(5)]), batch(runs[0])])
    store.write([batch(runs[1])])

    assert store.wholeness(APP, ["pod-1"]).missing == 2

    store.write([batch(instances=[_instance(9, ended=True, dropped=1)])])
    ended = store.wholeness(APP)
    assert (ended.instances, ended.missing, ended.cut_off, ended.unattributed) == (1, 4, 0, 5)
    assert (ended.first_at, ended.last_at) == (runs[0].started_at, runs[-1].started_at)


def test_a_silent_process_without_an_end_is_cut_off_unless_its_pod_runs(store: Store) -> None:
    store.write([batch(a_run(instance="i-1", seq=1), instances=[_instance(3)])])

    gone, running = store.wholeness(APP), store.wholeness(APP, alive=["pod-1"])

    assert (gone.cut_off, gone.missing) == (1, 2)
    assert (running.cut_off, running.missing) == (0, 0)


def test_an_instance_is_of_the_pod_that_used_it_first(store: Store) -> None:
    store.write([batch(instances=[_instance(1)])])
    store.write([batch(instances=[_instance(1, pod_uid="pod-2")])])

    assert store.instance_pod("i-1") == "pod-1"
    assert store.instance_pod("i-2") is None


def test_runs_of_the_sdk_and_of_a_foreign_program_have_their_source(store: Store) -> None:
    runs = [a_run(number, source=source) for number, source in enumerate(RunSource)]
    store.write([batch(*runs)])

    assert {run.source for run in store.page(Filter(app_uid=APP)).runs} == set(RunSource)


MANY = 21_000
EACH = 1_000
"""One run in this many has both what one half has and what the other half has."""


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def halves(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, list[Run]]]:
    """Yields a store and its runs, which tests only read. Each half has too many runs to be checked one by one."""
    if request.param == "sqlite":
        address = f"sqlite://{tmp_path_factory.mktemp('halves')}/runs.db"
    else:
        address = request.getfixturevalue("server").database()
    store = opened(address)
    runs = [
        a_run(
            number,
            trigger="nightly" if number % 2 == 0 else None,
            tags=("eu",) if number % 2 == 1 or number % EACH == 0 else (),
            started_at=NOON + number // 3 * SECOND,
            duration=1_000 + number * 7_919 % 5_003,
            cost=number * 31 % 997 if number % 3 else None,
        )
        for number in range(MANY)
    ]
    for start in range(0, MANY, 3_000):
        store.write([batch(*runs[start : start + 3_000])])
    yield store, runs
    store.close()


def _walked(store: Store, wanted: Filter, sort: Sort) -> list[Run]:
    found: list[Run] = []
    cursor = None
    while True:
        page = store.page(wanted, sort, limit=10, cursor=cursor)
        found += page.runs
        if (cursor := page.cursor) is None:
            return found


@pytest.mark.full_count
def test_few_matches_among_many_runs_are_found_in_order_over_many_pages(
    halves: tuple[Store, list[Run]],
) -> None:
    store, runs = halves
    chosen = Filter(app_uid=APP, trigger="nightly", tags=("eu",))
    expected = [run for run in runs if run.trigger and run.tags]

    for sort in SORTS if in_full() else (SORTS[0], SORTS[3], SORTS[5]):
        found = _walked(store, chosen, sort)
        values = [getattr(run, sort.by) for run in found]
        priced = [value for value in values if value is not None]
        assert sorted(run.id for run in found) == sorted(run.id for run in expected)
        assert values == [*sorted(priced, reverse=sort.descending), *[None] * (len(values) - len(priced))]
    assert {run.id for run in store.every(chosen, content=False)} == {run.id for run in expected}
    assert store.page(chosen, limit=10, offset=20).runs == tuple(_walked(store, chosen, Sort())[20:])


def test_pages_of_one_filter_are_whole_and_have_a_total(halves: tuple[Store, list[Run]]) -> None:
    store, runs = halves
    newest = sorted((run for run in runs if run.tags), key=lambda run: run.started_at, reverse=True)

    page = store.page(Filter(app_uid=APP, tags=("eu",)), limit=500)
    dearest = store.page(Filter(app_uid=APP), Sort("cost"), limit=500)
    last = store.page(Filter(app_uid=APP), Sort("cost", descending=False), limit=20, offset=MANY // 3 * 2 - 10)

    assert page.total == dearest.total == COUNTED
    assert [run.started_at for run in page.runs] == [run.started_at for run in newest[:500]]
    assert [run.cost for run in dearest.runs] == sorted((run.cost for run in runs if run.cost is not None), reverse=True)[:500]
    assert [run.cost for run in last.runs] == [*[996] * 10, *[None] * 10]


def test_a_filter_without_matches_ends_with_no_run(halves: tuple[Store, list[Run]]) -> None:
    store, _ = halves

    assert _walked(store, Filter(app_uid=APP, trigger="nightly", tags=("eu",), min_duration=10**9), Sort()) == []
    assert (
        _walked(store, Filter(app_uid=APP, trigger="nightly", status=(RunStatus.SUCCEEDED, RunStatus.FAILED), user_id="zoe"), Sort()) == []
    )
