"""Commits of many operations: one transaction, each answered after it, and none hindered by what another one does."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from dynamiq_recorder.journal import committer, operations
from dynamiq_recorder.journal.committer import TOGETHER, Busy, Closed, Committer
from dynamiq_recorder.journal.model import Limits, Refused
from dynamiq_recorder.journal.tables import Key, Work, work_key
from dynamiq_recorder.store.results import Unavailable
from tests.support.journal import APP
from tests.support.journal_store import Kept, a_new_run

IN_TIME = 60.0


class Held:
    """A store whose first commit waits until the test lets it go on."""

    def __init__(self, kept: Kept) -> None:
        self._kept = kept
        self.go, self.begun = threading.Event(), threading.Event()
        self.wrong: Exception | None = None
        self.order: list[str] = []
        self.commits = 0
        self.news: set[Key] = set()
        self.committer = Committer(self.commit, self.notify, lambda _: None)

    def commit(self, work: Callable[[Work], Any]) -> Any:
        self.begun.set()
        assert self.go.wait(IN_TIME)
        self.commits += 1
        if self.wrong is not None:
            raise self.wrong
        return self._kept.store.commit(work)

    def notify(self, news: Any) -> None:
        self.news |= set(news)

    def named(self, name: str, error: Exception | None = None) -> Callable[[Work], str]:
        """Returns an operation that notes itself, writes, and fails with an error if it has one."""

        def operation(work: Work) -> str:
            if isinstance(error, Refused):
                raise error
            self.order.append(name)
            work.connection.do("UPDATE meta SET value = value + 1 WHERE name = 'counted'")
            if error is not None:
                raise error
            return name

        return operation

    def counted(self) -> int:
        return int(self._kept.do(lambda work: work.connection.all("SELECT value FROM meta WHERE name = 'counted'"))[0][0])


@pytest.fixture
def held(kept: Kept) -> Iterator[Held]:
    kept.do(lambda work: work.connection.do("INSERT INTO meta (name, value) VALUES ('counted', 0)"))
    made = Held(kept)
    yield made
    made.go.set()
    made.committer.close()


async def put(held: Held, *operations: tuple[str, Callable[[Work], Any]]) -> list[Any]:
    """Queues operations behind a commit that waits, then lets all go on. Returns their results or errors."""
    first = asyncio.create_task(held.committer.put("first", held.named("first")))
    assert await asyncio.to_thread(held.begun.wait, IN_TIME)
    tasks = [asyncio.create_task(held.committer.put(*each)) for each in operations]
    await asyncio.sleep(0)  # each task now waits for its commit
    assert held.committer._count == len(operations)
    held.go.set()
    await first
    return await asyncio.gather(*tasks, return_exceptions=True)


async def test_what_waits_is_committed_at_once_up_to_a_number(held: Held) -> None:
    results = await put(held, *(("team", held.named(str(number))) for number in range(TOGETHER + 1)))
    assert results == [str(number) for number in range(TOGETHER + 1)]
    assert (held.commits, held.counted()) == (3, TOGETHER + 2)


async def test_an_operation_that_is_refused_hinders_no_other(held: Held) -> None:
    refused = Refused("too_many_runs", "too many")
    results = await put(held, ("team", held.named("a")), ("team", held.named("b", refused)), ("team", held.named("c")))
    assert results == ["a", refused, "c"]
    assert (held.commits, held.counted()) == (2, 3)


async def test_an_operation_that_fails_is_undone_and_hinders_no_other(held: Held) -> None:
    error = RuntimeError("a bug")
    results = await put(held, ("team", held.named("a")), ("team", held.named("b", error)), ("team", held.named("c")))
    assert results == ["a", error, "c"]
    assert held.counted() == 3, "what it wrote before it failed is not there"


async def test_while_the_store_is_away_all_are_told_to_try_again(held: Held) -> None:
    held.go.set()
    held.wrong = Unavailable("the disk is full")
    with pytest.raises(Unavailable):
        await held.committer.put("team", held.named("a"))
    assert held.committer.failed == "the disk is full"
    held.wrong = None
    assert await held.committer.put("team", held.named("b")) == "b"
    assert held.committer.failed == ""


async def test_namespaces_take_turns(held: Held) -> None:
    many = [("greedy", held.named(f"g{number}")) for number in range(3 * TOGETHER)]
    await put(held, *many, ("modest", held.named("m")))
    assert held.order.index("m") <= 2


async def test_more_than_may_wait_is_refused_and_the_journals_own_work_is_not(held: Held, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(committer, "WAITING_EACH", 2)
    monkeypatch.setattr(committer, "WAITING_MOST", 3)
    results = await put(
        held,
        *(("greedy", held.named("g")), ("greedy", held.named("g"))),
        *(("other", held.named("o")), ("", held.named("own"))),
    )
    assert results == ["g", "g", "o", "own"]
    held.go.clear()
    held.begun.clear()
    first = asyncio.create_task(held.committer.put("first", held.named("first")))
    assert await asyncio.to_thread(held.begun.wait, IN_TIME)
    waiting = [asyncio.create_task(held.committer.put("greedy", held.named("g"))) for _ in range(2)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await held.committer.put("greedy", held.named("g"))
    held.go.set()
    await asyncio.gather(first, *waiting)


async def test_what_nobody_waits_for_any_more_is_not_done(held: Held) -> None:
    first = asyncio.create_task(held.committer.put("first", held.named("first")))
    assert await asyncio.to_thread(held.begun.wait, IN_TIME)
    gone = asyncio.create_task(held.committer.put("team", held.named("gone")))
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    held.go.set()
    await first
    await held.committer.put("team", held.named("last"))
    assert held.order == ["first", "last"]


async def test_news_come_with_the_answer_and_not_before(held: Held, kept: Kept) -> None:
    operation = partial(operations.accept, place=APP, new=a_new_run(), limits=Limits(), claims=False)
    task = asyncio.create_task(held.committer.put("team", operation))
    assert await asyncio.to_thread(held.begun.wait, IN_TIME)
    assert held.news == set()
    held.go.set()
    await task
    assert work_key(APP.app_uid, APP.pins) in held.news


async def test_at_the_end_what_waits_is_committed_and_nothing_more_is_taken(held: Held) -> None:
    held.go.set()
    task = asyncio.create_task(held.committer.put("team", held.named("a")))
    await asyncio.sleep(0)
    await asyncio.to_thread(held.committer.close)
    assert await task == "a"
    with pytest.raises(Closed):
        await held.committer.put("team", held.named("b"))
