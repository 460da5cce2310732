"""Parses a pod's report of its calls at the metrics port. It sends no request."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from dynamiq_operator.model.app_status import CAPABILITIES_MOST, CAPABILITY, CAPABILITY_MAX

COUNT_MAX = 10**15
"""More calls than any pod ever has, so that sums stay numbers that can be written."""
SECONDS_MAX = 10.0**12

_Count = Annotated[int, Field(ge=0, le=COUNT_MAX)]
_Seconds = Annotated[float, Field(ge=0, le=SECONDS_MAX, allow_inf_nan=False)]


@dataclass(frozen=True)
class Runs:
    """Ended calls since the pod's container began: `failed` because of the server, `refused` because of the request."""

    succeeded: int = 0
    failed: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Activity:
    """A pod's report of its calls. Times are in seconds; None before the pod was first ready.

    - `at`: when the pod reported.
    - `idle_seconds`: since its last call ended, or since it was ready; 0 while a call is in flight.
    - `in_flight`: calls, including those whose body or answer is being transferred without a run.
    - `running_seconds`: how long runs have been in progress, longest first, as many as a pod lists. None if its runtime does not report
      them.
    - `failed_seconds`: the total duration of its failed runs. None if its runtime does not report it.
    - `capabilities`: names of features of its runtime. A runtime from before the list has none.
    """

    at: datetime
    ready_seconds: float | None
    idle_seconds: float | None
    in_flight: int
    standby: bool
    runs: Runs = Runs()
    running_seconds: tuple[float, ...] | None = None
    failed_seconds: float | None = None
    capabilities: tuple[str, ...] = ()

    @classmethod
    def of(cls, answer: bytes, pod: str, at: datetime) -> Activity:
        """Returns the report of the pod of this name.

        Raises ValueError if the answer is no report, or another pod's: after a pod ended, its address may belong to another one.
        """
        report = _Report.model_validate_json(answer)
        if report.pod is not None and report.pod != pod[:HOSTNAME_MAX].rstrip("-."):
            raise ValueError(f"another pod than {pod} answered")
        runs = Runs(report.runs.succeeded, report.runs.failed, report.runs.refused)
        running = tuple(report.running_seconds) if report.running_seconds is not None else None
        failed_seconds, capabilities = report.failed_seconds, _capabilities(report.capabilities)
        return cls(
            at, report.ready_seconds, report.idle_seconds, report.in_flight, report.standby, runs, running, failed_seconds, capabilities
        )


def _capabilities(reported: list[Any]) -> tuple[str, ...]:
    """Returns the names that can be stored. Others are of a runtime that this operator does not know, and change nothing."""
    names = {each for each in reported if isinstance(each, str) and len(each) <= CAPABILITY_MAX and re.fullmatch(CAPABILITY, each)}
    return tuple(sorted(names))[:CAPABILITIES_MOST]


HOSTNAME_MAX = 63
"""The number of characters of a pod's name in its hostname, with which it identifies itself."""


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", defer_build=True)


class _Runs(_Strict):
    succeeded: _Count
    failed: _Count
    refused: _Count = 0


class _Report(_Strict):
    ready_seconds: _Seconds | None
    idle_seconds: _Seconds | None
    in_flight: _Count
    standby: bool = False
    runs: _Runs
    running_seconds: list[_Seconds] | None = None
    failed_seconds: _Seconds | None = None
    capabilities: list[Any] = []
    pod: Annotated[str, Field(max_length=HOSTNAME_MAX)] | None = None
