"""Draws rows with random runs for comparisons of deploys: durations lognormal, cost gamma, failures by a coin.

Cells are rows that differ in one figure or in none. Their shapes are hard to compare: with two humps, or with a few expensive runs.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence

import msgspec

from dynamiq_operator.model.runs import Verdict
from dynamiq_recorder import sketch
from dynamiq_recorder.compare import verdict_of
from dynamiq_recorder.model import NodeSums, Row, RowFigures, Sketch, Sums
from tests.support.stored_runs import a_row


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of a row's runs. `slower` multiplies every duration, so each quantile.

    `sigma`: of a duration's logarithm; `variation`: the cost's standard deviation over its mean. `node`: the source of the extra time and
    cost.
    """

    slower: float = 1.0
    sigma: float = 0.5
    dearer: float = 1.0
    variation: float = 1.0
    failures: float = 0.02


EQUAL = Kind()
WORSE: Mapping[str, Kind] = {
    "p95 ×1.2": Kind(slower=1.2),
    "cost ×1.2": Kind(dearer=1.2),
    "failures 2 → 5 %": Kind(failures=0.05),
}
COUNTS = (30, 100, 200, 500, 1_000, 2_000, 5_000)


def drawn(chance: random.Random, kind: Kind, count: int, row: Row | None = None) -> RowFigures:
    """Draws a row of so many runs."""
    durations = [int(1e6 * kind.slower * chance.lognormvariate(0.0, kind.sigma)) for _ in range(count)]
    shape = kind.variation**-2
    costs = [int(1e6 * kind.dearer * chance.gammavariate(shape, 1.0 / shape)) for _ in range(count)]
    sums = Sums(
        runs=count,
        counted=count,
        failed=sum(chance.random() < kind.failures for _ in range(count)),
        duration=sum(durations),
        sketch=sketch.sketch_of(durations),
        cost=sum(costs),
        priced=count,
        priced_cost=sum(costs),
        cost_sketch=sketch.sketch_of(costs),
    )
    return RowFigures(row=row or a_row(2), sums=sums)


def with_nodes(figures: RowFigures, nodes: Sequence[tuple[str, int, int, int]]) -> RowFigures:
    """Returns the figures with these nodes: name, own time, failures that began there, and cost of one run."""
    runs = figures.sums.runs
    sums = tuple(
        NodeSums(node_id=name, name=name, sums=Sums(runs=runs, cost=cost * runs), own_duration=own * runs, caused=caused)
        for name, own, caused, cost in nodes
    )
    return msgspec.structs.replace(figures, nodes=sums)


def called(chance: random.Random, kind: Kind, count: int, deploys: int) -> dict[Verdict, int]:
    """Returns how often a row of this kind, compared with a good one, got each result."""
    numbers = dict.fromkeys(Verdict, 0)
    for _ in range(deploys):
        numbers[verdict_of(drawn(chance, kind, count, a_row(2)), drawn(chance, EQUAL, count, a_row(1))).verdict] += 1
    return numbers


class Shape(msgspec.Struct, frozen=True):
    """Log-normal values, a share of which is so many times larger."""

    sigma: float
    share: float = 0.0
    times: float = 1.0

    def drawn(self, chance: random.Random, by: float) -> float:
        """Draws a value. `by`: the factor for all values."""
        larger = self.times if self.share and chance.random() < self.share else 1.0
        return 1e6 * by * larger * math.exp(chance.gauss(0.0, self.sigma) if self.sigma else 0.0)


ONE_HUMP, TWO_HUMPS, LONG_TAIL, CONSTANT = Shape(0.5), Shape(0.2, 0.04, 30.0), Shape(2.0), Shape(0.0)
RARE, RARER = Shape(0.3, 0.02, 50.0), Shape(0.3, 0.01, 100.0)


class Cell(msgspec.Struct, frozen=True):
    """A line of a table: rows of `count` and `before` runs, the first `by` times the other. `figure`: p95 or cost; the other is equal.

    `found`: the least part of draws to detect; of equal rows at most ASIDE may be called to each side.
    """

    figure: str
    name: str
    shape: Shape
    count: int
    before: int
    by: float = 1.0
    found: float | None = None

    def called(self, chance: random.Random, draws: int) -> tuple[float, float]:
        """Returns the parts that are called regressed and improved."""
        verdicts = [
            verdict_of(self._row(chance, 2, self.count, self.by), self._row(chance, 1, self.before, 1.0)).verdict for _ in range(draws)
        ]
        return verdicts.count(Verdict.REGRESSED) / draws, verdicts.count(Verdict.IMPROVED) / draws

    def _row(self, chance: random.Random, sequence: int, count: int, by: float) -> RowFigures:
        values = [int(self.shape.drawn(chance, by)) for _ in range(count)]
        sketched, same = sketch.sketch_of(values), Sketch({700: count})
        sums = Sums(runs=count, counted=count, sketch=sketched)
        if self.figure == "cost":
            cost = sum(values)
            sums = Sums(runs=count, counted=count, sketch=same, cost=cost, priced=count, priced_cost=cost, cost_sketch=sketched)
        return RowFigures(row=a_row(sequence), sums=sums)

    def __str__(self) -> str:
        return f"{self.figure}, {self.name}, {self.count} and {self.before} runs" + (f", times {self.by:g}" if self.by != 1 else "")


ASIDE = 0.02
_DURATIONS = {"one hump (σ 0.5)": ONE_HUMP, "two humps (4 % 30 times slower)": TWO_HUMPS, "log-normal σ 2": LONG_TAIL, "constant": CONSTANT}
_COSTS = {
    "1 % cost 100 times": RARER,
    "2 % cost 50 times": RARE,
    "1 % cost 100 times, else constant": Shape(0.0, 0.01, 100.0),
    "log-normal σ 1": Shape(1.0),
    "log-normal σ 2": LONG_TAIL,
}
EQUAL_CELLS = (
    *(
        Cell("p95", name, shape, *counts)
        for name, shape in _DURATIONS.items()
        for counts in ((100, 100), (500, 500), (2000, 2000), (100, 2000), (500, 2000))
    ),
    *(
        Cell("cost", name, shape, *counts)
        for name, shape in _COSTS.items()
        for counts in ((30, 1000), (60, 60), (100, 100), (500, 500), (100, 2000), (2000, 100))
    ),
)
FOUND_CELLS = (
    Cell("p95", "log-normal σ 1", Shape(1.0), 100, 100, 2.0, 0.95),
    Cell("p95", "one hump (σ 0.5)", ONE_HUMP, 100, 100, 2.0, 0.95),
    Cell("p95", "one hump (σ 0.5)", ONE_HUMP, 100, 100, 1.5, 0.95),
    *(Cell("p95", "log-normal σ 2", LONG_TAIL, count, count, 2.0) for count in (100, 500, 2000)),
    *(Cell("p95", "two humps (4 % 30 times slower)", TWO_HUMPS, count, count, by) for count in (100, 500, 2000) for by in (1.5, 2.0)),
    Cell("cost", "log-normal σ 1", Shape(1.0), 500, 500, 1.5, 0.9),
    Cell("cost", "one hump (σ 0.5)", ONE_HUMP, 500, 500, 1.5, 0.9),
    *(Cell("cost", "log-normal σ 2", LONG_TAIL, count, count, 1.5) for count in (500, 2000)),
    *(
        Cell("cost", name, shape, count, count, 1.5)
        for name, shape in (("2 % cost 50 times", RARE), ("1 % cost 100 times", RARER))
        for count in (500, 2000)
    ),
)
