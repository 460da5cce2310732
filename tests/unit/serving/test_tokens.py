"""Reviews of tokens: each once for a while, few at a time, and never more than there is memory for."""

from __future__ import annotations

import asyncio

import pytest

from dynamiq_operator.serving.recent import Recent
from dynamiq_operator.serving.tokens import AT_ONCE, TOKEN_MAX, TokenReviews
from tests.support.waiting import IN_TIME


class RefusedError(Exception):
    """The error of a server for a token that is not valid."""


class BusyError(Exception):
    """The error of a server for too many tokens."""


class Reviewed(TokenReviews[str]):
    """Reviews that end once the test allows it. `valid`: the tokens that are."""

    known_for, known_most, refused_for, pending_most = 60.0, 2, 10.0, 12

    def __init__(self) -> None:
        self.now = 1000.0
        super().__init__(RefusedError, BusyError, lambda: self.now)
        self.valid, self.sent = {"ada", "eve"}, list[str]()
        self.may_end = asyncio.Event()
        self.may_end.set()

    async def review(self, token: str) -> str | None:
        self.sent.append(token)
        await self.may_end.wait()
        if token == "broken":
            raise ConnectionError
        return f"user {token}" if token in self.valid else None


async def test_a_token_is_reviewed_once_at_a_time_and_once_a_minute() -> None:
    reviews = Reviewed()
    assert set(await asyncio.gather(*(reviews.user("ada") for _ in range(20)))) == {"user ada"}
    reviews.now += 59
    await reviews.user("ada")
    assert reviews.sent == ["ada"]
    reviews.now += 1
    await reviews.user("ada")
    assert reviews.sent == ["ada"] * 2


async def test_a_token_that_is_refused_is_not_reviewed_again_at_once() -> None:
    reviews = Reviewed()
    for wait, count in ((0, 1), (9, 1), (1, 2)):
        reviews.now += wait
        with pytest.raises(RefusedError):
            await reviews.user("nobody")
        assert len(reviews.sent) == count


@pytest.mark.parametrize("token", ["", "x" * (TOKEN_MAX + 1)])
async def test_a_text_that_cannot_be_a_token_is_not_reviewed(token: str) -> None:
    reviews = Reviewed()
    with pytest.raises(RefusedError):
        await reviews.user(token)
    assert not reviews.sent


async def test_a_token_that_was_revoked_is_refused_once_it_is_reviewed_again() -> None:
    reviews = Reviewed()
    await reviews.user("ada")
    reviews.valid.clear()
    reviews.now += 60
    with pytest.raises(RefusedError):
        await reviews.user("ada")


async def test_a_review_that_fails_decides_nothing() -> None:
    reviews = Reviewed()
    for count in (1, 2):
        with pytest.raises(ConnectionError):
            await reviews.user("broken")
        assert len(reviews.sent) == count


async def test_few_unknown_tokens_are_reviewed_at_once_and_known_ones_are_not_delayed() -> None:
    reviews = Reviewed()
    await reviews.user("ada")
    reviews.now += 60
    reviews.may_end.clear()
    unknown = [asyncio.create_task(reviews.user(f"made-up-{number}")) for number in range(15)]
    done, _ = await asyncio.wait(unknown, timeout=IN_TIME, return_when=asyncio.FIRST_COMPLETED)
    assert [type(each.exception()) for each in done] == [BusyError] * 3
    assert len(reviews.sent) == 1 + AT_ONCE
    known = asyncio.create_task(reviews.user("ada"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert reviews.sent[-1] == "ada", "its review is not behind theirs"
    reviews.may_end.set()
    assert await known == "user ada"
    assert {type(each) for each in await asyncio.gather(*unknown, return_exceptions=True)} == {RefusedError, BusyError}
    with pytest.raises(RefusedError):
        await reviews.user("another")


async def test_a_caller_who_leaves_does_not_end_a_review_that_others_await() -> None:
    reviews = Reviewed()
    reviews.may_end.clear()
    first, second = (asyncio.create_task(reviews.user("ada")) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    reviews.may_end.set()
    assert await second == "user ada"
    assert reviews.sent == ["ada"]


def test_the_oldest_results_are_dropped_and_others_are_valid_until_their_time() -> None:
    recent = Recent[str, int](2)
    for number, key in enumerate(("a", "b", "a", "c")):
        recent.put(key, number, 10.0)
    assert [recent.get(key, 9.9) for key in ("a", "b", "c")] == [2, None, 3]
    assert (recent.get("a", 10.0), "a" in recent, "b" in recent) == (None, True, False)
