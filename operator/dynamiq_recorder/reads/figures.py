"""Converts metrics, sessions and completeness to answers. It reads no store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

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
from dynamiq_recorder.model import NodeSums, Point, Row, RowFigures, Session, Sketch, Sums, Wholeness
from dynamiq_recorder.reads.runs import row_of, tokens_of, value
from dynamiq_recorder.reads.times import shown, shown_or_none, usd
from dynamiq_recorder.sketch import added


def metrics(
    points: Iterable[Point],
    since: int,
    until: int,
    interval: MetricsInterval,
    group_by: MetricsGroup | None,
    rows: Mapping[str, Row],
) -> RunMetrics:
    """Returns series by group, those with the most runs first. `rows`: of the App, by uid."""
    by_key: dict[str, list[Point]] = {}
    for point in points:
        by_key.setdefault(point.key, []).append(point)
    series = [_series(key, group, rows.get(key) if group_by is MetricsGroup.DEPLOYMENT else None) for key, group in by_key.items()]
    series.sort(key=lambda each: (-each.total.runs, each.key))
    return RunMetrics.model_construct(since=shown(since), until=shown(until), interval=interval, group_by=group_by, series=tuple(series))


def session(stored: Session) -> SessionSummary:
    return SessionSummary.model_construct(
        **tokens_of(stored.tokens),
        id=stored.session_id,
        created_at=shown(stored.first_at),
        input=value(stored.input),
        session_id=stored.session_id,
        user_id=stored.user_id,
        runs=stored.runs,
        failed=stored.failed,
        first_at=shown(stored.first_at),
        last_at=shown(stored.last_at),
        cost_usd=usd(stored.cost),
        unpriced_calls=stored.unpriced,
        row=row_of(stored),
    )


def state(wholeness: Wholeness) -> RecorderState:
    return RecorderState.model_construct(
        instances=wholeness.instances,
        missing=wholeness.missing,
        cut_off=wholeness.cut_off,
        unattributed=wholeness.unattributed,
        first_at=shown_or_none(wholeness.first_at),
        last_at=shown_or_none(wholeness.last_at),
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


def total(parts: Iterable[Sums]) -> Sums:
    """Adds up sums; returns zeros if there are none."""
    fields: dict[str, Any] = {}
    for name, values in zip(Sums.__struct_fields__, zip(*map(msgspec.structs.astuple, parts), strict=True), strict=False):
        known = [value for value in values if value is not None]
        is_sketch = bool(known) and isinstance(known[0], Sketch)
        fields[name] = Sketch(added(each.buckets for each in known)) if is_sketch else sum(known) if known else None
    return Sums(**fields)


def together(rows: Sequence[RowFigures]) -> RowFigures:
    """Combines the figures of rows, newest first, as if they were one row's."""
    if len(rows) == 1:
        return rows[0]
    nodes: dict[str, list[NodeSums]] = {}
    scores: dict[str, tuple[float, int]] = {}
    for row in rows:
        for node in row.nodes:
            nodes.setdefault(node.node_id, []).append(node)
        for name, (sum_of_scores, count) in row.scores.items():
            before = scores.get(name, (0.0, 0))
            scores[name] = (before[0] + sum_of_scores, before[1] + count)
    return RowFigures(
        row=rows[0].row,
        sums=total(row.sums for row in rows),
        nodes=tuple(_one_node(nodes[node_id]) for node_id in sorted(nodes)),
        scores=scores,
        oldest=rows[-1].row,
    )


def _one_node(parts: Sequence[NodeSums]) -> NodeSums:
    return NodeSums(
        node_id=parts[0].node_id,
        name=parts[0].name,
        sums=total(part.sums for part in parts),
        own_duration=sum(part.own_duration for part in parts),
        caused=sum(part.caused for part in parts),
    )
