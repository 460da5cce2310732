"""The cost of a call of a model: the reported cost, else by the table, else unknown, and never 0."""

from __future__ import annotations

import datetime

import pytest

from dynamiq_operator.model.runs import CostSource
from dynamiq_recorder.model import NO_TOKENS, Tokens
from dynamiq_recorder.pricing import Prices

TABLE = """
prices:
- {model: gpt-4o, input: 5, output: 15}
- {model: gpt-4o, from: 2024-10-01, input: 2.5, output: 10, cached: 1.25}
- {model: claude, input: 3, output: 15, cached: 0.3, cacheWrite: 3.75}
- {model: eu/claude, input: 6, output: 30}
- {model: llama, input: 0, output: 0}
"""
PRICES = Prices(TABLE)


def at(year: int, month: int, day: int) -> int:
    return int(datetime.datetime(year, month, day, tzinfo=datetime.UTC).timestamp() * 1_000_000)


NOW = at(2026, 1, 1)


def test_tokens_from_a_cache_are_part_of_the_input_and_have_their_own_price() -> None:
    tokens = Tokens(input=1_000, output=200, cache_read=600, cache_write=100)

    cost, source = PRICES.cost("claude", tokens, NOW)

    assert cost == (300 * 3_000 + 600 * 300 + 100 * 3_750 + 200 * 15_000)  # nano-dollars: a dollar per million tokens is 1,000 for one
    assert source is CostSource.TABLE


def test_without_a_price_of_their_own_they_cost_what_input_costs() -> None:
    assert PRICES.cost("gpt-4o", Tokens(input=100, output=0, cache_read=40, cache_write=10), at(2024, 1, 1)) == (
        100 * 5_000,
        CostSource.TABLE,
    )


def test_a_price_holds_from_its_day_on() -> None:
    tokens = Tokens(input=1_000_000, output=0)

    assert PRICES.cost("gpt-4o", tokens, at(2024, 10, 1) - 1)[0] == 5_000_000_000
    assert PRICES.cost("gpt-4o", tokens, at(2024, 10, 1))[0] == 2_500_000_000
    assert Prices("- {model: m, from: 2024-10-01, input: 1, output: 1}").cost("m", tokens, at(2024, 9, 30)) == (None, None)


def test_a_model_is_found_without_what_stands_before_a_slash_and_by_its_longest_name_first() -> None:
    tokens = Tokens(input=1_000_000, output=0)

    assert PRICES.cost("azure/gpt-4o", tokens, NOW)[0] == 2_500_000_000
    assert PRICES.cost("bedrock/eu/claude", tokens, NOW)[0] == 6_000_000_000
    assert PRICES.cost("bedrock/us/claude", tokens, NOW)[0] == 3_000_000_000


@pytest.mark.parametrize("model", ["gpt-4o-2024-08-06", "gpt-4", "GPT-4O", "gpt-4o/mini", "", None])
def test_nothing_else_is_guessed(model: str | None) -> None:
    assert PRICES.cost(model, Tokens(input=10, output=10), NOW) == (None, None)


def test_a_reported_cost_precedes_the_table() -> None:
    assert PRICES.cost("gpt-4o", Tokens(input=10, output=10), NOW, 0.0123) == (12_300_000, CostSource.REPORTED)


@pytest.mark.parametrize("reported", [0.0, -1.0, float("nan"), float("inf")])
def test_a_report_of_nothing_for_tokens_is_no_report(reported: float) -> None:
    tokens = Tokens(input=10, output=10)

    assert PRICES.cost("unknown", tokens, NOW, reported) == (None, None)
    assert PRICES.cost("gpt-4o", tokens, NOW, reported) == (125_000, CostSource.TABLE)
    assert PRICES.cost("unknown", NO_TOKENS, NOW, reported) == (None, None)


def test_a_model_costs_nothing_by_the_table_or_without_tokens() -> None:
    assert PRICES.cost("ollama/llama", Tokens(input=10, output=10), NOW, 0.0) == (0, CostSource.TABLE)
    assert PRICES.cost("unknown", Tokens(input=0, output=0), NOW, 0.0) == (0, CostSource.REPORTED)


def test_no_tokens_no_price() -> None:
    assert PRICES.cost("gpt-4o", NO_TOKENS, NOW) == (None, None)
    assert PRICES.cost("gpt-4o", Tokens(input=1_000_000), NOW)[0] == 2_500_000_000


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("a: [", "not YAML"),
        ("a: b", "a list of prices"),
        ("- {model: m, input: 1}", "price 1: Object missing required field `output`"),
        ("- {model: m, input: 1, output: 1, per: token}", "price 1: Object contains unknown field `per`"),
        ("- {model: m, input: -1, output: 1}", r"price 1 \(m\): -1.0 is not a price"),
        ("- {model: m, input: 1, output: 1, from: soon}", r"price 1 \(m\): Invalid isoformat string: 'soon'"),
        ("- {model: m, input: 1, output: 1}\n- {model: m, input: 2, output: 1}", r"price 2 \(m\): there are two prices from the same time"),
    ],
)
def test_an_unreadable_table_names_the_place(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        Prices(text)


def test_an_empty_table_knows_no_price() -> None:
    assert Prices("").cost("gpt-4o", Tokens(input=1, output=1), NOW) == (None, None)
