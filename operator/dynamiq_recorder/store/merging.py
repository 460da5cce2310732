"""Decides if a run that was sent again is accepted, and merges it with the stored one. It does no I/O."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

import msgspec

from dynamiq_operator.model.runs import RunSource
from dynamiq_recorder.calls import calls_of
from dynamiq_recorder.model import CONTENT_OF_A_RUN, SPANS_OF_A_RUN, Run, Span

_FIGURES = ("cost", "unpriced", "model_calls", "models", "tokens", "node_count", "spans")
_IDENTITY = ("id", "app_uid", "namespace", "app", "row_uid", "sequence", "row_digest", "instance", "seq", "content_kept", "shape")
"""Fields that keep their first value."""
_REPORTED = tuple(name for name in Run.__struct_fields__ if name not in (*_FIGURES, *_IDENTITY))


class Meeting(Enum):
    """The relation of a run to the one that has its id already."""

    SAME = auto()
    INSTEAD = auto()
    REFUSED = auto()


def meeting(have: Run, sent: Run) -> Meeting:
    """Decides the relation of a run to the one of its App that has its id already.

    Callers know ids, so an id alone proves nothing. Only a pod's own process changes what the pod reported. A pod's run replaces what other
    senders have sent under its id.
    """
    is_pods = have.source is RunSource.RUNTIME
    if have.source is sent.source and (not is_pods or have.instance == sent.instance):
        return Meeting.SAME
    return Meeting.INSTEAD if sent.source is RunSource.RUNTIME and not is_pods else Meeting.REFUSED


def bare(run: Run) -> Run:
    """Returns the run without its spans and content."""
    return msgspec.structs.replace(
        run, spans=(), node_count=max(run.node_count, len(run.spans)), error=None, input=None, output=None, extra=None
    )


def with_sums(run: Run) -> Run:
    """Returns the run with tokens, cost, models and counts of its spans; unchanged without spans."""
    if not run.spans:
        return run
    calls = calls_of(run.spans)
    return msgspec.structs.replace(
        run,
        tokens=calls.tokens,
        cost=calls.cost,
        unpriced=calls.unpriced,
        model_calls=calls.count,
        models=calls.models,
        node_count=len(run.spans),
    )


def union(first: Run, second: Run) -> Run:
    """Merges two runs: values of the second win, and so do its spans, by id.

    If spans of the first are no longer kept, its figures stay: sums over a part would be wrong.
    """
    spans: dict[str, Span] = {span.span_id: span for span in first.spans}
    spans.update((span.span_id, span) for span in second.spans)
    reported = {name: value for name in _REPORTED if (value := getattr(second, name)) not in (None, ())}
    reported["accepted_at"] = second.accepted_at  # it belongs to the start and the duration, which are the second's
    whole = len(first.spans) >= first.node_count
    both = msgspec.structs.replace(first, **reported)
    if not whole:
        return both
    if not second.spans and not first.spans:
        return msgspec.structs.replace(both, **{name: getattr(second, name) for name in _FIGURES})
    if first.spans == second.spans:
        return msgspec.structs.replace(both, **{name: getattr(first, name) for name in _FIGURES})
    return with_sums(
        msgspec.structs.replace(both, spans=_bounded(sorted(spans.values(), key=lambda span: (span.started_at, span.span_id))))
    )


def _bounded(spans: Sequence[Span]) -> tuple[Span, ...]:
    """Returns as many spans as one run may have, with as much content. However often parts of a run are sent, it is read as a whole."""
    room, kept = CONTENT_OF_A_RUN, []
    for span in spans[:SPANS_OF_A_RUN]:
        room -= sum(len(text) for text in (span.error, span.input, span.output, span.extra) if text)
        kept.append(span if room >= 0 else msgspec.structs.replace(span, error=None, input=None, output=None, extra=None))
    return tuple(kept)
