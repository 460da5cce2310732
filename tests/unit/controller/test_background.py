"""Background reads of an App: one at a time, held for a while, later after each failure, and ended with the App."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest

from dynamiq_operator.controller.app_state import AppStates
from dynamiq_operator.controller.background import archiving, comparisons, verifying
from dynamiq_operator.controller.background.reader import BackgroundReader, Kept, Pauses
from dynamiq_operator.controller.cached.cache import AppKey
from tests.support.controller import Clock

KEY = ("demo", "chat")


class Reader(BackgroundReader):
    """A reader whose reads end when the test says how: by an answer, by none, or by an error."""

    def __init__(self, requeue: Callable[[AppKey], None], clock: Clock) -> None:
        super().__init__(requeue, 1, 1, Pauses(holds=5.0, first=2.0, most=4.0), clock)
        self.begun = 0
        self.answers: asyncio.Queue[bool | Exception] = asyncio.Queue()

    def schedule(self, kept: Kept, seconds: float = 0.0) -> None:
        self._schedule(KEY, kept, self._read, seconds)

    async def _read(self) -> bool:
        self.begun += 1
        answer = await self.answers.get()
        if isinstance(answer, Exception):
            raise answer
        return answer


class Read:
    """A reader, one App's state, and the Apps that were requeued."""

    def __init__(self) -> None:
        self.clock, self.kept, self.requeued = Clock(), Kept(), asyncio.Queue[AppKey]()
        self.reader = Reader(self.requeued.put_nowait, self.clock)

    async def ends(self, answer: bool | Exception) -> float:
        """Ends a read, and returns the seconds until the next one is due."""
        self.reader.schedule(self.kept)
        self.reader.answers.put_nowait(answer)
        async with asyncio.timeout(60):
            assert await self.requeued.get() == KEY
        seconds = self.kept.not_before - self.clock()
        self.clock.later(seconds)
        return seconds

    async def begins(self, times: int) -> None:
        async with asyncio.timeout(60):
            while self.reader.begun < times:  # noqa: ASYNC110 - nothing signals it
                await asyncio.sleep(0.001)


@pytest.fixture
async def read() -> AsyncIterator[Read]:
    made = Read()
    async with made.reader:
        yield made


async def test_an_answer_holds_and_each_failure_pauses_longer_until_one_answers(read: Read) -> None:
    assert [await read.ends(answer) for answer in (True, False, False, False, True, False)] == [5, 2, 4, 4, 5, 2]


async def test_an_unexpected_error_is_a_failure_and_requeues_the_app(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    assert await read.ends(RuntimeError("broken")) == 4
    assert "App demo/chat" in caplog.text
    assert await read.ends(True) == 5


async def test_an_app_has_one_read_and_one_schedule_at_a_time(read: Read) -> None:
    read.reader.schedule(read.kept)
    await read.begins(1)
    read.reader.schedule(read.kept)
    assert read.kept.timer is None, "at its end the App is requeued, and schedules the next one"
    assert await read.ends(True) == 5
    read.reader.schedule(read.kept, 600.0)
    read.reader.schedule(read.kept)
    await read.begins(2)


async def test_a_read_that_is_stopped_wakes_no_app_and_another_begins_at_once(read: Read) -> None:
    read.reader.schedule(read.kept)
    await read.begins(1)
    read.kept.stop()
    read.reader.schedule(read.kept)
    await read.begins(2)
    read.reader.answers.put_nowait(False)
    async with asyncio.timeout(60):
        await read.requeued.get()
    assert (read.requeued.qsize(), read.kept.failures) == (0, 1)


async def test_nothing_is_read_once_the_reader_is_closed() -> None:
    made = Read()
    async with made.reader:
        made.reader.schedule(made.kept)
        await made.begins(1)
        task = made.kept.task
        made.reader.schedule(waits := Kept(), 600.0)
    made.reader.schedule(Kept())
    assert task is not None
    assert (task.cancelled(), made.reader.begun) == (True, 1)
    waits.stop()


async def test_with_an_app_all_that_is_read_for_it_ends(read: Read) -> None:
    states = AppStates()
    state = states.of_uid(KEY, "first")
    every = [state.activity, state.comparison, state.archive, state.verification]
    for kept in every:
        kept.timer = asyncio.get_running_loop().call_later(600.0, print)
    timers = [kept.timer for kept in every]
    states.of_uid(KEY, "second")
    assert all(timer is not None and timer.cancelled() for timer in timers)


@pytest.mark.parametrize(
    ("pauses", "seconds"),
    [
        (archiving.PAUSES, [0, *[30] * 4, *[60] * 4, *[120] * 4, *[240] * 4, 480, 480]),
        (comparisons.PAUSES, [5, 8, 8, 8]),
        (verifying.PAUSES, [0, 0.25, 0.5, 1, 2, 4, 8, 8]),
    ],
    ids=["archive", "comparison", "verification"],
)
def test_pauses_grow_with_consecutive_failures(pauses: Pauses, seconds: list[float]) -> None:
    assert [pauses.after(failures) for failures in range(len(seconds))] == seconds
    assert pauses.after(100_000) == seconds[-1]
