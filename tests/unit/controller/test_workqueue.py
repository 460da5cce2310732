"""The queue: an App is queued once, worked on by one worker at a time, and queued again after a failure."""

from __future__ import annotations

import asyncio
import tracemalloc

from dynamiq_operator.controller.workqueue import WorkQueue
from tests.support.waiting import IN_TIME


async def take(queue: WorkQueue[str]) -> str:
    return await asyncio.wait_for(queue.get(), IN_TIME)


async def is_empty(queue: WorkQueue[str]) -> bool:
    """Returns True if a worker that takes a key now would have to wait."""
    asking = asyncio.create_task(queue.get())
    await asyncio.sleep(0)  # lets the task run until it waits
    given = asking.done()
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    return not given


async def test_key_added_twice_is_reconciled_once() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    queue.add("a")
    queue.add("b")
    assert [await take(queue), await take(queue)] == ["a", "b"]
    assert await is_empty(queue)


async def test_key_added_while_it_is_reconciled_is_reconciled_once_more() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    assert await take(queue) == "a"
    queue.add("a")
    assert await is_empty(queue), "two workers must never work on one App at a time"
    queue.done("a")
    assert await take(queue) == "a"


async def test_earliest_of_two_moments_counts() -> None:
    queue = WorkQueue[str]()
    queue.add_after("later", 3600)
    queue.add_after("later", 0.01)
    queue.add_after("later", 1800)
    assert await take(queue) == "later"
    queue.done("later")
    assert await is_empty(queue)


async def test_key_comes_again_after_a_failure_and_others_do_not_wait_for_it() -> None:
    queue = WorkQueue[str]()
    queue.add("bad")
    assert await take(queue) == "bad"
    queue.done("bad", failed=True)
    queue.add("good")
    assert [await take(queue), await take(queue)] == ["good", "bad"]


async def test_worker_that_waits_is_woken() -> None:
    queue = WorkQueue[str]()
    waiting = asyncio.create_task(take(queue))
    asyncio.get_running_loop().call_soon(queue.add, "a")
    assert await waiting == "a"


# Fairness.


def by_namespace(key: tuple[str, str]) -> str:
    return key[0]


async def take_all(queue: WorkQueue[tuple[str, str]], count: int) -> list[str]:
    """Returns the next keys, each of which is done at once."""
    taken = []
    for _ in range(count):
        key = await asyncio.wait_for(queue.get(), IN_TIME)
        queue.done(key)
        taken.append("/".join(key))
    return taken


async def test_namespaces_take_turns_however_much_one_of_them_asks_for() -> None:
    queue = WorkQueue(by_namespace)
    for number in range(5):
        queue.add(("busy", f"app-{number}"))
    queue.add(("quiet", "app"))
    assert await take_all(queue, 6) == ["busy/app-0", "quiet/app", "busy/app-1", "busy/app-2", "busy/app-3", "busy/app-4"]


async def test_an_app_that_comes_again_and_again_stands_behind_the_others_of_its_namespace() -> None:
    queue = WorkQueue(by_namespace)
    queue.add(("a", "busy"))
    queue.add(("a", "quiet"))
    key = await asyncio.wait_for(queue.get(), IN_TIME)
    queue.add(key)
    queue.done(key)
    assert await take_all(queue, 2) == ["a/quiet", "a/busy"]


async def test_no_namespace_has_more_than_its_share_of_the_workers() -> None:
    queue = WorkQueue(by_namespace, 2)
    for number in range(3):
        queue.add(("busy", f"app-{number}"))
    first = [await asyncio.wait_for(queue.get(), IN_TIME) for _ in range(2)]
    third = asyncio.create_task(queue.get())
    await asyncio.sleep(0)  # lets it wait
    assert not third.done()
    queue.add(("quiet", "app"))
    assert await asyncio.wait_for(third, IN_TIME) == ("quiet", "app")
    queue.done(first[0])
    assert await asyncio.wait_for(queue.get(), IN_TIME) == ("busy", "app-2")


async def test_the_namespace_of_which_the_fewest_apps_are_worked_on_is_next() -> None:
    queue = WorkQueue(by_namespace)
    queue.add(("busy", "app-0"))
    assert await asyncio.wait_for(queue.get(), IN_TIME) == ("busy", "app-0")
    queue.add(("busy", "app-1"))
    queue.add(("quiet", "app"))
    assert await asyncio.wait_for(queue.get(), IN_TIME) == ("quiet", "app")


async def test_a_change_during_a_failing_reconcile_does_not_wait_for_its_backoff() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    for _ in range(12):  # its backoff is half a minute by now
        key = await asyncio.wait_for(queue.get(), IN_TIME)
        queue.add(key)
        queue.done(key, failed=True)
    assert await asyncio.wait_for(queue.get(), IN_TIME) == "a"


async def test_moments_that_were_moved_forward_again_and_again_are_not_kept() -> None:
    """A clock that is corrected in small steps changes a time in a year at every reconcile."""
    queue = WorkQueue[str]()
    queue.add_after("soon", 0.5)
    queue.add_after("a", 3e7)
    tracemalloc.start()
    for step in range(20_000):
        queue.add_after("a", 3e7 - step)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert used < 500_000
    assert await take(queue) == "soon"


async def test_a_changed_key_waits_for_few_keys_of_low_priority() -> None:
    queue = WorkQueue[str]()
    queue.add_low(f"old-{number}" for number in range(100))
    assert (await take(queue)).startswith("old")
    queue.add("changed")
    assert "changed" in [await take(queue) for _ in range(2)]
    assert (await take(queue)).startswith("old")


async def test_those_of_a_low_priority_come_however_much_changes() -> None:
    queue = WorkQueue[str]()
    queue.add("busy")
    queue.add_low(["old", "older"])
    seen = set()
    for _ in range(6):
        seen.add(key := await take(queue))
        queue.done(key)
        queue.add("busy")
    assert seen == {"busy", "old", "older"}


async def test_a_key_that_was_reconciled_meanwhile_leaves_the_low_priority() -> None:
    queue = WorkQueue[str]()
    queue.add("a")
    queue.add_low(["a"])
    assert await take(queue) == "a"
    queue.done("a")
    assert await is_empty(queue)


async def test_a_group_that_has_its_share_holds_up_no_other_of_a_low_priority() -> None:
    queue = WorkQueue[str](lambda key: key[0], 1)
    queue.add_low(["a1", "a2", "b1"])
    assert [await take(queue), await take(queue)] == ["a1", "b1"]
    assert await is_empty(queue)
    queue.done("a1")
    assert await take(queue) == "a2"
