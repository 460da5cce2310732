"""The tests of a comparison: quantiles from sketches, proportions, and ratios of means. All are two-sided, and all are pure.

Each gives an Estimate of an effect: the logarithm of a ratio, or a difference of proportions.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import msgspec

from dynamiq_recorder.sketch import GAMMA

CONFIDENCE = 1.959964
"""Standard deviations of a normal variable that hold 95 %."""
FEW = 5.0
"""Expected failures in each cell, below which chance is counted and not approximated."""
_WIDTH = math.log(GAMMA)
_REACH = 1.5
"""Standard deviations to each side of a rank, over which the density around a quantile is taken."""


class Estimate(msgspec.Struct, frozen=True):
    """An effect with its 95 % interval. `p`: how often chance alone makes as much of it. None where nothing can be said."""

    effect: float
    low: float
    high: float
    p: float


def two_sided(z: float) -> float:
    return math.erfc(abs(z) / math.sqrt(2.0))


def quantile_ratio(one: Mapping[int, int], other: Mapping[int, int], fraction: float) -> Estimate | None:
    """log(quantile of one / quantile of other)."""
    if not one or not other:
        return None
    (value, sd), (base, base_sd) = _log_quantile(one, fraction), _log_quantile(other, fraction)
    return _normal(value - base, math.hypot(sd, base_sd))


def _log_quantile(buckets: Mapping[int, int], fraction: float) -> tuple[float, float]:
    """Its logarithm and standard deviation: the width of the interval between two order statistics, over how many deviations it is."""
    ordered = sorted(buckets.items())
    total = sum(count for _, count in ordered)
    reach = _REACH * math.sqrt(fraction * (1.0 - fraction) / total)
    low, high = max(0.0, fraction - reach), min(1.0, fraction + reach)
    width = _at(ordered, total, high) - _at(ordered, total, low)
    spread = max(width / (high - low), _WIDTH / (2 * reach))
    return _at(ordered, total, fraction), spread * math.sqrt(fraction * (1.0 - fraction) / total)


def _at(ordered: Sequence[tuple[int, int]], total: int, fraction: float) -> float:
    """The logarithm of a quantile; within a bucket durations are spread evenly."""
    wanted, seen = fraction * total, 0
    for number, count in ordered:
        if seen + count >= wanted:
            return _WIDTH * (number - 1 + (wanted - seen) / count)
        seen += count
    return _WIDTH * ordered[-1][0]


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
    return Estimate(
        difference,
        difference - math.hypot(rate - low, base_high - base),
        difference + math.hypot(high - rate, base - base_low),
        p,
    )


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


class Mean(msgspec.Struct, frozen=True):
    """Of so many values, by their sum and the sum of their squares."""

    count: int
    total: float
    squares: float

    @property
    def value(self) -> float:
        return self.total / self.count

    @property
    def variance(self) -> float:
        """Of the mean."""
        if self.count < 2:
            return 0.0
        return max(0.0, self.squares - self.total**2 / self.count) / (self.count - 1) / self.count


def mean_ratio(one: Mean, other: Mean) -> Estimate | None:
    """log(mean of one / mean of other), by the delta method; None where a mean is 0."""
    if one.count < 2 or other.count < 2 or one.total <= 0 or other.total <= 0:
        return None
    return _normal(math.log(one.value / other.value), math.sqrt(one.variance / one.value**2 + other.variance / other.value**2))


def _normal(effect: float, sd: float) -> Estimate:
    if sd == 0.0:
        return Estimate(effect, effect, effect, 1.0 if abs(effect) < 1e-9 else 0.0)
    return Estimate(effect, effect - CONFIDENCE * sd, effect + CONFIDENCE * sd, two_sided(effect / sd))


def holm(p_values: Mapping[str, float], level: float) -> set[str]:
    """Those that are significant together: of all whose null hypothesis holds, one or more is among them at most so often as the level says."""
    found: set[str] = set()
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda each: each[1])):
        if p > level / (len(p_values) - place):
            break
        found.add(name)
    return found
