"""Shares of the gate's capacity: a caller who takes all they may leaves as much for the next one. All shares fit into its memory."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from dynamiq_operator.gate.limits import CONNECTION, OWN, Limits
from dynamiq_operator.gate.shares import Shares

MIB = 1 << 20


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


def test_what_was_given_back_is_there_again() -> None:
    shares = Shares(8)
    for _ in range(3):
        with ExitStack() as stack:
            assert taken(stack, shares, "a") == 4
    with ExitStack() as stack:
        assert taken(stack, shares, "b", by=3) == 3


def test_who_needs_nothing_more_goes_on_when_others_come_later() -> None:
    shares = Shares(100)
    with shares.lease("a") as take, ExitStack() as stack:
        assert take(50)
        assert taken(stack, shares, "b") == 25
        assert take(0), "as a call does whose answer has a small head"
        assert not take(1)


def test_one_alone_gets_the_last() -> None:
    with ExitStack() as stack:
        assert taken(stack, Shares(1), "a") == 1


@pytest.mark.parametrize("memory", [128 * MIB, 256 * MIB, 512 * MIB, 1024 * MIB, 4096 * MIB])
def test_all_that_is_allowed_together_fits_into_the_memory(memory: int) -> None:
    limits = Limits.within(memory, 1000, 5000, 1 << 30)
    callers = limits.connections * CONNECTION + limits.heads * 9 // 8 + limits.calls + limits.answers + limits.runs * 9 // 8
    assert callers <= memory - max(min(OWN, memory // 2), memory // 4)
    assert callers > memory // 3


def test_what_is_the_default_is_what_fits_into_the_memory_of_the_manifests() -> None:
    limits = Limits.within(1 << 30, 1000, 5000, 1 << 30)
    assert (limits.connections, limits.runs, limits.answers) == (16384, 64 * MIB, 128 * MIB)
    assert limits.cost(1024, 1024) * 5000 <= limits.calls, "as many calls are under way as the setting says"
    assert limits.cost(60 << 10, None) * 1000 > limits.calls // 2, "but not with heads and bodies as large as they may be"
