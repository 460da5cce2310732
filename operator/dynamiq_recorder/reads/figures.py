"""Metrics, sessions, and what a recorder knows of how whole its record is, as answers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec

from dynamiq_operator.model.runs import (
    MetricsGroup,
    MetricsInterval,
    MetricsPoint,
    MetricsSeries,
    RecorderState,
    RunMetrics,
    SessionSummary,
)
from dynamiq_recorder.compare import figures_of
from dynamiq_recorder.model import Point, Row, Session, Sums, Wholeness
from dynamiq_recorder.reads.runs import tokens_of
from dynamiq_recorder.reads.times import shown, shown_or_none, usd


def metrics(
    points: Iterable[Point],
    since: int,
    until: int,
    interval: MetricsInterval,
    group_by: MetricsGroup | None,
    rows: Mapping[str, Row],
) -> RunMetrics:
    """Series by group, those with the most runs first. `rows`: of the App, by uid."""
    by_key: dict[str, list[Point]] = {}
    for point in points:
        by_key.setdefault(point.key, []).append(point)
    series = [_series(key, found, rows.get(key) if group_by is MetricsGroup.DEPLOYMENT else None) for key, found in by_key.items()]
    series.sort(key=lambda each: (-each.total.runs, each.key))
    return RunMetrics.model_construct(since=shown(since), until=shown(until), interval=interval, group_by=group_by, series=tuple(series))


def session(given: Session) -> SessionSummary:
    return SessionSummary.model_construct(
        **tokens_of(given.tokens),
        session_id=given.session_id,
        user_id=given.user_id,
        runs=given.runs,
        failed=given.failed,
        first_at=shown(given.first_at),
        last_at=shown(given.last_at),
        cost_usd=usd(given.cost),
        unpriced_calls=given.unpriced,
    )


def state(given: Wholeness) -> RecorderState:
    return RecorderState.model_construct(
        instances=given.instances,
        missing=given.missing,
        cut_off=given.cut_off,
        unattributed=given.unattributed,
        first_at=shown_or_none(given.first_at),
        last_at=shown_or_none(given.last_at),
    )


def _series(key: str, points: list[Point], row: Row | None) -> MetricsSeries:
    return MetricsSeries.model_construct(
        key=key,
        sequence=row.sequence if row else None,
        workflow_version=row.workflow_version if row else None,
        name=next((point.name for point in reversed(points) if point.name), None),
        total=figures_of(total([point.sums for point in points])),
        points=tuple(_point(point) for point in points),
    )


def _point(point: Point) -> MetricsPoint:
    return MetricsPoint.model_construct(at=shown(point.at), **figures_of(point.sums).model_dump())


def total(given: Iterable[Sums]) -> Sums:
    """The sums of all of them; of none, zeros."""
    found = Sums()
    for each in given:
        found = _added(found, each)
    return found


def _added(one: Sums, other: Sums) -> Sums:
    buckets = dict(one.sketch.buckets)
    for bucket, count in other.sketch.buckets.items():
        buckets[bucket] = buckets.get(bucket, 0) + count
    fields = {}
    for name in msgspec.structs.asdict(one):
        if name == "sketch":
            continue
        left, right = getattr(one, name), getattr(other, name)
        fields[name] = left if right is None else right if left is None else left + right
    return Sums(**fields, sketch=type(one.sketch)(buckets))
