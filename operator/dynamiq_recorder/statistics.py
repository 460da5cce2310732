"""Implements the tests of a comparison: quantiles and means from sketches, and proportions. All are two-sided and pure.

Each returns an Estimate of an effect: the logarithm of a ratio, or a difference of proportions. Quantiles and means are tested by
permutation: if two rows are equal, chance dealt the runs to them. No shape of a distribution is assumed.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

from dynamiq_recorder.sketch import GAMMA, cumulated, middle

CONFIDENCE = 1.959964
"""Standard deviations of a normal variable that contain 95 %."""
FEW = 5.0
"""Expected failures per cell below which Fisher's exact test replaces the approximation."""
BEYOND = 50
"""Fewest runs of the smaller row above the start of a quantile's test, unless that start would be below the median."""
_WIDTH = math.log(GAMMA)
_SIDE = 0.025
"""The part of all deals that an interval excludes at each side."""
_SHORTEST = 0.7
"""Most negative skewness that is used. More would end the shorter tail below sums that still occur."""

Buckets = Mapping[int, int]
Powers = tuple[float, float, float]
Tails = Callable[[int], tuple[float, float]]
"""Returns both tails of a test: the probability, by chance, of a sum as large, and of one as small. Its argument: by how many buckets the
other row is shifted up first.
"""


@dataclass(frozen=True)
class Estimate:
    """An estimated effect.

    `p`: the probability of such an effect by chance alone. `bounds`: returns its 95 % interval, infinite where it is open.
    """

    effect: float
    p: float
    bounds: Callable[[], tuple[float, float]]

    @cached_property
    def interval(self) -> tuple[float, float]:
        return self.bounds()


def two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2.0))


def quantile_ratio(buckets: Buckets, base_buckets: Buckets, fraction: float) -> Estimate | None:
    """Estimates log(quantile of `buckets` / quantile of `base_buckets`); None if either is empty.

    It scores each row's runs above a quantile of both rows together. Few runs are above a high quantile, so the test starts lower: with
    BEYOND runs of the smaller row, but not below the median. For a median all runs above it count the same. For a higher quantile the
    highest run counts three times as much as the lowest.
    """
    if not buckets or not base_buckets:
        return None
    count, base = sum(buckets.values()), sum(base_buckets.values())
    above = (count + base) * min(0.5, max(1.0 - fraction, BEYOND / min(count, base)))
    slope = (2.0 if fraction > 0.5 else 0.0) / above

    def tails(by: int) -> tuple[float, float]:
        taken, score_sum, sums = 0, 0.0, (0.0, 0.0, 0.0)
        for number in sorted(buckets.keys() | {each + by for each in base_buckets}, reverse=True):
            if taken >= above - 1e-9:
                break
            here = buckets.get(number, 0)
            size = here + base_buckets.get(number - by, 0)
            # Runs of one bucket share the places that they take, also where only some of these are above the quantile.
            part = min(size, above - taken) / size
            score = part * (1.0 + slope * (above - (taken + min(taken + size, above)) / 2))
            taken += size
            score_sum += here * score
            sums = (sums[0] + size * score, sums[1] + size * score**2, sums[2] + size * score**3)
        return _tails(count, base, score_sum, sums)

    return _estimate(_log_quantile(buckets, fraction) - _log_quantile(base_buckets, fraction), buckets, base_buckets, tails)


def _log_quantile(buckets: Buckets, fraction: float) -> float:
    """Returns the logarithm of a quantile. Durations are taken as evenly spread within a bucket."""
    numbers, ends = cumulated(buckets)
    rank = fraction * ends[-1]
    place = bisect_left(ends, rank)
    number = numbers[place]
    return _WIDTH * (number - (ends[place] - rank) / buckets[number])


def mean_ratio(buckets: Buckets, base_buckets: Buckets, value: float, base: float) -> Estimate:
    """Estimates log(value / base), the ratio of both means; infinite if one of them is 0."""
    runs, base_runs, powers, base_powers = sum(buckets.values()), sum(base_buckets.values()), _powers(buckets), _powers(base_buckets)

    def tails(by: int) -> tuple[float, float]:
        times = GAMMA**by
        sums = (
            powers[0] + base_powers[0] * times,
            powers[1] + base_powers[1] * times**2,
            powers[2] + base_powers[2] * times**3,
        )
        return _tails(runs, base_runs, powers[0], sums)

    if value and base:
        return _estimate(math.log(value / base), buckets, base_buckets, tails)
    return _estimate(math.copysign(math.inf, value - base) if value != base else 0.0, buckets, base_buckets, tails)


def mean(buckets: Buckets) -> float:
    return _powers(buckets)[0] / sum(buckets.values())


def _powers(buckets: Buckets) -> Powers:
    """Returns the sums of all values, their squares and their cubes. The lowest bucket counts as 0."""
    first = second = third = 0.0
    for number, count in buckets.items():
        value = middle(number) if number else 0.0
        part = count * value
        first += part
        second += part * value
        third += part * value * value
    return first, second, third


def _tails(count: int, base: int, score_sum: float, sums: Powers) -> tuple[float, float]:
    """Returns how often chance makes a row's scores sum to at least `score_sum`, and to at most it.

    `count`, `base`: runs of the row and of the other. `sums`: of all scores, their squares and their cubes. Over all deals of the runs to
    the rows, mean, variance and skewness follow exactly from `sums`. The distribution is approximated by a gamma distribution of these
    (Pearson's type III).
    """
    total = count + base
    middle_score = sums[0] / total
    second = sums[1] - sums[0] * middle_score
    if second <= 1e-12 * sums[1]:
        return 1.0, 1.0
    third = sums[2] - 3 * middle_score * sums[1] + 2 * middle_score**2 * sums[0]
    deviation = math.sqrt(second / total * count * base / (total - 1))
    skewness = third / total * count * base * (base - count) / ((total - 1) * (total - 2)) / deviation**3
    z = (score_sum - count * middle_score) / deviation
    return _upper(z, skewness), _upper(-z, -skewness)


def _upper(z: float, skewness: float) -> float:
    """Returns the part above z of a standardized gamma distribution.

    Source: the cube roots of Wilson and Hilferty (PNAS 1931).
    """
    skewness = max(skewness, -_SHORTEST)
    if abs(skewness) > 1e-4:
        inner = 1.0 + skewness * z / 2
        if inner <= 0.0:
            return 1.0 if skewness > 0 else 0.0
        z = 6.0 / skewness * (inner ** (1 / 3) - 1.0) + skewness / 6
    return math.erfc(z / math.sqrt(2.0)) / 2


def _estimate(effect: float, buckets: Buckets, base_buckets: Buckets, tails: Tails) -> Estimate:
    """Builds an Estimate. `p` is of the tail to which the effect points."""
    above, below = tails(0)
    # The other tail is no evidence for this effect, even if it is small.
    p = min(1.0, 2 * (above if effect > 0 else below)) if effect else 1.0
    return Estimate(effect, p, lambda: _bounds(effect, buckets, base_buckets, tails))


def _bounds(effect: float, buckets: Buckets, base_buckets: Buckets, tails: Tails) -> tuple[float, float]:
    """Returns the lowest and the highest log ratio that the test does not reject, each at least one bucket from the effect."""
    if math.isinf(effect):
        return -math.inf, math.inf
    least, most = min(buckets) - max(base_buckets) - 1, max(buckets) - min(base_buckets) + 1
    start = round(effect / _WIDTH)
    low = _first(lambda by: tails(by)[0] > _SIDE, start, least, most)
    high = _first(lambda by: tails(-by)[1] > _SIDE, -start, -most, -least)
    return min(effect - _WIDTH, (low - 0.5) * _WIDTH), max(effect + _WIDTH, (0.5 - high) * _WIDTH)


def _first(holds: Callable[[int], bool], start: int, least: int, most: int) -> float:
    """Returns the first number for which `holds` is True, as it is for all later ones; -inf if that is before `least`."""
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
    """Estimates failed / total - base_failed / base_total; None if a total is 0.

    The interval is Newcombe's, of two Wilson intervals. The p-value is of a pooled test, or of Fisher's exact test if few failures are
    expected.
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
    """Returns the probability of all tables with these sums that are no more likely than this one."""
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
    """Returns the names that are significant together, by Holm's method.

    The probability that at least one of them is false is at most `level`.
    """
    significant: set[str] = set()
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda each: each[1])):
        if p > level / (len(p_values) - place):
            break
        significant.add(name)
    return significant
