"""What a pod says of its calls, at its metrics port."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

COUNT_MAX = 10**15
"""More calls than any pod ever has: what is added up stays a number that can be written."""
SECONDS_MAX = 10.0**12

_Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
_Seconds = Annotated[float, Field(ge=0, le=SECONDS_MAX, allow_inf_nan=False)]


@dataclass(frozen=True)
class Runs:
    """Calls that ended, since the pod's container began: `failed` by the server, `refused` for what callers sent."""

    succeeded: int = 0
    failed: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Activity:
    """`at`: when the pod said so. Times in seconds; None before the pod was ready for the first time.

    `idle_seconds`: since its last call ended, or since it was ready; 0 while one is in flight. `running_seconds`: for how long runs are under
    way, the oldest first, as many as a pod lists. A call is in flight without a run, too: while its body comes and while its answer is taken.
    `failed_seconds`: for how long its failed runs ran, in all. Both are None where its runtime does not report them.
    """

    at: datetime
    ready_seconds: float | None
    idle_seconds: float | None
    in_flight: int
    standby: bool
    runs: Runs = Runs()
    running_seconds: tuple[float, ...] | None = None
    failed_seconds: float | None = None

    @classmethod
    def of(cls, answer: bytes, pod: str, at: datetime) -> Activity:
        """What a pod of this name answered. Raises ValueError where it is no such answer, or another pod's: anybody may listen at an address."""
        told = _Answer.model_validate_json(answer)
        if told.pod is not None and told.pod != pod[:HOSTNAME_MAX].rstrip("-."):
            raise ValueError(f"it is the answer of another pod than {pod}")
        runs = Runs(told.runs.succeeded, told.runs.failed, told.runs.refused)
        running = tuple(told.running_seconds) if told.running_seconds is not None else None
        return cls(at, told.ready_seconds, told.idle_seconds, told.in_flight, told.standby, runs, running, told.failed_seconds)


HOSTNAME_MAX = 63
"""Characters of a pod's name that are its hostname, by which it says who it is."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", defer_build=True)


class _Runs(_Strict):
    succeeded: _Count
    failed: _Count
    refused: _Count = 0


class _Answer(_Strict):
    ready_seconds: _Seconds | None
    idle_seconds: _Seconds | None
    in_flight: _Count
    standby: bool = False
    runs: _Runs
    running_seconds: list[_Seconds] | None = None
    failed_seconds: _Seconds | None = None
    pod: Annotated[str, Field(max_length=HOSTNAME_MAX)] | None = None
