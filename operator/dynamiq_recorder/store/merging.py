"""A run that was sent again: whether it is taken, the union of what was sent, and what it comes to."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

import msgspec

from dynamiq_operator.model.runs import RunSource
from dynamiq_recorder.calls import calls_of
from dynamiq_recorder.model import CONTENT_OF_A_RUN, SPANS_OF_A_RUN, Run, Span

_FIGURES = ("cost", "unpriced", "model_calls", "models", "tokens", "node_count", "spans")
_IDENTITY = ("id", "app_uid", "namespace", "app", "row_uid", "sequence", "row_digest", "instance", "seq", "content_kept")
"""Stay as they were first."""
_SAID = tuple(name for name in Run.__struct_fields__ if name not in (*_FIGURES, *_IDENTITY))


class Meeting(Enum):
    """The relation of a run to the one that has its id already."""

    SAME = auto()
    INSTEAD = auto()
    REFUSED = auto()


def meeting(have: Run, given: Run) -> Meeting:
    """Decides what a run is to the one of its App that has its id already.

    Ids are told to callers, so an id alone proves nothing: what a pod said only its own process changes, and it takes the place of what
    anybody else has sent under its id.
    """
    is_pods = have.source is RunSource.RUNTIME
    if have.source is given.source and (not is_pods or have.instance == given.instance):
        return Meeting.SAME
    return Meeting.INSTEAD if given.source is RunSource.RUNTIME and not is_pods else Meeting.REFUSED


def bare(run: Run) -> Run:
    """Without its spans and content."""
    return msgspec.structs.replace(
        run, spans=(), node_count=max(run.node_count, len(run.spans)), error=None, input=None, output=None, extra=None
    )


def with_sums(run: Run) -> Run:
    """The run with tokens, cost, models and counts of its spans; without spans, as it is."""
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
    return with_sums(
        msgspec.structs.replace(both, spans=_bounded(sorted(spans.values(), key=lambda span: (span.started_at, span.span_id))))
    )


def _bounded(spans: Sequence[Span]) -> tuple[Span, ...]:
    """As much as one run may have: however often parts of it are sent, it is read, and answered, as a whole."""
    left, kept = CONTENT_OF_A_RUN, []
    for span in spans[:SPANS_OF_A_RUN]:
        left -= sum(len(text) for text in (span.error, span.input, span.output, span.extra) if text)
        kept.append(span if left >= 0 else msgspec.structs.replace(span, error=None, input=None, output=None, extra=None))
    return tuple(kept)
