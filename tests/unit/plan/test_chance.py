"""More runs fail than chance explains: the tests compare with exact figures, and try numbers that pods may invent."""

from __future__ import annotations

from fractions import Fraction
from math import comb

import pytest

from dynamiq_operator.plan.revert import chance
from dynamiq_operator.plan.revert.chance import Rate, is_beyond_chance


def fewest(begun: int, limit: float, before: Rate | None = None, *, last: bool) -> int:
    """Returns the smallest number of failures that is beyond chance."""
    return next(failed for failed in range(begun + 1) if is_beyond_chance(Rate(failed, begun), limit, before, last=last))


def tail(failed: int, runs: int, share: Fraction) -> Fraction:
    return sum((comb(runs, k) * share**k * (1 - share) ** (runs - k) for k in range(failed, runs + 1)), Fraction(0))


@pytest.mark.parametrize(("begun", "percent"), [(20, 20), (100, 20), (100, 50), (150, 5), (77, 1)])
def test_last_look_is_the_binomial_test(begun: int, percent: int) -> None:
    exact = next(failed for failed in range(begun + 1) if tail(failed, begun, Fraction(percent, 100)) <= Fraction(8, 1000))
    assert fewest(begun, percent / 100, last=True) == exact


def test_version_before_raises_the_limit_by_what_its_few_runs_leave_open() -> None:
    assert fewest(200, 0.05, last=True) < fewest(200, 0.05, Rate(1, 20), last=True)
    assert fewest(200, 0.05, Rate(30, 100), last=True) > 60 + 3 * 6.5
    assert fewest(200, 0.2, Rate(5, 1000), last=True) == fewest(200, 0.2, last=True)


@pytest.mark.parametrize("limit", [0.01, 0.2])
def test_looks_after_each_run_together_call_one_equal_version_in_a_hundred_at_most(limit: float) -> None:
    """For a version that fails exactly at the limit: the probability that any of its first 600 checks, or the last one, flags it."""
    uncalled, called, least = {0: 1.0}, 0.0, 1
    for begun in range(1, 601):
        after: dict[int, float] = {}
        for failed, chance_of in uncalled.items():
            after[failed] = after.get(failed, 0.0) + chance_of * (1 - limit)
            after[failed + 1] = after.get(failed + 1, 0.0) + chance_of * limit
        while least <= begun and not is_beyond_chance(Rate(least, begun), limit, None, last=False):
            least += 1
        called += sum(chance_of for failed, chance_of in after.items() if failed >= least)
        uncalled = {failed: chance_of for failed, chance_of in after.items() if failed < least}
    called += sum(each for failed, each in uncalled.items() if is_beyond_chance(Rate(failed, 600), limit, None, last=True))
    assert called <= 0.01


@pytest.mark.parametrize("failed", [0, 1, 10**14, 10**15])
def test_any_number_of_runs_is_decided_on_at_once(failed: int) -> None:
    assert is_beyond_chance(Rate(failed, 10**15), 0.2, Rate(3, 10**15), last=True) is (failed == 10**15)


def test_a_limit_of_nothing_is_passed_by_one_failure_unless_chance_explains_it_by_the_version_before() -> None:
    assert is_beyond_chance(Rate(1, 20), 0.0, None, last=False)
    assert not is_beyond_chance(Rate(1, 20), 0.0, Rate(0, 100), last=True)
    assert not is_beyond_chance(Rate(0, 20), 0.0, None, last=True)


def test_bound_of_clopper_and_pearson() -> None:
    assert chance.upper_bound(Rate(0, 100)) == pytest.approx(1 - 0.001**0.01, abs=1e-9)
    assert chance.upper_bound(Rate(100, 100)) == 1.0
