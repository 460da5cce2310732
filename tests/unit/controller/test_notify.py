"""The operator notifies sinks of its changes, reads their Secrets in its own namespace, and continues where the previous leader ended."""

from __future__ import annotations

import asyncio
import base64
import ipaddress
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from dynamiq_operator.controller.defaults import TRIED_FOR
from dynamiq_operator.controller.notifications.secrets import SECRET_KEPT
from dynamiq_operator.controller.notifications.sinks import OF_OPERATOR, SinkRef
from dynamiq_operator.controller.notifications.takeover import Mark
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import APPS, EVENTS, ROWS, SECRETS, SLICES
from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.model.policy import SinkFormat
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan import operations
from dynamiq_operator.plan.observed.open_runs import OpenCount, OpenRuns
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given
from tests.support.controller import LEASE, SYSTEM, Process, at, stored
from tests.support.scripted import Reply, Script, failure, listed
from tests.unit.support.answering import saying
from tests.unit.support.sinks import Receiver, receiving, until

SECRET = SECRETS.path(SYSTEM, "bus")
KEY = (given.NAMESPACE, given.NAME)
LOOPBACK = (ipaddress.ip_network("127.0.0.0/8"),)
LOST, SENT = "dynamiq_notifications_lost_total", "dynamiq_notifications_sent_total"


def secret(url: str, **more: str) -> dict[str, Any]:
    data = {name: base64.b64encode(text.encode()).decode() for name, text in {"url": url, **more}.items()}
    return stored({"metadata": {"name": "bus", "namespace": SYSTEM}, "data": data})


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving(Receiver()) as made:
        yield made


@pytest.fixture
def script(receiver: Receiver) -> Script:
    made = Script().on("GET", SECRET, secret(f"http://127.0.0.2:{receiver.port}/"))
    return made.on("GET", SLICES.path("default", "kubernetes"), failure(404, "NotFound"))


@pytest.fixture
def process(client: Client, script: Script) -> Process:
    return Process(client, script, sink=SinkRef(OF_OPERATOR, "bus", SinkFormat.CLOUD_EVENTS), sinks_in=LOOPBACK)


def ending(name: str = "a", sequence: int = 1) -> operations.Plan:
    """Returns a plan that ends a row, with its Event and its notification."""
    row = given.a_row(name, given.progressing(sequence))
    outcome = given.a_row(name, given.failed(sequence)).outcome
    assert outcome is not None
    group = operations.Group("row", (*events.ended(given.an_app(), row, outcome), operations.EndRow(row, outcome)))
    return operations.Plan((group,))


SEEN = Snapshot(*KEY, given.NOW, Settings(), app=given.an_app())


async def end(process: Process, script: Script, name: str = "a", sequence: int = 1) -> None:
    """Ends a row as the operator."""
    script.on("POST", at(EVENTS), stored({"metadata": {"name": "any"}}))
    script.on("PATCH", at(ROWS, name), stored(given.row_manifest(name, given.failed(sequence)), 9))
    with process.notifier.during(SEEN) as tell:
        assert not await process.executor.execute(KEY, ending(name, sequence), tell)


async def until_notified(receiver: Receiver, count: int) -> None:
    await until(f"{count} are told", lambda: len(receiver.got) >= count)


async def test_an_operation_is_notified_after_it_succeeded(process: Process, script: Script, receiver: Receiver) -> None:
    await process.lead()
    script.on("POST", at(EVENTS), stored({"metadata": {"name": "any"}}))
    script.on("PATCH", at(ROWS, "a"), failure(409, "Conflict"), stored(given.row_manifest("a", given.failed(1)), 9))
    plan = ending()
    for _ in range(2):
        with process.notifier.during(SEEN) as tell:
            await process.executor.execute(KEY, plan, tell)
    await until_notified(receiver, 1)
    (event,) = receiver.events
    assert (event["type"], event["subject"]) == ("ai.dynamiq.deployment.failed", "a")


async def test_questions_of_background_runs_are_notified_of_once(process: Process, receiver: Receiver) -> None:
    await process.lead()
    finishing = {"row": "a", "sequence": 1, "version": "v1", "pins": "0123456789abcdef", "waiting": 1}
    counts = {"01234567": OpenCount(waiting=1, questions=1, asked=given.NOW)}
    seen = replace(SEEN, app=given.an_app(given.with_status(finishing=[finishing])), open_runs=OpenRuns(counts, known_since=given.NOW))
    for _ in range(2):
        process.notifier.note_questions(seen)
    await until_notified(receiver, 1)
    (event,) = receiver.events
    assert (event["type"], event["subject"], event["data"]["questions"]) == ("ai.dynamiq.run.waiting", "a", 1)


async def test_with_no_sink_nothing_is_made_and_nothing_is_read(client: Client, script: Script) -> None:
    process = Process(client, script)
    await process.lead()
    with process.notifier.during(SEEN) as tell:
        assert tell is None
    assert not process.notifier.notes()
    assert not script.sent


async def test_a_changed_secret_counts_within_a_minute(process: Process, script: Script, receiver: Receiver) -> None:
    await process.lead()
    async with receiving(Receiver()) as other:
        script.on("GET", SECRET, secret(f"http://127.0.0.2:{receiver.port}/"), secret(f"http://127.0.0.2:{other.port}/"))
        await end(process, script)
        await until_notified(receiver, 1)
        await end(process, script, "b", 2)
        await until_notified(receiver, 2)
        assert SECRET_KEPT < 60
        assert len([each for each in script.sent if each.path == SECRET]) == 1
        process.clock.later(SECRET_KEPT)
        await process.lead()
        await end(process, script, "c", 3)
        await until_notified(other, 1)


async def test_the_lease_has_the_time_of_the_last_notification_without_an_own_request(
    process: Process, script: Script, receiver: Receiver
) -> None:
    await process.lead()
    process.notifier.begin({})
    await asyncio.sleep(0)
    await end(process, script)
    await until_notified(receiver, 1)
    await until("nothing waits", lambda: process.notifier.notes().get(names.TOLD_ANNOTATION, "").endswith(" 0"))
    script.on("GET", LEASE, stored({"metadata": {"name": "dynamiq-operator"}, "spec": {"holderIdentity": "replica-a"}}))
    script.on("PUT", LEASE, lambda sent: sent.body)
    script.sent.clear()
    await process.election.acquire()
    assert [each.method for each in script.sent] == ["GET", "PUT"]
    assert Mark.of(process.election.annotations[names.TOLD_ANNOTATION]) is not None


async def test_the_next_leader_sends_the_unsent_notifications_of_the_former_one(
    process: Process, script: Script, receiver: Receiver
) -> None:
    """A row that went live is in the cache. A failed one is not: its App's status names it."""
    now = process.client.now()
    _two_rows(process, script, now - timedelta(seconds=90), now - timedelta(seconds=30))
    process.notifier.begin({names.TOLD_ANNOTATION: f"{format_time(now - timedelta(seconds=60))} 2"})
    await until_notified(receiver, 1)
    assert [(each["subject"], each["type"]) for each in receiver.events] == [("b", "ai.dynamiq.deployment.failed")]
    registry = process.metrics.registry
    assert registry.get_sample_value(LOST, {"sink": "*", "reason": "restart"}) == 1, (
        "of two that waited one was found: the other is counted"
    )


async def test_a_note_that_is_weeks_old_repeats_no_notification(process: Process, script: Script, receiver: Receiver) -> None:
    """An older operator, which notifies nobody, led meanwhile."""
    now = process.client.now()
    _two_rows(process, script, now - timedelta(days=20), now - timedelta(days=10))
    process.notifier.begin({names.TOLD_ANNOTATION: f"{format_time(now - timedelta(days=30))} 0"})
    await until("the next note can be made", lambda: process.notifier.notes())
    assert not receiver.got


def _two_rows(process: Process, script: Script, one: datetime, other: datetime) -> None:
    """Adds row `a`, live at `one`, and row `b`, failed at `other`. A failed row of a deleted App of the same name is being collected."""
    rows = [given.stored(_row("a", given.live(1), one)), given.stored(_row("b", given.failed(2, "v2"), other))]
    app = given.app_manifest(given.with_status(failed={"row": "b", "sequence": 2, "reason": "no pod became Ready"}))
    process.cache.update(APPS, stored(app))
    process.cache.update(ROWS, rows[0] | {"metadata": {**rows[0]["metadata"], "resourceVersion": "5"}})
    before = given.stored(_row("of-before", given.failed(7, "v2"), other))
    before["metadata"]["ownerReferences"] = [ownership.reference(given.NAME, "uid-before")]
    script.on("GET", at(ROWS, "b"), rows[1]).on("GET", at(ROWS), listed(*rows, before))


def _row(name: str, modify: given.Modifier, ended: datetime) -> dict[str, Any]:
    def later(made: dict[str, Any]) -> None:
        made["spec"]["outcome"]["at"] = format_time(ended)

    return given.row_manifest(name, modify, later)


async def test_a_lease_with_no_note_or_an_invalid_one_repeats_no_notification(process: Process, script: Script) -> None:
    await process.lead()
    for said in ({}, {names.TOLD_ANNOTATION: "soon"}, {names.TOLD_ANNOTATION: "2026-01-01T00:00:00Z many"}):
        process.notifier.begin(said)
        await asyncio.sleep(0)
    assert not script.sent


async def test_the_end_waits_for_what_is_quick_and_not_for_what_hangs(process: Process, script: Script, receiver: Receiver) -> None:
    await process.lead()
    await end(process, script)
    await process.notifier.close()
    assert len(receiver.got) == 1
    receiver.answer = saying(status=503)
    assert TRIED_FOR > 60
    await end(process, script, "b", 2)
    async with asyncio.timeout(240):
        await process.notifier.close()


async def test_a_missing_secret_is_logged_without_contents_and_delivery_follows_when_it_exists(
    process: Process, script: Script, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    await process.lead()
    script.on("GET", SECRET, failure(404, "NotFound"), Reply(200, secret(f"http://127.0.0.2:{receiver.port}/t0psecret")))
    await end(process, script)
    await until("the log says what is missing", lambda: "Secret bus" in caplog.text)
    process.clock.later(SECRET_KEPT)
    await until_notified(receiver, 1)
    assert "t0psecret" not in caplog.text
    assert process.metrics.registry.get_sample_value(SENT, {"sink": OF_OPERATOR}) in (0, 1)
