"""Defines one run, for its execution, its record and its traces."""

from __future__ import annotations

import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dynamiq_runtime.callers import CallerFacts, facts_of
from dynamiq_runtime.engine import Report
from dynamiq_runtime.logs import now

if TYPE_CHECKING:
    from dynamiq_runtime.content import Excerpt
    from dynamiq_runtime.fields import RunRequest
    from dynamiq_runtime.shapes import Shape

CANCELED = "canceled"
"""The outcome of a background run that was canceled."""
UNFINISHED = ("timed_out", "cut_off", "abandoned", CANCELED)
STARTED = "started"
STATUSES = {
    "succeeded": "completed",
    "failed": "failed",
    "refused": "failed",
    "timed_out": "failed",
    "cut_off": "failed",
    "abandoned": "canceled",
    CANCELED: "canceled",
}
"""The product's status of a run, by our outcome, which is its `reason`."""


@dataclass
class Run:
    """One run. Times are nanoseconds since 1970; `ended` is 0 before it was counted. A run whose caller left before its end is abandoned.

    `whole`: True if the answer is the run, else its output. `reason`: the code of an error. `first_chunk`: when the first part of its
    answer was streamed, 0 if none was. `waits`: True if it was stored, and goes on later. `error`, `input`, `output`: None if the App does not record them. `verifies`: True for a case of a
    verification, which is neither counted nor recorded. `key`: the name of its caller's Access Key. `shape`: that of its input, if
    it is recorded.
    """

    request: RunRequest
    headers: Mapping[str, str]
    whole: bool = False
    verifies: bool = False
    key: str | None = None
    report: Report = field(default_factory=Report)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: int = field(default_factory=time.time_ns)
    started_at: str = field(default_factory=now)
    ended: int = 0
    outcome: str = "abandoned"
    reason: str | None = None
    began_running: bool = False
    first_chunk: int = 0
    waits: bool = False
    shape: Shape | None = None
    error: str | None = None
    input: Excerpt | None = None
    output: Excerpt | None = None

    @property
    def given(self) -> Mapping[str, Any]:
        """The input of the flow."""
        return self.request.input

    @property
    def shown(self) -> Mapping[str, Any]:
        """The input as JSON data, with the names of uploaded files."""
        return self.request.shown

    @property
    def was_answered(self) -> bool:
        """True if its thread ended by itself."""
        return self.outcome not in UNFINISHED

    @property
    def caller(self) -> CallerFacts:
        """Its caller, by the body and the headers."""
        return facts_of(self.headers, self.request.user, self.request.session)

    def data(self, app_id: str, outcome: str, output: Any) -> dict[str, Any]:
        """Returns the ended run as the product's Runs API has it."""
        caller = self.caller
        return {
            "id": self.id,
            "app_id": app_id,
            "status": STATUSES[outcome],
            "reason": outcome,
            "started_at": self.started_at,
            "ended_at": now(),
            "input": self.shown,
            "output": output,
            "user_id": caller.user,
            "session_id": caller.session,
            "input_requests": [],
        }
