"""Models of runs in the shapes of the product's calls: traces, messages of a session, and metrics in buckets.

`model.runs` has our own shapes of the same runs. The product documents no names of the figures: these are ours.
"""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.model.runs import ProductStatus, RunMetrics, RunPagination, RunRow, RunStatus, Shape

_CONTENT = "null without the right to apps/runcontents, or where none was recorded."


class TraceUsage(Shape):
    """Tokens of the called models; null if unknown."""

    prompt_tokens: int | None
    completion_tokens: int | None


class Trace(Shape):
    """A run, as the product lists it."""

    id: Annotated[str, Field(description="The run's id.")]
    source_id: Annotated[str | None, Field(description="The process that ran it; null for a run that was sent from outside.")]
    started_at: str
    ended_at: str
    status: ProductStatus
    reason: Annotated[RunStatus, Field(description="Our outcome, as in the answer of the run.")]
    input: Annotated[Any, Field(description=f"What it was called with; {_CONTENT}")]
    output: Annotated[Any, Field(description=f"Its answer; {_CONTENT}")]
    usage: TraceUsage


class TracePage(Shape):
    data: tuple[Trace, ...]
    pagination: RunPagination


class SessionMessage(Shape):
    """A run of a session: what was asked, and what was answered."""

    id: Annotated[str, Field(description="The run's id.")]
    input: Annotated[Any, Field(description=f"What was asked; {_CONTENT}")]
    output: Annotated[Any, Field(description=f"What was answered; {_CONTENT}")]
    created_at: str
    trace_id: Annotated[str, Field(description="The id of its trace: the same as id.")]
    row: Annotated[RunRow | None, Field(description="The row that answered; null where none is known.")] = None


class MessagePage(Shape):
    data: tuple[SessionMessage, ...]
    pagination: RunPagination


class UsageFigures(Shape):
    """Figures of the runs in a period. A sum is null if no run reported the value."""

    requests: int
    completed: int
    failed: int
    canceled: int
    prompt_tokens: int | None
    completion_tokens: int | None
    cost_usd: float | None
    unpriced_calls: Annotated[int, Field(description="Calls of models without a known price: their cost is not in cost_usd.")]
    mean_latency_seconds: Annotated[
        float | None, Field(description="Of the runs whose input was accepted and whose caller stayed; null if there is none.")
    ]


class UsageBucket(UsageFigures):
    start_time: Annotated[str, Field(description="Where it begins; it ends where the next one begins.")]


class UsageMetrics(Shape):
    """Metrics in buckets of one width, also those without a run. The first begins with the whole minute or hour of start_time."""

    start_time: Annotated[str, Field(description="Where the first bucket begins.")]
    end_time: str
    interval_seconds: int
    summary: UsageFigures
    buckets: tuple[UsageBucket, ...]


class Metrics(Shape):
    """Metrics by the parameters of a request: our own, or the product's."""

    data: RunMetrics | UsageMetrics
