"""Runs as they are stored. Times are microseconds since 1970 UTC, durations microseconds, cost nano-dollars; what is not known is None."""

from __future__ import annotations

import re
from collections.abc import Mapping

import msgspec

from dynamiq_operator.model.runs import CostSource, NodeStatus, RunSource, RunStatus

MICROSECONDS = 1_000_000
NANO_USD = 1_000_000_000
SPANS_OF_A_RUN = 5000
"""Those that began first are kept."""
CONTENT_OF_A_RUN = 16 * 1024 * 1024
"""Characters of what is beside its spans: of those that began first it is kept."""


class Tokens(msgspec.Struct, frozen=True, kw_only=True):
    """Cached tokens are part of the input."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None


NO_TOKENS = Tokens()


_IN_LINE = re.compile(r"(\S+) in line ([1-9][0-9]{0,8})")


def in_line(error_type: str | None, line: int | None) -> str | None:
    """Returns how a store keeps the type of a node's error and the line of its code: as one text, which versions without lines show."""
    return f"{error_type} in line {line}" if error_type and line else error_type


def out_of_line(kept: str | None) -> tuple[str | None, int | None]:
    """Returns the type, and the line where there is one."""
    found = _IN_LINE.fullmatch(kept or "")
    return (found[1], int(found[2])) if found is not None else (kept, None)


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """One node of a run. `span_id`, `parent_id`: hex or UUID, unique within the run; parent None at the top.

    `is_model`: a leaf that called a model; its tokens and cost are the run's. `extra`: JSON of what no field holds (of the SDK's run).
    `error`, `input`, `output`: content, only where the App records it; input and output are JSON.
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


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """An ended run with its spans. `id`: a UUID; a second one with it is the same run, sent again.

    `row_uid`, `sequence`, `row_digest`: the row that it is of, None where none is known: a store says so by its rows, whatever it is given.
    `seq`: its number in `instance`, from 1. `content_kept`: in what is read, whether its content is there, asked for or not.
    `cost`: of the model calls whose price is known, None where no price is; `unpriced`: model calls without one.
    `error`, `input`, `output`, `extra`: as of a span.
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


class Instance(msgspec.Struct, frozen=True, kw_only=True):
    """What one process said of itself with a batch: the highest number that it gave, how many runs it dropped, whether this is goodbye."""

    id: str
    app_uid: str
    pod_uid: str | None
    last_seq: int
    dropped: int
    ended: bool
    at: int


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """What one request brought."""

    runs: tuple[Run, ...]
    instances: tuple[Instance, ...] = ()


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an App's history, as far as runs are attributed by it; kept after the row itself is gone.

    `began`: pinned.createdAt. `succeeded`: whether its outcome is Succeeded; None while it has none. `ended`: outcome.at. `pair`: a digest of
    its flow and its runtime; None of a row that an earlier recorder noted.
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
        """Returns whether both have the same flow and the same runtime."""
        return self.pins == other.pins or (self.pair is not None and self.pair == other.pair)


class ArchivedRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of an App's history that left the cluster, or is about to. `content`: the row as it was stored there, JSON.

    `digest`: None of one that was never pinned. `ended`: outcome.at. `namespace`, `app`: of the App; empty in what is read.
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
    """Which runs of an App; None: any. `since` inclusive, `until` exclusive. `error`: part of the error's text, any case."""

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
    """Durations in logarithmic buckets: bucket i holds those in (γ^(i-1), γ^i] microseconds, γ = 1.02, so a quantile is right to 1 %. So may be
    amounts: nano-dollars, or tokens.
    """

    buckets: Mapping[int, int] = {}


class Sums(msgspec.Struct, frozen=True, kw_only=True):
    """Of runs, or of a node's spans. `tokens` and `cost` are of all; a sum of what nobody said is None.

    What compares rows is of the `counted`: runs neither refused nor abandoned, whose durations `sketch` and `duration` have.
    `counted_tokens`: input and output of those where a model said so, `with_tokens` of them. `priced`: those none of whose model calls lacks
    a price (a run that calls no model costs 0), and their cost. Their sketches lack runs that were recorded before there was one.
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
    """Of a node's spans, those that were skipped left out. `own_duration`: without the time of the nodes inside it. `caused`: failures that
    no node inside it had, so that began here.
    """

    node_id: str
    name: str
    sums: Sums
    own_duration: int = 0
    caused: int = 0


class RowFigures(msgspec.Struct, frozen=True, kw_only=True):
    """All that a comparison needs of one row, or of several together: `row` is the newest of them, `oldest` the oldest.

    `scores`: by name, what they come to and how many there are.
    """

    row: Row
    sums: Sums
    nodes: tuple[NodeSums, ...] = ()
    scores: Mapping[str, tuple[float, int]] = {}
    oldest: Row | None = None


class Point(msgspec.Struct, frozen=True, kw_only=True):
    """Sums of a group from `at` on, for an interval. `name`: of a node."""

    key: str
    at: int
    sums: Sums
    name: str | None = None


class Session(msgspec.Struct, frozen=True, kw_only=True):
    session_id: str
    user_id: str | None
    runs: int
    failed: int
    first_at: int
    last_at: int
    tokens: Tokens
    cost: int | None
    unpriced: int


class Wholeness(msgspec.Struct, frozen=True, kw_only=True):
    """Of an App: how many processes sent runs, how many runs did not arrive, how many processes said no goodbye, runs of pods without a row."""

    instances: int
    missing: int
    cut_off: int
    unattributed: int
    first_at: int | None
    last_at: int | None
