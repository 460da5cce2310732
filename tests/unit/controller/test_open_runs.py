"""The operator reads the journal's counts in the background. A count that it does not know is never taken for none."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from dynamiq_operator.controller.background import open_runs
from dynamiq_operator.controller.background.open_runs import AWAY, OpenRunsReader
from dynamiq_operator.desired.pin_labels import stored_digest
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.journal import OpenAnswer, OpenEntry
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.resources import APPS, PODS, ROWS
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.observed.open_runs import OpenCount, PodLimit
from tests.support import factories as given
from tests.support.controller import Process, at
from tests.support.scripted import Script, listed
from tests.unit.support.answering import served
from tests.unit.support.open_feed import OpenFeed

KEY = (given.NAMESPACE, given.NAME)
APP = given.an_app().meta.uid
PINS = "0123456789abcdef"
LABEL = PINS[:8]
URL = "http://127.0.0.1:{}"


def entry(pins: str = PINS, uid: str = APP, **counts: Any) -> dict[str, Any]:
    return {"namespace": given.NAMESPACE, "app": given.NAME, "app_uid": uid, "pins": pins, **counts}


class Clock:
    def __init__(self) -> None:
        self.moment = 0.0

    def __call__(self) -> float:
        return self.moment


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("EVERY", "FIRST_PAUSE", "LONGEST_PAUSE"):
        monkeypatch.setattr(open_runs, name, 0.01)


class Reading:
    """A reader, its journal, and the Apps that it requeued."""

    def __init__(self, token: Path, port: int, journal: OpenFeed) -> None:
        self.journal, self.clock, self.requeued = journal, Clock(), list[tuple[str, str]]()
        self.now = given.NOW
        self.reader = OpenRunsReader(self.requeued.append, lambda: self.now, RecorderAccess(URL.format(port), token), self.clock)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():  # noqa: ASYNC110 - what it waits for sets no event
                await asyncio.sleep(0.005)


@pytest.fixture
async def reading(tmp_path: Path) -> AsyncIterator[Reading]:
    token, journal = tmp_path / "token", OpenFeed(entry(queued=2, waiting=1, polled=True))
    token.write_text("of-the-operator\n")
    async with served(journal.handle) as port:
        made = Reading(token, port, journal)
        task = asyncio.create_task(made.reader.run())
        yield made
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


async def test_counts_are_unknown_until_the_first_answer_and_known_from_then_on(reading: Reading) -> None:
    assert not reading.reader.of(APP).is_known
    await reading.until(lambda: bool(reading.requeued))
    known = reading.reader.of(APP)
    assert (known.is_known, known.of(LABEL)) == (True, OpenCount(queued=2, waiting=1, polled=True))
    assert known.digests == {LABEL: PINS}
    assert reading.requeued == [KEY]
    assert reading.journal.tokens == {"Bearer of-the-operator"}
    await reading.until(lambda: len(reading.journal.asked) == 2)
    assert reading.journal.asked == ["wait=0", "after=1&wait=20"]
    other = reading.reader.of("another")
    assert other.none_since(LABEL) == given.NOW, "known, and none"


async def test_an_app_is_requeued_for_what_may_change_a_decision_and_not_for_each_run(reading: Reading) -> None:
    await reading.until(lambda: len(reading.requeued) == 1)
    reading.journal.set(entry(queued=7, waiting=3, polled=True))
    await reading.until(lambda: reading.reader.of(APP).of(LABEL).queued == 7)
    assert len(reading.requeued) == 1
    reading.journal.set(entry(queued=0, waiting=3, polled=True))
    await reading.until(lambda: len(reading.requeued) == 2)


async def test_an_app_is_requeued_for_its_first_question(reading: Reading) -> None:
    await reading.until(lambda: len(reading.requeued) == 1)
    reading.journal.set(entry(queued=2, waiting=1, polled=True, questions=1, waiting_since="2026-11-24T12:00:00.000000Z"))
    await reading.until(lambda: len(reading.requeued) == 2)
    count = reading.reader.of(APP).of(LABEL)
    assert (count.questions, count.asked) == (1, parse_time("2026-11-24T12:00:00Z"))


async def test_an_app_is_requeued_when_another_number_of_pods_is_needed(reading: Reading) -> None:
    await reading.until(lambda: len(reading.requeued) == 1)
    reading.reader.limit(APP, {PINS: PodLimit(runs=4, most=3)})
    for queued, requeued in ((4, 1), (5, 2), (8, 2), (9, 3), (100, 3)):
        reading.journal.set(entry(queued=queued, waiting=1, polled=True))
        await reading.until(lambda: reading.reader.of(APP).of(LABEL).queued == queued)  # noqa: B023 - used before the next one
        assert len(reading.requeued) == requeued


async def test_it_is_known_since_when_fewer_pods_are_needed(reading: Reading) -> None:
    await reading.until(lambda: len(reading.requeued) == 1)
    reading.reader.limit(APP, {PINS: PodLimit(runs=4, most=3)})
    for later, queued, running in ((0, 9, 0), (90, 3, 1), (120, 0, 0)):
        reading.now = given.NOW + timedelta(seconds=later)
        reading.journal.set(entry(queued=queued, running=running, waiting=1))
        await reading.until(lambda: reading.reader.of(APP).of(LABEL).active == queued + running)  # noqa: B023 - used before the next one
    known = reading.reader.of(APP)
    assert [known.fewer_since(LABEL, pods) for pods in (1, 2, 3)] == [given.NOW + timedelta(seconds=each) for each in (120, 90, 90)]


async def test_turns_and_callbacks_that_wait_for_a_pod_are_known_and_requeue_their_app(reading: Reading) -> None:
    await reading.until(lambda: len(reading.requeued) == 1)
    reading.journal.set(entry(sessions=1, turns_wait=True))
    await reading.until(lambda: reading.reader.of(APP).talks_of(LABEL).turns_wait)
    assert KEY in reading.requeued[1:]
    reading.journal.set(entry(callbacks=1))
    await reading.until(lambda: reading.reader.of(APP).callbacks_wait)
    assert not reading.reader.of(APP).talks_of(LABEL).turns_wait
    reading.journal.set(entry(callbacks=1), entry("f" * 16, queued=1, polled=True))
    await reading.until(lambda: not reading.reader.of(APP).callbacks_wait)


async def test_each_answer_is_heard_by_who_asked_for_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("of-the-operator\n")
    heard: list[OpenAnswer] = []
    async with served(OpenFeed(entry(queued=1)).handle) as port:
        access = RecorderAccess(URL.format(port), tmp_path / "token")
        task = asyncio.create_task(OpenRunsReader(print, lambda: given.NOW, access, hear=heard.append).run())
        async with asyncio.timeout(30):
            while not heard:  # noqa: ASYNC110 - what it waits for sets no event
                await asyncio.sleep(0.005)
        task.cancel()
    assert [each.pins for each in heard[0].data] == [PINS]


async def test_pins_whose_last_run_ended_are_known_to_have_none_since_then(reading: Reading) -> None:
    await reading.until(lambda: len(reading.requeued) == 1)
    reading.now = given.NOW + timedelta(seconds=90)
    reading.journal.set()
    await reading.until(lambda: len(reading.requeued) == 2)
    assert reading.reader.of(APP).none_since(LABEL) == reading.now


async def test_while_the_journal_is_away_counts_stay_and_are_unknown(reading: Reading) -> None:
    await reading.until(lambda: len(reading.requeued) == 1)
    reading.journal.set(status=503)
    asked = len(reading.journal.asked)
    await reading.until(lambda: len(reading.journal.asked) > asked + 2)
    assert reading.reader.of(APP).is_known, "a restart takes some seconds"
    reading.clock.moment += AWAY
    await reading.until(lambda: len(reading.requeued) == 2)
    away = reading.reader.of(APP)
    assert (away.is_known, away.of(LABEL).queued, away.none_since("ffffffff")) == (False, 2, None)
    reading.now = given.NOW + timedelta(seconds=300)
    reading.journal.set(entry(queued=2, waiting=1, polled=True))
    await reading.until(lambda: len(reading.requeued) == 3)
    assert reading.reader.of(APP).known_since == reading.now


async def test_an_app_is_requeued_for_its_conversations_and_not_for_each_turn(reading: Reading) -> None:
    reading.journal.set(entry(sessions=3, recent_sessions=1))
    await reading.until(lambda: reading.reader.of(APP).talks_of(LABEL).total == 3)
    reading.reader.limit(APP, {PINS: PodLimit(talks=10)})
    before = len(reading.requeued)
    for recent, waits, requeued in ((10, False, 0), (11, False, 1), (20, False, 1), (20, True, 2), (0, False, 3)):
        reading.journal.set(entry(sessions=30 + recent, recent_sessions=recent, turns_wait=waits))
        await reading.until(lambda: reading.reader.of(APP).talks_of(LABEL).recent == recent)  # noqa: B023 - used before the next one
        await reading.until(lambda: reading.reader.of(APP).talks_of(LABEL).turns_wait == waits)  # noqa: B023 - used before the next one
        assert len(reading.requeued) - before == requeued


async def test_turns_on_the_live_version_requeue_no_app(reading: Reading) -> None:
    reading.journal.set(entry(sessions=3, recent_sessions=1))
    await reading.until(lambda: reading.reader.of(APP).talks_of(LABEL).total == 3)
    before = len(reading.requeued)
    reading.journal.set(entry(sessions=9000, recent_sessions=9000))
    await reading.until(lambda: reading.reader.of(APP).talks_of(LABEL).total == 9000)
    assert len(reading.requeued) == before


async def test_it_is_known_until_when_pins_had_more_turns_and_since_when_they_have_no_conversation(reading: Reading) -> None:
    await reading.until(lambda: len(reading.requeued) == 1)
    for later, total, recent in ((0, 9, 9), (30, 9, 4), (60, 9, 6), (90, 2, 1), (120, 0, 0)):
        reading.now = given.NOW + timedelta(seconds=later)
        reading.journal.set(*([entry(sessions=total, recent_sessions=recent)] if total else []))
        await reading.until(lambda: reading.reader.of(APP).talks_of(LABEL).recent == recent)  # noqa: B023 - used before the next one
    talks = reading.reader.of(APP).talks_of(LABEL)
    since = [talks.most_since(given.NOW + timedelta(seconds=each)) for each in (0, 30, 60, 90, 120)]
    assert (since, talks.ended) == ([9, 6, 6, 1, 0], given.NOW + timedelta(seconds=120))
    reading.now += timedelta(minutes=10)
    reading.journal.set(entry("ffffffffffffffff", sessions=1))
    await reading.until(lambda: LABEL not in reading.reader.of(APP).talks)


async def test_apps_with_conversations_alone_are_requeued_when_the_journal_leaves_and_returns(reading: Reading) -> None:
    reading.journal.set(entry(sessions=3, recent_sessions=1))
    await reading.until(lambda: reading.reader.of(APP).talks_of(LABEL).total == 3)
    before = len(reading.requeued)
    reading.journal.set(status=503)
    reading.clock.moment += 1
    asked = len(reading.journal.asked)
    await reading.until(lambda: len(reading.journal.asked) > asked + 1)
    reading.clock.moment += AWAY
    await reading.until(lambda: len(reading.requeued) == before + 1)
    assert (reading.reader.of(APP).is_known, reading.reader.of(APP).talks_of(LABEL).total) == (False, 3)
    reading.journal.set(entry(sessions=3, recent_sessions=1))
    await reading.until(lambda: len(reading.requeued) == before + 2)


@pytest.mark.parametrize("wrong", [entry("{x}", queued=1), entry(queued=-1), entry(queued=0)], ids=["pins", "negative", "none open"])
async def test_entries_that_no_journal_of_ours_writes_decide_nothing(reading: Reading, wrong: dict[str, Any]) -> None:
    await reading.until(lambda: len(reading.requeued) == 1)
    reading.journal.set(wrong)
    await reading.until(lambda: len(reading.requeued) == 2)
    assert reading.reader.of(APP).counts == {}


async def test_without_a_journal_nothing_is_known_and_the_reader_never_ends() -> None:
    reader = OpenRunsReader(lambda _: None, lambda: given.NOW)
    task = asyncio.create_task(reader.run())
    await asyncio.sleep(0.02)
    assert (task.done(), reader.of(APP).is_known) == (False, False)
    task.cancel()


# What an observation makes of it.


@pytest.fixture
def process(client: Client, script: Script) -> Process:
    return Process(client, script, settings=Settings(journal="http://journal.journal.svc"))


def finishing_pod() -> Manifest:
    labels = {**names.finishing_labels(given.NAME), names.PINS_LABEL: LABEL}
    meta = {"name": "p", "namespace": given.NAMESPACE, "uid": "p", "resourceVersion": "9", "labels": labels}
    return {"metadata": meta, "spec": {"containers": []}, "status": {}}


async def test_pods_that_finish_are_the_apps_and_apart_from_those_of_callers(process: Process) -> None:
    process.informers.on_watch_event(APPS, "ADDED", given.stored(given.app_manifest(given.public())))
    process.queue.done(await process.queue.get())
    process.informers.on_watch_event(PODS, "ADDED", finishing_pod())
    assert await process.queue.get() == KEY, "its changes reconcile the App"
    snapshot = await process.observer.observe(KEY)
    assert ([pod.name for pod in snapshot.pods.finishing], snapshot.pods.observed) == (["p"], ())


async def test_the_row_of_pins_that_nothing_names_is_searched_for_once(process: Process, script: Script) -> None:
    row = given.stored(given.row_manifest("old", given.live(1)))
    digest = stored_digest(row["spec"]["pinned"])
    script.on("GET", at(ROWS), listed(row))
    answer = OpenAnswer("1", [OpenEntry(given.NAMESPACE, given.NAME, APP, digest, queued=1)])
    process.open_runs._take(answer)
    process.informers.on_watch_event(APPS, "ADDED", given.stored(given.app_manifest(given.public())))
    for _ in range(2):
        snapshot = await process.observer.observe(KEY)
        assert [row.name for row in snapshot.open_runs.rows.values()] == ["old"]
    assert [sent.path for sent in script.sent] == [at(ROWS)]


async def test_once_an_app_was_observed_it_is_requeued_when_its_earlier_version_needs_another_pod(process: Process, script: Script) -> None:
    row = given.stored(given.row_manifest("old", given.live(1)))
    script.on("GET", at(ROWS), listed(row))
    process.informers.on_watch_event(APPS, "ADDED", given.stored(given.app_manifest(given.public())))
    process.queue.done(await process.queue.get())
    reads = {
        queued: OpenEntry(given.NAMESPACE, given.NAME, APP, stored_digest(row["spec"]["pinned"]), queued=queued) for queued in (2, 16, 17)
    }
    process.open_runs._take(OpenAnswer("1", [reads[2]]))
    process.queue.done(await process.queue.get())
    await process.observer.observe(KEY)
    process.open_runs._take(OpenAnswer("2", [reads[16]]))
    assert process.queue.depth == 0, "one pod has 16 of them"
    process.open_runs._take(OpenAnswer("3", [reads[17]]))
    assert process.queue.depth == 1
