"""Background runs, turns and callbacks get a pod: the gate scales the workload of their pins from 0 to 1, by the journal's counts."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.gate import wakes
from dynamiq_operator.gate.front import FORGOTTEN_AFTER
from dynamiq_operator.gate.wakes import Claimable, claimable, next_of, pause_after
from dynamiq_operator.kube.journal import OpenAnswer, OpenEntry
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.resources import WORKLOADS
from dynamiq_operator.model import names
from tests.support.gate_stage import HOST, NAMESPACE, GateStage
from tests.support.scripted import Reply, Sent, failure
from tests.unit.support.answering import served
from tests.unit.support.open_feed import OpenFeed

OLD, LIVE = "0123456789abcdef", "fedcba9876543210"
FINISHING = names.finishing("chat", OLD[:8])
SCALED = {"metadata": {"name": "any"}, "spec": {"replicas": 1}}
NOON = datetime(2026, 12, 2, 12, tzinfo=UTC)


def entry(pins: str = OLD, app: str = "chat", **counts: Any) -> dict[str, Any]:
    return {"namespace": NAMESPACE, "app": app, "app_uid": f"uid-of-{app}", "pins": pins, "queued": 1, **counts}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVERY", "FIRST_PAUSE", "LONGEST_PAUSE", "PAUSE"):
        monkeypatch.setattr(wakes, name, 0.01)


class Journaled:
    """A gate with a journal. `carried_out`: what the API server answers to a scale."""

    def __init__(self, stage: GateStage, journal: OpenFeed, port: int, token: Path) -> None:
        self.stage, self.journal, self.carried_out = stage, journal, Reply(body=SCALED)
        self._access = RecorderAccess(f"http://{HOST}:{port}", token)

    def scalable(self, *workloads: str, answer: Callable[[Sent], Reply] | None = None) -> None:
        for name in workloads:
            self.stage.script.on("PATCH", WORKLOADS.path(NAMESPACE, name, "scale"), answer or (lambda _sent: self.carried_out))

    async def start(self, **options: Any) -> None:
        await self.stage.start(journal=self._access, **options)

    def woken(self, workload: str = FINISHING) -> int:
        return len(self.stage.wakes(workload))

    async def until_counted(self, wakes: int | None) -> None:
        """Waits until this many wakes of App chat are counted; None: until it has no series."""

        async def is_counted() -> bool:
            return (await self.stage.metrics()).get('dynamiq_gate_woken_total{app="chat",namespace="team"}') == wakes

        await self.stage.until(f"{wakes} wakes are counted", is_counted)

    async def until_woken(self, workload: str = FINISHING, times: int = 1) -> None:
        async def is_woken() -> bool:
            return self.woken(workload) >= times

        await self.stage.until(f"{workload} is woken", is_woken)


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == wakes.__name__ and each.levelno >= logging.WARNING]


@pytest.fixture
async def journaled(stage: GateStage, tmp_path: Path) -> AsyncIterator[Journaled]:
    token, journal = tmp_path / "token", OpenFeed()
    token.write_text("of-the-gate\n")
    async with served(journal.handle) as port:
        yield Journaled(stage, journal, port, token)
        await stage.cut()  # the journal waits for its callers


async def test_queued_runs_of_earlier_pins_wake_the_pods_that_finish_them(journaled: Journaled) -> None:
    journaled.scalable(FINISHING)
    await journaled.start()

    async def is_polled() -> bool:
        return journaled.journal.asked == ["wait=0", "after=1&wait=20"]

    await journaled.stage.until("the gate waits for a change", is_polled)
    journaled.journal.set(entry())
    await journaled.until_woken()
    (sent, *_) = journaled.stage.wakes(FINISHING)
    assert (sent.body, sent.query["fieldManager"]) == ({"spec": {"replicas": 1}}, names.GATE_MANAGER)
    assert journaled.journal.tokens == {"Bearer of-the-gate"}
    await journaled.until_counted(1)


async def test_the_wakes_of_an_app_that_has_no_runs_are_not_counted_for_ever(journaled: Journaled) -> None:
    now = [1000.0]
    journaled.scalable(FINISHING)
    journaled.journal.set(entry())
    await journaled.start(clock=lambda: now[0])
    await journaled.until_counted(1)
    journaled.journal.set()

    async def is_heard() -> bool:
        return journaled.journal.asked[-1] == "after=2&wait=20"

    await journaled.stage.until("the gate knows that it has no runs", is_heard)
    now[0] += FORGOTTEN_AFTER + 1
    journaled.scalable(other := names.finishing("other", OLD[:8]))
    journaled.journal.set(entry(app="other"))
    await journaled.until_woken(other)
    await journaled.until_counted(None)


async def test_runs_of_a_sleeping_apps_own_version_wake_the_app(journaled: Journaled) -> None:
    journaled.stage.asleep(pins=LIVE)
    journaled.scalable("chat", FINISHING)
    journaled.journal.set(entry(LIVE))
    await journaled.start()
    await journaled.until_woken("chat")
    assert journaled.woken() == 0
    before = journaled.woken("chat")
    journaled.journal.set(entry(OLD))
    await journaled.until_woken()
    assert journaled.woken("chat") == before, "its own version has nothing to do"


async def test_an_app_that_an_older_operator_put_to_sleep_is_left_to_the_operator(journaled: Journaled) -> None:
    journaled.stage.asleep()
    journaled.scalable("chat", FINISHING)
    journaled.journal.set(entry())
    await journaled.start()
    await journaled.until_woken()
    assert journaled.woken("chat") == 0


def test_only_queued_runs_without_a_pod_that_asks_wake_and_the_oldest_go_first() -> None:
    def of(pins: str, **counts: Any) -> OpenEntry:
        return OpenEntry(NAMESPACE, "chat", "uid", pins * 16, **counts)

    data = [
        of("1", queued=1),
        of("2", queued=1, due=NOON),
        of("3", queued=1, due=NOON - timedelta(days=3)),
        of("4", queued=1, polled=True),
        of("5", running=1, waiting=2, held=3),
        of("{", queued=1),
    ]
    assert [each.pins[0] for each in claimable(OpenAnswer("1", data))] == ["3", "2", "1"]


async def test_a_turn_wakes_the_pods_of_its_conversations_version(journaled: Journaled) -> None:
    conversing = names.workload("chat", OLD[:8])
    journaled.stage.asleep(pins=LIVE)
    journaled.scalable("chat", FINISHING, conversing)
    journaled.journal.set(entry(queued=0, sessions=1, turns_wait=True))
    await journaled.start()
    await journaled.until_woken(conversing)
    assert (journaled.woken("chat"), journaled.woken(FINISHING)) == (0, 0)
    journaled.journal.set(entry(LIVE, queued=0, sessions=1, turns_wait=True))
    await journaled.until_woken("chat")


async def test_callbacks_wake_the_sleeping_app(journaled: Journaled) -> None:
    journaled.stage.asleep(pins=LIVE)
    journaled.scalable("chat", FINISHING)
    journaled.journal.set(entry(queued=0, callbacks=2))
    await journaled.start()
    await journaled.until_woken("chat")
    assert journaled.woken(FINISHING) == 0


async def test_runs_of_a_version_with_conversations_wake_its_pods_whatever_workload_it_has(journaled: Journaled) -> None:
    conversing = names.workload("chat", OLD[:8])
    journaled.scalable(FINISHING, answer=lambda _sent: failure(404, "NotFound"))
    journaled.scalable(conversing)
    journaled.journal.set(entry(sessions=1))
    await journaled.start()
    await journaled.until_woken(conversing)
    await journaled.until_woken()


def test_turns_and_callbacks_wake_only_without_a_pod_that_takes_them_and_turns_go_first() -> None:
    def of(pins: str, uid: str, **counts: Any) -> OpenEntry:
        return OpenEntry(NAMESPACE, "chat", uid, pins * 16, **counts)

    data = [
        of("1", "a", queued=1, due=NOON),
        of("2", "a", sessions=1, turns_wait=True),
        of("3", "b", sessions=1, turns_wait=True, polled=True),
        of("4", "b", callbacks=1),
        of("5", "c", callbacks=1),
        of("6", "c", sessions=4, recent_sessions=4),
        of("7", "d", queued=1, callbacks=1),
        of("8", "d", polled=True, running=1),
    ]
    assert [(each.pins[0], each.callbacks) for each in claimable(OpenAnswer("1", data))] == [("2", 0), ("1", 0), ("5", 1), ("7", 0)]


def test_repeats_wait_for_pins_that_were_not_tried_yet() -> None:
    one, other, new = (Claimable(OpenEntry(NAMESPACE, "chat", "uid", pins * 16)) for pins in "123")
    one.not_before, other.not_before = 8.0, 7.0
    assert next_of([one, other, new]) is new
    assert next_of([one, other]) is other
    assert next_of([]) is None


def test_a_workload_that_is_scaled_down_each_time_is_woken_more_and_more_rarely() -> None:
    """The operator may need its room for a deploy."""
    assert [pause_after(woken) for woken in range(8)] == [2, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize(
    "answer",
    [failure(404, "NotFound"), failure(422, "Invalid", "denied request: the gate may scale only from 0 to 1"), Reply(cut=True)],
    ids=["missing", "awake", "no answer"],
)
async def test_what_cannot_be_woken_is_tried_again_and_keeps_nothing_else_asleep(
    journaled: Journaled, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, answer: Reply
) -> None:
    monkeypatch.setattr(wakes, "AGAIN_AFTER", 0.01)
    other = names.finishing("other", OLD[:8])
    journaled.carried_out = answer
    journaled.scalable(FINISHING)
    journaled.scalable(other, answer=lambda _sent: Reply(body=SCALED))
    journaled.journal.set(entry(), entry(app="other", due="2026-12-02T12:00:00Z"))
    await journaled.start()
    await journaled.until_woken(other)
    await journaled.until_woken(times=3)
    assert 'dynamiq_gate_woken_total{app="chat",namespace="team"}' not in await journaled.stage.metrics()
    assert len(warnings(caplog)) == (1 if answer.cut else 0), "only a request without an answer is a failure, and it is logged once"
    journaled.journal.set(entry(polled=True), entry("a" * 16))
    journaled.scalable(late := names.finishing("chat", "a" * 8))
    await journaled.until_woken(late)
    before = journaled.woken()
    await journaled.until_woken(late, times=journaled.woken(late) + 3)
    assert journaled.woken() <= before + 1, "a pod asks for its runs: only a request that was under way may come"


async def test_at_most_ten_workloads_are_woken_at_a_time(journaled: Journaled) -> None:
    lock, places, now, most, begun = threading.Lock(), threading.Semaphore(0), 0, 0, 0

    def slow(_sent: Sent) -> Reply:
        nonlocal now, most, begun
        with lock:
            now, begun = now + 1, begun + 1
            most = max(most, now)
        places.acquire(timeout=60)
        with lock:
            now -= 1
        return Reply(body=SCALED)

    pins = [f"{number:016x}"[::-1] for number in range(25)]
    journaled.scalable(*(names.finishing("chat", each[:8]) for each in pins), answer=slow)
    journaled.journal.set(*map(entry, pins))
    await journaled.start()
    for expected in range(10, 26):

        async def have_begun(count: int = expected) -> bool:
            return begun >= count

        await journaled.stage.until(f"{expected} have begun", have_begun)
        await journaled.stage.metrics()  # meanwhile an eleventh would begin
        places.release()
    places.release(25)
    assert most == 10


async def test_a_journal_that_is_away_costs_no_call_and_is_heard_once_it_is_back(
    journaled: Journaled, caplog: pytest.LogCaptureFixture
) -> None:
    port, pod = journaled.stage.asleep(pins=LIVE), await journaled.stage.pod()
    journaled.stage.serving("chat", pod)
    journaled.scalable(FINISHING)
    journaled.journal.set(status=503)
    await journaled.start()

    async def is_asked_again() -> bool:
        return len(journaled.journal.asked) > 2

    await journaled.stage.until("it is asked again", is_asked_again)
    assert warnings(caplog) == ["the journal does not tell which runs wait for a pod: ValueError: the journal answers with status 503"]
    async with journaled.stage.session.post(f"http://{HOST}:{port}/") as answer:
        assert answer.status == 200
    journaled.journal.set(entry())
    await journaled.until_woken()
    journaled.stage.remove(names.gate_slice("chat"))
    await journaled.stage.stop()
    assert journaled.stage.has_ended, "also while it asks the journal"
