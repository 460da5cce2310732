"""The tests of a comparison: quantiles and means from sketches, and proportions. All are two-sided, and all are pure.

Each returns an Estimate of an effect: the logarithm of a ratio, or a difference of proportions. Quantiles and means are tested by permutation:
if rows do not differ, runs could be dealt to them by chance. That takes no shape of a distribution for granted.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from dynamiq_recorder.sketch import GAMMA, cumulated, middle

CONFIDENCE = 1.959964
"""Standard deviations of a normal variable that hold 95 %."""
FEW = 5.0
"""Expected failures in each cell, below which chance is counted and not approximated."""
BEYOND = 50
"""Runs of the smaller row that a quantile's test looks at, as far as the upper half has them."""
_WIDTH = math.log(GAMMA)
_SIDE = 0.025
"""The part of all deals that an interval leaves out at each side."""
_SHORTEST = 0.7
"""Skewness that makes the shorter tail shorter. More would make it end where sums still are."""

Buckets = Mapping[int, int]
Powers = tuple[float, float, float]
Tails = Callable[[int], tuple[float, float]]
"""Both tails of a test: how often chance makes a row's sum as large, and as small. It takes by how many buckets the other row moves up first."""


@dataclass(frozen=True)
class Estimate:
    """An effect. `p`: how often chance alone makes as much of it. `bounds` returns its 95 % interval; infinite where it has no end."""

    effect: float
    p: float
    bounds: Callable[[], tuple[float, float]]

    @cached_property
    def interval(self) -> tuple[float, float]:
        return self.bounds()


def two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2.0))


def quantile_ratio(one: Buckets, other: Buckets, fraction: float) -> Estimate | None:
    """log(quantile of one / quantile of other), by how many of each row's runs are above the quantile of both together.

    Of few runs hardly any are above a high quantile. So the test begins lower, with BEYOND runs of the smaller row, but not below the median.
    Above a median all runs count the same. Above a higher quantile the highest counts three times as much as the first.
    """
    if not one or not other:
        return None
    count, base = sum(one.values()), sum(other.values())
    above = (count + base) * min(0.5, max(1.0 - fraction, BEYOND / min(count, base)))
    slope = (2.0 if fraction > 0.5 else 0.0) / above

    def tails(by: int) -> tuple[float, float]:
        taken, found, sums = 0, 0.0, (0.0, 0.0, 0.0)
        for number in sorted(one.keys() | {each + by for each in other}, reverse=True):
            if taken >= above - 1e-9:
                break
            here = one.get(number, 0)
            size = here + other.get(number - by, 0)
            # Runs of one bucket share the places that they take, also where only some of these are above the quantile.
            part = min(size, above - taken) / size
            score = part * (1.0 + slope * (above - (taken + min(taken + size, above)) / 2))
            taken += size
            found += here * score
            sums = (sums[0] + size * score, sums[1] + size * score**2, sums[2] + size * score**3)
        return _tails(count, base, found, sums)

    return _estimate(_log_quantile(one, fraction) - _log_quantile(other, fraction), one, other, tails)


def _log_quantile(buckets: Buckets, fraction: float) -> float:
    """The logarithm of a quantile; within a bucket durations are spread evenly."""
    numbers, ends = cumulated(buckets)
    wanted = fraction * ends[-1]
    place = bisect_left(ends, wanted)
    number = numbers[place]
    return _WIDTH * (number - (ends[place] - wanted) / buckets[number])


def mean_ratio(one: Buckets, other: Buckets, value: float, base: float) -> Estimate:
    """log(value / base), which are the means of both: infinite where one of them is 0."""
    runs, base_runs, powers, base_powers = sum(one.values()), sum(other.values()), _powers(one), _powers(other)

    def tails(by: int) -> tuple[float, float]:
        times = GAMMA**by
        sums = (
            powers[0] + base_powers[0] * times,
            powers[1] + base_powers[1] * times**2,
            powers[2] + base_powers[2] * times**3,
        )
        return _tails(runs, base_runs, powers[0], sums)

    if value and base:
        return _estimate(math.log(value / base), one, other, tails)
    return _estimate(math.copysign(math.inf, value - base) if value != base else 0.0, one, other, tails)


def mean(buckets: Buckets) -> float:
    return _powers(buckets)[0] / sum(buckets.values())


def _powers(buckets: Buckets) -> Powers:
    """Returns the sums of all values, their squares and their cubes. The lowest bucket is 0."""
    first = second = third = 0.0
    for number, count in buckets.items():
        value = middle(number) if number else 0.0
        part = count * value
        first += part
        second += part * value
        third += part * value * value
    return first, second, third


def _tails(count: int, base: int, found: float, sums: Powers) -> tuple[float, float]:
    """How often a row's scores come to as much as `found`, and to as little, where runs are dealt to both rows by chance.

    `count`, `base`: runs of the row and of the other. `sums`: of all scores, their squares and their cubes. The distribution over all deals has
    a mean, a variance and a skewness that follow from these, exactly; of this form it is taken for a gamma distribution (Pearson's type III).
    """
    total = count + base
    middle_score = sums[0] / total
    second = sums[1] - sums[0] * middle_score
    if second <= 1e-12 * sums[1]:
        return 1.0, 1.0
    third = sums[2] - 3 * middle_score * sums[1] + 2 * middle_score**2 * sums[0]
    deviation = math.sqrt(second / total * count * base / (total - 1))
    skewness = third / total * count * base * (base - count) / ((total - 1) * (total - 2)) / deviation**3
    z = (found - count * middle_score) / deviation
    return _upper(z, skewness), _upper(-z, -skewness)


def _upper(z: float, skewness: float) -> float:
    """The part above z of a standardized gamma distribution, by the cube roots of Wilson and Hilferty (PNAS 1931)."""
    skewness = max(skewness, -_SHORTEST)
    if abs(skewness) > 1e-4:
        inner = 1.0 + skewness * z / 2
        if inner <= 0.0:
            return 1.0 if skewness > 0 else 0.0
        z = 6.0 / skewness * (inner ** (1 / 3) - 1.0) + skewness / 6
    return math.erfc(z / math.sqrt(2.0)) / 2


def _estimate(effect: float, one: Buckets, other: Buckets, tails: Tails) -> Estimate:
    """`p` is of the tail that the effect points to: a test that points the other way says nothing of it."""
    above, below = tails(0)
    p = min(1.0, 2 * (above if effect > 0 else below)) if effect else 1.0
    return Estimate(effect, p, lambda: _bounds(effect, one, other, tails))


def _bounds(effect: float, one: Buckets, other: Buckets, tails: Tails) -> tuple[float, float]:
    """Returns the ratios by which the other row can be multiplied until the test tells both apart, and at least one bucket beside the effect."""
    if math.isinf(effect):
        return -math.inf, math.inf
    least, most = min(one) - max(other) - 1, max(one) - min(other) + 1
    start = round(effect / _WIDTH)
    low = _first(lambda by: tails(by)[0] > _SIDE, start, least, most)
    high = _first(lambda by: tails(-by)[1] > _SIDE, -start, -most, -least)
    return min(effect - _WIDTH, (low - 0.5) * _WIDTH), max(effect + _WIDTH, (0.5 - high) * _WIDTH)


def _first(holds: Callable[[int], bool], start: int, least: int, most: int) -> float:
    """The first number for which it holds, as it does for all after it; -inf where that is before `least`."""
    start = min(max(start, least), most)
    step = 8
    if holds(start):
        after, before = start, start - step
        while before > least and holds(before):
            after, step = before, 2 * step
            before -= step
        if before <= least and holds(before := least):
            return -math.inf
    else:
        before, after = start, start + step
        while after < most and not holds(after):
            before, step = after, 2 * step
            after += step
    while after - before > 1:
        between = (before + after) // 2
        before, after = (before, between) if holds(between) else (between, after)
    return after


def proportion_difference(failed: int, total: int, base_failed: int, base_total: int) -> Estimate | None:
    """failed / total - base_failed / base_total. The interval is Newcombe's of two of Wilson's; the p-value that of a pooled test, or of
    Fisher's exact one where few failures are expected.
    """
    if not total or not base_total:
        return None
    rate, base = failed / total, base_failed / base_total
    (low, high), (base_low, base_high) = _wilson(failed, total), _wilson(base_failed, base_total)
    difference = rate - base
    pooled = (failed + base_failed) / (total + base_total)
    if min(total, base_total) * min(pooled, 1.0 - pooled) < FEW:
        p = _fisher(failed, total, base_failed, base_total)
    else:
        p = two_sided(difference / math.sqrt(pooled * (1.0 - pooled) * (1.0 / total + 1.0 / base_total)))
    bounds = difference - math.hypot(rate - low, base_high - base), difference + math.hypot(high - rate, base - base_low)
    return Estimate(difference, p, lambda: bounds)


def _wilson(failed: int, total: int) -> tuple[float, float]:
    z2 = CONFIDENCE**2
    middle = (failed + z2 / 2) / (total + z2)
    half = CONFIDENCE * math.sqrt(failed * (total - failed) / total + z2 / 4) / (total + z2)
    return max(0.0, middle - half), min(1.0, middle + half)


def _fisher(failed: int, total: int, base_failed: int, base_total: int) -> float:
    """The chance of all tables with these sums that are no likelier than this one."""
    failures = failed + base_failed
    whole = _log_choose(total + base_total, failures)

    def chance(here: int) -> float:
        return math.exp(_log_choose(total, here) + _log_choose(base_total, failures - here) - whole)

    seen = chance(failed) * (1.0 + 1e-9)
    possible = range(max(0, failures - base_total), min(failures, total) + 1)
    return min(1.0, sum(each for each in map(chance, possible) if each <= seen))


def _log_choose(count: int, taken: int) -> float:
    return math.lgamma(count + 1) - math.lgamma(taken + 1) - math.lgamma(count - taken + 1)


def holm(p_values: Mapping[str, float], level: float) -> set[str]:
    """Those that are significant together: of all whose null hypothesis holds, one or more is among them at most so often as the level says."""
    found: set[str] = set()
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda each: each[1])):
        if p > level / (len(p_values) - place):
            break
        found.add(name)
    return found
