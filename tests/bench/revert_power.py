"""Simulates how often equal versions are reverted, and worse ones detected: `python -m tests.bench.revert_power`, a quarter of an hour.

The operator's own functions judge the simulated deploys. The tables are for docs/reverts-details.md.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Iterator
from dataclasses import replace

from dynamiq_operator.model.rollout import RevertPolicy
from dynamiq_operator.model.runs import Verdict
from tests.support.simulated_watches import Load, is_reverted, looked

SEED = 30
RATES, LENGTHS, FAILING = (1, 10, 50), (0.1, 10, 30, 120), (0.0, 0.05, 0.15)
KNOWN = ((10, 30, 0.05), (10, 60, 0.05), (20, 60, 0.03), (3, 60, 0.10), (2, 20, 0.10))
"""Calls a second, seconds of a run and share of failures of versions that ended runs alone reverted in most deploys."""
SLOWER = {
    "20/s of 10 s, ×2, minRuns 100": (Load(20, 10), 2.0, {"min_runs": 100}),
    "10/s of 20 s, ×2, minRuns 100": (Load(10, 20), 2.0, {"min_runs": 100}),
    "5/s of 10 s, ×2, minRuns 60": (Load(5, 10), 2.0, {"min_runs": 60}),
    "50/s of 10 s, ×1.5, minRuns 500": (Load(50, 10), 1.5, {"min_runs": 500}),
    "20/s of 10 s, 10 % hang, minRuns 100": (Load(20, 10, hanging=0.1), 1.0, {"min_runs": 100}),
    "20/s of 10 s, equal, minRuns 100": (Load(20, 10), 1.0, {"min_runs": 100}),
}


def chance_of(*cell: object) -> random.Random:
    return random.Random(f"{SEED} {cell}")  # noqa: S311 - no secret


def reverted(before: Load, load: Load, limit: int, deploys: int) -> int:
    chance, policy = chance_of(before, load, limit), RevertPolicy(max_failed_percent=limit)
    return sum(is_reverted(chance, before, load, policy) for _ in range(deploys))


def equal(limit: int, deploys: int) -> Iterator[str]:
    """Yields lines of Markdown: the most frequent revert of any share of failures, for each rate and length."""
    yield f"| calls/s | {' | '.join(f'{length:g} s' for length in LENGTHS)} |"
    yield f"|---|{'---|' * len(LENGTHS)}"
    for rate in RATES:
        worst = []
        for length in LENGTHS:
            loads = (Load(rate, length, failing=share) for share in FAILING)
            worst.append(max(reverted(load, load, limit, deploys) for load in loads))
        yield f"| {rate} | {' | '.join(map(str, worst))} |"


def worse(limit: int, deploys: int, *, late: bool) -> Iterator[str]:
    """Yields the same for versions 20 points above the limit, after one without failures; in brackets if fewer than 100 had time to fail."""
    yield f"| calls/s | {' | '.join(f'{length:g} s' for length in LENGTHS)} |"
    yield f"|---|{'---|' * len(LENGTHS)}"
    for rate in RATES:
        cells = []
        for length in LENGTHS:
            load = Load(rate, length, failing=limit / 100 + 0.2, fails_late=late)
            percentage = f"{100 * reverted(replace(load, failing=0.02), load, limit, deploys) / deploys:.0f} %"
            had_time = rate * (285 - (length if late else 0)) >= 100
            cells.append(percentage if had_time else f"({percentage})")
        yield f"| {rate} | {' | '.join(cells)} |"


def slower(deploys: int) -> Iterator[str]:
    yield "| calls, medians, minRuns | reverted | called improved | no look in 600 s |"
    yield "|---|---|---|---|"
    for name, (before, times, more) in SLOWER.items():
        chance = chance_of(name)
        policy = RevertPolicy(seconds=600, max_p95_ratio=1.2, **more)
        load, known = replace(before, seconds=times * before.seconds), replace(before, hanging=0.0)
        comparisons = [looked(chance, known, load, policy) for _ in range(deploys)]
        improved = sum(each.verdict is Verdict.IMPROVED for each in comparisons)
        yield f"| {name} | {sum(each.reverted for each in comparisons)} | {improved} | {sum(each.at is None for each in comparisons)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deploys", type=int, default=200, help="deploys of each cell")
    deploys = parser.parse_args().deploys
    print(f"Equal versions reverted, of {deploys} deploys each (300 s, limit 20 %, minRuns 20; failures at once), cells that were wrong:\n")
    for rate, length, share in KNOWN:
        load = Load(rate, length, failing=share)
        print(f"{rate}/s of {length} s, {100 * share:.0f} % fail: {reverted(load, load, 20, deploys)}", flush=True)
    print(f"\np95: of {deploys * 3 // 10} deploys each (600 s, maxP95Ratio 1.2, σ 0.5, 2,000 runs of the version before):\n")
    for line in slower(deploys * 3 // 10):
        print(line, flush=True)
    for limit in (20, 5):
        print(f"\nVersions 20 points above a limit of {limit} %, found, that fail at once:\n")
        for line in worse(limit, deploys // 2, late=False):
            print(line, flush=True)
    print("\nThe same, limit 20 %, failures that take as long as any run:\n")
    for line in worse(20, deploys // 2, late=True):
        print(line, flush=True)
    for limit in (20, 5):
        print(
            f"\nEqual versions reverted, limit {limit} %, the most of {', '.join(f'{100 * each:.0f}' for each in FAILING)} % that fail:\n"
        )
        for line in equal(limit, deploys):
            print(line, flush=True)


if __name__ == "__main__":
    main()
