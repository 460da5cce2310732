"""Defines what the journal's calls take, return and refuse. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec

LEASE = 30
"""Seconds for which a claim or a save gives a run to a pod."""
MICROSECONDS = 1_000_000
ALONE_FROM = 2
"""Interruptions without progress from which on a run is claimed alone: it may be what kills its pods."""
PARTS_MAX = 4 * 1024 * 1024
"""Most bytes of all parts of a run."""
OUTPUT_MAX = 16 * 1024 * 1024
"""Most bytes of an output."""
RUN_MAX = 64 * 1024 * 1024
"""Most bytes of a run with all its events."""
KEY_OPEN_MOST = 1_000
"""Most open runs of one Access Key."""
QUESTION_MAX, QUESTIONS_MOST = 64 * 1024, 1_000
"""Most bytes of a question's content, and most questions of a run."""
REJECTED = "Rejected"
"""The reason of a hold that only a restart, or the end of the rejection, ends."""
RESTORED = "Restored"
"""The reason of a hold of a run that had begun in a restored store: what it did afterwards is unknown."""
FENCES = 1 << 24
"""Fences of one epoch of the store. A run that is restored goes on with the fences of a new epoch."""


class State(StrEnum):
    """The states of a run. `waiting`: for an answer or a time, without a pod. `held`: until a person or the operator decides."""

    QUEUED = "queued"
    RUNNING = "running"
    WAITING = "waiting"
    HELD = "held"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELED = "canceled"
    EXPIRED = "expired"


STATUSES: Mapping[State, str] = {
    State.QUEUED: "created",
    State.RUNNING: "started",
    State.WAITING: "paused",
    State.HELD: "paused",
    State.COMPLETED: "completed",
    State.FAILED: "failed",
    State.CANCELED: "canceled",
    State.EXPIRED: "failed",
}
"""The product's word for each state."""
ENDS = (State.COMPLETED, State.FAILED, State.CANCELED)
"""The states in which a pod may end a run."""


class Asks(StrEnum):
    """The kinds of answers that questions ask for."""

    HUMAN_FEEDBACK = "human_feedback"
    APPROVAL = "approval_request"


class Refused(Exception):  # noqa: N818 - what is refused is no failure of the program
    """An operation that the journal refuses, with a code of the contract. It has written nothing."""

    def __init__(self, code: str, message: str, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.code, self.details = code, dict(details or {})


class NewEvent(msgspec.Struct, frozen=True):
    """An event of a pod. `data`: JSON."""

    type: str
    data: bytes


class NewQuestion(msgspec.Struct, frozen=True):
    """A question of a run to a person. `content`: JSON."""

    id: str
    node: str
    kind: Asks
    name: str
    content: bytes


class Pause(msgspec.Struct, frozen=True):
    """The pause of a run, until an answer comes or, at the latest, until a time."""

    resume_at: int | None = None


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The end of a run. `output`, `error`: JSON. `record`: what the recorder gets, compressed."""

    status: State
    reason: str
    output: bytes | None = None
    error: bytes | None = None
    record: bytes | None = None


class Save(msgspec.Struct, frozen=True, kw_only=True):
    """A pod's save of a run. `number`: rises from 1 with each save of a fence.

    `used`, `closed`: ids of questions whose node is saved, and of those that nobody asks any more.
    """

    id: str
    fence: int
    number: int
    busy_ms: int = 0
    node: str | None = None
    parts: Mapping[str, bytes] = {}
    drop_parts: tuple[str, ...] = ()
    events: tuple[NewEvent, ...] = ()
    questions: tuple[NewQuestion, ...] = ()
    used: tuple[str, ...] = ()
    closed: tuple[str, ...] = ()
    pause: Pause | None = None
    hand_back: bool = False
    end: End | None = None

    @property
    def changes_questions(self) -> bool:
        return bool(self.questions or self.used or self.closed or self.pause)


class Saved(msgspec.Struct, frozen=True):
    """The outcome of a save. `ok`: False if another claim has the run. `cancel`: a cancellation is requested.

    `answers`: those that the claim did not have yet, by the question's id, as JSON. `callbacks`: how many are due by its end.
    """

    id: str
    ok: bool
    cancel: bool = False
    answers: Mapping[str, bytes] = {}
    callbacks: int = 0


class NewCallback(msgspec.Struct, frozen=True):
    """A callback of a run. `token`: what its receiver knows us by. `metadata`: JSON, which it gets back."""

    url: str
    token: str | None = None
    metadata: bytes | None = None

    def __repr__(self) -> str:
        return "NewCallback()"  # no URL and no token, wherever it is logged


class Place(msgspec.Struct, frozen=True):
    """The pod that calls: its App, pins and flow. `pod`: its name."""

    app_uid: str
    namespace: str
    app: str
    pins: str
    workflow_hash: str | None = None
    pod: str = ""


class NewRun(msgspec.Struct, frozen=True, kw_only=True):
    """A run to accept. `input`: JSON. `session`: the hash of its conversation, if that is kept.

    `paused`: the first save of a run that already began at `started_at`, and pauses with its acceptance.
    """

    id: str
    key: str
    input: bytes
    idempotency_key: str | None = None
    request_hash: str | None = None
    user_id: str | None = None
    session_id: str | None = None
    session: str | None = None
    trigger: str | None = None
    tags: tuple[str, ...] = ()
    headers: Mapping[str, str] = {}
    callbacks: tuple[NewCallback, ...] = ()
    paused: Save | None = None
    started_at: int | None = None


class Limits(msgspec.Struct, frozen=True):
    """Most open runs of an App and of a key, and most bytes of a namespace."""

    of_app: int = 10_000
    of_key: int = KEY_OPEN_MOST
    of_namespace: int = 4 << 30


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """A selection of an App's runs, and a page of it."""

    app_uid: str
    states: tuple[State, ...] = ()
    user_id: str | None = None
    session_id: str | None = None
    descending: bool = True
    limit: int = 20
    offset: int = 0


class Open(msgspec.Struct, frozen=True):
    """The open runs of an App's pins in one state. `oldest`: when the first of them was accepted.

    `questions`, `waiting_since`: how many questions of theirs are open, and when the oldest of these was asked.
    """

    namespace: str
    app: str
    app_uid: str
    pins: str
    state: State
    runs: int
    oldest: int
    questions: int = 0
    waiting_since: int | None = None


class LateCallbacks(msgspec.Struct, frozen=True):
    """How many callbacks of runs of an App's pins are due for a while, and sent by no pod."""

    namespace: str
    app: str
    app_uid: str
    pins: str
    callbacks: int


class CallbackCounts(msgspec.Struct, frozen=True):
    """The callbacks of ended runs of all Apps that are neither delivered nor failed, and the late ones among them."""

    pending: int = 0
    late: tuple[LateCallbacks, ...] = ()


class Conversations(msgspec.Struct, frozen=True):
    """The conversations of an App's pins. `recent`: those with a turn lately. `last_turn`: of all. `turns_wait`: one waits for a pod.

    `moved`: those that have left these pins.
    """

    namespace: str
    app: str
    app_uid: str
    pins: str
    sessions: int = 0
    recent: int = 0
    last_turn: int | None = None
    turns_wait: bool = False
    moved: int = 0


class Placed(msgspec.Struct, frozen=True):
    """An App with sessions, and the digest of their placement; None before the first."""

    namespace: str
    app: str
    app_uid: str
    digest: str | None


class SessionCounts(msgspec.Struct, frozen=True):
    """The counts of conversations of all Apps, and the Apps with sessions, also those without a conversation."""

    pins: tuple[Conversations, ...] = ()
    apps: tuple[Placed, ...] = ()
