"""Data that a store refuses: nobody who knows a run's id changes its pod's data, and deleted runs stay deleted."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from dynamiq_operator.model.runs import MetricsGroup, MetricsInterval, RunSource, RunStatus
from dynamiq_recorder.model import Filter, Instance, Run, Score
from dynamiq_recorder.store import rollups
from dynamiq_recorder.store.results import Retention, Written
from dynamiq_recorder.store.sql_store import Store
from tests.support.stored_runs import APP, HOUR, NOON, OTHER, a_call, a_row, a_run, a_span, answers, batch

KEPT = Retention()
FAILED = a_run(
    status=RunStatus.FAILED,
    started_at=a_row(2).ended,
    instance="i-1",
    seq=1,
    user_id="ann",
    spans=(a_call(1, cost=5), a_span(2)),
    node_count=2,
)
SAYS = Instance(id="i-1", app_uid=APP, pod_uid="pod-1", last_seq=1, dropped=0, ended=True, at=NOON)


def _by(source: RunSource, run: Run = FAILED, **changes: Any) -> Run:
    """Returns the run that another sender sends with the same id."""
    lies = {"status": RunStatus.SUCCEEDED, "duration": 1, "pins": None, "user_id": "bob", "instance": None, "seq": None}
    return msgspec.structs.replace(run, source=source, spans=(), node_count=0, **{**lies, **changes})


FOREIGN = [
    _by(RunSource.SDK),
    _by(RunSource.OTLP),
    _by(RunSource.RUNTIME, instance="i-2"),
]
NAMES = ["sdk", "otlp", "another process"]


@pytest.mark.parametrize("foreign", FOREIGN, ids=NAMES)
@pytest.mark.parametrize("together", [True, False])
def test_a_run_of_a_pod_cannot_be_changed_by_its_id(store: Store, foreign: Run, together: bool) -> None:
    store.put_rows([a_row(2)])
    if together:
        assert store.write([batch(FAILED, instances=[SAYS]), batch(foreign)]) == Written(1, (0, 1))
    else:
        assert store.write([batch(FAILED, instances=[SAYS])]) == Written(1, (0,))
        assert store.write([batch(foreign, a_run(7, source=RunSource.SDK))]) == Written(1, (1,))

    (figures,) = store.figures(APP, ["row-2"])
    assert (figures.sums.runs, figures.sums.failed) == (1, 1)
    read = store.run(APP, FAILED.id, content=False)
    assert read is not None
    assert (read.source, read.status, read.user_id, read.row_uid, len(read.spans)) == (
        RunSource.RUNTIME,
        RunStatus.FAILED,
        "ann",
        "row-2",
        2,
    )


@pytest.mark.parametrize("foreign", [each for each in FOREIGN if each.source is not RunSource.RUNTIME], ids=NAMES[:2])
@pytest.mark.parametrize("together", [True, False])
def test_a_pods_run_takes_the_place_of_one_that_was_sent_under_its_id_before(store: Store, foreign: Run, together: bool) -> None:
    store.put_rows([a_row(2)])
    if together:
        assert store.write([batch(foreign), batch(FAILED, instances=[SAYS])]) == Written(1, (1, 0))
    else:
        store.write([batch(foreign)])
        store.add_score(APP, foreign.id, Score(name="good", value=1, comment="so so", by="bob", at=NOON))
        assert store.write([batch(FAILED, instances=[SAYS])]) == Written(1, (0,))

    read = store.run(APP, FAILED.id, content=True)
    assert read is not None
    assert msgspec.structs.replace(read, row_uid=None, sequence=None, row_digest=None) == FAILED
    assert store.scores(APP, FAILED.id) == ()
    assert store.wholeness(APP).missing == 0
    assert store.page(Filter(app_uid=APP, user_id="bob")).total == 0
    before = answers(store, APP, ["row-2"])
    store.rebuild_rollups()
    assert answers(store, APP, ["row-2"]) == before
    assert store.write([batch(FAILED)]) == Written(0, (0,))


@pytest.mark.parametrize("source", RunSource)
@pytest.mark.parametrize("together", [True, False])
def test_a_run_of_another_app_with_the_same_id_is_a_run_of_its_own(store: Store, source: RunSource, together: bool) -> None:
    """It is so for every source and sender of the run."""
    ours = msgspec.structs.replace(FAILED, source=RunSource.SDK, instance=None, seq=None)
    theirs = _by(source, app_uid=OTHER, app="beside")
    for batches in ([batch(ours), batch(theirs)],) if together else ([batch(ours)], [batch(theirs)]):
        assert store.write(batches) == Written(len(batches), (0,) * len(batches))
    assert store.add_score(APP, ours.id, Score(name="good", value=1, comment=None, by="ann", at=NOON))
    before = answers(store, APP, [])

    assert store.apps_with(ours.id) == (APP, OTHER)
    assert (store.run(APP, ours.id, content=True), store.run(OTHER, ours.id, content=True)) == (ours, theirs)
    assert (len(store.scores(APP, ours.id)), store.scores(OTHER, ours.id)) == (1, ())
    assert store.write([batch(theirs), batch(ours)]) == Written(0, (0, 0))
    assert store.delete_run(OTHER, ours.id)
    assert store.write([batch(theirs)]) == Written(0, (1,))
    assert (store.run(APP, ours.id, content=True), len(store.scores(APP, ours.id))) == (ours, 1)
    assert store.write([batch(ours)]) == Written(0, (0,)), "what another App deleted hinders nobody"
    assert answers(store, APP, []) == before


def test_a_trace_of_the_sdk_in_several_requests_is_one_run(store: Store) -> None:
    first = a_run(source=RunSource.SDK, pins=None, spans=(a_call(1, cost=5),), node_count=1)
    more = msgspec.structs.replace(first, spans=(a_call(1, cost=5), a_call(2, cost=7)), node_count=2)

    assert store.write([batch(first), batch(first)]) == Written(1, (0, 0))
    assert store.write([batch(more)]) == Written(0, (0,))

    read = store.run(APP, first.id, content=False)
    assert read is not None
    assert (len(read.spans), read.cost) == (2, 12)
    assert store.write([batch(_by(RunSource.OTLP, first))]) == Written(0, (1,))


def test_a_deleted_run_is_refused_until_it_is_older_than_the_retention(store: Store) -> None:
    others = [a_run(number, user_id="bob") for number in (2, 3)]
    store.write([batch(FAILED, *others)])
    assert store.delete(Filter(app_uid=APP, user_id="ann")) == 1
    assert store.delete_run(APP, others[0].id)

    assert store.write([batch(FAILED, *others)]) == Written(0, (4,))
    assert [run.id for run in store.page(Filter(app_uid=APP)).runs] == [others[1].id]
    assert store.wholeness(APP).missing == 0

    store.retain(NOON + 24 * HOUR, KEPT)
    assert store.write([batch(FAILED)]).new == 0
    store.retain(NOON + 10 * 365 * 24 * HOUR, KEPT)
    assert store.write([batch(FAILED)]).new == 1


@pytest.mark.parametrize("ratio", [1.0, 0.0])
def test_a_late_or_repeated_run_of_a_thinned_out_hour_restores_nothing(store: Store, ratio: float) -> None:
    def told(number: int, **changes: Any) -> Run:
        spans = (a_call(1, cost=5, input='"secret"'), a_span(2))
        fields = {"input": '"secret"', "error": "secret", "status": RunStatus.REFUSED, "spans": spans, "node_count": 2, "cost": 5}
        return a_run(number, started_at=NOON + number, **{**fields, **changes})

    days = 9 if ratio == 1.0 else 1
    store.write([batch(told(1), told(2, duration=10**9), told(3, spans=(), node_count=0))])
    store.retain(NOON + days * 24 * HOUR, Retention(ratio=ratio))
    store.write([batch(told(1), told(3, spans=(), node_count=0), told(4), told(5, status=RunStatus.FAILED), told(6, duration=2 * 10**9))])

    kept = {run.started_at - NOON: (len(run.spans), run.input is not None) for run in store.every(Filter(app_uid=APP), content=True)}
    assert kept == {1: (0, False), 2: (2, True), 3: (0, False), 4: (0, False), 5: (2, True), 6: (2, True)}
    found = {run.started_at - NOON for run in store.page(Filter(app_uid=APP, error="secret")).runs}
    assert found == {2, 5, 6}
    read = store.run(APP, told(4).id, content=True)
    assert read is not None
    assert (read.node_count, read.cost) == (2, 5)


def test_tokens_and_cost_by_model_and_by_node_are_those_of_calls(store: Store) -> None:
    call = a_call(2, cost=5, parent_id=f"{1:016x}")
    around = msgspec.structs.replace(a_call(1, cost=5), is_model=False)
    from_cache = msgspec.structs.replace(a_call(3, cost=50), is_model=False, cached=True)
    store.write([batch(a_run(spans=(around, call, from_cache), node_count=3, tokens=call.tokens, cost=5, model_calls=1, models=("gpt",)))])

    def points(group: MetricsGroup | None) -> list[tuple[str, int | None, int | None]]:
        found = store.metrics(APP, NOON, NOON + HOUR, MetricsInterval.HOUR, group)
        return [(point.key, point.sums.input_tokens, point.sums.cost) for point in found]

    assert points(None) == [("", 100, 5)]
    assert points(MetricsGroup.MODEL) == [("gpt", 100, 5)]
    assert points(MetricsGroup.NODE) == [("node-1", None, None), ("node-2", 100, 5), ("node-3", None, None)]


def test_names_that_callers_make_up_are_bounded_in_an_hour_and_all_their_runs_are_counted(store: Store) -> None:
    """Callers make up names of triggers, and ids of nodes."""

    def made_up(number: int, **changes: Any) -> Run:
        node = a_span(1, node_id=f"node-{number}", name=f"Node {number}", started_at=NOON)
        more = {"started_at": NOON + number, "spans": (node,), "node_count": 1, "trigger": f"made up {number}"}
        return a_run(number, **{**more, **changes})

    count = rollups.NODES_AND_MODELS + 50
    runs = [made_up(number) for number in range(count)]
    for start in range(0, count, 110):
        store.write([batch(*runs[start : start + 110])])

    def points(group: MetricsGroup, interval: MetricsInterval = MetricsInterval.HOUR) -> dict[str, int]:
        return {point.key: point.sums.runs for point in store.metrics(APP, NOON, NOON + HOUR, interval, group)}

    for interval in (MetricsInterval.MINUTE, MetricsInterval.HOUR):
        by_trigger = points(MetricsGroup.TRIGGER, interval)
        assert (len(by_trigger), sum(by_trigger.values())) == (rollups.TRIGGERS + 1, count)
        assert by_trigger[rollups.OTHER] == count - rollups.TRIGGERS
    by_node = points(MetricsGroup.NODE)
    assert (len(by_node), sum(by_node.values())) == (rollups.NODES_AND_MODELS + 1, count)

    store.write([batch(made_up(0), made_up(count - 1, status=RunStatus.FAILED), made_up(count, trigger="made up 3", spans=runs[3].spans))])
    assert points(MetricsGroup.TRIGGER)["made up 3"] == 2
    assert sum(points(MetricsGroup.NODE).values()) == count + 1
    store.delete(Filter(app_uid=APP))
    assert answers(store, APP, ()) == {key: [] for key in answers(store, APP, ())}


def test_a_name_that_was_among_the_others_of_an_hour_gets_no_line_of_its_own_there_when_a_place_is_free(store: Store) -> None:
    def of(number: int, trigger: str, **changes: Any) -> Run:
        return a_run(number, **{"started_at": NOON + number, "trigger": trigger, **changes})

    def by_trigger() -> dict[str, int]:
        found = store.metrics(APP, NOON, NOON + 2 * HOUR, MetricsInterval.HOUR, MetricsGroup.TRIGGER)
        return {point.key: point.sums.runs for point in found}

    names = [rollups.OTHER, *(f"t{number}" for number in range(1, rollups.TRIGGERS))]  # one that people chose is a name as any
    for start in range(0, rollups.TRIGGERS, 10):
        store.write([batch(*(of(start + number, name) for number, name in enumerate(names[start : start + 10])))])
    assert len(by_trigger()) == rollups.TRIGGERS
    store.write([batch(of(200, "u"), of(201, "u"))])
    assert by_trigger()[rollups.OTHER] == 3
    for number in (3, 4):
        assert store.delete_run(APP, of(number, "").id)

    store.write([batch(of(202, "u"), of(203, "t5"), of(204, "later", started_at=NOON + HOUR))])

    assert by_trigger() == dict.fromkeys([*names[:3], *names[5:], "later"], 1) | {rollups.OTHER: 4, "t5": 2}
    for number in (200, 201):
        assert store.delete_run(APP, of(number, "").id)
    assert sum(by_trigger().values()) == store.page(Filter(app_uid=APP)).total == 101
    store.rebuild_rollups()
    assert by_trigger() == dict.fromkeys([*names[:3], *names[5:], "u", "later"], 1) | {"t5": 2}
    assert store.retain(NOON + 500 * 24 * HOUR, Retention()) > 0


def test_the_name_of_a_node_is_of_a_run_that_is_there(store: Store) -> None:
    def named(number: int, name: str) -> Run:
        return a_run(number, spans=(a_span(1, name=name),), node_count=1)

    store.write([batch(named(1, "ann's"))])
    store.write([batch(named(2, "plain"))])
    store.delete_run(APP, named(1, "").id)

    (point,) = store.metrics(APP, NOON, NOON + HOUR, MetricsInterval.HOUR, MetricsGroup.NODE)
    assert (point.name, point.sums.runs) == ("plain", 1)
