"""A run that was sent again: the union of what was sent, and what it comes to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from dynamiq_recorder.model import Run, Span, Tokens

_FIGURES = ("cost", "unpriced", "model_calls", "models", "tokens", "node_count", "spans")
_IDENTITY = ("id", "app_uid", "namespace", "app", "row_uid", "sequence", "row_digest", "instance", "seq", "content_kept")
"""Stay as they were first."""
_SAID = tuple(name for name in Run.__struct_fields__ if name not in (*_FIGURES, *_IDENTITY))


def with_sums(run: Run) -> Run:
    """The run with tokens, cost, models and counts of its spans; without spans, as it is."""
    if not run.spans:
        return run
    calls = [span for span in run.spans if span.is_model]
    prices = [span.cost for span in calls if span.cost is not None]
    return msgspec.structs.replace(
        run,
        tokens=_sum(span.tokens for span in calls),
        cost=sum(prices) if prices else None,
        unpriced=len(calls) - len(prices),
        model_calls=len(calls),
        models=tuple(dict.fromkeys(span.model for span in calls if span.model)),
        node_count=len(run.spans),
    )


def _sum(parts: Iterable[Tokens]) -> Tokens:
    given = list(parts)

    def of(values: Sequence[int | None]) -> int | None:
        known = [value for value in values if value is not None]
        return sum(known) if known else None

    return Tokens(
        input=of([tokens.input for tokens in given]),
        output=of([tokens.output for tokens in given]),
        cache_read=of([tokens.cache_read for tokens in given]),
        cache_write=of([tokens.cache_write for tokens in given]),
    )


def union(first: Run, second: Run) -> Run:
    """Both together: of what both say the second stands, and a span of it in the place of the first's with its id.

    Where the first's spans are not kept any more, its figures stay: those of a part would be wrong.
    """
    spans: dict[str, Span] = {span.span_id: span for span in first.spans}
    spans.update((span.span_id, span) for span in second.spans)
    said = {name: value for name in _SAID if (value := getattr(second, name)) not in (None, ())}
    whole = len(first.spans) >= first.node_count
    both = msgspec.structs.replace(first, **said)
    if not whole:
        return both
    if not second.spans and not first.spans:
        return msgspec.structs.replace(both, **{name: getattr(second, name) for name in _FIGURES})
    if first.spans == second.spans:
        return msgspec.structs.replace(both, **{name: getattr(first, name) for name in _FIGURES})
    return with_sums(msgspec.structs.replace(both, spans=tuple(sorted(spans.values(), key=lambda span: (span.started_at, span.span_id)))))
