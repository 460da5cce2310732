"""The queue: an App waits once, is worked on once at a time, and comes again after a failure."""

from __future__ import annotations

import asyncio

from dynamiq_operator.controller.workqueue import Queue


async def take(queue: Queue[str]) -> str:
    return await asyncio.wait_for(queue.get(), 5)


async def is_empty(queue: Queue[str]) -> bool:
    """Whether a worker that asks now has to wait."""
    asking = asyncio.create_task(queue.get())
    await asyncio.sleep(0)  # lets the task run until it waits
    given = asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return not given


async def test_key_added_twice_is_reconciled_once() -> None:
    queue = Queue[str]()
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert [await take(queue), await take(queue)] == ["a", "b"]
    assert await is_empty(queue)


async def test_key_added_while_it_is_reconciled_is_reconciled_once_more() -> None:
    queue = Queue[str]()
    queue.add("a")
    assert await take(queue) == "a"
    queue.add("a")
    assert await is_empty(queue), "two workers must never work on one App at a time"
    queue.done("a")
    assert await take(queue) == "a"


async def test_earliest_of_two_moments_counts() -> None:
    queue = Queue[str]()
    queue.add_after("later", 3600)
    queue.add_after("later", 0.01)
    queue.add_after("later", 1800)
    assert await take(queue) == "later"
    queue.done("later")
    assert await is_empty(queue)


async def test_key_comes_again_after_a_failure_and_others_do_not_wait_for_it() -> None:
    queue = Queue[str]()
    queue.add("bad")
    assert await take(queue) == "bad"
    queue.done("bad", failed=True)
    queue.add("good")
    assert [await take(queue), await take(queue)] == ["good", "bad"]


async def test_worker_that_waits_is_woken() -> None:
    queue = Queue[str]()
    waiting = asyncio.create_task(take(queue))
    asyncio.get_running_loop().call_soon(queue.add, "a")
    assert await waiting == "a"
