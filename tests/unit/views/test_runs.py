"""Runs as text: durations, costs, tokens, and unknown values."""

from __future__ import annotations

from typing import Any

import pytest

from dynamiq_operator.views import runs
from tests.support import scripted_recorder as made


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "-"),
        (0, "0 ms"),
        (0.44, "0.4 ms"),
        (9.49, "9.5 ms"),
        (12.4, "12 ms"),
        (999.4, "999 ms"),
        (999.6, "1.00 s"),
        (59_994, "59.99 s"),
        (59_996, "1 min 0 s"),
        (3_723_000, "1 h 2 min"),
    ],
)
def test_durations(value: float | None, shown: str) -> None:
    assert runs.milliseconds(value) == shown


@pytest.mark.parametrize(
    ("cost", "unpriced", "shown"),
    [
        (None, 0, "-"),
        (None, 2, "-"),
        (0.0, 0, "$0.0000"),
        (0.000012, 0, "$1.2e-05"),
        (0.01234, 0, "$0.0123"),
        (0.01234, 1, "≥ $0.0123"),
        (1234.5, 0, "$1234.50"),
    ],
)
def test_costs(cost: float | None, unpriced: int, shown: str) -> None:
    assert runs.dollars(cost, unpriced) == shown


def test_tokens_that_are_not_known_are_not_none() -> None:
    assert runs.tokens({"input_tokens": 12, "output_tokens": 0}) == "12+0"
    assert runs.tokens({"input_tokens": 12, "output_tokens": None}) == "12+-"
    assert runs.tokens({"input_tokens": None, "output_tokens": None}) == "-"


def test_a_comparison_without_figures_marks_each_as_unknown() -> None:
    nothing: dict[str, Any] = dict.fromkeys(("baseline", "p50_ms", "p95_ms", "failure_rate", "cost_usd", "tokens"))
    lines = list(runs.compared(made.a_comparison(**nothing)))
    assert lines[0] == ("runs", "500", "-", "", "", "")
    assert {line[1:] for line in lines[1:]} == {("-", "-", "", "", "")}
    unsure = {"value": None, "baseline": 3.0, "ratio": None, "low": None, "high": None, "p_value": None, "verdict": "too_few_runs"}
    assert ("cost", "-", "$3.0000", "-", "-", "too few runs") in list(runs.compared(made.a_comparison(cost_usd=unsure)))


def test_a_deep_tree_takes_no_stack() -> None:
    nodes = [made.a_node(span_id=str(at), parent_id=str(at - 1) if at else None) for at in range(5000)]
    assert [depth for depth, _ in runs.in_tree(nodes)] == list(range(5000))
