"""Defines one run, for its execution, its record and its traces."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from dynamiq_runtime.engine import Report
from dynamiq_runtime.logs import now

if TYPE_CHECKING:
    from dynamiq_runtime.content import Excerpt

Serializer = Callable[[Any, dict[str, Any]], Any]  # (output, run) to the data of the response's body
UNFINISHED = ("timed_out", "cut_off", "abandoned")


@dataclass
class Run:
    """One run. Times are nanoseconds since 1970; `ended` is 0 before it was counted. A run whose caller left before its end is abandoned.

    `reason`: the code of an error. `first_chunk`: when the first part of its answer was streamed, 0 if none was. `error`, `input`, `output`:
    None if the App does not record them. `verifies`: True for a case of a verification, which is neither counted nor recorded.
    """

    given: Mapping[str, Any]
    serialize: Serializer
    headers: Mapping[str, str]
    verifies: bool = False
    report: Report = field(default_factory=Report)
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    began: int = field(default_factory=time.time_ns)
    started_at: str = field(default_factory=now)
    ended: int = 0
    outcome: str = "abandoned"
    reason: str | None = None
    began_running: bool = False
    first_chunk: int = 0
    error: str | None = None
    input: Excerpt | None = None
    output: Excerpt | None = None

    @property
    def was_answered(self) -> bool:
        """True if its thread ended by itself."""
        return self.outcome not in UNFINISHED
