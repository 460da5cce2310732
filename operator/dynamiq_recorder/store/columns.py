"""Converts runs, spans and what is beside them to lines of tables, and back. It reads no table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache

import msgspec

from dynamiq_operator.model.runs import CostSource, NodeStatus, RunSource, RunStatus
from dynamiq_recorder.model import NO_TOKENS, Run, Span, Tokens
from dynamiq_recorder.store.database import Cell, Database, Lines
from dynamiq_recorder.store.texts import folded

RUN_COLUMNS = (
    *("key", "id", "app_key", "row_key", "instance_key", "seq", "source", "status", "reason", "trigger_name", "session_id", "user_id"),
    *("tags", "models", "pins", "workflow_version", "workflow_hash", "trace_id", "started_at", "duration", "first_chunk"),
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost", "unpriced", "model_calls", "node_count"),
    "content_kept",
)
SPAN_COLUMNS = (
    *("run_key", "n", "span_id", "parent_id", "node_id", "name", "type", "model", "provider", "is_model", "status", "error_type"),
    *("attempts", "cached", "started_at", "duration"),
    *("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost", "cost_source"),
)
CONTENT_COLUMNS = ("run_key", "n", "error", "input", "output")
EXTRA_COLUMNS = ("run_key", "n", "extra")
LABEL_COLUMNS = ("app_key", "kind", "value", "started_at", "run_key")
ERROR_COLUMNS = ("app_key", "started_at", "run_key", "folded")
ACCEPTED_COLUMNS = ("run_key", "app_key", "pins", "at")
TAG, MODEL = "tag", "model"

RUN_READ = (
    ", ".join(f"r.{name}" for name in RUN_COLUMNS)
    + ", a.uid, a.namespace, a.name, w.uid, w.sequence, w.digest, i.instance_id, c.error, b.at "
    "FROM runs r JOIN apps a ON a.key = r.app_key LEFT JOIN app_rows w ON w.key = r.row_key "
    "LEFT JOIN instances i ON i.key = r.instance_key LEFT JOIN contents c ON c.run_key = r.key AND c.n = 0 "
    "LEFT JOIN accepted b ON b.run_key = r.key"
)
"""SQL of what `run_of` reads: after SELECT, before WHERE."""

_STATUS = {status.value: status for status in RunStatus}
_SOURCE = {source.value: source for source in RunSource}
_NODE_STATUS = {status.value: status for status in NodeStatus}
_COST_SOURCE = {source.value: source for source in CostSource}


class Gathered(msgspec.Struct):
    """Lines for the tables, as they are gathered."""

    runs: list[Cell] = []
    spans: list[Cell] = []
    contents: list[Cell] = []
    extras: list[Cell] = []
    labels: list[Cell] = []
    errors: list[Cell] = []
    accepted: list[Cell] = []

    def tables(self) -> list[Lines]:
        """Returns the tables that have lines."""
        parts = (
            Lines("runs", RUN_COLUMNS, self.runs),
            Lines("spans", SPAN_COLUMNS, self.spans),
            Lines("contents", CONTENT_COLUMNS, self.contents),
            Lines("extras", EXTRA_COLUMNS, self.extras),
            Lines("labels", LABEL_COLUMNS, self.labels),
            Lines("errors", ERROR_COLUMNS, self.errors),
            Lines("accepted", ACCEPTED_COLUMNS, self.accepted),
        )
        return [part for part in parts if part.lines]


def add_lines(lines: Gathered, run: Run, key: int, app: int, row: int | None, instance: int | None, run_id: object) -> None:
    """Adds the lines of a run and of all that is beside it."""
    tokens = run.tokens
    kept = _add_content(lines, run, key, app)
    started = run.started_at
    line = (
        key, run_id, app, row, instance, run.seq, run.source._value_, run.status._value_, run.reason, run.trigger, run.session_id, run.user_id,
        _listed(run.tags), _listed(run.models), run.pins, run.workflow_version, run.workflow_hash, run.trace_id, started, run.duration,
        run.first_chunk, tokens.input, tokens.output, tokens.cache_read, tokens.cache_write, run.cost, run.unpriced, run.model_calls,
        max(run.node_count, len(run.spans)), 1 if kept else 0,
    )  # fmt: skip
    lines.runs.append(line)
    if run.accepted_at is not None:
        lines.accepted.append((key, app, run.pins, run.accepted_at))
    for tag in dict.fromkeys(run.tags):
        lines.labels.append((app, TAG, tag, started, key))
    for model in dict.fromkeys(run.models):
        lines.labels.append((app, MODEL, model, started, key))
    lines.spans.extend([_span_line(span, key, n) for n, span in enumerate(run.spans, 1)])


def _span_line(span: Span, key: int, n: int) -> Cell:
    tokens, source = span.tokens, span.cost_source
    return (
        key, n, span.span_id, span.parent_id, span.node_id, span.name, span.type, span.model, span.provider, 1 if span.is_model else 0,
        span.status._value_, span.error_type, span.attempts, 1 if span.cached else 0, span.started_at, span.duration,
        tokens.input, tokens.output, tokens.cache_read, tokens.cache_write, span.cost, source._value_ if source is not None else None,
    )  # fmt: skip


@lru_cache
def _listed(values: tuple[str, ...]) -> str | None:
    """Deduplicates values, keeping order. Returns them as JSON; None if there are none."""
    return msgspec.json.encode(tuple(dict.fromkeys(values))).decode() if values else None


def _add_content(lines: Gathered, run: Run, key: int, app: int) -> bool:
    """Adds content, values without a column, and the error's text for searches. Returns True if there is content."""
    before = len(lines.contents)
    parts: list[Run | Span] = [run, *run.spans]
    for n, part in enumerate(parts):
        if part.error is not None or part.input is not None or part.output is not None:
            lines.contents.append((key, n, part.error, part.input, part.output))
        if part.extra is not None:
            lines.extras.append((key, n, part.extra))
    if run.error:
        lines.errors.append((app, run.started_at, key, folded(run.error)))
    return len(lines.contents) > before


def run_of(database: Database, line: Cell) -> Run:
    """Returns the run of a line of RUN_READ, without spans. It has the error's text and no other content."""
    (_, run_id, _, _, _, seq, source, status, reason, trigger, session, user, tags, models, pins, version, digest, trace) = line[:18]
    (started, duration, first_chunk, tokens_in, tokens_out, read, write, cost, unpriced, calls, nodes, kept) = line[18:30]
    (app_uid, namespace, app, row_uid, sequence, row_digest, instance, error, accepted) = line[30:39]
    return Run(
        id=database.id_out(run_id),
        app_uid=app_uid,
        namespace=namespace,
        app=app,
        status=_STATUS[status],
        source=_SOURCE[source],
        started_at=started,
        duration=duration,
        accepted_at=accepted,
        trace_id=trace,
        row_uid=row_uid,
        sequence=sequence,
        row_digest=row_digest,
        pins=pins,
        workflow_version=version,
        workflow_hash=digest,
        reason=reason,
        trigger=trigger,
        session_id=session,
        user_id=user,
        tags=msgspec.json.decode(tags, type=tuple[str, ...]) if tags else (),
        first_chunk=first_chunk,
        tokens=_tokens(tokens_in, tokens_out, read, write),
        cost=cost,
        unpriced=unpriced,
        model_calls=calls,
        models=msgspec.json.decode(models, type=tuple[str, ...]) if models else (),
        instance=instance,
        seq=seq,
        node_count=nodes,
        error=error,
        content_kept=bool(kept),
    )


def span_of(line: Cell, content: Mapping[int, Cell], extras: Mapping[int, str]) -> Span:
    """Returns the span of its columns after run_key. `content`, `extras`: of its run, by n."""
    (n, span_id, parent, node_id, name, kind, model, provider, is_model, status, error_type, attempts, cached, started, duration) = line[
        :15
    ]
    (tokens_in, tokens_out, read, write, cost, source) = line[15:]
    error, input_json, output_json = content.get(n, (None, None, None))
    return Span(
        span_id=span_id,
        node_id=node_id,
        name=name,
        started_at=started,
        duration=duration,
        parent_id=parent,
        type=kind,
        model=model,
        provider=provider,
        is_model=bool(is_model),
        status=_NODE_STATUS[status],
        error_type=error_type,
        attempts=attempts,
        cached=bool(cached),
        tokens=_tokens(tokens_in, tokens_out, read, write),
        cost=cost,
        cost_source=_COST_SOURCE[source] if source is not None else None,
        error=error,
        input=input_json,
        output=output_json,
        extra=extras.get(n),
    )


def _tokens(tokens_in: int | None, tokens_out: int | None, read: int | None, write: int | None) -> Tokens:
    if tokens_in is None and tokens_out is None and read is None and write is None:
        return NO_TOKENS
    return Tokens(input=tokens_in, output=tokens_out, cache_read=read, cache_write=write)


def by_run(lines: Iterable[Cell]) -> dict[int, list[Cell]]:
    """Collects lines by the run's key with which they begin, and removes that key."""
    by_key: dict[int, list[Cell]] = {}
    for line in lines:
        by_key.setdefault(line[0], []).append(line[1:])
    return by_key
