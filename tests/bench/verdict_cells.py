"""Simulates how often comparisons call equal rows different, and different rows: `python -m tests.bench.verdict_cells`, three minutes of one
core.

Each line is a cell of tests/support/simulated_rows.py with a seed of its own. The lines are stored in docs/measured/verdicts.txt.
"""

from __future__ import annotations

import argparse
import random

from tests.support.simulated_rows import EQUAL_CELLS, FOUND_CELLS, Cell

DRAWS = 2_000


def line(cell: Cell, draws: int) -> str:
    regressed, improved = cell.called(random.Random(str(cell)), draws)  # noqa: S311
    return f"{100 * regressed:5.1f} {100 * improved:5.1f}   {cell}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--draws", type=int, default=DRAWS, help="comparisons of each cell")
    draws = parser.parse_args().draws
    for title, cells in (("equal rows", EQUAL_CELLS), ("rows that differ", FOUND_CELLS)):
        print(f"Of 100 comparisons of {title}, those called regressed and improved; {draws} draws of each, seeded by its name:", flush=True)
        for cell in cells:
            print(line(cell, draws), flush=True)
        print()


if __name__ == "__main__":
    main()
