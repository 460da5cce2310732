"""The outbox: each notification is delivered, or counted with the reason of its loss. No sink waits for another, and its size is bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta

import pytest
from prometheus_client import CollectorRegistry

from dynamiq_operator.controller.notifications.delivery import Lost, NotDeliveredError
from dynamiq_operator.controller.notifications.notification_metrics import NotificationMetrics
from dynamiq_operator.controller.notifications.outbox import MOST, OF_SINK_MOST, SINKS_MOST, Outbox
from dynamiq_operator.controller.notifications.sinks import SinkRef
from dynamiq_operator.model.policy import SinkFormat
from dynamiq_operator.plan.background.notifications import Notification
from tests.support import factories as given
from tests.support.controller import Clock
from tests.unit.support.sinks import until


def sink(name: str) -> SinkRef:
    return SinkRef(name, name, SinkFormat.CLOUD_EVENTS)


def notified(number: int, app: str = "chat") -> Notification:
    return Notification(f"id-{app}-{number}", "Live", "demo", app, f"row-{number}", given.NOW + timedelta(seconds=number), "is live")


class Sinks:
    """Receivers. `got`: notifications by sink. `says`: the error of a delivery; None if the sink accepts it."""

    def __init__(self) -> None:
        self.got: dict[str, list[str]] = {}
        self.tried: list[str] = []
        self.says: Callable[[SinkRef, Notification], NotDeliveredError | None] = lambda _sink, _notification: None
        self.hangs: set[str] = set()

    async def send(self, to: SinkRef, notification: Notification) -> None:
        self.tried.append(notification.id)
        if to.name in self.hangs:
            await asyncio.Event().wait()
        await asyncio.sleep(0)
        if (error := self.says(to, notification)) is not None:
            raise error
        self.got.setdefault(to.name, []).append(notification.id)


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def sinks() -> Sinks:
    return Sinks()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def outbox(sinks: Sinks, registry: CollectorRegistry, clock: Clock) -> Outbox:
    return Outbox(sinks.send, NotificationMetrics(registry), tried_for=300, clock=clock, pause=lambda _attempts: 0.0)


def lost(registry: CollectorRegistry, name: str, reason: Lost) -> float:
    return registry.get_sample_value("dynamiq_notifications_lost_total", {"sink": name, "reason": reason.value}) or 0.0


def sent(registry: CollectorRegistry, name: str) -> float:
    return registry.get_sample_value("dynamiq_notifications_sent_total", {"sink": name}) or 0.0


async def test_notifications_of_an_app_are_sent_in_order_and_once(outbox: Outbox, sinks: Sinks, registry: CollectorRegistry) -> None:
    for number in range(20):
        outbox.add([sink("a"), sink("b")], notified(number))
        outbox.add([sink("a")], notified(number))  # as after a plan that was made twice
    await outbox.flushed(5)
    assert sinks.got == {name: [f"id-chat-{number}" for number in range(20)] for name in ("a", "b")}
    assert (sent(registry, "a"), outbox.count, outbox.oldest) == (20, 0, None)


async def test_a_sink_that_hangs_holds_up_no_other(outbox: Outbox, sinks: Sinks) -> None:
    sinks.hangs = {"dead"}
    for number in range(50):
        outbox.add([sink("dead"), sink("well")], notified(number, f"app-{number}"))
    await until("the others are told", lambda: len(sinks.got.get("well", ())) == 50)
    assert outbox.count == 50
    assert outbox.oldest == given.NOW, "what has not been told the longest"
    assert await outbox.drop() == 50
    assert outbox.count == 0


async def test_a_replica_that_leads_again_repeats_only_dropped_notifications(outbox: Outbox, sinks: Sinks) -> None:
    outbox.add([sink("a")], notified(1))
    await outbox.flushed(5)
    sinks.hangs = {"a"}
    outbox.add([sink("a")], notified(2))
    assert await outbox.drop() == 1
    sinks.hangs = set()
    for number in (1, 2):
        outbox.add([sink("a")], notified(number))
    await outbox.flushed(5)
    assert sinks.got["a"] == ["id-chat-1", "id-chat-2"]


async def test_a_failed_notification_is_retried_before_later_ones(outbox: Outbox, sinks: Sinks) -> None:
    failures = iter([NotDeliveredError(Lost.STATUS, "it answered 503")] * 3)
    sinks.says = lambda _sink, _notification: next(failures, None)
    for number in range(3):
        outbox.add([sink("a")], notified(number))
    await outbox.flushed(5)
    assert sinks.got["a"] == ["id-chat-0", "id-chat-1", "id-chat-2"]
    assert sinks.tried.count("id-chat-0") == 4


async def test_a_refused_notification_is_counted_and_not_retried(outbox: Outbox, sinks: Sinks, registry: CollectorRegistry) -> None:
    sinks.says = lambda _sink, _notification: NotDeliveredError(Lost.REFUSED, "it answered 404", again=False)
    outbox.add([sink("a")], notified(1))
    await outbox.flushed(5)
    assert (len(sinks.tried), lost(registry, "a", Lost.REFUSED), sent(registry, "a")) == (1, 1, 0)


async def test_after_a_time_it_is_given_up_with_why_it_failed_last_and_so_is_what_waited_behind_it(
    outbox: Outbox, sinks: Sinks, registry: CollectorRegistry, clock: Clock
) -> None:
    def fails(_sink: SinkRef, notification: Notification) -> NotDeliveredError:
        clock.later(301 if sinks.tried.count(notification.id) == 3 else 0)
        return NotDeliveredError(Lost.UNREACHABLE, "it cannot be reached")

    sinks.says = fails
    for number in range(5):
        outbox.add([sink("a")], notified(number))
    await outbox.flushed(5)
    assert lost(registry, "a", Lost.UNREACHABLE) == 5
    assert set(sinks.tried) == {"id-chat-0"}, "what is too late is not tried: it would take its time for each"


async def test_the_outbox_is_bounded_and_counts_what_it_drops(outbox: Outbox, sinks: Sinks, registry: CollectorRegistry) -> None:
    sinks.hangs = {f"dead-{number}" for number in range(10)}
    for number in range(OF_SINK_MOST + 7):
        outbox.add([sink("dead-0")], notified(number, f"app-{number}"))
    assert (outbox.count, lost(registry, "dead-0", Lost.FULL)) == (OF_SINK_MOST, 7)
    for name in sorted(sinks.hangs):
        for number in range(OF_SINK_MOST):
            outbox.add([sink(name)], notified(number, f"more-{number}"))
    assert outbox.count == MOST
    counted = sum(lost(registry, name, Lost.FULL) for name in sinks.hangs)
    assert counted + MOST == OF_SINK_MOST + 7 + 10 * OF_SINK_MOST
    await outbox.drop()


@pytest.mark.parametrize(("full", "to"), [(1, "sink-0"), (5, "sink-5")], ids=["of a sink", "of all"])
async def test_the_namespace_that_has_most_makes_room_for_others(
    outbox: Outbox, sinks: Sinks, registry: CollectorRegistry, full: int, to: str
) -> None:
    sinks.hangs = {f"sink-{number}" for number in range(6)}
    for name in range(full):
        for number in range(OF_SINK_MOST):
            outbox.add([sink(f"sink-{name}")], notified(number, f"loud-{number}"))
    held, quiet = outbox.count, [replace(notified(number, "quiet"), namespace="quiet") for number in range(3)]
    for each in quiet:
        outbox.add([sink(to)], each)
    assert (outbox.count, sum(lost(registry, name, Lost.FULL) for name in sinks.hangs)) == (held, 3)
    assert await got_after(outbox, sinks, to, quiet) == [each.id for each in quiet]


async def test_a_warning_takes_the_place_of_a_row_that_waits_and_of_nothing_else(
    outbox: Outbox, sinks: Sinks, registry: CollectorRegistry
) -> None:
    sinks.hangs = {"a"}
    for number in range(OF_SINK_MOST):
        outbox.add([sink("a")], replace(notified(number), reason="Waiting" if number < 3 else "Live"))
    await until("the first is under way", lambda: sinks.tried == ["id-chat-0"])
    warnings = [replace(notified(number, "failed"), reason="Failed", warning=True) for number in range(3)]
    for each in warnings:
        outbox.add([sink("a")], each)
    assert (outbox.count, lost(registry, "a", Lost.FULL)) == (OF_SINK_MOST, 3)
    assert await got_after(outbox, sinks, "a", warnings) == ["id-failed-0", "id-failed-1"], (
        "the row that waits and is told now keeps its place"
    )


async def got_after(outbox: Outbox, sinks: Sinks, name: str, again: list[Notification]) -> list[str]:
    """Returns the notifications that the sink got after the outbox was dropped and these were added again."""
    await outbox.drop()
    sinks.hangs = set()
    for each in again:
        outbox.add([sink(name)], each)
    await outbox.flushed(5)
    return sinks.got.get(name, [])


async def test_sinks_beyond_the_limit_are_not_notified_and_counted(outbox: Outbox, sinks: Sinks, registry: CollectorRegistry) -> None:
    names = [f"sink-{number}" for number in range(SINKS_MOST + 1)]
    sinks.hangs = set(names)
    outbox.add(map(sink, names), notified(1))
    assert (outbox.count, lost(registry, names[-1], Lost.FULL)) == (SINKS_MOST, 1)
    await outbox.drop()


async def test_a_bug_of_ours_costs_one_notification_and_not_those_behind_it(
    outbox: Outbox, sinks: Sinks, registry: CollectorRegistry
) -> None:
    def breaks(_sink: SinkRef, notification: Notification) -> NotDeliveredError | None:
        if notification.row == "row-1":
            raise KeyError("a bug")
        return None

    sinks.says = breaks
    for number in range(3):
        outbox.add([sink("a")], notified(number))
    await outbox.flushed(5)
    assert (sinks.got["a"], lost(registry, "a", Lost.INTERNAL)) == (["id-chat-0", "id-chat-2"], 1)


async def test_every_reason_has_its_series_before_anything_is_lost(outbox: Outbox, registry: CollectorRegistry) -> None:
    outbox.add([sink("a")], notified(1))
    await outbox.flushed(5)
    assert all(
        registry.get_sample_value("dynamiq_notifications_lost_total", {"sink": "a", "reason": reason.value}) == 0 for reason in Lost
    ), "an alert on an increase needs the series from the start"


async def test_a_slow_sink_gets_each_namespace_in_turn(outbox: Outbox, sinks: Sinks, clock: Clock) -> None:
    """A sink with hundreds of another namespace's notifications would otherwise delay these until they expire."""
    sinks.says = lambda _sink, _notification: clock.later(1)
    for number in range(400):
        outbox.add([sink("a")], replace(notified(number, f"loop-{number % 20}"), namespace="evil"))
    for number in range(3):
        outbox.add([sink("a")], notified(number))
    await outbox.flushed(5)
    assert [each for each in sinks.got["a"][:40] if "chat" in each] == ["id-chat-0", "id-chat-1", "id-chat-2"]
    of_app = [each for each in sinks.got["a"] if each.startswith("id-loop-7-")]
    assert of_app == [f"id-loop-7-{number}" for number in range(7, 400, 20)][: len(of_app)], "in their order"
