"""What a run has of its leaf calls of models."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dynamiq_recorder.model import NO_TOKENS, Span, Tokens


class Calls(msgspec.Struct, frozen=True):
    """`cost`: of those whose price is known, None where no price is; `unpriced`: those without one. `models`: each once."""

    tokens: Tokens
    cost: int | None
    unpriced: int
    count: int
    models: tuple[str, ...]


def calls_of(spans: Iterable[Span]) -> Calls:
    """Sums over the spans of one run."""
    calls = [span for span in spans if span.is_model]
    known = [call.cost for call in calls if call.cost is not None]
    return Calls(
        _total([call.tokens for call in calls]),
        sum(known) if known else None,
        len(calls) - len(known),
        len(calls),
        tuple(dict.fromkeys(call.model for call in calls if call.model)),
    )


def _total(given: Sequence[Tokens]) -> Tokens:
    if not given:
        return NO_TOKENS
    return Tokens(
        input=_sum([each.input for each in given]),
        output=_sum([each.output for each in given]),
        cache_read=_sum([each.cache_read for each in given]),
        cache_write=_sum([each.cache_write for each in given]),
    )


def _sum(given: Sequence[int | None]) -> int | None:
    known = [each for each in given if each is not None]
    return sum(known) if known else None
