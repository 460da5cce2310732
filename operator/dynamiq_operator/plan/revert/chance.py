"""Decides whether more runs failed than chance explains, at 1 % over all looks at a version together. It does no I/O and keeps no state.

The 1 % is spent in two parts, which add up (Bonferroni). Most of it is left for the look with the most runs:

- 0.1 % for looks at any moment, however many. The likelihood ratio of "a rate above the limit, all equally likely" to "the limit" is a
  supermartingale as runs arrive. It ever reaches 1,000 with a probability of at most 0.1 % (Ville's inequality). See Robbins 1970,
  Statistical methods related to the law of the iterated logarithm. The limit is at least the 99.9 % bound of Clopper and Pearson for the
  version before, which takes another 0.1 %.
- 0.8 % for one last look at the end of the watch. It is a one-sided binomial test, and against the version before Fisher's exact test at
  0.2 %.

Runs in flight are in `begun` and have not failed: where failures come fast, the runs that ended are no fair sample. The looks at any moment
hold for any load and any duration: the failures by then are at most those among the first `begun` runs.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import exp, inf, lgamma, log, log1p

ANY_LOOK, BEFORE, LAST_LOOK = 0.001, 0.001, 0.008
"""Parts of the 1 %."""
LAST_BEFORE = 0.002
"""The level of Fisher's test.

It is the only test against a version whose rate exceeds the limit but not the rate of the version before.
"""
RUNS_MOST = 1_000_000
"""Larger numbers of runs are scaled down to this: pods may report any number, and a sum takes as long as its square root."""
_NEGLIGIBLE = 1e-12
_HALVINGS = 40


@dataclass(frozen=True)
class Rate:
    """`failed` of the runs that have `begun`."""

    failed: int
    begun: int

    @property
    def share(self) -> float:
        return self.failed / self.begun if self.begun else 0.0

    def bounded(self) -> Rate:
        """Returns the same share of at most RUNS_MOST runs."""
        return self if self.begun <= RUNS_MOST else Rate(self.failed * RUNS_MOST // self.begun, RUNS_MOST)


def is_beyond_chance(rate: Rate, limit: float, before: Rate | None, *, last: bool) -> bool:
    """Returns True if a rate of failures is above `limit` and above that of the version before, by more than chance explains.

    `limit`: from 0 to 1. `before`: None if only the limit is known. `last`: True for the one last look.
    """
    rate, before = rate.bounded(), before.bounded() if before is not None else None
    highest = max(limit, before.share if before is not None else 0.0)
    if rate.share <= highest:
        return False
    if last and _at_least(rate, highest) <= LAST_LOOK and (before is None or _fisher(rate, before) <= LAST_BEFORE):
        return True
    if _evidence(rate, highest) < 1 / ANY_LOOK:
        return False
    return before is None or _evidence(rate, max(limit, upper_bound(before))) >= 1 / ANY_LOOK


def upper_bound(rate: Rate) -> float:
    """Returns the highest rate for which chance still explains so few failures (Clopper and Pearson, one-sided, 99.9 %)."""
    low, high = rate.share, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        if 1.0 - _at_least(Rate(rate.failed + 1, rate.begun), middle) > BEFORE:
            low = middle
        else:
            high = middle
    return high


def _evidence(rate: Rate, limit: float) -> float:
    """Returns the likelihood ratio of the failures: rates above the limit, all equally likely, to the limit.

    The integral of p^failed (1 - p)^(begun - failed) over p from the limit to 1 is an incomplete beta function. It is a sum of binomial
    terms.
    """
    if limit <= 0.0 or limit >= 1.0:
        return inf if rate.failed and limit <= 0.0 else 0.0
    at_limit = _log_term(rate.failed, rate.begun, limit)
    above = 1.0 - _at_least(Rate(rate.failed + 1, rate.begun + 1), limit)
    if above <= 0.0:
        return 0.0
    ratio = log(above) - log1p(-limit) - log(rate.begun + 1) - at_limit
    return exp(min(ratio, 700.0))


def _at_least(rate: Rate, share: float) -> float:
    """Returns the probability of at least so many failures if each run fails with the probability `share`."""
    if rate.failed <= 0 or share >= 1.0:
        return 1.0
    if share <= 0.0 or rate.failed > rate.begun:
        return 0.0
    odds, runs = share / (1.0 - share), rate.begun
    if rate.failed > runs * share:
        return _sum(_log_term(rate.failed, runs, share), (odds * (runs - k) / (k + 1) for k in range(rate.failed, runs)))
    fewer = rate.failed - 1
    return 1.0 - _sum(_log_term(fewer, runs, share), (k / ((runs - k + 1) * odds) for k in range(fewer, 0, -1)))


def _fisher(rate: Rate, before: Rate) -> float:
    """Returns the probability that this version gets at least so many of all failures if both versions fail equally often."""
    failed, runs = rate.failed + before.failed, rate.begun + before.begun

    def ratio(k: int) -> float:
        """Returns the probability of k + 1 failures divided by that of k."""
        return (rate.begun - k) * (failed - k) / ((k + 1) * (before.begun - failed + k + 1))

    first = _log_choose(rate.begun, rate.failed) + _log_choose(before.begun, before.failed) - _log_choose(runs, failed)
    return _sum(first, (ratio(k) for k in range(rate.failed, min(failed, rate.begun))))


def _sum(first: float, ratios: Iterator[float]) -> float:
    """Returns the sum of decreasing terms: the first by its logarithm, each next one by its ratio to the one before."""
    term = total = exp(first)
    for ratio in ratios:
        term *= ratio
        total += term
        if term <= total * _NEGLIGIBLE:
            break
    return min(1.0, total)


def _log_term(failed: int, runs: int, share: float) -> float:
    return _log_choose(runs, failed) + failed * log(share) + (runs - failed) * log1p(-share)


def _log_choose(runs: int, failed: int) -> float:
    return lgamma(runs + 1) - lgamma(failed + 1) - lgamma(runs - failed + 1)
