"""The operator tells the journal where conversations belong, until the journal's feed has that placement."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from dynamiq_operator.controller.background import placing
from dynamiq_operator.controller.background.placing import KeptPlacing, PlacementWriter
from dynamiq_operator.controller.background.reader import Pauses
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.journal import OpenAnswer, PlacedApp
from dynamiq_operator.kube.recorder_access import RecorderAccess
from dynamiq_operator.kube.resources import APPS
from dynamiq_operator.model.journal import placement_digest
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.observed.moved import MovedSessions
from dynamiq_operator.plan.workloads.placement import Placing
from tests.support import factories as given
from tests.support.controller import Process
from tests.support.counting_journal import CountingJournal
from tests.support.scripted import HttpServer, Script
from tests.unit.support.answering import served

KEY, UID = (given.NAMESPACE, given.NAME), given.an_app().meta.uid
OLD, LIVE = "0123456789abcdef", "fedcba9876543210"


def placement(*closed: str) -> Placing:
    body: dict[str, Any] = {"live": LIVE, "rows": {}, "closed": list(closed), "taken": None}
    return Placing(body, {LIVE: "v2 (#15)", OLD: "v3 (#14)"}, dict.fromkeys(closed, "v3 was rejected"))


FIRST, CLOSING = placement(), placement(OLD)


class Calls:
    """A journal that takes placements, and a writer that sends them."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str, Any, str]] = []
        self.status, self.moved = 200, dict[str, int]()
        self.requeued: list[tuple[str, str]] = []
        self.kept, self.moment = KeptPlacing(), 0.0

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.json()
        self.seen.append((request.method, request.path, body, request.headers["Authorization"]))
        return web.json_response({"digest": placement_digest(body), "moved": self.moved}, status=self.status)

    async def until(self, holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not holds():  # noqa: ASYNC110 - what it waits for sets no event
                await asyncio.sleep(0.005)

    def hear(self, *placements: str | None) -> None:
        """Lets the feed list the App with this placement; without one the journal does not know the App."""
        self.writer.hear(OpenAnswer("1", [], [PlacedApp(*KEY, UID, each) for each in placements]))

    def schedule(self, wanted: Placing | None) -> None:
        self.writer.schedule(KEY, UID, self.kept, wanted)

    async def send(self, wanted: Placing) -> None:
        """Schedules a placement, and waits until it is sent or has failed."""
        before = len(self.requeued)
        self.schedule(wanted)
        await self.until(lambda: len(self.requeued) > before)

    @property
    def is_idle(self) -> bool:
        return self.kept.task is None and self.kept.timer is None

    writer: PlacementWriter


@pytest.fixture
async def calls(tmp_path: Path) -> AsyncIterator[Calls]:
    (tmp_path / "token").write_text("of-the-operator\n")
    made = Calls()
    async with served(made.handle) as port:
        access = RecorderAccess(f"http://127.0.0.1:{port}", tmp_path / "token")
        async with PlacementWriter(made.requeued.append, access, lambda: made.moment) as made.writer:
            yield made


async def test_a_placement_is_sent_until_the_feed_has_it(calls: Calls) -> None:
    calls.hear(None)
    await calls.send(FIRST)
    assert calls.seen == [("PUT", f"/v1/apps/{UID}/sessions-placement", dict(FIRST.body), "Bearer of-the-operator")]
    calls.schedule(FIRST)
    assert (calls.kept.task, calls.kept.timer is not None) == (None, True), "the feed shows it a second later"
    calls.moment += placing.PAUSES.holds
    await calls.send(FIRST)
    assert len(calls.seen) == 2, "the feed still has another one"
    calls.hear(FIRST.digest)
    calls.schedule(FIRST)
    assert calls.is_idle


async def test_a_change_waits_for_no_earlier_one(calls: Calls) -> None:
    calls.hear(None)
    await calls.send(FIRST)
    calls.schedule(CLOSING)
    assert calls.kept.timer is None
    await calls.until(lambda: len(calls.seen) == 2)
    assert [body["closed"] for _, _, body, _ in calls.seen] == [[], [OLD]]


async def test_an_app_that_the_journal_does_not_know_yet_is_placed_once_it_does(calls: Calls) -> None:
    calls.hear()
    calls.schedule(FIRST)
    assert (calls.is_idle, calls.requeued) == (True, [])
    calls.hear(None)
    assert calls.requeued == [KEY]
    calls.hear(None)
    assert calls.requeued == [KEY], "only for a change"


async def test_without_a_placement_or_a_journal_nothing_is_called(calls: Calls) -> None:
    calls.hear(None)
    calls.schedule(None)
    assert calls.is_idle
    async with PlacementWriter(print) as writer:
        writer.schedule(KEY, UID, calls.kept, FIRST)
    assert calls.is_idle


async def test_a_call_that_failed_is_made_again(calls: Calls, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls.writer, "_pauses", Pauses(first=0.0, most=0.0))
    calls.hear(None)
    calls.status = 404
    await calls.send(FIRST)
    calls.status = 200
    await calls.send(FIRST)
    assert (len(calls.seen), calls.kept.failures) == (2, 0)


async def test_an_observed_app_with_sessions_is_placed_and_its_moves_are_in_one_snapshot(
    client: Client, script: Script, tmp_path: Path
) -> None:
    (tmp_path / "token").write_text("of-the-operator\n")
    journal = CountingJournal()
    journal.add_app(*KEY, UID)
    journal.moves = {OLD: 3}
    with HttpServer(journal.answer) as server:
        access = RecorderAccess(server.url, tmp_path / "token")
        process = Process(client, script, settings=Settings(journal=server.url), journal=access)
        modified = given.app_manifest(given.public(), given.with_spec(sessions={}, rollout={"strategy": "Switch"}))
        process.informers.on_watch_event(APPS, "ADDED", given.stored(modified))
        reading = asyncio.create_task(process.open_runs.run())
        async with asyncio.timeout(30), process.placements:
            moved: list[tuple[MovedSessions, ...]] = []
            while not any(moved):
                moved.append((await process.observer.observe(KEY)).moved)
                await asyncio.sleep(0.01)
            reading.cancel()
            moved.append((await process.observer.observe(KEY)).moved)
    assert [uid for uid, _ in journal.placements][:1] == [UID]
    assert [[each.count for each in some] for some in moved[-2:]] == [[3], []]


async def test_what_was_moved_is_planned_once(calls: Calls) -> None:
    calls.hear(None)
    calls.moved = {OLD: 12, LIVE: 0}
    await calls.send(CLOSING)
    (moved,) = calls.kept.take_moved()
    assert moved.message == "12 conversations of v3 (#14) were moved to v2 (#15): v3 was rejected"
    assert calls.kept.take_moved() == ()
    calls.moved, calls.moment = {OLD: 12}, placing.PAUSES.holds
    await calls.send(CLOSING)
    assert calls.kept.take_moved()[0].key != moved.key, "a later move is another Event"
