"""Defines runs, rows and their sums as a store keeps them. It does no I/O.

Times are microseconds since 1970 UTC, durations microseconds, costs nano-dollars. An unknown value is None.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from dynamiq_operator.model.runs import CostSource, NodeStatus, RunSource, RunStatus

MICROSECONDS = 1_000_000
NANO_USD = 1_000_000_000
SPANS_OF_A_RUN = 5000
"""Most spans of a run. Those that began first are kept."""
CONTENT_OF_A_RUN = 16 * 1024 * 1024
"""Most characters of content and `extra` of a run's spans. The spans that began first keep theirs."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Token counts of a call or a run. Cached tokens are part of the input."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None


NO_TOKENS = Tokens()


_IN_LINE = re.compile(r"(\S+) in line ([1-9][0-9]{0,8})")


def in_line(error_type: str | None, line: int | None) -> str | None:
    """Joins a node's error type and code line into one text. Versions that know no lines show it as the type."""
    return f"{error_type} in line {line}" if error_type and line else error_type


def out_of_line(kept: str | None) -> tuple[str | None, int | None]:
    """Splits a text of `in_line` into type and line; the line is None if the text has none."""
    match = _IN_LINE.fullmatch(kept or "")
    return (match[1], int(match[2])) if match is not None else (kept, None)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a run.

    `span_id`, `parent_id`: hex or UUID, unique within the run; the parent is None at the top. `is_model`: True for a leaf that called a
    model; its tokens and cost are the run's. `extra`: JSON of an SDK run's values that have no field. `error`, `input`, `output`: content,
    present only if the App records it; input and output are JSON.
    """

    span_id: str
    node_id: str
    name: str
    started_at: int
    duration: int
    parent_id: str | None = None
    type: str | None = None
    model: str | None = None
    provider: str | None = None
    is_model: bool = False
    status: NodeStatus = NodeStatus.SUCCEEDED
    error_type: str | None = None
    attempts: int = 1
    cached: bool = False
    tokens: Tokens = NO_TOKENS
    cost: int | None = None
    cost_source: CostSource | None = None
    error: str | None = None
    input: str | None = None
    output: str | None = None
    extra: str | None = None


MORE = "…"
"""The end of a name that was cut; as a name alone, it is for names and callers beyond a limit."""


class RunShape(msgspec.Struct, frozen=True, kw_only=True):
    """The names and JSON types of the top-level fields of a run's input, and its caller. It has no value.

    `key`: the name of the Access Key; `trigger`: of a trigger of the App; both may be empty. `has_more`: True if `fields` lacks names.
    """

    key: str = ""
    trigger: str = ""
    fields: tuple[tuple[str, str], ...] = ()
    has_more: bool = False


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """An ended run with its spans.

    `id`: a UUID. A second run of the same App with it is the same run, sent again. `row_uid`, `sequence`, `row_digest`: of the run's row,
    None if unknown. A store sets them by its rows and ignores other values. `seq`: its number in `instance`, from 1. `content_kept`: set on
    reads; True if the store has its content, whether or not it was requested. `cost`: of the model calls with a known price, None if there
    are none. `unpriced`: the number of model calls without a price. `shape`: of a new run; no store returns it. `error`, `input`, `output`, `extra`: as in `Span`. `accepted_at`: of a
    background run, None otherwise. The `duration` of a background run is the time that pods spent on it, all of it before its end.
    """

    id: str
    app_uid: str
    namespace: str
    app: str
    status: RunStatus
    source: RunSource
    started_at: int
    duration: int
    trace_id: str
    accepted_at: int | None = None
    row_uid: str | None = None
    sequence: int | None = None
    row_digest: str | None = None
    pins: str | None = None
    workflow_version: str | None = None
    workflow_hash: str | None = None
    reason: str | None = None
    trigger: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    first_chunk: int | None = None
    tokens: Tokens = NO_TOKENS
    cost: int | None = None
    unpriced: int = 0
    model_calls: int = 0
    models: tuple[str, ...] = ()
    instance: str | None = None
    seq: int | None = None
    spans: tuple[Span, ...] = ()
    node_count: int = 0
    error: str | None = None
    input: str | None = None
    output: str | None = None
    extra: str | None = None
    content_kept: bool = False
    shape: RunShape | None = None

    @property
    def first_at(self) -> int:
        """Returns when its caller began to wait: a background run may wait long before and between the times that pods spend on it."""
        return self.started_at if self.accepted_at is None else self.accepted_at


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """The state that a process reported with a batch.

    `last_seq`: the highest number that it assigned. `dropped`: the number of runs that it dropped. `ended`: True with its last batch.
    """

    id: str
    app_uid: str
    pod_uid: str | None
    last_seq: int
    dropped: int
    ended: bool
    at: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """The runs and processes of one request."""

    runs: tuple[Run, ...]
    instances: tuple[Instance, ...] = ()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """The part of a row that attributes runs. It is kept after the row is deleted from the cluster.

    `began`: pinned.createdAt. `succeeded`: True if its outcome is Succeeded; None without an outcome. `ended`: outcome.at. `pair`: a digest
    of its flow and its runtime; None if an earlier recorder stored the row.
    """

    uid: str
    app_uid: str
    namespace: str
    app: str
    sequence: int
    digest: str
    pins: str
    workflow_version: str
    began: int
    succeeded: bool | None = None
    ended: int | None = None
    pair: str | None = None

    def is_pair_of(self, other: Row) -> bool:
        """Returns True if both rows have the same flow and the same runtime."""
        return self.pins == other.pins or (self.pair is not None and self.pair == other.pair)


class ArchivedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an App's history that left the cluster, or is about to.

    `content`: the row as it was stored there, JSON. `digest`: None if the row was never pinned. `ended`: outcome.at. `namespace`, `app`: of
    the App; empty in rows that a store returns.
    """

    uid: str
    app_uid: str
    name: str
    sequence: int
    digest: str | None
    outcome_digest: str
    flow_hash: str | None
    ended: int
    succeeded: bool
    content: str
    namespace: str = ""
    app: str = ""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    value: float
    comment: str | None
    by: str
    at: int


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """A selection of an App's runs. A field of None selects any value.

    `since` is inclusive, `until` exclusive. `error`: a part of the error's text, ignoring case.
    """

    app_uid: str
    row_uid: str | None = None
    workflow_version: str | None = None
    status: tuple[RunStatus, ...] = ()
    trigger: str | None = None
    session_id: str | None = None
    user_id: str | None = None
    tags: tuple[str, ...] = ()
    model: str | None = None
    error: str | None = None
    since: int | None = None
    until: int | None = None
    min_duration: int | None = None
    min_cost: int | None = None


class Sketch(msgspec.Struct, frozen=True):
    """Counts of durations, or of amounts in nano-dollars or tokens, in logarithmic buckets.

    Bucket i holds values in (γ^(i-1), γ^i] microseconds with γ = 1.02, so a quantile is accurate to 1 %.
    """

    buckets: Mapping[int, int] = {}


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over runs, or over a node's spans.

    Token counts and `cost` cover all runs. A sum is None if no run reported the value. Comparisons use the `counted` runs: those neither
    refused nor abandoned. `sketch` and `duration` cover them. `with_tokens`: counted runs that reported tokens. `counted_tokens`: their
    input plus output. `priced`: counted runs whose model calls all have a price. `priced_cost`: their cost. A run without model calls costs
    0. `token_sketch` and `cost_sketch` lack runs that were recorded before these sketches existed.
    """

    runs: int = 0
    failed: int = 0
    refused: int = 0
    abandoned: int = 0
    counted: int = 0
    duration: int = 0
    sketch: Sketch = Sketch()
    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None
    with_tokens: int = 0
    counted_tokens: int = 0
    token_sketch: Sketch = Sketch()
    cost: int | None = None
    unpriced: int = 0
    priced: int = 0
    priced_cost: int = 0
    cost_sketch: Sketch = Sketch()


class NodeSums(msgspec.Struct, frozen=True, kw_only=True):
    """Sums over a node's spans, without skipped ones.

    `own_duration`: without the time of the nodes inside it. `caused`: failures of which no node inside it failed, so they began here.
    """

    node_id: str
    name: str
    sums: Sums
    own_duration: int = 0
    caused: int = 0


class RowFigures(msgspec.Struct, frozen=True, kw_only=True):
    """The figures that a comparison needs of one row, or of several rows together.

    `row`: the newest of them. `oldest`: the oldest; None for a single row. `scores`: by name, their sum and their number.
    """

    row: Row
    sums: Sums
    nodes: tuple[NodeSums, ...] = ()
    scores: Mapping[str, tuple[float, int]] = {}
    oldest: Row | None = None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of a group for the interval that begins at `at`. `name`: of a node."""

    key: str
    at: int
    sums: Sums
    name: str | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of a session's runs. `input`: of its first run, JSON; None if it was not recorded or not requested.

    `sequence`, `workflow_version`: of the row of its newest run; None if unknown.
    """

    session_id: str
    user_id: str | None
    runs: int
    failed: int
    first_at: int
    last_at: int
    tokens: Tokens
    cost: int | None
    unpriced: int
    sequence: int | None = None
    workflow_version: str | None = None
    input: str | None = None


class Wholeness(msgspec.Struct, frozen=True, kw_only=True):
    """The completeness of an App's recorded runs.

    `instances`: processes that sent runs. `missing`: runs that did not arrive. `cut_off`: processes that ended without reporting it.
    `unattributed`: runs of pods that belong to no row.
    """

    instances: int
    missing: int
    cut_off: int
    unattributed: int
    first_at: int | None
    last_at: int | None
