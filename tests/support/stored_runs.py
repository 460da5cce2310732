"""Draws random runs for a store, and sums them over a list: a store's rollups must have the same sums."""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from dynamiq_operator.model.runs import FAILED_STATUSES, CostSource, MetricsGroup, MetricsInterval, NodeStatus, RunSource, RunStatus
from dynamiq_recorder import sketch
from dynamiq_recorder.model import NO_TOKENS, Batch, Filter, Instance, Row, Run, Span, Sums, Tokens
from dynamiq_recorder.store.merging import with_sums
from dynamiq_recorder.store.sql_store import Store

SECOND = 1_000_000
HOUR = 3600 * SECOND
NOON = 1_790_000_000 // 3600 * 3600 * SECOND
"""A whole hour."""
APP, OTHER = str(uuid.UUID(int=0xA)), str(uuid.UUID(int=0xB))
PINS = ("a" * 16, "b" * 16)
_LEFT_OUT = (RunStatus.REFUSED, RunStatus.ABANDONED)


def a_run(number: int = 1, **changes: Any) -> Run:
    """Returns a run of an App's pod without spans; its id is derived from its number."""
    run = Run(
        id=str(uuid.UUID(int=(number << 64) + 7)),
        app_uid=APP,
        namespace="team",
        app="chat",
        status=RunStatus.SUCCEEDED,
        source=RunSource.RUNTIME,
        started_at=NOON + number * SECOND,
        duration=50_000,
        trace_id=f"{number:032x}",
        pins=PINS[0],
        workflow_version="v1",
        workflow_hash="sha256:0",
    )
    return msgspec.structs.replace(run, **changes)


def a_span(number: int = 1, **changes: Any) -> Span:
    span = Span(span_id=f"{number:016x}", node_id=f"node-{number}", name=f"Node {number}", started_at=NOON, duration=1_000)
    return msgspec.structs.replace(span, **changes)


def a_call(number: int, *, cost: int | None, given: int = 100, made: int = 10, **changes: Any) -> Span:
    """Returns a span of a called model. `given` and `made`: its input and output tokens."""
    source = CostSource.TABLE if cost is not None else None
    tokens = Tokens(input=given, output=made, cache_read=given // 2)
    return a_span(number, is_model=True, model="gpt", provider="openai", tokens=tokens, cost=cost, cost_source=source, **changes)


def a_row(sequence: int, **changes: Any) -> Row:
    """Returns a row of the App that succeeded ten seconds after it began, an hour after the previous one."""
    began = NOON + sequence * HOUR
    row = Row(
        uid=f"row-{sequence}",
        app_uid=APP,
        namespace="team",
        app="chat",
        sequence=sequence,
        digest=f"sha256:{sequence}",
        pins=PINS[sequence % 2],
        workflow_version=f"v{sequence}",
        began=began,
        succeeded=True,
        ended=began + 10 * SECOND,
    )
    return msgspec.structs.replace(row, **changes)


def batch(*runs: Run, instances: Sequence[Instance] = ()) -> Batch:
    return Batch(runs=tuple(runs), instances=tuple(instances))


def drawn(chance: random.Random, number: int, hours: int = 6) -> Run:
    """Draws any run that a pod or the SDK could send."""
    started = NOON + chance.randrange(hours * HOUR)
    spans = tuple(_drawn_span(chance, n, started) for n in range(chance.randrange(5)))
    failed = chance.random() < 0.2
    run = a_run(
        number,
        app_uid=APP if chance.random() < 0.9 else OTHER,
        app="chat",
        namespace="team" if chance.random() < 2 else "",
        status=chance.choice([RunStatus.FAILED, *RunStatus]) if failed else RunStatus.SUCCEEDED,
        source=RunSource.SDK if chance.random() < 0.1 else RunSource.RUNTIME,
        started_at=started,
        duration=int(chance.lognormvariate(11, 1)),
        pins=chance.choice([*PINS, *PINS, None]),
        workflow_version=chance.choice(["v1", "v2", None]),
        trigger=chance.choice([None, None, "nightly", "hook"]),
        session_id=chance.choice([None, *(f"s{n}" for n in range(30))]),
        user_id=chance.choice([None, "ann", "bob"]),
        tags=tuple(chance.sample(["eu", "beta", "vip"], chance.randrange(3))),
        error=chance.choice(["No such city: Köln", "KeyError: 'answer'", "timed out"]) if failed and chance.random() < 0.8 else None,
        first_chunk=chance.choice([None, 1_000]),
        accepted_at=started - chance.randrange(hours * HOUR) if chance.random() < 0.2 else None,
        spans=spans,
    )
    # The other App has another name, so that neither is mistaken for the restored other.
    return with_sums(msgspec.structs.replace(run, app="chat" if run.app_uid == APP else "beside"))


def _drawn_span(chance: random.Random, number: int, started: int) -> Span:
    parent = f"{chance.randrange(number):016x}" if number and chance.random() < 0.3 else None
    is_model = chance.random() < 0.5
    cost = chance.randrange(10**7) if is_model and chance.random() < 0.8 else None
    return Span(
        span_id=f"{number:016x}",
        parent_id=parent,
        node_id=f"node-{number}",
        name=f"Node {number}",
        started_at=started + number,
        duration=chance.randrange(1, 10**6),
        status=chance.choices(list(NodeStatus), (8, 1, 1))[0],
        is_model=is_model,
        model=chance.choice(["gpt", "claude"]) if is_model else None,
        tokens=Tokens(input=chance.randrange(1000), output=chance.choice([None, 5])) if is_model else NO_TOKENS,
        cost=cost,
        cost_source=CostSource.TABLE if cost is not None else None,
    )


class Plain:
    """A list with the content of a store."""

    def __init__(self) -> None:
        self.runs: dict[str, Run] = {}
        self.rows: dict[str, Row] = {}

    def write(self, runs: Iterable[Run]) -> None:
        self.runs |= {run.id: run for run in runs}

    def row_of(self, run: Run) -> Row | None:
        """Returns the row of a run, by the exact rule of the contract."""
        if run.source is RunSource.SDK or run.pins is None:
            return None
        rows = [row for row in self.rows.values() if row.app_uid == run.app_uid and row.pins == run.pins]
        time = run.started_at if run.accepted_at is None else run.accepted_at
        succeeded = [row for row in rows if row.succeeded and row.ended is not None and row.ended <= time]
        progressing = [row for row in rows if row.began <= time and (row.ended is None or row.ended > time)]
        began = [row for row in rows if row.began <= time]
        first = sorted(rows, key=lambda row: (row.began, row.sequence))[:1]
        return max(succeeded or progressing or began or first, key=lambda row: row.sequence, default=None)

    def matching(self, criteria: Filter) -> list[Run]:
        return [run for run in self.runs.values() if self._matches(run, criteria)]

    def _matches(self, run: Run, criteria: Filter) -> bool:
        row = self.row_of(run)
        checks = [
            run.app_uid == criteria.app_uid,
            criteria.row_uid is None or (row is not None and row.uid == criteria.row_uid),
            criteria.workflow_version in (None, run.workflow_version),
            not criteria.status or run.status in criteria.status,
            criteria.trigger in (None, run.trigger),
            criteria.session_id in (None, run.session_id),
            criteria.user_id in (None, run.user_id),
            set(criteria.tags) <= set(run.tags),
            criteria.model is None or criteria.model in run.models,
            criteria.error is None or (run.error is not None and criteria.error.casefold() in run.error.casefold()),
            criteria.since is None or run.started_at >= criteria.since,
            criteria.until is None or run.started_at < criteria.until,
            criteria.min_duration is None or run.duration >= criteria.min_duration,
            criteria.min_cost is None or (run.cost is not None and run.cost >= criteria.min_cost),
        ]
        return all(checks)

    def metrics(self, app: str, interval: MetricsInterval, group: MetricsGroup | None) -> dict[tuple[int, str], Sums]:
        width = {MetricsInterval.MINUTE: HOUR // 60, MetricsInterval.HOUR: HOUR, MetricsInterval.DAY: 24 * HOUR}[interval]
        key: Callable[[Run], str] = {
            None: lambda _: "",
            MetricsGroup.DEPLOYMENT: lambda run: row.uid if (row := self.row_of(run)) is not None else "",
            MetricsGroup.WORKFLOW_VERSION: lambda run: run.workflow_version or "",
            MetricsGroup.TRIGGER: lambda run: run.trigger or "",
            MetricsGroup.STATUS: lambda run: run.status.value,
        }[group]
        groups: dict[tuple[int, str], list[Run]] = {}
        for run in self.runs.values():
            if run.app_uid == app:
                groups.setdefault((run.started_at // width * width, key(run)), []).append(run)
        return {at: sums_of(runs, by_status=group is MetricsGroup.STATUS, amounts=False) for at, runs in groups.items()}

    def figures(self, row_uid: str, before: int | None = None) -> Sums:
        runs = (run for run in self.runs.values() if before is None or run.started_at < before)
        return sums_of([run for run in runs if (row := self.row_of(run)) is not None and row.uid == row_uid])

    def nodes(self, row_uid: str) -> dict[str, tuple[int, int, int, int, int, int | None]]:
        """Returns by node: spans, failures, failures that began there, duration, own duration, cost."""
        spans_by_node: dict[str, list[tuple[Span, Run]]] = {}
        for run in self.runs.values():
            row = self.row_of(run)
            for span in run.spans if row is not None and row.uid == row_uid else ():
                if span.status is not NodeStatus.SKIPPED:
                    spans_by_node.setdefault(span.node_id, []).append((span, run))
        return {node: _node_sums(spans) for node, spans in spans_by_node.items()}


def _node_sums(spans: Sequence[tuple[Span, Run]]) -> tuple[int, int, int, int, int, int | None]:
    def children(span: Span, run: Run) -> list[Span]:
        return [other for other in run.spans if other.parent_id == span.span_id]

    failed = [(span, run) for span, run in spans if span.status is NodeStatus.FAILED]
    costs = [span.cost for span, _ in spans if span.cost is not None]
    return (
        len(spans),
        len(failed),
        sum(all(child.status is not NodeStatus.FAILED for child in children(span, run)) for span, run in failed),
        sum(span.duration for span, _ in spans),
        sum(max(0, span.duration - sum(child.duration for child in children(span, run))) for span, run in spans),
        sum(costs) if costs else None,
    )


def sums_of(runs: Sequence[Run], *, by_status: bool = False, amounts: bool = True) -> Sums:
    """Returns the sums of runs. `amounts`: with sketches of cost and tokens, as figures of rows have them."""
    counted = [run for run in runs if run.status not in _LEFT_OUT]
    known = [(run.tokens.input or 0) + (run.tokens.output or 0) for run in counted if (run.tokens.input, run.tokens.output) != (None, None)]
    priced = [run.cost or 0 for run in counted if run.unpriced == 0]

    def total(values: Iterable[int | None]) -> int | None:
        known_values = [value for value in values if value is not None]
        return sum(known_values) if known_values else None

    return Sums(
        runs=len(runs),
        failed=sum(run.status in FAILED_STATUSES for run in runs),
        refused=sum(run.status is RunStatus.REFUSED for run in runs),
        abandoned=sum(run.status is RunStatus.ABANDONED for run in runs),
        counted=len(counted),
        duration=sum(run.duration for run in counted),
        sketch=sketch.sketch_of(run.duration for run in (runs if by_status else counted)),
        input_tokens=total(run.tokens.input for run in runs),
        output_tokens=total(run.tokens.output for run in runs),
        cache_read_tokens=total(run.tokens.cache_read for run in runs),
        cache_write_tokens=total(run.tokens.cache_write for run in runs),
        with_tokens=len(known),
        counted_tokens=sum(known),
        token_sketch=sketch.sketch_of(known if amounts else ()),
        cost=total(run.cost for run in runs),
        unpriced=sum(run.unpriced for run in runs),
        priced=len(priced),
        priced_cost=sum(priced),
        cost_sketch=sketch.sketch_of(priced if amounts else ()),
    )


def answers(store: Store, app: str, rows: Iterable[str], until: int = NOON + 40 * HOUR) -> Mapping[str, object]:
    """Returns all of a store's answers about an App's runs together, for comparison with later answers."""
    content: dict[str, object] = {}
    for interval in MetricsInterval:
        for group in (None, *MetricsGroup):
            points = store.metrics(app, NOON - 24 * HOUR, until, interval, group)
            content[f"{interval} {group}"] = [(point.at, point.key, point.name, point.sums) for point in points]
    for figures in store.figures(app, sorted(rows), nodes=True):
        content[figures.row.uid] = (figures.sums, list(figures.nodes))
    return content
