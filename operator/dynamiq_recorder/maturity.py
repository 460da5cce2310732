"""Selects the runs that count when a row that still gets runs is compared: those old enough that nearly all have ended. It does no I/O.

Runs are recorded when they end, so the first recorded runs of a row are its short ones.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from dynamiq_operator.model.runs import RunComparison, Verdict
from dynamiq_recorder.model import MICROSECONDS, NodeSums, Row, RowFigures, Sketch, Sums
from dynamiq_recorder.sketch import bucket, quantile

TIMES, QUANTILE = 3, 0.99
"""A run counts once TIMES the QUANTILE of the other row's durations have passed since it began."""


def matures_after(other: Sums) -> int | None:
    """Returns the microseconds after which a run counts against these; None if they have no durations."""
    longest = quantile(other.sketch.buckets, QUANTILE)
    return round(TIMES * longest) if longest is not None else None


def is_open(rows: Sequence[Row], row: Row, before: int) -> bool:
    """Returns True if the row could still get runs at `before`, since no newer row had gone live by then."""
    return not any(each.sequence > row.sequence and each.succeeded and each.ended is not None and each.ended <= before for each in rows)


def matured(every: RowFigures, mature: RowFigures, unended: int, matures: int) -> RowFigures:
    """Returns the figures of the runs that count.

    `every`: of all runs. `mature`: of runs that began before the cut. `unended`: runs that began before the cut and have not ended; they
    count as the slowest. Their cost is unknown, and they have not failed.
    """
    sums, buckets = mature.sums, dict(mature.sums.sketch.buckets)
    if unended:
        slowest = max(bucket(matures), *buckets) if buckets else bucket(matures)
        buckets[slowest] = buckets.get(slowest, 0) + unended
    counting = msgspec.structs.replace(
        sums, runs=sums.runs + unended, counted=sums.counted + unended, sketch=Sketch(buckets), duration=sums.duration + unended * matures
    )
    share = sums.runs / every.sums.runs if every.sums.runs else 0.0
    return msgspec.structs.replace(mature, sums=counting, nodes=tuple(_part(node, share) for node in mature.nodes))


def told(compared: RunComparison, every: RowFigures, matures: int | None) -> RunComparison:
    """Adds to a comparison the time after which runs count. `every`: figures of all runs of the row."""
    if matures is None:
        return compared
    seconds = matures / MICROSECONDS
    update: dict[str, object] = {"matures_seconds": seconds}
    if compared.verdict is Verdict.TOO_FEW_RUNS and compared.deployment.figures.runs < every.sums.runs:
        update["sentence"] = f"{compared.sentence}; a run counts {seconds:.3g} s after it began"
    return compared.model_copy(update=update)


def _part(node: NodeSums, share: float) -> NodeSums:
    """Returns a node's sums, scaled to a share of the runs: nodes are summed up by the hour."""
    cost = round(node.sums.cost * share) if node.sums.cost is not None else None
    return msgspec.structs.replace(
        node,
        own_duration=round(node.own_duration * share),
        caused=round(node.caused * share),
        sums=msgspec.structs.replace(node.sums, cost=cost),
    )
