"""Lanes: the slots of a process are shared fairly among callers, and whoever has to wait too long is told."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from dynamiq_operator.serving.lanes import Lane
from dynamiq_operator.serving.problems import HttpProblem
from tests.support.waiting import IN_TIME

PATIENCE = IN_TIME


@contextlib.asynccontextmanager
async def held(lane: Lane, *callers: str) -> AsyncIterator[list[str]]:
    """Holds slots of callers while the block runs."""
    async with contextlib.AsyncExitStack() as stack:
        for caller in callers:
            await stack.enter_async_context(lane.slot(caller))
        yield []


async def _use(lane: Lane, caller: str, order: list[str]) -> None:
    async with lane.slot(caller):
        order.append(caller)
        await asyncio.sleep(0)


def test_the_caller_with_the_most_requests_waits_for_the_others() -> None:
    async def scenario() -> list[str]:
        lane, order = Lane(total=2, each=2, waiting=8), list[str]()
        async with held(lane, "busy", "busy"):
            waiting = [asyncio.create_task(_use(lane, caller, order)) for caller in ("busy",) * 4 + ("other", "third")]
            await asyncio.sleep(0)
        await asyncio.gather(*waiting)
        return order

    order = asyncio.run(scenario())
    assert sorted(order) == ["busy"] * 4 + ["other", "third"]
    assert {"other", "third"} <= set(order[:4]), "they are not behind all that came before them"


def test_a_caller_has_a_share_and_gets_429_beyond_it() -> None:
    async def scenario() -> None:
        lane = Lane(total=8, each=2, waiting=1, patience=0.01)
        async with held(lane, "busy", "busy"):
            patient = asyncio.create_task(_use(lane, "busy", []))
            await asyncio.sleep(0)
            with pytest.raises(HttpProblem, match="most for one caller") as refused:
                await _use(lane, "busy", [])
            assert (refused.value.status, refused.value.headers["Retry-After"]) == (429, "1")
            with pytest.raises(HttpProblem, match="most for one caller"):
                await patient
            await _use(lane, "other", [])
        await _use(lane, "busy", [])

    asyncio.run(scenario())


def test_a_caller_gets_503_if_all_slots_are_used() -> None:
    async def scenario() -> HttpProblem:
        lane = Lane(total=1, each=1, waiting=1, patience=0.01)
        async with held(lane, "busy"):
            with pytest.raises(HttpProblem) as refused:
                await _use(lane, "other", [])
        return refused.value

    assert asyncio.run(scenario()).status == 503


def test_a_waiting_caller_who_leaves_keeps_no_slot() -> None:
    async def scenario() -> None:
        lane = Lane(total=1, each=1, waiting=4)
        async with held(lane, "busy"):
            gone = [asyncio.create_task(_use(lane, caller, [])) for caller in ("one", "two")]
            await asyncio.sleep(0)
            gone[0].cancel()
            await asyncio.sleep(0)
        gone[1].cancel()  # it got its turn at this moment
        await asyncio.gather(*gone, return_exceptions=True)
        async with asyncio.timeout(PATIENCE):
            await _use(lane, "three", [])

    asyncio.run(scenario())
