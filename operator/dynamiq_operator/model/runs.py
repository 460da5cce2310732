"""Models of runs for every surface: the recorder's answers, which the API passes on and the plugin and operator read.

Times are RFC 3339 in UTC with microseconds, durations milliseconds, costs US dollars. Unknown values are null and never 0.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dynamiq_operator.model.recorder import APP_ID_HEADER as APP_ID_HEADER
from dynamiq_operator.model.recorder import COUNTED as COUNTED
from dynamiq_operator.model.recorder import RECORDER_AUDIENCE as RECORDER_AUDIENCE
from dynamiq_operator.model.recorder import RECORDER_NAMESPACE as RECORDER_NAMESPACE
from dynamiq_operator.model.recorder import RECORDER_SERVICE as RECORDER_SERVICE
from dynamiq_operator.model.recorder import TOKEN_HEADER as TOKEN_HEADER
from dynamiq_operator.model.recorder import RunSort as RunSort
from dynamiq_operator.model.recorder import RunStatus as RunStatus
from dynamiq_operator.model.recorder import Verdict as Verdict

FEWEST_RUNS = 30
"""Runs of a row, below which it is not compared."""
FEWEST_FOR_P95 = 60
"""Runs of a row, below which its p95 is not compared."""


FAILED_STATUSES = (RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CUT_OFF)
"""Statuses that count as failed. A failure rate excludes `refused` and `abandoned` from numerator and denominator."""


class ProductStatus(StrEnum):
    """How a run ended, in the words of the product's calls."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


PRODUCT_STATUSES = {
    RunStatus.SUCCEEDED: ProductStatus.COMPLETED,
    RunStatus.FAILED: ProductStatus.FAILED,
    RunStatus.REFUSED: ProductStatus.FAILED,
    RunStatus.TIMED_OUT: ProductStatus.FAILED,
    RunStatus.CUT_OFF: ProductStatus.FAILED,
    RunStatus.ABANDONED: ProductStatus.CANCELED,
}
"""The product's word for each of our outcomes. Filters, comparisons and failure rates use the outcome."""
POINTS_MOST = 3000
"""Most points of one series of metrics, and most buckets."""
WIDEST = 400 * 86_400
"""Seconds of the widest bucket: figures are kept that long."""
CONTENTS_MOST = 100
"""Most runs of a page that has their inputs and outputs, of up to 64 KiB each."""


class RunSource(StrEnum):
    """The sender of a run."""

    RUNTIME = "runtime"
    """A pod of the App."""
    SDK = "sdk"
    """The SDK's tracing callback in a program outside the App's pods. Its runs belong to the App and to no row."""
    OTLP = "otlp"


class NodeStatus(StrEnum):
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    SKIPPED = "skipped"


class CostSource(StrEnum):
    """The source of the cost of a model call."""

    REPORTED = "reported"
    """The SDK, or whatever ran the node."""
    TABLE = "table"
    """The recorder's price table."""


class Shape(BaseModel):
    """A part of an answer. Every field is present, even if null."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class RunTokens(Shape):
    """Tokens of the called models; null if unknown. Cached tokens are part of the input."""

    input_tokens: int | None = None
    output_tokens: int | None = None
    cache_read_tokens: int | None = None
    cache_write_tokens: int | None = None


class RunSummary(RunTokens):
    """One run in a list."""

    id: str
    app_id: str
    deployment_id: Annotated[str | None, Field(description="The row that it is of; null where none is known (yet).")]
    sequence: Annotated[int | None, Field(description="That row's place in the history.")]
    workflow_version: str | None
    status: RunStatus
    reason: Annotated[str | None, Field(description="Why it did not succeed, as a word for programs.")]
    source: RunSource
    trigger: Annotated[str | None, Field(description="Name of the trigger that started it.")]
    session_id: str | None
    user_id: str | None
    tags: tuple[str, ...]
    started_at: str
    ended_at: str
    duration_ms: float
    busy_ms: Annotated[
        float | None, Field(description="Of a background run: the time that pods spent on it. Figures, filters and sorting use it.")
    ] = None
    first_chunk_ms: Annotated[float | None, Field(description="Until the first part of a streamed answer.")]
    cost_usd: Annotated[float | None, Field(description="Of the calls whose price is known; null where no price is.")]
    unpriced_calls: Annotated[int, Field(description="Calls of models without a known price.")]
    models: tuple[str, ...]
    node_count: int
    error: Annotated[
        str | None, Field(description="The error's text; null without the right to apps/runcontents, or where none was sent.")
    ] = None


class CountedPagination(Shape):
    """Pagination of a list that is counted up to `counted_to` only."""

    page: int
    page_size: int
    page_count: int
    total_count: Annotated[
        int, Field(description="Of the filter; there may be more where it is counted_to, or a page is short and names a next one.")
    ]
    counted_to: int = COUNTED


class RunPagination(CountedPagination):
    """Pagination by cursor. `next_cursor` requests the next page, whatever the list's length; null at its end.

    Earlier pages may be short or empty.
    """

    next_cursor: str | None


class RunPage(Shape):
    data: tuple[RunSummary, ...]
    pagination: RunPagination


class RunScore(Shape):
    """A person's score of a run."""

    name: str
    value: float
    comment: str | None
    by: Annotated[str, Field(description="Who gave it.")]
    at: str


class RunNode(RunTokens):
    """One node of a run, in the order in which they began."""

    span_id: str
    parent_id: Annotated[str | None, Field(description="The node that it ran inside of, by its span_id; null at the top.")]
    node_id: str
    name: str
    type: str | None
    model: str | None
    provider: str | None
    status: NodeStatus
    error_type: Annotated[str | None, Field(description="Of what its code, or the node itself, raised; recorded also where no content is.")]
    error_line: Annotated[
        int | None, Field(description="The line of its code that raised it; null where it has no code, or none is known.")
    ] = None
    attempts: int
    cached: bool
    started_at: str
    offset_ms: Annotated[float, Field(description="From the run's start to its own.")]
    duration_ms: float
    cost_usd: float | None
    cost_source: CostSource | None
    error: str | None = None
    input: Annotated[Any, Field(description="Only with include=content.")] = None
    output: Annotated[Any, Field(description="Only with include=content.")] = None


class RunDetail(RunSummary):
    """A whole run."""

    pins: str | None
    workflow_hash: str | None
    trace_id: str
    instance: Annotated[str | None, Field(description="The process that ran it.")]
    seq: Annotated[int | None, Field(description="Its number in that process, from 1.")]
    nodes: tuple[RunNode, ...]
    nodes_kept: Annotated[bool, Field(description="False where retention has taken the nodes and left the run.")]
    scores: tuple[RunScore, ...]
    content: Annotated[str, Field(description="included, left_out (ask with include=content), denied, or not_recorded.")]
    input: Any = None
    output: Any = None
    metadata: Annotated[dict[str, Any] | None, Field(description="Other fields that the SDK sent.")] = None


class RunTrace(Shape):
    """The runs of a trace as the SDK sends them to POST /v1/traces: workflow, flow and nodes."""

    runs: tuple[dict[str, Any], ...]


class RunRow(Shape):
    """The row of a run, by its place in the history and its version."""

    sequence: int
    version: str | None


class SessionSummary(RunTokens):
    """The runs of one session."""

    id: Annotated[str, Field(description="The same as session_id.")]
    created_at: Annotated[str, Field(description="The same as first_at.")]
    input: Annotated[
        Any, Field(description="Of its first run; null without the right to apps/runcontents, or where none was recorded.")
    ] = None
    session_id: str
    user_id: str | None
    runs: int
    failed: int
    first_at: str
    last_at: str
    cost_usd: float | None
    unpriced_calls: int
    row: Annotated[RunRow | None, Field(description="Of its newest run; null where none is known.")] = None


class SessionPage(Shape):
    data: tuple[SessionSummary, ...]
    pagination: CountedPagination


class MetricsGroup(StrEnum):
    """The grouping of metrics."""

    DEPLOYMENT = "deployment"
    WORKFLOW_VERSION = "workflow_version"
    TRIGGER = "trigger"
    STATUS = "status"
    NODE = "node"
    MODEL = "model"


class MetricsInterval(StrEnum):
    """The width of a point."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"


class Figures(RunTokens):
    """Figures of the runs, or of a node's runs, in a period."""

    runs: int
    failed: int
    refused: int
    abandoned: Annotated[
        int, Field(description="Their caller left. A rate of failures is of the runs that were neither refused nor abandoned.")
    ]
    p50_ms: float | None
    p95_ms: float | None
    cost_usd: float | None
    unpriced_calls: int


class MetricsPoint(Figures):
    at: Annotated[str, Field(description="Where it begins.")]


class MetricsSeries(Shape):
    """The points of one group, without those that have no run, and their total."""

    key: Annotated[
        str, Field(description='The group: an id of a deployment, a version, a name; "" for none, and for all without group_by.')
    ]
    sequence: Annotated[int | None, Field(description="Of a deployment.")] = None
    workflow_version: Annotated[str | None, Field(description="Of a deployment.")] = None
    name: Annotated[str | None, Field(description="Of a node.")] = None
    total: Figures
    points: tuple[MetricsPoint, ...]


class RunMetrics(Shape):
    since: str
    until: str
    interval: MetricsInterval
    group_by: MetricsGroup | None
    series: tuple[MetricsSeries, ...]


class ComparedRow(Shape):
    """A row in a comparison, with the figures of its runs."""

    deployment_id: str
    sequence: int
    workflow_version: str
    figures: Figures
    mean_tokens: float | None = None
    mean_cost_usd: Annotated[float | None, Field(description="Of the runs all of whose calls have a price.")] = None
    score_means: Annotated[dict[str, float], Field(description="By the score's name.")] = {}


class ComparedFigure(Shape):
    """One figure of a row against another row's."""

    value: float | None
    baseline: float | None
    ratio: Annotated[float | None, Field(description="value / baseline.")]
    low: Annotated[float | None, Field(description="Lower end of the 95 % interval of the ratio; of failure_rate, of the difference.")]
    high: float | None
    p_value: float | None
    verdict: Verdict


class NodeShare(Shape):
    """The node that explains most of a change."""

    node_id: str
    name: str
    of: Annotated[str, Field(description="The figure that it changed: p95_ms, failure_rate or cost_usd.")]
    share: Annotated[float, Field(description="Its part of the change, from 0 to 1.")]


class RunComparison(Shape):
    """The comparison of a row with another. `verdict`: regressed if p95, failures or cost regressed, else improved if one improved."""

    deployment: ComparedRow
    baseline: ComparedRow | None
    verdict: Verdict
    p50_ms: ComparedFigure | None
    p95_ms: ComparedFigure | None
    failure_rate: ComparedFigure | None
    cost_usd: Annotated[ComparedFigure | None, Field(description="The mean of a run.")]
    tokens: Annotated[ComparedFigure | None, Field(description="The mean of a run.")]
    node: NodeShare | None
    sentence: Annotated[str, Field(description="The same for people.")]
    matures_seconds: Annotated[
        float | None,
        Field(
            description="A run of a row that is live, or was just now, counts once so many seconds have passed since it began: three times "
            "p99 of the row that it is compared with. null where all runs count."
        ),
    ] = None


class RowVerdict(Shape):
    """A row's figures and comparison in short, for a history."""

    deployment_id: str
    sequence: int | None
    figures: Figures
    verdict: Verdict
    sentence: str


class DeletedRuns(Shape):
    deleted: int


class RecorderState(Shape):
    """The completeness of the recorded runs of an App."""

    instances: Annotated[int, Field(description="Processes that sent runs.")]
    missing: Annotated[
        int, Field(description="Runs that ended and did not arrive: numbers that are missing, and those that pods counted as dropped.")
    ]
    cut_off: Annotated[int, Field(description="Processes that ended without notice: the runs in their queues are unknown.")]
    unattributed: Annotated[int, Field(description="Runs of pods that are of no row.")]
    first_at: str | None
    last_at: str | None
