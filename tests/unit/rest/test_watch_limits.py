"""Reads for streams share the process: slow reads of one caller take nothing from others, and at most that caller's share."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.kube.resources import APPS, BY_KIND, NAMESPACES, ROWS, ApiResource
from dynamiq_operator.rest.http import sessions, streams
from dynamiq_operator.rest.kube import client
from dynamiq_operator.rest.watch import feed
from dynamiq_operator.serving import lanes
from tests.support import factories as make
from tests.support.event_stream import Reading, reading
from tests.support.rest_stage import TOKEN, RestStage, of_user, row
from tests.support.scripted import Reply, Sent, failure
from tests.support.waiting import IN_TIME

WORKLOADS = BY_KIND[WORKLOAD.kind]
OTHER = "token-of-bert"
AT_ONCE = IN_TIME
"""Seconds on a busy machine. A read that waits for a thread waits twice as long in these tests."""


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lanes, "WAIT_MOST", 2 * AT_ONCE)
    monkeypatch.setattr(client, "ANSWERED_WITHIN", 2 * AT_ONCE)


class Hang:
    """An answer that does not arrive before `end`."""

    def __init__(self) -> None:
        self._asked, self._ends = threading.Semaphore(0), threading.Event()
        self.count = 0

    def __call__(self, _: Sent) -> Reply:
        self.count += 1
        self._asked.release()
        self._ends.wait(3 * IN_TIME)
        return failure(503, "ServiceUnavailable")

    async def asked(self) -> None:
        """Returns once another request hangs."""
        assert await asyncio.to_thread(self._asked.acquire, timeout=IN_TIME)

    def end(self) -> None:
        self._ends.set()


@pytest.fixture
def hang() -> Iterator[Hang]:
    made = Hang()
    yield made
    made.end()


def _reviewed(sent: Sent) -> Reply:
    token = sent.headers["Authorization"].removeprefix("Bearer ")
    found = of_user({TOKEN: "anna@example.com", OTHER: "bert@example.com"}[token])
    assert isinstance(found, Reply)
    return found


@contextlib.asynccontextmanager
async def all_reads_hang(stage: RestStage, hang: Hang) -> AsyncIterator[list[Reading]]:
    """Yields as many streams as a caller may have reads, each of which hangs."""
    stage.script.on("GET", APPS.path("demo", "slow"), hang)
    async with contextlib.AsyncExitStack() as opened:
        found = []
        for number in range(streams.READS_EACH):
            found.append(stream := await opened.enter_async_context(reading(stage, "/v1/apps/watch")))
            assert await stream.event() == ("ready", {})
            made = make.app_manifest(make.with_meta(resourceVersion=str(number + 1)), name="slow")
            stage.context.index.of(APPS).put(make.stored(made))
            await hang.asked()
        yield found


@pytest.mark.parametrize("of", [APPS, NAMESPACES])
def test_streams_that_do_not_open_delay_no_other_caller(stage: RestStage, hang: Hang, of: ApiResource) -> None:
    app, project = stage.uid(APPS, "chat"), stage.uid(NAMESPACES, "demo")
    opened = f"/v1/apps/{app}/watch" if of is APPS else f"/v1/projects/{project}/watch"

    async def scenario() -> None:
        stage.script.on("POST", sessions.REVIEWS, _reviewed)
        stage.script.on("GET", APPS.path("demo", "chat") if of is APPS else APPS.path("demo"), hang)
        opening = [asyncio.ensure_future(stage.ask("GET", opened)) for _ in range(80)]
        for _ in range(streams.READS_EACH):
            await hang.asked()
        async with asyncio.timeout(AT_ONCE):
            assert (await stage.ask("GET", "/v1/me", token=OTHER)).status == 200
            assert (await stage.ask("GET", "/v1/me")).status == 200
        assert hang.count == streams.READS_EACH
        hang.end()
        assert {(await each).status for each in opening} == {503}

    stage.run(scenario())


def test_a_stream_begins_at_once_though_all_reads_hang(stage: RestStage, hang: Hang) -> None:
    async def scenario() -> None:
        async with all_reads_hang(stage, hang), reading(stage, "/v1/apps/watch") as stream, asyncio.timeout(AT_ONCE):
            assert await stream.event() == ("ready", {})

    stage.run(scenario())


def test_a_caller_who_leaves_keeps_the_share_of_unfinished_reads(monkeypatch: pytest.MonkeyPatch, hang: Hang) -> None:
    monkeypatch.setattr(streams, "STREAMS_EACH", 0)  # nothing waits: there is a thread, or there is none

    async def status(stage: RestStage) -> int:
        async with reading(stage, f"/v1/apps/{stage.uid(APPS, 'chat')}/watch") as stream:
            return stream.status

    async def scenario(stage: RestStage) -> None:
        async with all_reads_hang(stage, hang):
            pass
        assert await status(stage) == 429
        hang.end()
        async with asyncio.timeout(IN_TIME):
            while await status(stage) != 200:
                pass

    with RestStage() as stage:
        stage.run(scenario(stage))


# Forbidden objects are not read repeatedly.


@pytest.mark.parametrize("denied", [WORKLOADS.path("demo"), ROWS.path("demo", "chat-c")])
def test_the_progress_of_a_row_is_not_polled_without_the_right_to_read_it(
    stage: RestStage, monkeypatch: pytest.MonkeyPatch, denied: str
) -> None:
    monkeypatch.setattr(feed, "CHECK_EVERY", 0.02)
    monkeypatch.setattr(feed, "PING_EVERY", 0.1)
    stage.put(row("chat-c", make.progressing(3, "v1")))
    stage.script.on("GET", denied, failure(403, "Forbidden"))

    async def scenario() -> None:
        async with reading(stage, f"/v1/apps/{stage.uid(APPS, 'chat')}/watch") as stream:
            await stream.until("ready")
            if denied == WORKLOADS.path("demo"):
                assert (await stream.until("deployment"))["ready"] is None
            await stream.until("")
            before = len(stage.script.sent)
            for _ in range(3):
                await stream.until("")
            assert stage.script.sent[before:] == []

    stage.run(scenario())
    assert stage.script.bodies("GET", denied) == [None], "it was asked once whether it may be read"


def test_a_token_that_is_not_taken_any_more_for_workloads_ends_the_stream(stage: RestStage) -> None:
    stage.put(row("chat-c", make.progressing(3, "v1")))
    stage.script.on("GET", WORKLOADS.path("demo"), failure(401, "Unauthorized"))

    async def scenario() -> None:
        async with reading(stage, f"/v1/apps/{stage.uid(APPS, 'chat')}/watch") as stream:
            assert (await stream.rest())[-1] == ("expired", {})

    stage.run(scenario())
