"""Pods' reports of their calls: read in the background, only where a decision needs them, and checked before they are used."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from aiohttp import web

from dynamiq_operator.controller.background import activity
from dynamiq_operator.controller.background.activity import AT_ONCE, ActivityReader, KeptActivity
from dynamiq_operator.controller.cached.cache import AppKey
from dynamiq_operator.controller.observing.observe import REVIEWS
from dynamiq_operator.desired.base import SECRET, child
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.pod_template import CONTAINER
from dynamiq_operator.desired.workload import template_digest
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, PODS, POLICIES, ROWS, SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.observed.activity import Activity, Runs
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given
from tests.support.controller import Process, at, stored
from tests.support.scripted import Script, failure, listed
from tests.unit.support.answering import Answer, never, saying, served

KEY = (given.NAMESPACE, given.NAME)
SAID = {
    "ready_seconds": 12.5,
    "idle_seconds": 0,
    "in_flight": 2,
    "standby": False,
    "runs": {"succeeded": 17, "failed": 3, "refused": 5},
}
SERVES_A = {"row": "a", "sequence": 1, "workflowVersion": "v1", "runtime": "1.0.0"}


def reverts(made: Manifest) -> None:
    """Makes the App serve row `a` and revert bad versions."""
    given.with_spec(rollout={"revert": {"seconds": 60}})(made)
    given.with_status(live=SERVES_A)(made)


REVERTS: given.Modifier = reverts
LIVE = given.row_manifest("a", given.live(1))
LIVE_PINS = given.a_row("a", given.live(1)).pinned
assert LIVE_PINS is not None
OF_LIVE = names.labels(given.NAME) | {names.TEMPLATE_LABEL: template_digest(given.an_app(), Pins.of(LIVE_PINS), None)}
CANDIDATE = given.row_manifest("b", given.progressing(2, "v2"))


class Pods:
    """A server in place of an App's pods, which are all at 127.0.0.1. `asked`: the number of requests."""

    def __init__(self) -> None:
        self.asked = 0
        self.answer: Answer = saying(SAID)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        assert request.path == "/activity"
        self.asked += 1
        return await self.answer()


@pytest.fixture
def script() -> Script:
    secret = child(given.an_app(), SECRET, names.access_keys(given.NAME))
    return Script().on("GET", at(SECRETS, names.access_keys(given.NAME)), stored(secret, 40))


@pytest.fixture
def pods() -> Pods:
    return Pods()


@pytest.fixture
async def process(client: Client, script: Script, pods: Pods) -> AsyncIterator[Process]:
    async with served(pods.handle) as port:
        made = Process(client, script, metrics_port=port)
        async with made.activity:
            yield made


def seen(process: Process, *rows: Manifest, app: given.Modifier = REVERTS) -> None:
    """Reports an App, its rows and a running pod, as the watches do."""
    process.informers.on_watch_event(APPS, "ADDED", given.stored(given.app_manifest(app)))
    for row in rows:
        process.informers.on_watch_event(ROWS, "ADDED", given.stored(row))
    process.informers.on_watch_event(PODS, "ADDED", running())


def running(*modifiers: given.Modifier, name: str = "chat-0") -> Manifest:
    made: Manifest = {
        "kind": "ObservedPod",
        "metadata": {"name": name, "namespace": given.NAMESPACE, "uid": f"uid-{name}", "labels": OF_LIVE},
        "spec": {"containers": [{"name": CONTAINER, "image": given.IMAGE}]},
        "status": {"podIP": "127.0.0.1", "containerStatuses": [{"name": CONTAINER, "ready": True, "state": {"running": {}}}]},
    }
    for modify in modifiers:
        modify(made)
    return made


async def requeued(process: Process) -> Snapshot:
    """Observes once, waits until the pod's answer or silence requeues the App, and returns the second observation."""
    process.queue.done(await process.queue.get())  # what the watches reported
    first = await process.observer.observe(KEY)
    assert first.pods.activity == {}, "nobody waits for a pod"
    async with asyncio.timeout(240):
        assert await process.queue.get() == KEY
    process.queue.done(KEY)
    return await process.observer.observe(KEY)


async def test_activity_of_pods_is_read_when_a_row_is_deployed_over_a_live_one(process: Process) -> None:
    seen(process, LIVE, CANDIDATE)
    activity = (await requeued(process)).pods.activity
    report = activity["uid-chat-0"]
    assert report == Activity(report.at, 12.5, 0.0, 2, False, Runs(17, 3, 5))


async def test_pods_are_read_while_a_row_is_watched(process: Process, pods: Pods) -> None:
    trial = given.with_status(trial={"row": "a", "until": "2999-11-24T13:00:00Z"})

    def watched(made: Manifest) -> None:
        REVERTS(made)
        trial(made)

    seen(process, LIVE, app=watched)
    assert (await requeued(process)).pods.activity.keys() == {"uid-chat-0"}
    assert pods.asked == 1


@pytest.mark.parametrize(
    ("rows", "app"),
    [
        ((LIVE,), REVERTS),
        ((LIVE, CANDIDATE), given.with_spec()),
        ((CANDIDATE,), given.with_spec(rollout={"revert": {}})),
    ],
    ids=["no deploy", "no revert", "nothing before"],
)
async def test_pods_are_not_read_if_no_decision_needs_it(
    process: Process, pods: Pods, rows: tuple[Manifest, ...], app: given.Modifier
) -> None:
    seen(process, *rows, app=app)
    await process.observer.observe(KEY)
    await asyncio.sleep(0.1)  # nothing happens
    assert pods.asked == 0


def _without(key: str) -> dict[str, Any]:
    return {name: value for name, value in SAID.items() if name != key}


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b"{" * 100,
        b"<html>",
        _without("runs"),
        _without("in_flight"),
        SAID | {"in_flight": -1},
        SAID | {"in_flight": "2"},
        SAID | {"in_flight": 2.5},
        SAID | {"idle_seconds": -3},
        SAID | {"idle_seconds": 1e300},
        SAID | {"standby": "no"},
        SAID | {"runs": {"succeeded": 10**18, "failed": 0, "refused": 0}},
        SAID | {"runs": {"succeeded": True, "failed": 0, "refused": 0}},
        SAID | {"pod": "another"},
        SAID | {"more": "x" * 5000},
        json.dumps(SAID).replace("12.5", "NaN").encode(),
    ],
    ids=lambda said: str(said)[:40],
)
async def test_answer_that_is_none_is_not_taken(process: Process, pods: Pods, said: Any) -> None:
    pods.answer = saying(said)
    seen(process, LIVE, CANDIDATE)
    assert (await requeued(process)).pods.activity == {}
    assert pods.asked == 1


@pytest.mark.parametrize("status", [302, 404, 500])
async def test_answer_with_another_status_is_not_taken_and_not_followed(process: Process, pods: Pods, status: int) -> None:
    pods.answer = saying(SAID, status, Location="/activity")
    seen(process, LIVE, CANDIDATE)
    assert (await requeued(process)).pods.activity == {}
    assert pods.asked == 1


async def test_the_report_of_an_identified_pod_is_accepted(process: Process, pods: Pods) -> None:
    pods.answer = saying(SAID | {"pod": "chat-0"})
    seen(process, LIVE, CANDIDATE)
    assert (await requeued(process)).pods.activity.keys() == {"uid-chat-0"}


async def test_pod_that_never_ends_its_answer_is_given_up(process: Process, pods: Pods) -> None:
    pods.answer = never
    seen(process, LIVE, CANDIDATE)
    assert (await requeued(process)).pods.activity == {}


async def test_slow_pods_hold_up_no_other_namespace(monkeypatch: pytest.MonkeyPatch) -> None:
    async def handle(request: web.Request) -> web.StreamResponse:
        return await (never() if request.host.startswith("127.0.0.1:") else saying(SAID)())

    monkeypatch.setattr(activity, "WITHIN", 600.0)
    news: asyncio.Queue[AppKey] = asyncio.Queue()
    slow = [ObservedPod.of(running(name=f"slow-{number}")) for number in range(2 * AT_ONCE)]
    quick, readings = replace(ObservedPod.of(running(name="quick")), ip="127.0.0.2"), KeptActivity()
    async with served(handle, "0.0.0.0") as port, ActivityReader(lambda: given.NOW, news.put_nowait, port) as reader:
        reader.schedule(("slow", "chat"), KeptActivity(), slow, dict.fromkeys((pod.uid for pod in slow), given.NOW))
        reader.schedule(("quick", "chat"), readings, [quick], {quick.uid: given.NOW})
        async with asyncio.timeout(240):
            assert await news.get() == ("quick", "chat")
    assert readings.answers.keys() == {quick.uid}


async def test_the_report_of_a_pod_that_stops_answering_is_dropped_and_it_is_read_less_often(process: Process, pods: Pods) -> None:
    seen(process, LIVE, CANDIDATE)
    assert (await requeued(process)).pods.activity
    pods.answer = saying(b"", 503)
    readings = process.states.of(KEY).activity
    async with asyncio.timeout(240):
        await process.queue.get()
    process.queue.done(KEY)
    before = readings.requests["uid-chat-0"].at
    assert (await process.observer.observe(KEY)).pods.activity == {}
    assert (readings.requests["uid-chat-0"].at - before).total_seconds() > 1.5


async def test_answer_that_comes_when_the_address_is_another_pods_is_not_taken(process: Process, pods: Pods) -> None:
    requested, go_on = asyncio.Event(), asyncio.Event()

    async def late() -> web.StreamResponse:
        requested.set()
        await go_on.wait()
        return web.json_response(SAID)

    pods.answer = late
    seen(process, LIVE, CANDIDATE)
    await process.observer.observe(KEY)
    await requested.wait()
    process.informers.on_watch_event(PODS, "DELETED", running())
    process.informers.on_watch_event(PODS, "ADDED", running(name="chat-1"))
    await process.observer.observe(KEY)
    go_on.set()
    for _ in ("the watches", "one pod"):
        process.queue.done(await process.queue.get())
    assert (await process.observer.observe(KEY)).pods.activity == {}
    process.queue.done(await process.queue.get())
    assert (await process.observer.observe(KEY)).pods.activity.keys() == {"uid-chat-1"}


async def test_the_whole_history_is_read_only_for_a_revert(process: Process, script: Script, pods: Pods) -> None:
    def watched(made: Manifest) -> None:
        reverts(made)
        given.with_status(trial={"row": "a", "until": "2999-11-24T13:00:00Z"})(made)

    review = {"kind": "SelfSubjectReview", "status": {"userInfo": {"username": "operator"}}}
    script.on("GET", at(ROWS), listed(LIVE)).on("POST", REVIEWS, review)
    seen(process, LIVE, app=watched)
    snapshot = await requeued(process)
    assert (snapshot.ledger.known, snapshot.operator.account) == (False, "")
    assert not [sent for sent in script.sent if sent.path in (at(ROWS), REVIEWS)]
    pods.answer = saying(SAID | {"runs": {"succeeded": 0, "failed": 100, "refused": 0}})
    process.queue.done(await process.queue.get())
    snapshot = await process.observer.observe(KEY)
    assert (snapshot.ledger.known, snapshot.operator.account) == (True, "operator")
    assert (await process.observer.observe(KEY)).operator.account == "operator"
    assert len([sent for sent in script.sent if sent.path in (at(ROWS), REVIEWS)]) == 2, "each once"


async def test_the_author_of_a_row_that_may_revert_is_checked(process: Process, script: Script) -> None:
    made = given.row_manifest(names.revert_row(given.NAME, "a"), given.asking(restores="a"))
    for policy in POLICIES:
        script.on("GET", policy.path("", names.AUTHOR_POLICY), failure(404, "NotFound"))
    script.on("GET", at(ROWS), listed(LIVE, made)).on("POST", REVIEWS, {"status": {"userInfo": {"username": "operator"}}})
    seen(process, LIVE, made)
    assert (await process.observer.observe(KEY)).operator.account == "operator"


def test_a_pod_that_never_answers_is_read_less_and_less_often() -> None:
    """With a thousand such Apps it would be most of the operator's work."""
    readings, now = KeptActivity(), given.NOW
    pauses = []
    for _ in range(14):
        readings.note("uid", None, now)
        pauses.append((readings.retry_at("uid", now) - now).total_seconds())
        now += timedelta(seconds=pauses[-1])
    assert pauses[:4] == [2, 4, 8, 8], "one that takes a while to start is not waited for"
    assert pauses[-3:] == [60, 60, 60]
    readings.note("uid", Activity(now, 1.0, 1.0, 0, False), now)
    assert readings.retry_at("uid", now) == now
