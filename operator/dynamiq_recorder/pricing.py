"""Computes the cost of a model call: the reported cost, else one by a price table, else unknown. It reads no file.

The table is YAML: a list of prices, or a list under `prices`, in US dollars per million tokens. `from` is the date, or the time with its
zone, from which a price holds. A price without it has always held:

    - {model: gpt-4o, from: 2024-10-01, input: 2.5, output: 10, cached: 1.25, cacheWrite: 2.5}

A model is looked up by its full name, then without its first part up to a slash, and so on: azure/eu/gpt-4o, eu/gpt-4o, gpt-4o. No other
name is tried: gpt-4o-2024-08-06 does not get the price of gpt-4o.

A reported cost of 0 for a call that used tokens is unknown, since price maps have 0 for missing prices. A free model needs a line with
`input: 0, output: 0`.
"""

from __future__ import annotations

import datetime
import math
from bisect import bisect_right
from collections.abc import Iterator

import msgspec
import yaml

from dynamiq_operator.model.runs import CostSource
from dynamiq_recorder.model import MICROSECONDS, NANO_USD, Tokens

PER = 1_000_000
_ALWAYS = -(1 << 62)


class _Line(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"cache_write": "cacheWrite", "since": "from"}):
    model: str
    input: float
    output: float
    cached: float | None = None
    cache_write: float | None = None
    since: object = None


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """The prices of a model, in nano-dollars per million tokens."""

    input: int
    output: int
    cache_read: int
    cache_write: int

    def of(self, tokens: Tokens) -> int | None:
        """Returns nano-dollars; None if neither input nor output tokens are known. Cached tokens are part of the input, with their own
        price.
        """
        if tokens.input is None and tokens.output is None:
            return None
        read, write = tokens.cache_read or 0, tokens.cache_write or 0
        plain = max(0, (tokens.input or 0) - read - write)
        total = plain * self.input + read * self.cache_read + write * self.cache_write + (tokens.output or 0) * self.output
        return (total + PER // 2) // PER


class Prices:
    """A price table: the prices of each model, by time."""

    def __init__(self, text: str = "") -> None:
        """Parses a table.

        Raises ValueError, which names the wrong entry of the YAML.
        """
        self._prices: dict[str, list[tuple[int, Price]]] = {}
        for number, line in enumerate(_lines(text), 1):
            try:
                since = _time(line.since)
                price = _price(line)
            except ValueError as error:
                raise ValueError(f"price {number} ({line.model}): {error}") from error
            known = self._prices.setdefault(line.model, [])
            if any(since == other for other, _ in known):
                raise ValueError(f"price {number} ({line.model}): there are two prices from the same time")
            known.append((since, price))
        for known in self._prices.values():
            known.sort(key=lambda each: each[0])

    def price(self, model: str, at: int) -> Price | None:
        """Returns the price of a model at a time in microseconds; None if the table has none."""
        for name in _names(model):
            if known := self._prices.get(name):
                place = bisect_right(known, at, key=lambda each: each[0])
                return known[place - 1][1] if place else None
        return None

    def cost(self, model: str | None, tokens: Tokens, at: int, reported: float | None = None) -> tuple[int | None, CostSource | None]:
        """Returns the nano-dollars of a call and their source; None and None if unknown. `reported`: in dollars."""
        if reported is not None and math.isfinite(reported) and (reported > 0 or (reported == 0 and _used_no_tokens(tokens))):
            return round(reported * NANO_USD), CostSource.REPORTED
        price = self.price(model, at) if model is not None else None
        cost = price.of(tokens) if price is not None else None
        return (cost, CostSource.TABLE) if cost is not None else (None, None)


def _used_no_tokens(tokens: Tokens) -> bool:
    return tokens.input == 0 and not tokens.output


def _names(model: str) -> Iterator[str]:
    yield model
    while "/" in model:
        model = model.partition("/")[2]
        yield model


def _lines(text: str) -> list[_Line]:
    try:
        made = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ValueError(f"the price table is not YAML: {error}") from error
    if isinstance(made, dict) and set(made) == {"prices"}:
        made = made["prices"]
    if made is None:
        return []
    if not isinstance(made, list):
        raise ValueError("the price table is a list of prices, or `prices` with one")  # noqa: TRY004 - of a text
    lines = []
    for number, each in enumerate(made, 1):
        try:
            lines.append(msgspec.convert(each, _Line))
        except msgspec.ValidationError as error:
            raise ValueError(f"price {number}: {error}") from error
    return lines


def _price(line: _Line) -> Price:
    def nano(dollars: float) -> int:
        if not 0 <= dollars <= PER:
            raise ValueError(f"{dollars} is not a price of a million tokens in dollars")
        return round(dollars * NANO_USD)

    return Price(
        input=nano(line.input),
        output=nano(line.output),
        cache_read=nano(line.cached if line.cached is not None else line.input),
        cache_write=nano(line.cache_write if line.cache_write is not None else line.input),
    )


def _time(since: object) -> int:
    if since is None:
        return _ALWAYS
    if isinstance(since, str):
        since = datetime.datetime.fromisoformat(since)
    if isinstance(since, datetime.date) and not isinstance(since, datetime.datetime):
        since = datetime.datetime(since.year, since.month, since.day, tzinfo=datetime.UTC)
    if not isinstance(since, datetime.datetime):
        raise ValueError(f"{since} is not a date")  # noqa: TRY004 - of a text
    return int((since if since.tzinfo is not None else since.replace(tzinfo=datetime.UTC)).timestamp() * MICROSECONDS)
