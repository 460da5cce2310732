"""Sums up the model calls of a run. It prices none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dynamiq_recorder.model import NO_TOKENS, Span, Tokens


class Calls(msgspec.Struct, frozen=True):
    """The sums of a run's model calls.

    `cost`: of the calls with a known price, None without any. `unpriced`: the number of calls without a price. `models`: each name once.
    """

    tokens: Tokens
    cost: int | None
    unpriced: int
    count: int
    models: tuple[str, ...]


def calls_of(spans: Iterable[Span]) -> Calls:
    """Sums up the spans of one run that are model calls."""
    calls = [span for span in spans if span.is_model]
    known = [call.cost for call in calls if call.cost is not None]
    return Calls(
        _total([call.tokens for call in calls]),
        sum(known) if known else None,
        len(calls) - len(known),
        len(calls),
        tuple(dict.fromkeys(call.model for call in calls if call.model)),
    )


def _total(tokens: Sequence[Tokens]) -> Tokens:
    if not tokens:
        return NO_TOKENS
    return Tokens(
        input=_sum([each.input for each in tokens]),
        output=_sum([each.output for each in tokens]),
        cache_read=_sum([each.cache_read for each in tokens]),
        cache_write=_sum([each.cache_write for each in tokens]),
    )


def _sum(counts: Sequence[int | None]) -> int | None:
    known = [each for each in counts if each is not None]
    return sum(known) if known else None
