"""Turns: a single namespace is not slowed. Beside others it sends few operations at a time, and one of a backlog."""

from __future__ import annotations

import asyncio

from dynamiq_operator.controller.execute.turns import AT_A_TIME, Turns


async def most_at_once(turns: Turns, namespace: str, *, backlog: bool = False) -> int:
    """Returns how many of ten operations of a namespace run at the same time, at most."""
    now = most = 0

    async def operation() -> None:
        nonlocal now, most
        async with turns.turn(namespace, backlog=backlog):
            now += 1
            most = max(most, now)
            await asyncio.sleep(0)  # lets the others begin, where they may
            now -= 1

    await asyncio.gather(*(operation() for _ in range(10)))
    return most


async def test_a_single_namespace_does_not_wait() -> None:
    assert await most_at_once(Turns(), "a") == 10


async def test_beside_another_namespace_few_are_sent_at_a_time() -> None:
    turns = Turns()
    async with turns.turn("quiet", backlog=False):
        pass
    assert await most_at_once(turns, "busy") == AT_A_TIME


async def test_a_backlog_is_sent_one_by_one_and_delays_no_other_namespace() -> None:
    turns = Turns()
    assert await most_at_once(turns, "busy", backlog=True) == 1
    async with turns.turn("busy", backlog=True):
        assert await most_at_once(turns, "quiet") == 10, "a backlog makes nobody else wait"
