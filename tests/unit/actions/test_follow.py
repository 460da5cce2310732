"""Following a row until it has ended."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.actions import follow as following
from dynamiq_operator.actions.follow import follow, pods_of
from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.actions.workloads import Pods
from dynamiq_operator.desired.base import SERVICE, WORKLOAD
from dynamiq_operator.desired.inputs import WorkloadInputs
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload import workload_manifest
from dynamiq_operator.kube import errors
from dynamiq_operator.kube.resources import BY_KIND, ROWS
from dynamiq_operator.model.objects import Manifest
from tests.support import factories as given
from tests.support import managed_fields
from tests.support.scripted import Reply, Script, ScriptedApi, listed
from tests.support.scripted_namespace import FORBIDDEN, NOT_FOUND
from tests.unit.support.workloads import of_pins, pinned, rolling, service

ROW = ROWS.path(given.NAMESPACE, "chat-2")
PODS = BY_KIND[WORKLOAD.kind].path(given.NAMESPACE)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "EVERY", 0.0)


def row(modifier: given.Modifier, **status: Any) -> Any:
    made = given.stored(given.row_manifest("chat-2", modifier))
    return {**made, "status": {**made.get("status", {}), **status}}


def test_a_rollout_is_followed_to_its_end() -> None:
    waiting = {"type": "Succeeded", "status": "Unknown", "message": "1 of 3 pods is ready"}
    script = Script().on("GET", PODS, listed(rolling(3, 3, 1, 3)))
    script.on("GET", ROW, row(given.progressing(2), conditions=[waiting]), Reply(503), row(given.live(2)))
    first, last = follow(ScriptedApi(script), given.NAMESPACE, "chat-2", app=given.NAME)
    assert (first.phase, first.message, first.is_done, first.pods) == ("Progressing", "1 of 3 pods is ready", False, Pods(3, 3, 1, 3))
    assert (last.phase, last.is_done, last.succeeded, last.pods) == ("Live", True, True, None)


def test_a_failure_has_its_reason() -> None:
    script = Script().on("GET", ROW, row(given.failed(2, reason="bad image")))
    (last,) = follow(ScriptedApi(script), given.NAMESPACE, "chat-2", app=given.NAME)
    assert (last.phase, last.message, last.succeeded) == ("Failed", "bad image", False)


def test_a_row_that_goes() -> None:
    with pytest.raises(Unknown, match="row chat-2 was deleted"):
        list(follow(ScriptedApi(Script().on("GET", ROW, NOT_FOUND)), given.NAMESPACE, "chat-2", app=given.NAME))


def test_an_api_server_that_stays_away_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PATIENCE", -1.0)
    with pytest.raises(errors.Unavailable):
        list(follow(ScriptedApi(Script().on("GET", ROW, Reply(cut=True))), given.NAMESPACE, "chat-2", app=given.NAME))


SELECTS = BY_KIND[SERVICE.kind].path(given.NAMESPACE, given.NAME)


def by_switch(*workloads: Manifest, serves: str = "v1") -> ScriptedApi:
    return ScriptedApi(Script().on("GET", PODS, listed(*workloads)).on("GET", SELECTS, service(serves)))


@pytest.mark.parametrize(
    ("workloads", "pods"),
    [
        ([of_pins("v1", 3, 3, serves=True)], Pods(3, 3, 0, 3)),
        ([of_pins("v1", 3, 3, serves=True), of_pins("v2", 3, 1)], Pods(3, 1, 3, 3)),
        ([of_pins("v1", 3, 3, serves=True), of_pins("v2", 3, 3), of_pins("v3", 2, 2, warm=True)], Pods(3, 3, 3, 3)),
    ],
    ids=["before it has any", "while they start", "beside what is warm"],
)
def test_pods_of_a_row_under_switch(workloads: list[Manifest], pods: Pods) -> None:
    """The row's own workload has the new pods. The old pods are those that serve meanwhile."""
    api = by_switch(*workloads)
    assert pods_of(api, given.NAMESPACE, given.NAME, row(given.progressing(2, "v2"))) == pods


def test_until_the_workload_changes_its_pods_are_those_of_the_row_before() -> None:
    """Otherwise a rollout would start with pods that are new and ready, and with no old pod."""
    made = workload_manifest(given.an_app(), WorkloadInputs("", Pins.of(pinned("v1"))))
    assert made is not None
    script = Script().on("GET", PODS, listed(managed_fields.applied({**rolling(2, 2, 2, 0), "metadata": made["metadata"]})))
    assert pods_of(ScriptedApi(script), given.NAMESPACE, given.NAME, row(given.progressing(2, "v2"))) == Pods(2, 2, 0, 2)
    assert pods_of(ScriptedApi(script), given.NAMESPACE, given.NAME, row(given.progressing(2, "v1"))) == Pods(2, 2, 2, 0)


def test_while_the_workload_of_strategy_rolling_serves_a_row_goes_by_it() -> None:
    script = Script().on("GET", PODS, listed(rolling(2, 2, 1, 1), of_pins("v1", 2, 1))).on("GET", SELECTS, service(None))
    assert pods_of(ScriptedApi(script), given.NAMESPACE, given.NAME, row(given.progressing(2, "v2"))) == Pods(2, 2, 1, 1)


@pytest.mark.parametrize("answer", [NOT_FOUND, FORBIDDEN])
def test_pods_that_are_not_there_or_not_to_be_seen(answer: Reply) -> None:
    assert pods_of(ScriptedApi(Script().on("GET", PODS, answer)), given.NAMESPACE, given.NAME, None) is None
