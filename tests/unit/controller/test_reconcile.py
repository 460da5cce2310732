"""Reconciling: observe, plan and execute after each change. Failures are retried with backoff, and end no worker."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from dynamiq_operator.controller.reconciling.reconcile import CHANGES_BEFORE_THROTTLING
from dynamiq_operator.kube.resources import APPS, EVENTS, PODS, POLICIES, ROWS, SECRETS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import format_time
from tests.support import factories as given
from tests.support.controller import NAMED, Process, at, stored
from tests.support.scripted import Reply, Script, Sent, failure, listed
from tests.support.waiting import IN_TIME

KEY = (given.NAMESPACE, given.NAME)
STATUS = at(ROWS, "a", "status")
SOON = IN_TIME
ROW = given.row_manifest("a", given.with_meta(creationTimestamp=format_time(datetime.now(UTC) + timedelta(days=1)), generation=1))
"""A waiting row. Its deadline is a day away, however long this process has run."""


@pytest.fixture
def script() -> Script:
    """Returns a script of a cluster whose only object is a row that waits for its App."""
    version = iter(range(10, 1000))
    script = Script().on("POST", at(EVENTS), NAMED)

    def written(sent: Sent) -> dict[str, Any]:
        return stored(ROW, next(version), **sent.body["status"])

    return script.on("PATCH", STATUS, written)


@pytest.fixture
async def leading(process: Process) -> Process:
    process.cache.update(ROWS, given.stored(ROW))
    return await process.lead()


async def next_app(process: Process) -> tuple[str, str]:
    return await asyncio.wait_for(process.queue.get(), SOON)


def is_queued(process: Process) -> bool:
    """Returns True if an App is queued for now."""
    getting = process.queue.get()
    try:
        getting.send(None)
    except StopIteration as ready:
        process.queue.done(ready.value)
        return True
    finally:
        getting.close()
    return False


async def test_change_is_followed_by_another_reconcile_until_there_is_none(leading: Process, script: Script) -> None:
    leading.queue.add(KEY)
    await leading.reconciler.process(await next_app(leading))
    assert script.bodies("PATCH", STATUS)[0]["status"]["phase"] == "Pending"
    await leading.reconciler.process(await next_app(leading))
    assert len(script.bodies("PATCH", STATUS)) == 1, "the cache has the answer to the write, so nothing differs"
    assert not is_queued(leading)


async def test_plan_that_never_ends_is_throttled(leading: Process, script: Script) -> None:
    script.on("PATCH", STATUS, stored(ROW, 1))  # the write leads to nothing
    for _ in range(CHANGES_BEFORE_THROTTLING):
        leading.queue.add(KEY)
        await leading.reconciler.process(await next_app(leading))
    assert not is_queued(leading)
    assert await next_app(leading) == KEY, "a second later"


@pytest.mark.parametrize(
    ("answer", "level", "told"),
    [
        (failure(409, "Conflict", "modified"), "INFO", "another manager"),
        (failure(503, "ServiceUnavailable", "overloaded"), "WARNING", "overloaded"),
        (Reply(cut=True), "WARNING", STATUS),
        (Reply(200, ["no object"]), "WARNING", "not an object"),
        (Reply(200, {"metadata": {"name": "a"}}), "ERROR", "could not be reconciled"),
    ],
)
async def test_reconcile_that_fails_is_logged_and_requeued(
    leading: Process, script: Script, caplog: pytest.LogCaptureFixture, answer: Reply, level: str, told: str
) -> None:
    caplog.set_level("INFO")
    script.on("PATCH", STATUS, answer)
    leading.queue.add(KEY)
    await leading.reconciler.process(await next_app(leading))
    assert [record.levelname for record in caplog.records if told in record.getMessage()] == [level]
    assert not is_queued(leading), "it waits for its backoff"
    assert await next_app(leading) == KEY


async def test_replica_that_no_longer_leads_writes_nothing(leading: Process, script: Script, caplog: pytest.LogCaptureFixture) -> None:
    leading.clock.later(11)
    leading.queue.add(KEY)
    await leading.reconciler.process(await next_app(leading))
    assert script.sent == []
    assert "another replica may lead" in caplog.text


APP_STATUS = at(APPS, given.NAME, "status")


def failure_conditions(script: Script) -> list[dict[str, Any]]:
    """Returns the written ReconcileFailed conditions, in order."""
    written = [body["status"]["conditions"] for body in script.bodies("PATCH", APP_STATUS)]
    return [found for conditions in written for found in conditions if found["type"] == "ReconcileFailed"]


def reasons(script: Script) -> list[str]:
    return [body["reason"] for body in script.bodies("POST", at(EVENTS))]


POD = {
    "metadata": {"name": "p", "labels": {names.APP_LABEL: given.NAME}, "creationTimestamp": "9999-12-31T23:59:59Z"},
    "spec": {"containers": [{"image": "x"}]},
}
"""A pod with the last possible time: adding to it overflows."""


def keep_status(script: Script, app: dict[str, Any]) -> None:
    version = iter(range(100, 1000))
    script.on("PATCH", APP_STATUS, lambda sent: stored(app, next(version), **sent.body["status"]))


async def test_an_unreadable_app_reports_it_once_and_keeps_its_other_status(leading: Process, script: Script) -> None:
    ready = {"type": "Ready", "status": "True", "reason": "Serving", "message": "v1 is live", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    app = given.app_manifest(given.with_spec(workflow=7), given.with_status(conditions=[ready], live={"row": "a"}))
    keep_status(script, app)
    leading.cache.update(APPS, stored(app))
    for _ in range(3):
        leading.queue.add(KEY)
        await leading.reconciler.process(await next_app(leading))
    (written,) = script.bodies("PATCH", APP_STATUS)
    assert set(written["status"]) == {"conditions"}, "all else stays as it is"
    (before, condition) = written["status"]["conditions"]
    assert before == ready
    assert (condition["type"], condition["status"], condition["reason"]) == ("ReconcileFailed", "True", "Unreadable")
    assert "App chat cannot be read" in condition["message"]
    assert "workflow (7)" in condition["message"]
    assert "ReconcileFailed" in reasons(script)
    assert script.bodies("PATCH", STATUS)[0]["status"]["phase"] == "Pending", "its rows wait"


async def test_an_error_of_the_operator_is_reported_once_with_a_reference_into_the_log(
    leading: Process, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """The snapshot itself fails, so the condition does not come from a plan."""
    app = given.app_manifest()
    keep_status(script, app)
    leading.cache.update(APPS, stored(app))
    leading.cache.update(PODS, stored(POD))
    for _ in range(4):
        leading.queue.add(KEY)
        await leading.reconciler.process(await next_app(leading))
    (condition,) = failure_conditions(script)
    assert (condition["status"], condition["reason"]) == ("True", "InternalError")
    (reference,) = re.findall(r"reference (\w+)", condition["message"])
    (logged,) = [record for record in caplog.records if reference in record.getMessage()]
    assert logged.exc_info
    assert reasons(script).count("ReconcileFailed") == 1
    assert not is_queued(leading), "it waits for its backoff"


async def test_plan_that_waits_for_a_time_is_requeued_for_it(leading: Process, script: Script) -> None:
    """The row fails at a deadline without an event: the queue knows the time, and nothing is done before it."""
    leading.queue.add(KEY)
    await leading.reconciler.process(await next_app(leading))
    await leading.reconciler.process(await next_app(leading))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(leading.queue.get(), 0.05)


# Workers.


async def test_workers_begin_with_every_app_and_finish_what_has_begun(leading: Process, script: Script) -> None:
    reconciling, going_on = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def slow(sent: Sent) -> dict[str, Any]:
        loop.call_soon_threadsafe(reconciling.set)
        asyncio.run_coroutine_threadsafe(going_on.wait(), loop).result(SOON)
        return stored(ROW, 50, **sent.body["status"])

    script.on("PATCH", STATUS, slow)
    running = asyncio.create_task(leading.workers.run())
    await asyncio.wait_for(reconciling.wait(), SOON)
    leading.workers.stop()
    await asyncio.sleep(0)  # lets the workers see it
    assert not running.done()
    going_on.set()
    await asyncio.wait_for(running, SOON)
    written = leading.cache.get(ROWS, given.NAMESPACE, "a")
    assert written is not None
    assert written["metadata"]["resourceVersion"] == "50"


async def test_new_leader_drops_what_it_kept_of_each_app(leading: Process) -> None:
    leading.states.of(KEY).uid = "before"
    running = asyncio.create_task(leading.workers.run())
    await asyncio.sleep(0)  # lets it begin
    leading.workers.stop()
    await asyncio.wait_for(running, SOON)
    assert leading.states.of(KEY).uid == ""


async def test_words_that_differ_each_time_are_not_written_each_time(leading: Process, script: Script) -> None:
    """A message of a webhook or a connection may contain a port or an id: each retry would write it, with another Event."""
    app = stored(given.app_manifest(), 5)
    leading.cache.update(APPS, app)
    keep_status(script, app)
    port = iter(range(40_000, 50_000))
    script.on("GET", at(ROWS), listed())
    for policy in POLICIES:
        script.on("GET", policy.path("", names.AUTHOR_POLICY), failure(404, "NotFound"))
    script.on(
        "GET", at(SECRETS, names.access_keys(given.NAME)), lambda _: failure(403, "Forbidden", f"read tcp 10.0.0.1:{next(port)}: reset")
    )
    for _ in range(5):
        leading.queue.add(KEY)
        await leading.reconciler.process(await next_app(leading))
    assert len(failure_conditions(script)) == 1
    assert len(script.bodies("PATCH", APP_STATUS)) == 1
    leading.clock.later(61)
    await leading.election.acquire()
    leading.queue.add(KEY)
    await leading.reconciler.process(await next_app(leading))
    assert len(script.bodies("PATCH", APP_STATUS)) == 2, "after a minute it is said as it is by then"


async def test_an_operation_that_is_reverted_each_time_is_repeated_less_and_less_often(
    leading: Process, script: Script, caplog: pytest.LogCaptureFixture
) -> None:
    """Another controller or a webhook reverses each write: every such App would otherwise cost a write a second for ever."""
    script.on("PATCH", STATUS, stored(ROW, 1))
    leading.queue.add(KEY)
    loop = asyncio.get_running_loop()
    began, times = loop.time(), []
    for _ in range(CHANGES_BEFORE_THROTTLING + 2):
        await leading.reconciler.process(await next_app(leading))
        times.append(loop.time() - began)
    assert times[-1] - times[-2] > 1.3 * (times[-2] - times[-3])
    assert "changed the same" in caplog.text
