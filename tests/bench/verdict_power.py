"""Simulates how often comparisons detect worse rows, by the number of a row's runs: `python -m tests.bench.verdict_power`, some minutes.

Each row of runs is compared with a good one of as many runs. The table is for docs/comparisons.md.
"""

from __future__ import annotations

import argparse
import random

from dynamiq_operator.model.runs import Verdict
from tests.support.simulated_rows import COUNTS, EQUAL, WORSE, called

DEPLOYS = 400
SEED = 13


def table(deploys: int, counts: tuple[int, ...] = COUNTS) -> list[str]:
    """Returns lines of Markdown."""
    lines = [
        f"| runs of each row | {' | '.join(WORSE)} | equal rows called regressed | called improved |",
        f"|---|{'---|' * (len(WORSE) + 2)}",
    ]
    for count in counts:
        chance = random.Random(f"{SEED} {count}")  # noqa: S311
        regressed = [called(chance, kind, count, deploys)[Verdict.REGRESSED] for kind in WORSE.values()]
        equal = called(chance, EQUAL, count, deploys)
        cells = [*regressed, equal[Verdict.REGRESSED], equal[Verdict.IMPROVED]]
        lines.append(f"| {count:,} | {' | '.join(f'{100 * cell / deploys:.0f}' for cell in cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--deploys", type=int, default=DEPLOYS, help="comparisons of each kind and count")
    deploys = parser.parse_args().deploys
    print(f"Of 100 deploys, those called (σ 0.5 of a duration's logarithm, cost with CV 1, {deploys} simulated of each, seed {SEED}):\n")
    print("\n".join(table(deploys)))


if __name__ == "__main__":
    main()
