"""Makes up runs by number: the same number gives the same run, with its nodes; and summarizes runs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from dynamiq_operator.model import runs as model
from dynamiq_operator.model.runs import (
    ComparedFigure,
    CostSource,
    Figures,
    MetricsGroup,
    MetricsInterval,
    MetricsPoint,
    NodeStatus,
    RunNode,
    RunSource,
    RunStatus,
    RunSummary,
    Verdict,
)

STEPS = {MetricsInterval.MINUTE: timedelta(minutes=1), MetricsInterval.HOUR: timedelta(hours=1), MetricsInterval.DAY: timedelta(days=1)}
MODELS = ("gpt-4o-mini", "claude-sonnet-4")


@dataclass(frozen=True)
class Row:
    """A row of the App's history, with the time from which it served."""

    id: str
    sequence: int
    version: str
    since: datetime
    slower: float = 1.0
    """The duration of its runs, relative to those of the first row."""


def text(time: datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def numbered(app: str, row: Row, number: int, at: datetime) -> RunSummary:
    """Returns the run of a number, which began at a time."""
    status = _status(number)
    known = number % 9 != 4
    took = round((240 + (number * 7919 % 1000) * 0.9 + (2400 if number % 31 == 7 else 0)) * row.slower, 3)
    return RunSummary(
        id=str(uuid.uuid5(uuid.NAMESPACE_URL, f"{app} {number}")),
        app_id=app,
        deployment_id=row.id,
        sequence=row.sequence,
        workflow_version=row.version,
        status=status,
        reason=None if status is RunStatus.SUCCEEDED else "node_failed" if status is RunStatus.FAILED else str(status),
        source=RunSource.RUNTIME,
        trigger="nightly" if number % 11 == 5 else None,
        session_id=f"session-{number // 4}",
        user_id=("anna", "ben", "chloe")[number % 3],
        tags=("beta",) if number % 6 == 0 else (),
        started_at=text(at),
        ended_at=text(at + timedelta(milliseconds=took)),
        duration_ms=took,
        first_chunk_ms=round(took / 3, 3) if number % 2 else None,
        input_tokens=900 + number % 400,
        output_tokens=120 + number % 90,
        cache_read_tokens=300 if number % 5 == 0 else 0,
        cache_write_tokens=0,
        cost_usd=round((0.0031 + number % 7 * 0.0004) * row.slower, 6) if known else None,
        unpriced_calls=0 if known else 1,
        models=MODELS if known else ("a-model-of-our-own",),
        node_count=6,
        error="summarize: the model did not answer in 30 s" if status is RunStatus.FAILED else None,
    )


def _status(number: int) -> RunStatus:
    for every, status in ((23, RunStatus.FAILED), (41, RunStatus.REFUSED), (97, RunStatus.TIMED_OUT), (151, RunStatus.ABANDONED)):
        if number % every == every - 2:
            return status
    return RunStatus.SUCCEEDED


def figures(runs: Sequence[RunSummary]) -> Figures:
    """Returns the figures of runs."""
    times = sorted(run.duration_ms for run in runs)
    priced = [run.cost_usd for run in runs if run.cost_usd is not None]
    return Figures(
        runs=len(runs),
        failed=sum(run.status in model.FAILED_STATUSES for run in runs),
        refused=sum(run.status is RunStatus.REFUSED for run in runs),
        abandoned=sum(run.status is RunStatus.ABANDONED for run in runs),
        p50_ms=times[len(times) // 2] if times else None,
        p95_ms=times[int(len(times) * 0.95)] if times else None,
        cost_usd=round(sum(priced), 6) if priced else None,
        unpriced_calls=sum(run.unpriced_calls for run in runs),
        input_tokens=sum(run.input_tokens or 0 for run in runs),
        output_tokens=sum(run.output_tokens or 0 for run in runs),
        cache_read_tokens=sum(run.cache_read_tokens or 0 for run in runs),
        cache_write_tokens=0,
    )


def points(runs: Sequence[RunSummary], interval: MetricsInterval) -> Iterator[MetricsPoint]:
    step = STEPS[interval].total_seconds()
    by_time: dict[float, list[RunSummary]] = {}
    for run in runs:
        by_time.setdefault(moment(run.started_at).timestamp() // step * step, []).append(run)
    for at in sorted(by_time):
        yield MetricsPoint(at=text(datetime.fromtimestamp(at, UTC)), **figures(by_time[at]).model_dump())


def keys(run: RunSummary, group: MetricsGroup | None) -> Iterable[str]:
    match group:
        case None:
            return ("",)
        case MetricsGroup.DEPLOYMENT:
            return (run.deployment_id or "",)
        case MetricsGroup.NODE:
            return ("classify", "retrieve", "summarize")
        case MetricsGroup.MODEL:
            return run.models
    return (getattr(run, str(group)) or "",)


def nodes(run: RunSummary, included: bool) -> Iterator[RunNode]:
    """Yields the nodes of a flow that sorts a question, searches, and answers; the last node fails if the run does."""
    tokens = dict.fromkeys(("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens"))
    spent = {"input_tokens": 400, "output_tokens": 60, "cache_read_tokens": run.cache_read_tokens, "cache_write_tokens": 0}
    last = NodeStatus.SUCCEEDED if run.status is RunStatus.SUCCEEDED else NodeStatus.FAILED
    content: dict[str, Any] = {"input": {"question": "When does my invoice come?"}, "output": {"team": "billing"}} if included else {}
    shapes = (
        ("classify", None, "OpenAI", MODELS[0], 0.01, 0.2, NodeStatus.SUCCEEDED),
        ("retrieve", None, "Agent", None, 0.22, 0.34, NodeStatus.SUCCEEDED),
        ("embed", "retrieve", "OpenAITextEmbedder", None, 0.23, 0.1, NodeStatus.SUCCEEDED),
        ("search", "retrieve", "Weaviate", None, 0.34, 0.2, NodeStatus.SUCCEEDED),
        ("translate", None, "Python", None, 0.56, 0.0, NodeStatus.SKIPPED),
        ("summarize", None, "Anthropic", run.models[-1], 0.57, 0.42, last),
    )
    started = moment(run.started_at)
    for name, inside, kind, used, begins, lasts, status in shapes:
        offset = round(run.duration_ms * begins, 3)
        priced = used is not None and used in MODELS and run.cost_usd is not None
        yield RunNode(
            **(spent if used else tokens),
            span_id=_span(run.id, name),
            parent_id=inside and _span(run.id, inside),
            node_id=name,
            name=name,
            type=kind,
            model=used,
            provider=kind.lower() if used else None,
            status=status,
            error_type="TimeoutError" if status is NodeStatus.FAILED else None,
            attempts=2 if status is NodeStatus.FAILED else 1,
            cached=name == "embed",
            started_at=text(started + timedelta(milliseconds=offset)),
            offset_ms=offset,
            duration_ms=round(run.duration_ms * lasts, 3),
            cost_usd=round((run.cost_usd or 0) / 2, 6) if priced else None,
            cost_source=CostSource.TABLE if priced else None,
            error=run.error if status is NodeStatus.FAILED else None,
            **content,
        )


def _span(run: str, name: str) -> str:
    return uuid.uuid5(uuid.NAMESPACE_URL, f"{run} {name}").hex[:16]


def compared(value: float | None, baseline: float | None, few: bool) -> ComparedFigure:
    ratio = round(value / baseline, 4) if value and baseline else None
    verdict = Verdict.UNCHANGED
    if ratio is None:
        verdict = Verdict.UNKNOWN
    elif few:
        verdict = Verdict.TOO_FEW_RUNS
    elif ratio > 1.15:
        verdict = Verdict.REGRESSED
    elif ratio < 0.87:
        verdict = Verdict.IMPROVED
    ends = (round(ratio * 0.93, 4), round(ratio * 1.08, 4)) if ratio else (None, None)
    return ComparedFigure(value=value, baseline=baseline, ratio=ratio, low=ends[0], high=ends[1], p_value=0.01, verdict=verdict)


def rate(of: Figures) -> float | None:
    counted = of.runs - of.refused - of.abandoned
    return of.failed / counted if counted else None


def mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def moment(written: str) -> datetime:
    return datetime.fromisoformat(written)
