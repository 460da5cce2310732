"""A recorder whose disk fills up: the data that it deletes, of which Apps, and the data that it accepts to the end."""

from __future__ import annotations

import time
from typing import Any

import pytest

from dynamiq_recorder import upkeep
from dynamiq_recorder.store import retention
from dynamiq_recorder.store.opening import opened
from dynamiq_recorder.store.sql_store import Store
from tests.support import stored_runs
from tests.support.archived_rows import flows, history
from tests.support.otlp_runs import a_run, request, run_id_of
from tests.support.recorder_stage import APP_UID, NAMESPACE, OPERATOR, OTHER_NAMESPACE, OTHER_UID, RecorderStage, pod_of, pod_user
from tests.support.waiting import eventually
from tests.unit.recorder.test_committing import Held


@pytest.mark.parametrize(("fullness", "status", "nodes"), [(0.5, 200, 2), (0.86, 200, 0), (0.91, 503, 0)])
def test_a_disk_that_fills_up_first_costs_nodes_and_then_runs(stage: RecorderStage, fullness: float, status: int, nodes: int) -> None:
    class Full(Held):
        def fullness(self) -> float:
            return fullness

    store = Full(opened(stage.store_url))
    store.go.set()
    stage.start(store=store)
    run = a_run(content=True)
    answer = stage.send(request(run))
    assert answer.status_code == status, answer.text
    if status == 200:
        found = stage.get(f"/v1/runs/{run_id_of(run)}?include=content")
        assert (len(found["nodes"]), found["node_count"], found["cost_usd"]) == (nodes, 2, 0.001)
        assert found["nodes_kept"] == (nodes > 0)
        assert (found["input"] is None) == (nodes == 0)
    else:
        assert int(answer.headers["Retry-After"]) >= 10


class Filling(Held):
    """A store on a disk whose fullness the test sets. Each deleted part of an App's data frees a hundredth."""

    def __init__(self, store: Store, fullness: float) -> None:
        super().__init__(store)
        self.go.set()
        self.full = fullness
        self.trimmed: list[str] = []
        self.gives_back, self.beside = True, 0

    def fullness(self) -> float:
        return self.full

    def bytes(self) -> int:
        """Returns the size of the store that the test sets: with 0 it is the size of the runs alone."""
        return self.beside

    def trim(self, app_uid: str) -> int:
        runs = super().trim(app_uid) if self.gives_back else 0
        self.trimmed += [app_uid] if runs else []
        self.full = round(self.full - 0.01, 2) if runs else self.full
        return runs


def two_apps(stage: RecorderStage, fullness: float, *, beside: int = 0, **options: Any) -> Filling:
    """Starts a recorder whose store has many runs of App OTHER_UID, and one of APP_UID in another namespace."""
    store = opened(stage.store_url)
    now = time.time_ns() // 1000
    store.write(
        [
            stored_runs.batch(
                *(stored_runs.a_run(number, app_uid=OTHER_UID, namespace=OTHER_NAMESPACE, started_at=now) for number in range(20))
            )
        ]
    )
    store.write([stored_runs.batch(stored_runs.a_run(99, app_uid=APP_UID, started_at=now))])
    filling = Filling(store, fullness)
    filling.beside = beside
    stage.start(store=filling, **options)
    return filling


@pytest.fixture
def one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the upkeep check often, and delete one run at a time."""
    monkeypatch.setattr(upkeep, "LOOKS_EVERY", 0.05)
    monkeypatch.setattr(retention, "FEW", 1)
    monkeypatch.setattr(retention, "TRIMMED", 1)


@pytest.mark.usefixtures("one_by_one")
def test_an_app_that_takes_most_of_a_full_disk_makes_room_and_others_are_recorded_whole(stage: RecorderStage) -> None:
    filling = two_apps(stage, 0.89, retains_every=0.05)
    run = a_run(content=True)
    stage.record(run)
    found = stage.get(f"/v1/runs/{run_id_of(run)}?include=content")
    assert (len(found["nodes"]), found["input"]) == (2, {"q": "hi"})
    eventually("there is room again", lambda: filling.full < 0.85)
    assert filling.trimmed == [OTHER_UID] * 5
    assert stage.metrics()["dynamiq_recorder_runs_trimmed_total"] > 0


@pytest.mark.usefixtures("one_by_one")
def test_apps_of_one_namespace_have_one_share_and_the_largest_makes_room_first(stage: RecorderStage) -> None:
    """No single App of the namespace takes half of the space."""
    store, now = opened(stage.store_url), time.time_ns() // 1000
    crowd = ["c33c33c3-0000-4000-8000-000000000003", "d44d44d4-0000-4000-8000-000000000004"]
    for uid, namespace, count in ((crowd[0], "crowd", 10), (crowd[1], "crowd", 10), (APP_UID, NAMESPACE, 12)):
        runs = (stored_runs.a_run(n, app_uid=uid, namespace=namespace, started_at=now, output=f'"{"o" * 900}"') for n in range(count))
        store.write([stored_runs.batch(*runs)])
    filling = Filling(store, 0.89)
    stage.start(store=filling, retains_every=0.05)
    eventually("there is room again", lambda: filling.full < 0.85)
    assert sorted(map(filling.trimmed.count, crowd)) == [2, 3]


def retained_at(stage: RecorderStage) -> float:
    return stage.metrics()["dynamiq_recorder_retention_last_success_timestamp_seconds"]


@pytest.mark.parametrize(("fullness", "options"), [(0.84, {}), (None, {}), (0.89, {"app_share": 1.0}), (0.89, {"beside": 1 << 20})])
def test_nothing_goes_while_there_is_room_or_none_is_known_or_the_app_may_have_it_or_others_than_runs_do(
    stage: RecorderStage, monkeypatch: pytest.MonkeyPatch, fullness: float, options: dict[str, Any]
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(upkeep, "LOOKS_EVERY", 0.05)
        filling = two_apps(stage, fullness, retains_every=0.05, **options)
        for _ in range(2):  # the first may have begun before it looked
            seen = retained_at(stage)
            eventually("it has retained once more", lambda seen=seen: retained_at(stage) > seen)  # type: ignore[misc]
    assert filling.trimmed == []


def test_the_last_of_a_disk_is_for_others_and_for_the_archive(stage: RecorderStage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of the largest App are refused first, then all runs, and at last rows, before deletions become impossible."""
    stage.users["rival"] = pod_user(OTHER_NAMESPACE, "chat-2", "pod-uid-2")
    for raw, path in pod_of(OTHER_NAMESPACE, "chat-2", "pod-uid-2", "chat", OTHER_UID):
        stage.script.on("GET", path, raw)
    monkeypatch.setattr(upkeep, "LOOKS_EVERY", 0.05)
    filling = two_apps(stage, 0.5)
    filling.gives_back = False
    archive, rows = f"/v1/apps/{APP_UID}/archive", history(1, app_uid=APP_UID)

    def statuses() -> tuple[int, int, int]:
        theirs, ours = stage.send(request(a_run(), instance="theirs"), "rival"), stage.send(request(a_run()))
        row = stage.call("POST", archive, OPERATOR, json={"rows": rows, "flows": flows(rows)})
        return theirs.status_code, ours.status_code, row.status_code

    for full, expected in ((0.86, (200, 200, 200)), (0.88, (503, 200, 200)), (0.91, (503, 503, 200)), (0.99, (503, 503, 503))):
        filling.full = full
        eventually(f"at {full} it takes {expected}", lambda expected=expected: statuses() == expected)  # type: ignore[misc]
