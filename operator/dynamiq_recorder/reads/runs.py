"""Converts runs to answers. It reads no store."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Any

import orjson

from dynamiq_operator.model.runs import NodeStatus, RunRow, RunScore, RunSummary
from dynamiq_recorder.model import Run, Score, Session, Span, Tokens, out_of_line
from dynamiq_recorder.reads.times import milliseconds, shown, usd
from dynamiq_recorder.sdk_runs import without_content


class Content(StrEnum):
    """The state of a run's content in an answer."""

    INCLUDED = "included"
    LEFT_OUT = "left_out"
    DENIED = "denied"
    NOT_RECORDED = "not_recorded"


def summary(run: Run, *, with_error: bool) -> RunSummary:
    """Returns a run as an entry of a list."""
    return RunSummary.model_construct(**_summary(run, with_error))


def detail(run: Run, scores: Sequence[Score], content: Content) -> dict[str, Any]:
    """Returns a run as a RunDetail is serialized. `run` has its content if `content` is INCLUDED."""
    shows = content is Content.INCLUDED
    return dict(  # a model per node takes ten times as long, and there may be thousands
        **_summary(run, shows),
        pins=run.pins,
        workflow_hash=run.workflow_hash,
        trace_id=run.trace_id,
        instance=run.instance,
        seq=run.seq,
        nodes=[_node(span, run, shows) for span in sorted(run.spans, key=lambda span: span.started_at)],
        nodes_kept=bool(run.spans) or not run.node_count,
        scores=[score_of(each).model_dump(mode="json") for each in scores],
        content=content.value,
        input=value(run.input) if shows else None,
        output=value(run.output) if shows else None,
        metadata=_metadata(run, shows),
    )


def content_of(run: Run, *, asked: bool, allowed: bool) -> Content:
    """Decides if an answer has the content of a run."""
    if not has_content(run):
        return Content.NOT_RECORDED
    if not asked:
        return Content.LEFT_OUT
    return Content.INCLUDED if allowed else Content.DENIED


def has_content(run: Run) -> bool:
    return run.content_kept or any(each is not None for each in (run.input, run.output, run.error))


def score_of(score: Score) -> RunScore:
    return RunScore.model_construct(name=score.name, value=score.value, comment=score.comment, by=score.by, at=shown(score.at))


def row_of(of: Run | Session) -> RunRow | None:
    """Returns the row of a run, or of a session's newest run; None if it is unknown."""
    return RunRow.model_construct(sequence=of.sequence, version=of.workflow_version) if of.sequence is not None else None


def value(text: str | None) -> Any:
    """Parses JSON; returns a text that is no JSON as it is."""
    if text is None:
        return None
    try:
        return orjson.loads(text)
    except ValueError:
        return text


def tokens_of(tokens: Tokens) -> dict[str, Any]:
    return {
        "input_tokens": tokens.input,
        "output_tokens": tokens.output,
        "cache_read_tokens": tokens.cache_read,
        "cache_write_tokens": tokens.cache_write,
    }


def _summary(run: Run, with_error: bool) -> dict[str, Any]:
    ended_at = run.started_at + run.duration
    return {
        **tokens_of(run.tokens),
        "id": run.id,
        "app_id": run.app_uid,
        "deployment_id": run.row_uid,
        "sequence": run.sequence,
        "workflow_version": run.workflow_version,
        "status": run.status,
        "reason": run.reason,
        "source": run.source,
        "trigger": run.trigger,
        "session_id": run.session_id,
        "user_id": run.user_id,
        "tags": run.tags,
        "started_at": shown(run.first_at),
        "ended_at": shown(ended_at),
        "duration_ms": milliseconds(ended_at - run.first_at),
        "busy_ms": milliseconds(run.duration) if run.accepted_at is not None else None,
        "first_chunk_ms": milliseconds(run.first_chunk) if run.first_chunk is not None else None,
        "cost_usd": usd(run.cost),
        "unpriced_calls": run.unpriced,
        "models": run.models,
        "node_count": run.node_count,
        "error": run.error if with_error else None,
    }


def _node(span: Span, run: Run, shows: bool) -> dict[str, Any]:
    error_type, error_line = out_of_line(span.error_type)
    return dict(
        **tokens_of(span.tokens),
        span_id=span.span_id,
        parent_id=span.parent_id,
        node_id=span.node_id,
        name=span.name,
        type=span.type,
        model=span.model,
        provider=span.provider,
        status=NodeStatus(span.status),
        error_type=error_type,
        error_line=error_line,
        attempts=span.attempts,
        cached=span.cached,
        started_at=shown(span.started_at),
        offset_ms=milliseconds(span.started_at - run.first_at),
        duration_ms=milliseconds(span.duration),
        cost_usd=usd(span.cost),
        cost_source=span.cost_source,
        error=span.error if shows else None,
        input=value(span.input) if shows else None,
        output=value(span.output) if shows else None,
    )


def _metadata(run: Run, shows: bool) -> dict[str, Any] | None:
    extra = value(run.extra)
    if not isinstance(extra, dict):
        return None
    kept = extra if shows else without_content(extra)
    metadata = kept.get("metadata", kept)
    return metadata if isinstance(metadata, dict) and metadata else None
