"""Bodies of requests: how large they may be, and how slowly they may come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from starlette.datastructures import Headers

from dynamiq_operator.serving.bodies import BodyPace, announced, read
from dynamiq_operator.serving.problems import CLOSES, HttpProblem
from tests.support.waiting import IN_TIME

MOST = 1000
LEISURELY = BodyPace(IN_TIME, 1)


async def come(*parts: int, pace: BodyPace = LEISURELY, ends: bool = False, pause: float = 0.0, **more: Any) -> bytes:
    """Reads a body of parts of these sizes, after which nothing more comes."""
    waiting = [{"type": "http.request", "body": b"x" * size, "more_body": True} for size in parts]
    if ends:
        waiting[-1]["more_body"] = False

    async def receive() -> Any:
        await asyncio.sleep(pause)
        return waiting.pop(0) if waiting else await asyncio.Event().wait()

    return await read(Headers(more.pop("headers", {})), receive, MOST, pace, "too large", "too slow", **more)


@pytest.mark.parametrize(
    ("headers", "size"),
    [
        ({}, 0),
        ({"content-length": "12"}, 12),
        ({"content-length": f"{'0' * 5000}2"}, 2),
        ({"content-length": "9" * 5000}, None),
        ({"content-length": "-1"}, None),
        ({"content-length": "12", "transfer-encoding": "chunked"}, None),
    ],
)
def test_a_request_announces_its_size_or_it_is_unknown(headers: dict[str, str], size: int | None) -> None:
    assert announced(Headers(headers)) == size


async def test_a_body_is_read_in_its_parts_and_each_is_counted() -> None:
    counted = list[int]()
    assert await come(3, 0, 4, ends=True, came=counted.append) == b"x" * 7
    assert counted == [3, 0, 4]


@pytest.mark.parametrize("slow", [BodyPace(0.1, 1), BodyPace(IN_TIME, 1, 0.1)])
async def test_a_body_that_does_not_come_is_given_up(slow: BodyPace) -> None:
    with pytest.raises(HttpProblem, match="too slow") as refused:
        await come(3, pace=slow)
    assert (refused.value.status, refused.value.headers) == (408, CLOSES)


@pytest.mark.parametrize("parts", [(1,), (MOST - 1,), (100, 100, 1)])
async def test_a_body_has_to_come_at_a_rate_however_much_of_it_came_at_once(parts: tuple[int, ...]) -> None:
    with pytest.raises(HttpProblem, match="too slow"):
        await come(*parts, pace=BodyPace(0.2, 100))


async def test_a_body_that_comes_at_its_rate_may_take_longer_than_a_pause_may() -> None:
    assert await come(*[10] * 10, pace=BodyPace(1.0, 10), ends=True, pause=0.15) == b"x" * 100


async def test_a_body_that_comes_in_tiny_parts_is_too_slow_however_short_its_pauses_are() -> None:
    with pytest.raises(HttpProblem, match="too slow"):
        await come(*[1] * 100, pace=BodyPace(0.3, 90), ends=True, pause=0.02)


async def test_a_body_that_is_too_large_is_refused_by_what_it_announces_and_by_what_comes() -> None:
    for size, headers in ((0, {"content-length": str(MOST + 1)}), (MOST + 1, {})):
        with pytest.raises(HttpProblem, match="too large") as refused:
            await come(size, headers=headers)
        assert (refused.value.status, refused.value.headers) == (413, CLOSES)


async def test_a_body_whose_sender_leaves_has_ended_early() -> None:
    async def receive() -> Any:
        return {"type": "http.disconnect"}

    with pytest.raises(HttpProblem, match="ended early") as refused:
        await read(Headers({}), receive, MOST, LEISURELY, "too large", "too slow")
    assert refused.value.status == 400
