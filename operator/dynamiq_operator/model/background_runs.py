"""Models of background runs and conversations for every surface: the journal's answers, which the API passes on.

Times are RFC 3339 in UTC with microseconds, durations milliseconds. Unknown values are null.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field

from dynamiq_operator.model.runs import RunRow, Shape

PAGE_MOST, EVENTS_MOST = 100, 500
"""Most runs, and most events, of a page."""
WAIT_MOST = 25
"""Seconds for which a request may wait for events, at most."""


class BackgroundStatus(StrEnum):
    """The state of a background run, in the product's words."""

    CREATED = "created"
    """It is stored, and no node of it has begun."""
    STARTED = "started"
    PAUSED = "paused"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"


class BackgroundState(StrEnum):
    """The state of a background run, in the journal's words."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


class BackgroundError(Shape):
    """The error of a background run that failed."""

    code: Annotated[str, Field(description="A word for programs.")]
    message: Annotated[str | None, Field(description="null without the right to apps/runcontents.")] = None
    details: dict[str, Any] | None = None


class RequestType(StrEnum):
    """The kind of a question to a person."""

    HUMAN_FEEDBACK = "human_feedback"
    """A text, or answers to structured questions."""
    APPROVAL_REQUEST = "approval_request"
    """A yes or a no."""


class QuestionOption(Shape):
    label: str
    description: str | None = None


class StructuredQuestion(Shape):
    """One of the questions of a request that has several, or that offers options."""

    id: str
    header: str | None = None
    question: str
    options: tuple[QuestionOption, ...] | None = ()
    multi_select: bool = False
    allow_custom_answer: bool = False


class InputRequest(Shape):
    """A question of a background run to a person. The run goes on once it is answered."""

    id: Annotated[str, Field(description="Its id in the run, such as `approve:1`. An answer names it as `request_id`.")]
    type: RequestType
    node: str
    name: str | None = None
    prompt: Annotated[str | None, Field(description="null without the right to apps/runcontents, or if there is none.")] = None
    params: Annotated[dict[str, Any] | None, Field(description="What is to be approved. null as `prompt`.")] = None
    params_omitted: Annotated[bool, Field(description="True: `params` are too large to be stored, and left out.")] = False
    editable_params: Annotated[tuple[str, ...], Field(description="Names of `params` that an approval may change.")] = ()
    questions: Annotated[tuple[StructuredQuestion, ...] | None, Field(description="null as `prompt`.")] = None
    asked_at: str
    expires_at: Annotated[str | None, Field(description="When the run fails without an answer.")] = None
    answered: bool = False
    answered_by: str | None = None
    answered_at: str | None = None


class OpenQuestion(InputRequest):
    """An open question of an App, with the run that asks it."""

    run_id: str
    pins: Annotated[str, Field(description="The digest of the flow, the runtime and the resources that the run goes on with.")]
    accepted_at: str
    key: str | None = None
    user_id: str | None = None
    session_id: str | None = None


class CallbackState(StrEnum):
    """The state of a callback."""

    PENDING = "pending"
    """Its run has not ended, or it is tried again."""
    DELIVERED = "delivered"
    """Its receiver has answered with a status from 200 to 299."""
    FAILED = "failed"
    """Its receiver refused it, or did not take it for a day."""


class RunCallback(Shape):
    """A callback of a background run, which is sent once the run has ended. Its URL and token are shown to nobody."""

    n: Annotated[int, Field(description="Its place among the callbacks of the run, from 0.")]
    host: str
    state: CallbackState
    tries: int
    status: Annotated[int | None, Field(description="The status of the last answer.")] = None
    error: Annotated[str | None, Field(description="Why the last attempt had no answer, or none that counts.")] = None
    last_at: Annotated[str | None, Field(description="When its last attempt ended.")] = None
    next_at: Annotated[str | None, Field(description="When it is tried again.")] = None


class BackgroundRun(Shape):
    """A background run. It ends on the pins that it began with."""

    id: str
    app_id: str
    namespace: str
    app: str
    status: BackgroundStatus
    reason: Annotated[str | None, Field(description="More about the status, as a word for programs.")]
    state: BackgroundState
    pins: Annotated[str, Field(description="The digest of the flow, the runtime and the resources that it runs on.")]
    workflow_hash: str | None
    accepted_at: str
    started_at: str | None
    ended_at: str | None
    busy_ms: Annotated[float, Field(description="For which pods executed it. To wait for a pod does not count.")]
    attempts: Annotated[int, Field(description="Interruptions since its last progress.")]
    node: Annotated[str | None, Field(description="The node that began last.")]
    key: Annotated[str | None, Field(description="Name of the Access Key of its caller.")]
    user_id: str | None
    session_id: str | None
    trigger: str | None
    tags: tuple[str, ...]
    cancel_requested: Annotated[bool, Field(description="It ends at its next node.")]
    last_sequence: Annotated[int, Field(description="Number of its last event.")]
    awaiting_input: Annotated[bool, Field(description="It waits for the answer to a question.")] = False
    questions_open: Annotated[int, Field(description="Questions that nobody has answered.")] = 0
    paused_at: str | None = None
    resume_at: Annotated[str | None, Field(description="When it goes on by itself, if it waits for a time.")] = None
    hold_reason: Annotated[str | None, Field(description="Why it is held, such as Rejected.")] = None
    input_requests: Annotated[tuple[InputRequest, ...], Field(description="Its open questions; empty in a list.")] = ()
    callbacks: Annotated[tuple[RunCallback, ...], Field(description="Its callbacks; empty in a list.")] = ()
    input: Annotated[Any, Field(description="null without the right to apps/runcontents.")] = None
    output: Annotated[Any, Field(description="null without the right to apps/runcontents, or before its end.")] = None
    content_omitted: Annotated[
        bool, Field(description="True in a list whose runs before this one have 8 MiB of inputs and outputs: get the run itself.")
    ] = False
    error: BackgroundError | None = None


class BackgroundPagination(Shape):
    page: int
    page_size: int
    page_count: int
    total_count: int


class BackgroundRunPage(Shape):
    data: tuple[BackgroundRun, ...]
    pagination: BackgroundPagination


class QuestionPage(Shape):
    data: tuple[OpenQuestion, ...]
    pagination: BackgroundPagination


class BackgroundEvent(Shape):
    """An event of a background run."""

    sequence: Annotated[int, Field(description="Its number in the run, from 1, without gaps.")]
    type: Annotated[str, Field(description="Such as run.accepted, node.started or run.completed.")]
    timestamp: str
    data: Annotated[dict[str, Any], Field(description="Empty without the right to apps/runcontents.")]


class BackgroundEvents(Shape):
    data: tuple[BackgroundEvent, ...]
    ended: Annotated[bool, Field(description="The run has ended, and these include its last event.")]


class RowConversations(Shape):
    """The open conversations of a version: those that it answers, with a turn within `idleSeconds`."""

    pins: Annotated[str, Field(description="The digest of the flow, the runtime and the resources that answer them.")]
    sequence: Annotated[int | None, Field(description="Of the newest row with these pins; null where none is known.")]
    sessions: Annotated[int, Field(description="How many they are.")]
    recent: Annotated[int, Field(description="Those with a turn within `warmSeconds`.")]
    last_turn: str | None
    moved: Annotated[
        int, Field(description="Those that were moved to another version: this one was rejected or reverted, or another took them.")
    ]
    row: Annotated[RunRow | None, Field(description="That row: its sequence and its version.")] = None
    deployment_id: Annotated[str | None, Field(description="That row's id; null if it was deleted.")] = None
