"""The comparison of a deploy: it finds what is worse, rarely flags what is equal, and names the node."""

from __future__ import annotations

import math
import random
from typing import Any

import msgspec
import pytest

from dynamiq_operator.model.runs import Verdict
from dynamiq_recorder import sketch
from dynamiq_recorder.compare import compare, verdict_of
from dynamiq_recorder.model import RowFigures, Sketch, Sums
from dynamiq_recorder.statistics import proportion_difference, quantile_ratio
from tests.support.history_stage import in_full
from tests.support.simulated_rows import ASIDE, EQUAL, EQUAL_CELLS, FOUND_CELLS, WORSE, Cell, Kind, called, drawn, with_nodes
from tests.support.stored_runs import a_row, a_run, sums_of

SOME_EQUAL = {
    "p95, one hump (σ 0.5), 100 and 100 runs",
    "p95, two humps (4 % 30 times slower), 100 and 2000 runs",
    "p95, log-normal σ 2, 100 and 100 runs",
    "cost, 1 % cost 100 times, 30 and 1000 runs",
    "cost, 2 % cost 50 times, 60 and 60 runs",
    "cost, log-normal σ 2, 2000 and 100 runs",
}
SOME_FOUND = {"p95, log-normal σ 1, 100 and 100 runs, times 2", "cost, log-normal σ 1, 500 and 500 runs, times 1.5"}


def _row(sequence: int = 12, kind: Kind = EQUAL, count: int = 4_000, seed: int = 0) -> RowFigures:
    return drawn(random.Random(1000 * sequence + seed), kind, count, a_row(sequence))  # noqa: S311


def _with(row: RowFigures, **changes: Any) -> RowFigures:
    return msgspec.structs.replace(row, sums=msgspec.structs.replace(row.sums, **changes))


def test_worse_deploys_of_2000_runs_are_found_and_equal_ones_are_not() -> None:
    seed = random.randrange(10**6)  # noqa: S311
    print("seed", seed)
    chance = random.Random(seed)  # noqa: S311

    worse = [called(chance, kind, 2_000, 34)[Verdict.REGRESSED] for kind in WORSE.values()]
    equal = called(chance, EQUAL, 2_000, 100)

    assert sum(worse) >= 97, worse  # of 102
    assert equal[Verdict.REGRESSED] <= 8, equal
    assert equal[Verdict.UNCHANGED] >= 85, equal


@pytest.mark.parametrize("kind", [Kind(sigma=0.05), Kind(sigma=1.5, variation=3.0), Kind(failures=0.0), Kind(failures=0.5)], ids=str)
def test_equal_rows_of_any_kind_are_called_once_in_twenty_at_most(kind: Kind) -> None:
    chance = random.Random(11)  # noqa: S311

    calls = sum(
        verdict_of(drawn(chance, kind, 300, a_row(2)), drawn(chance, kind, 900, a_row(1))).verdict is not Verdict.UNCHANGED
        for _ in range(200)
    )

    assert calls <= 18  # 10 are expected at most; 19 are one chance in 200


@pytest.mark.full_count
@pytest.mark.parametrize("cell", [cell for cell in EQUAL_CELLS if in_full() or str(cell) in SOME_EQUAL], ids=str)
def test_few_equal_rows_of_a_hard_shape_are_called_regressed_or_improved(cell: Cell) -> None:
    draws, most = (2_000, ASIDE) if in_full() else (200, 1.5 * ASIDE)

    regressed, improved = cell.called(random.Random(str(cell)), draws)  # noqa: S311

    assert max(regressed, improved) <= most, (regressed, improved)


@pytest.mark.full_count
@pytest.mark.parametrize("cell", [cell for cell in FOUND_CELLS if cell.found and (in_full() or str(cell) in SOME_FOUND)], ids=str)
def test_rows_that_are_half_again_as_slow_or_expensive_are_found(cell: Cell) -> None:
    regressed, improved = cell.called(random.Random(str(cell)), 2_000 if in_full() else 200)  # noqa: S311

    assert cell.found is not None
    assert regressed >= cell.found
    assert improved == 0


def test_a_better_row_is_improved_and_a_mixed_one_is_regressed() -> None:
    base = _row(11, Kind(failures=0.05))
    better = compare(_row(12, Kind(slower=0.7, dearer=0.5)), base)
    both = compare(_row(12, Kind(slower=1.5, dearer=0.5)), base)

    assert better.verdict is Verdict.IMPROVED
    assert better.sentence.startswith("row #12 lowered p95 by ")
    assert both.verdict is Verdict.REGRESSED
    assert both.cost_usd is not None
    assert both.cost_usd.verdict is Verdict.IMPROVED
    assert "cost" not in both.sentence


def test_a_comparison_is_a_sentence_that_names_the_row_the_figures_and_the_node() -> None:
    row = with_nodes(_row(12, Kind(slower=1.4, dearer=2.0)), [("fetch", 100_000, 0, 0), ("summarize", 900_000, 0, 2_000_000)])
    base = with_nodes(_row(11), [("fetch", 120_000, 0, 0), ("summarize", 500_000, 0, 1_000_000)])
    row = _with(row, sketch=Sketch(buckets={number + 17: count for number, count in base.sums.sketch.buckets.items()}))
    twice = {number + 35: count for number, count in base.sums.cost_sketch.buckets.items()}
    row = _with(row, priced_cost=2 * base.sums.priced_cost, cost_sketch=Sketch(buckets=twice))

    compared = compare(row, base)

    assert compared.sentence == 'row #12 raised p95 by 40 % and cost by 2×; node "summarize" did it'
    assert compared.node is not None
    assert (compared.node.node_id, compared.node.share) == ("summarize", 1.0)
    assert compared.p95_ms is not None
    assert compared.p95_ms.low is not None
    assert compared.p95_ms.high is not None
    assert compared.p95_ms.low < 1.02**17 < compared.p95_ms.high
    assert compared.cost_usd is not None
    assert compared.cost_usd.ratio == pytest.approx(2.0)
    short = verdict_of(row, base)
    assert (short.verdict, short.sentence, short.sequence) == (compared.verdict, compared.sentence, 12)
    assert short.figures == compared.deployment.figures


def test_the_node_is_the_one_in_which_failures_began() -> None:
    row = with_nodes(_row(12, Kind(failures=0.1)), [("agent", 1, 5, 0), ("search", 1, 380, 0)])
    base = with_nodes(_row(11), [("agent", 1, 4, 0), ("search", 1, 80, 0)])

    compared = compare(row, base)

    assert compared.node is not None
    assert (compared.node.name, compared.node.of) == ("search", "failure_rate")
    assert 0.99 < compared.node.share < 1.0
    assert compared.failure_rate is not None
    assert compared.failure_rate.low is not None
    assert 0.05 < compared.failure_rate.low < 0.08
    assert compared.sentence.startswith("row #12 raised failures from 1.9 % to 10 %; ")


def test_a_node_that_is_new_can_be_the_one_and_without_nodes_there_is_none() -> None:
    row = with_nodes(_row(12, Kind(slower=1.5)), [("fetch", 100_000, 0, 0), ("check", 400_000, 0, 0)])
    base = with_nodes(_row(11), [("fetch", 100_000, 0, 0)])
    node = compare(row, base).node

    assert node is not None
    assert node.name == "check"
    assert compare(_row(12, Kind(slower=1.5)), base).node is None


@pytest.mark.parametrize(
    ("mine", "other", "says"), [(29, 500, "row #12 has 29 runs"), (500, 0, "row #11 has 0 runs"), (1, 500, "has 1 run that")]
)
def test_few_runs_have_no_result(mine: int, other: int, says: str) -> None:
    compared = compare(_row(12, Kind(slower=9), mine), _row(11, EQUAL, other))

    assert compared.verdict is Verdict.TOO_FEW_RUNS
    assert says in compared.sentence
    assert compared.p95_ms is None


def test_p95_needs_60_runs_and_the_other_figures_do_not() -> None:
    few, enough = (compare(_row(12, Kind(slower=9), count), _row(11)) for count in (59, 60))

    assert few.p95_ms is not None
    assert few.p50_ms is not None
    assert (few.p95_ms.verdict, few.p50_ms.verdict, few.verdict) == (Verdict.TOO_FEW_RUNS, Verdict.REGRESSED, Verdict.UNCHANGED)
    assert enough.verdict is Verdict.REGRESSED


def test_runs_that_the_caller_refused_or_left_do_not_make_enough() -> None:
    row = _with(_row(12, EQUAL, 29), runs=500, refused=400, abandoned=71)

    compared = compare(row, _row(11))

    figures = compared.deployment.figures
    assert (compared.verdict, figures.refused, figures.abandoned) == (Verdict.TOO_FEW_RUNS, 400, 71)


def test_a_row_without_another_is_unknown() -> None:
    compared = compare(_row(1), None)

    assert (compared.verdict, compared.baseline) == (Verdict.UNKNOWN, None)
    assert compared.deployment.figures.runs == 4_000


def test_a_cost_without_prices_is_unknown_or_too_few_and_the_other_figures_count() -> None:
    base = _row(11)
    old = compare(_with(_row(12, Kind(slower=1.5)), cost_sketch=Sketch()), base)
    unpriced = compare(_with(_row(12, Kind(slower=1.5)), cost=None, priced=0, priced_cost=0, cost_sketch=Sketch(), unpriced=4_000), base)
    few = compare(_with(_row(12, Kind(slower=1.5)), priced=20, priced_cost=10**7, cost_sketch=Sketch({500: 20})), base)

    for compared, verdict in ((unpriced, Verdict.UNKNOWN), (few, Verdict.TOO_FEW_RUNS), (old, Verdict.TOO_FEW_RUNS)):
        assert compared.verdict is Verdict.REGRESSED
        assert compared.cost_usd is not None
        assert (compared.cost_usd.verdict, compared.cost_usd.p_value) == (verdict, None)


def test_a_row_that_begins_to_cost_something_is_worse_and_two_free_ones_are_equal() -> None:
    def free(sequence: int) -> RowFigures:
        return _with(_row(sequence), cost=0, priced_cost=0, cost_sketch=Sketch({0: 4_000}))

    begins = compare(_row(12), free(11))

    assert begins.cost_usd is not None
    assert (begins.cost_usd.verdict, begins.cost_usd.ratio) == (Verdict.REGRESSED, None)
    assert "cost from nothing" in begins.sentence
    equal = compare(free(12), free(11)).cost_usd
    assert equal is not None
    assert equal.verdict is Verdict.UNCHANGED


def test_runs_that_all_take_the_same_time_are_compared_without_a_spread() -> None:
    def steady(sequence: int, duration: int) -> RowFigures:
        sums = sums_of([a_run(number, duration=duration) for number in range(100)])
        return RowFigures(row=a_row(sequence), sums=sums)

    same, slower = compare(steady(12, 50_000), steady(11, 50_000)), compare(steady(12, 60_000), steady(11, 50_000))

    assert same.verdict is Verdict.UNCHANGED
    assert slower.verdict is Verdict.REGRESSED
    assert slower.cost_usd is not None
    assert slower.cost_usd.verdict is Verdict.UNKNOWN


def test_a_row_of_whose_runs_some_have_no_sketch_of_cost_is_compared_by_those_that_have_one() -> None:
    dear = _row(12, Kind(dearer=2.0), 500)
    row = _with(dear, priced=4_500, priced_cost=dear.sums.priced_cost + 4_000)

    compared = compare(row, _row(11)).cost_usd

    assert compared is not None
    assert compared.verdict is Verdict.REGRESSED
    assert compared.ratio == pytest.approx(2.0, rel=0.2)


def test_tokens_are_compared_as_cost_is() -> None:
    def with_tokens(figures: RowFigures, times: int) -> RowFigures:
        counts = {400 + 35 * times: figures.sums.counted}
        return _with(figures, with_tokens=figures.sums.counted, counted_tokens=2**times * figures.sums.counted, token_sketch=Sketch(counts))

    same, more = (compare(with_tokens(_row(12), times), with_tokens(_row(11), 1)).tokens for times in (1, 2))

    assert same is not None
    assert more is not None
    assert (same.verdict, more.verdict, more.ratio) == (Verdict.UNCHANGED, Verdict.REGRESSED, 2.0)


@pytest.mark.parametrize("row", [{500: 29, 700: 1}, {500: 60}, {500: 30, 501: 30}], ids=str)
def test_an_interval_has_the_figure_and_is_of_ratios(row: dict[int, int]) -> None:
    base = RowFigures(row=a_row(1), sums=Sums(runs=60, counted=60, sketch=Sketch({500: 60})))
    counted = sum(row.values())

    compared = compare(RowFigures(row=a_row(2), sums=Sums(runs=counted, counted=counted, sketch=Sketch(row))), base)

    for figure in (compared.p50_ms, compared.p95_ms):
        assert figure is not None
        if figure.low is not None and figure.high is not None and figure.ratio is not None:
            assert 0 < figure.low <= figure.ratio <= figure.high


def test_a_change_below_the_accuracy_of_a_sketch_is_no_change() -> None:
    def many(sequence: int, shift: float) -> RowFigures:
        chance = random.Random(4)  # noqa: S311
        durations = [int(10**6 * shift * chance.lognormvariate(0, 0.3)) for _ in range(3_000)]
        buckets = {number: count * 1_000 for number, count in sketch.sketch_of(durations).buckets.items()}
        return RowFigures(row=a_row(sequence), sums=Sums(runs=3_000_000, counted=3_000_000, sketch=Sketch(buckets)))

    assert compare(many(12, 1.01), many(11, 1.0)).verdict is Verdict.UNCHANGED
    assert compare(many(12, 1.05), many(11, 1.0)).verdict is Verdict.REGRESSED


def test_no_failure_in_either_row_is_no_difference_and_a_few_are_counted_exactly() -> None:
    none = proportion_difference(0, 100, 0, 100)
    assert none is not None
    assert none.effect == 0.0
    assert none.p == pytest.approx(1.0)
    few = proportion_difference(6, 30, 0, 30)
    assert few is not None
    assert few.p == pytest.approx(0.0237, abs=1e-4)  # R: fisher.test(matrix(c(6, 24, 0, 30), 2))
    many = proportion_difference(100, 2_000, 40, 2_000)
    assert many is not None
    assert many.p == pytest.approx(2.5e-7, rel=0.1)
    assert many.interval == pytest.approx((0.0187, 0.0416), abs=3e-4)


def test_an_interval_of_a_quantiles_ratio_holds_the_truth_in_95_of_100() -> None:
    chance = random.Random(8)  # noqa: S311
    held = 0
    for _ in range(300):
        one, other = drawn(chance, Kind(slower=1.3), 400), drawn(chance, EQUAL, 800)
        estimate = quantile_ratio(one.sums.sketch.buckets, other.sums.sketch.buckets, 0.95)
        assert estimate is not None
        low, high = estimate.interval
        held += low <= math.log(1.3) <= high

    assert 272 <= held <= 297


def test_rows_that_do_not_overlap_differ_though_one_has_constant_durations() -> None:
    spread, fast, slow = dict.fromkeys(range(100, 110), 10), {5: 185}, {300: 185}

    for estimate in (quantile_ratio(*pair, 0.5) for steady in (fast, slow) for pair in ((spread, steady), (steady, spread))):
        assert estimate is not None
        assert estimate.p < 1e-9
        assert all(map(math.isfinite, estimate.interval))
