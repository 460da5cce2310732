"""Shares of a capacity: a caller who takes all they may leaves as much for the next one."""

from __future__ import annotations

from contextlib import ExitStack

from dynamiq_operator.serving.shares import Shares


def taken(stack: ExitStack, shares: Shares, *path: str, by: int = 1) -> int:
    """Takes as much as possible, and returns the amount."""
    take = stack.enter_context(shares.lease(*path))
    had = 0
    while take(by):
        had += by
    return had


def test_each_namespace_gets_half_of_what_the_others_leave() -> None:
    shares = Shares(100)
    with ExitStack() as stack:
        assert [taken(stack, shares, name) for name in ("a", "b", "c", "d")] == [50, 25, 13, 6]
        assert taken(stack, shares, "a") == 0


def test_an_app_gets_half_of_what_the_others_of_its_namespace_leave() -> None:
    shares = Shares(100)
    with ExitStack() as stack:
        assert [taken(stack, shares, "a", app) for app in ("one", "two", "three")] == [25, 13, 6]
        assert taken(stack, shares, "b", "one") == 14  # half of half of 56


def test_a_returned_share_is_available_again() -> None:
    shares = Shares(8)
    for _ in range(3):
        with ExitStack() as stack:
            assert taken(stack, shares, "a") == 4
    with ExitStack() as stack:
        assert taken(stack, shares, "b", by=3) == 3


def test_a_caller_who_needs_nothing_more_is_not_limited_by_later_ones() -> None:
    shares = Shares(100)
    with shares.lease("a") as take, ExitStack() as stack:
        assert take(50)
        assert taken(stack, shares, "b") == 25
        assert take(0), "as a call does whose answer has a small head"
        assert not take(1)


def test_one_alone_gets_the_last() -> None:
    with ExitStack() as stack:
        assert taken(stack, Shares(1), "a") == 1


def test_caps_of_apps_and_of_kinds_of_senders_replace_their_halves() -> None:
    shares = Shares(160, 60, 40)
    with ExitStack() as stack:
        assert taken(stack, shares, "a", "one", "others") == 40
        assert taken(stack, shares, "a", "one") == 20
        assert taken(stack, shares, "a", "two") == 20, "which is all that its namespace has left"
        assert taken(stack, shares, "b", "one") == 40
