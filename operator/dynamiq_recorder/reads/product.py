"""Converts runs and their sums to the shapes of the product's calls. It reads no store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dynamiq_operator.model.runs import PRODUCT_STATUSES
from dynamiq_operator.model.traces import UsageBucket, UsageFigures, UsageMetrics
from dynamiq_recorder.model import MICROSECONDS, Point, Run, Sums
from dynamiq_recorder.reads.figures import total
from dynamiq_recorder.reads.runs import row_of, value
from dynamiq_recorder.reads.times import shown, usd


def trace(run: Run) -> dict[str, Any]:
    """Returns a run as a Trace is serialized, with the content that `run` has."""
    return {
        "id": run.id,
        "source_id": run.instance,
        "started_at": shown(run.first_at),
        "ended_at": shown(run.started_at + run.duration),
        "status": PRODUCT_STATUSES[run.status],
        "reason": run.status,
        "input": value(run.input),
        "output": value(run.output),
        "usage": {"prompt_tokens": run.tokens.input, "completion_tokens": run.tokens.output},
    }


def message(run: Run) -> dict[str, Any]:
    """Returns a run as a SessionMessage is serialized, with the content that `run` has."""
    return {
        "id": run.id,
        "input": value(run.input),
        "output": value(run.output),
        "created_at": shown(run.first_at),
        "trace_id": run.id,
        "row": row.model_dump() if (row := row_of(run)) is not None else None,
    }


def usage(points: Sequence[Point], first: int, until: int, width: int) -> UsageMetrics:
    """Returns the figures of each bucket of `width` seconds between two times, of `points`, which begin where buckets do."""
    by_begin: Mapping[int, Sums] = {point.at: point.sums for point in points}
    begins = range(first, until, width * MICROSECONDS)
    return UsageMetrics.model_construct(
        start_time=shown(first),
        end_time=shown(until),
        interval_seconds=width,
        summary=_figures(total(point.sums for point in points)) if points else _figures(Sums()),
        buckets=tuple(
            UsageBucket.model_construct(start_time=shown(at), **_figures(by_begin.get(at, Sums())).model_dump()) for at in begins
        ),
    )


def _figures(sums: Sums) -> UsageFigures:
    ended_otherwise = sums.failed + sums.refused + sums.abandoned
    return UsageFigures.model_construct(
        requests=sums.runs,
        completed=sums.runs - ended_otherwise,
        failed=sums.failed + sums.refused,
        canceled=sums.abandoned,
        prompt_tokens=sums.input_tokens,
        completion_tokens=sums.output_tokens,
        cost_usd=usd(sums.cost),
        unpriced_calls=sums.unpriced,
        mean_latency_seconds=sums.duration / sums.counted / MICROSECONDS if sums.counted else None,
    )
