"""Rows whose runs are drawn by chance, for the verdict on a deploy: durations lognormal, cost gamma, failures by a coin."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import msgspec

from dynamiq_operator.model.runs import Verdict
from dynamiq_recorder import sketch
from dynamiq_recorder.compare import compare
from dynamiq_recorder.model import NodeSums, Row, RowFigures, Sums
from tests.support.stored_runs import a_row


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """What runs of a row are drawn from. `slower` multiplies every duration, so each quantile; `sigma` is of a duration's logarithm, `variation`
    the cost's standard deviation over its mean. `node`: where the extra time and cost arise.
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
    """A row of so many runs."""
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
        priced_cost_squared=float(sum(cost * cost for cost in costs)),
    )
    return RowFigures(row=row or a_row(2), sums=sums)


def with_nodes(figures: RowFigures, nodes: Sequence[tuple[str, int, int, int]]) -> RowFigures:
    """With the nodes' own time, failures that began in them and cost of one run, by name."""
    runs = figures.sums.runs
    made = tuple(
        NodeSums(node_id=name, name=name, sums=Sums(runs=runs, cost=cost * runs), own_duration=own * runs, caused=caused)
        for name, own, caused, cost in nodes
    )
    return msgspec.structs.replace(figures, nodes=made)


def called(chance: random.Random, kind: Kind, count: int, deploys: int) -> dict[Verdict, int]:
    """How often a row of this kind, after one with nothing the matter, got each verdict."""
    found = dict.fromkeys(Verdict, 0)
    for _ in range(deploys):
        found[compare(drawn(chance, kind, count, a_row(2)), drawn(chance, EQUAL, count, a_row(1))).verdict] += 1
    return found
