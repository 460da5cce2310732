"""Compares the runs of a row with those of another: p95, failures and cost, and the node that changed most. It does no I/O.

The three figures are tested two-sided, each at 1 % a side. Together they make at most one false call in 20 comparisons of equal rows
(Holm). A change smaller than the resolution of a sketch counts as unchanged. Durations, failures and means are those of runs that were
neither refused nor abandoned.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from dynamiq_operator.model.runs import (
    FEWEST_FOR_P95,
    FEWEST_RUNS,
    ComparedFigure,
    ComparedRow,
    Figures,
    NodeShare,
    RowVerdict,
    RunComparison,
    Verdict,
)
from dynamiq_recorder.model import NANO_USD, NodeSums, RowFigures, Sums
from dynamiq_recorder.sketch import GAMMA, quantile
from dynamiq_recorder.statistics import Estimate, holm, mean, mean_ratio, proportion_difference, quantile_ratio

LEVEL = 0.05
EACH = 0.02
"""The significance level of one figure, both sides together."""
P95, FAILURES, COST = "p95_ms", "failure_rate", "cost_usd"
_NAMES = {P95: "p95", FAILURES: "failures", COST: "cost"}
BEYOND = round(FEWEST_FOR_P95 * 0.05)
"""Fewest expected runs beyond a quantile for which it is tested."""
_LEAST = math.log(GAMMA)
"""The smallest change of a quantile or a mean that is reported: a sketch resolves nothing within a bucket."""


class _Figure(msgspec.Struct, frozen=True):
    """One figure of both rows. `estimate`: of the ratio's logarithm; for failures, of the difference."""

    value: float | None
    baseline: float | None
    estimate: Estimate | None
    of_difference: bool = False
    least: float = 0.0
    few: bool = False

    def verdict(self, *, significant: bool) -> Verdict:
        if self.estimate is None:
            return Verdict.TOO_FEW_RUNS if self.few else Verdict.UNKNOWN
        if not significant or abs(self.estimate.effect) < self.least:
            return Verdict.UNCHANGED
        return Verdict.REGRESSED if self.estimate.effect > 0 else Verdict.IMPROVED

    def shown(self, *, significant: bool) -> ComparedFigure:
        estimate = self.estimate
        to_shown: Callable[[float], float] = float if self.of_difference else math.exp
        low, high = estimate.interval if estimate is not None else (-math.inf, math.inf)
        return ComparedFigure(
            value=self.value,
            baseline=self.baseline,
            ratio=self.value / self.baseline if self.value is not None and self.baseline else None,
            low=to_shown(low) if math.isfinite(low) else None,
            high=to_shown(high) if math.isfinite(high) else None,
            p_value=estimate.p if estimate is not None else None,
            verdict=self.verdict(significant=significant),
        )


class _Outcome(msgspec.Struct, frozen=True):
    """The tested figures of two rows, and the result of their comparison."""

    tested: Mapping[str, _Figure]
    significant: frozenset[str]
    verdict: Verdict
    node: NodeShare | None
    sentence: str


def compare(row: RowFigures, baseline: RowFigures | None) -> RunComparison:
    """Compares a row with another. It reports changes that are unlikely to be chance, and favours neither row."""
    outcome = _evaluate(row, baseline)
    shown: dict[str, Any] = dict.fromkeys(("p50_ms", P95, FAILURES, COST, "tokens"))
    if outcome.tested and baseline is not None:
        beside = {"p50_ms": _quantile(row.sums, baseline.sums, 0.5), "tokens": _tokens(row.sums, baseline.sums)}
        shown = {name: figure.shown(significant=name in outcome.significant) for name, figure in outcome.tested.items()} | {
            name: figure.shown(significant=figure.estimate is not None and figure.estimate.p <= LEVEL / len(outcome.tested))
            for name, figure in beside.items()
        }
    return RunComparison(
        deployment=_shown_row(row),
        baseline=_shown_row(baseline) if baseline is not None else None,
        verdict=outcome.verdict,
        node=outcome.node,
        sentence=outcome.sentence,
        **shown,
    )


def verdict_of(row: RowFigures, baseline: RowFigures | None) -> RowVerdict:
    """Returns the result alone, without intervals, which take most of the time."""
    outcome = _evaluate(row, baseline)
    return RowVerdict(
        deployment_id=row.row.uid,
        sequence=row.row.sequence,
        figures=figures_of(row.sums),
        verdict=outcome.verdict,
        sentence=outcome.sentence,
    )


def _evaluate(row: RowFigures, baseline: RowFigures | None) -> _Outcome:
    if baseline is None or min(row.sums.counted, baseline.sums.counted) < FEWEST_RUNS:
        return _inconclusive(row, baseline)
    tested = {
        P95: _quantile(row.sums, baseline.sums, 0.95),
        FAILURES: _failures(row.sums, baseline.sums),
        COST: _cost(row.sums, baseline.sums),
    }
    p_values = {name: figure.estimate.p for name, figure in tested.items() if figure.estimate is not None}
    significant = frozenset(name for name in holm(p_values, LEVEL) if p_values[name] <= EACH)
    verdicts = {name: figure.verdict(significant=name in significant) for name, figure in tested.items()}
    verdict = next((each for each in (Verdict.REGRESSED, Verdict.IMPROVED) if each in verdicts.values()), Verdict.UNCHANGED)
    changed = sorted(
        (name for name, each in verdicts.items() if each is verdict and verdict is not Verdict.UNCHANGED), key=p_values.__getitem__
    )
    node = next((share for name in changed if (share := _node(row, baseline, name, verdict)) is not None), None)
    sentence = _sentence(row, baseline, {name: tested[name] for name in tested if name in changed}, verdict, node)
    return _Outcome(tested, significant, verdict, node, sentence)


def figures_of(sums: Sums) -> Figures:
    """Converts sums to the figures that every surface shows."""
    p50, p95 = quantile(sums.sketch.buckets, 0.5), quantile(sums.sketch.buckets, 0.95)
    return Figures(
        runs=sums.runs,
        failed=sums.failed,
        refused=sums.refused,
        abandoned=sums.abandoned,
        p50_ms=p50 / 1000 if p50 is not None else None,
        p95_ms=p95 / 1000 if p95 is not None else None,
        cost_usd=sums.cost / NANO_USD if sums.cost is not None else None,
        unpriced_calls=sums.unpriced,
        input_tokens=sums.input_tokens,
        output_tokens=sums.output_tokens,
        cache_read_tokens=sums.cache_read_tokens,
        cache_write_tokens=sums.cache_write_tokens,
    )


def _shown_row(row: RowFigures) -> ComparedRow:
    sums = row.sums
    return ComparedRow(
        deployment_id=row.row.uid,
        sequence=row.row.sequence,
        workflow_version=row.row.workflow_version,
        figures=figures_of(sums),
        mean_tokens=sums.counted_tokens / sums.with_tokens if sums.with_tokens else None,
        mean_cost_usd=sums.priced_cost / sums.priced / NANO_USD if sums.priced and sums.cost is not None else None,
        score_means={name: total / count for name, (total, count) in row.scores.items()},
    )


def _inconclusive(row: RowFigures, baseline: RowFigures | None) -> _Outcome:
    if baseline is None:
        return _Outcome({}, frozenset(), Verdict.UNKNOWN, None, f"there is no row to compare row #{row.row.sequence} with")
    few = row if row.sums.counted < FEWEST_RUNS else baseline
    count = f"{few.sums.counted} run{'' if few.sums.counted == 1 else 's'} that ended by themselves"
    sentence = f"{_named(few)} {'has' if few.oldest is None else 'have'} {count}, and a comparison needs {FEWEST_RUNS}"
    return _Outcome({}, frozenset(), Verdict.TOO_FEW_RUNS, None, sentence)


def _quantile(after: Sums, before: Sums, fraction: float) -> _Figure:
    value, baseline = quantile(after.sketch.buckets, fraction), quantile(before.sketch.buckets, fraction)
    few = min(after.counted, before.counted) * (1.0 - fraction) < BEYOND - 1e-9
    estimate = quantile_ratio(after.sketch.buckets, before.sketch.buckets, fraction) if not few else None
    return _Figure(value / 1000 if value else None, baseline / 1000 if baseline else None, estimate, least=_LEAST, few=few)


def _failures(after: Sums, before: Sums) -> _Figure:
    estimate = proportion_difference(after.failed, after.counted, before.failed, before.counted)
    return _Figure(after.failed / after.counted, before.failed / before.counted, estimate, of_difference=True)


class _Amounts(msgspec.Struct, frozen=True):
    """Amounts of runs, as a total and as a sketch. The sketch lacks runs that were recorded before sketches existed.

    `unit`: the divisor of a shown figure.
    """

    count: int
    total: int
    buckets: Mapping[int, int]
    unit: int = 1

    @property
    def sketched(self) -> int:
        return sum(self.buckets.values())

    @property
    def mean(self) -> float:
        """Returns the mean of the runs in the sketch; it is exact if the sketch has all of them."""
        value = self.total / self.count if self.sketched in (0, self.count) else mean(self.buckets)
        return value / self.unit


def _cost(after: Sums, before: Sums) -> _Figure:
    if after.cost is None or before.cost is None:
        return _Figure(None, None, None)
    return _mean(*(_Amounts(sums.priced, sums.priced_cost, sums.cost_sketch.buckets, NANO_USD) for sums in (after, before)))


def _tokens(after: Sums, before: Sums) -> _Figure:
    return _mean(*(_Amounts(sums.with_tokens, sums.counted_tokens, sums.token_sketch.buckets) for sums in (after, before)))


def _mean(after: _Amounts, before: _Amounts) -> _Figure:
    if not after.count or not before.count:
        return _Figure(None, None, None)
    value, baseline = after.mean, before.mean
    if min(after.sketched, before.sketched) < FEWEST_RUNS:
        return _Figure(value, baseline, None, few=True)
    return _Figure(value, baseline, mean_ratio(after.buckets, before.buckets, value, baseline), least=_LEAST)


def _node(row: RowFigures, baseline: RowFigures, figure: str, verdict: Verdict) -> NodeShare | None:
    """Returns the node with the largest part of a change, per run; None if no node changed that way, or a row has no nodes.

    A node's time is what it took itself. A failure counts for the node in which it began.
    """
    parts = {
        P95: lambda node: float(node.own_duration),
        FAILURES: lambda node: float(node.caused),
        COST: lambda node: float(node.sums.cost or 0),
    }
    part: Callable[[NodeSums], float] = parts[figure]
    sign = 1.0 if verdict is Verdict.REGRESSED else -1.0
    before = {node.node_id: part(node) / baseline.sums.runs for node in baseline.nodes}
    after = {node.node_id: part(node) / row.sums.runs for node in row.nodes}
    names = {node.node_id: node.name for node in (*baseline.nodes, *row.nodes)}
    changes = {node: sign * (after.get(node, 0.0) - before.get(node, 0.0)) for node in names}
    total = sum(change for change in changes.values() if change > 0)
    if total <= 0 or not before or not after:
        return None
    most = max(sorted(changes), key=changes.__getitem__)
    return NodeShare(node_id=most, name=names[most], of=figure, share=changes[most] / total)


def _sentence(row: RowFigures, baseline: RowFigures, changed: Mapping[str, _Figure], verdict: Verdict, node: NodeShare | None) -> str:
    this, other = _named(row), _named(baseline)
    if verdict is Verdict.UNCHANGED:
        return f"{this} is as {other} {'was' if baseline.oldest is None else 'were'}: no change of p95, failures or cost beyond chance"
    did = "raised" if verdict is Verdict.REGRESSED else "lowered"
    parts = [f"{_NAMES[name]} {_by(figure)}" for name, figure in changed.items()]
    listed = " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
    against = f", against {other}" if baseline.oldest is not None else ""
    return f"{this} {did} {listed}{against}" + (f'; node "{node.name}" did it' if node is not None else "")


def _named(figures: RowFigures) -> str:
    newest, oldest = figures.row.sequence, figures.oldest
    return f"row #{newest}" if oldest is None else f"rows #{oldest.sequence} to #{newest}"


def _by(figure: _Figure) -> str:
    value, baseline = figure.value or 0.0, figure.baseline or 0.0
    if figure.of_difference:
        return f"from {_percent(baseline)} to {_percent(value)}"
    if not baseline:
        return "from nothing"
    ratio = value / baseline
    if ratio >= 1.95:
        return f"by {ratio:.1f}".removesuffix(".0") + "×"
    return f"by {_percent(abs(ratio - 1.0))}"


def _percent(part: float) -> str:
    percent = 100 * part
    return f"{percent:.0f} %" if percent >= 9.95 or percent == 0 else f"{percent:.1f}".removesuffix(".0") + " %"
