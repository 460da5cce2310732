"""The state of the watch after a deploy, as far as it survives a restart of the operator."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Part, Timestamp


class ComparisonResult(StrEnum):
    """The result of comparing the watched row with the previous one. NotCompared: there was none before the watch ended."""

    KEPT = "Kept"
    REGRESSED = "Regressed"
    NOT_COMPARED = "NotCompared"


class Compared(Part):
    """The recorder's comparison of the watched row, read once."""

    at: Annotated[Timestamp, Field(description="When it was looked at.")]
    result: Annotated[ComparisonResult, Field(description="Kept, Regressed or NotCompared.")]
    runs: Annotated[int | None, Field(ge=0, description="Runs of the row that had been recorded by then.")] = None
    p95_ratio: Annotated[float | None, Field(description="Its p95, as a part of that of the row before.")] = None
    cost_ratio: Annotated[float | None, Field(description="What one of its runs costs, as a part of what one did before.")] = None
    message: Annotated[str, Field(max_length=512, description="The same for people.")]


class Trial(Part):
    """The watch of the live row, and the figures of the previous version."""

    row: Annotated[str, Field(description="Name of the row that is watched.")]
    until: Annotated[Timestamp, Field(description="When the watch ends.")]
    previous_failed_percent: Annotated[
        float | None, Field(ge=0, le=100, description="Failed runs of the version before, in percent, where they are known.")
    ] = None
    previous_runs: Annotated[
        int | None, Field(ge=0, description="Runs of the version before by which that is known, those in flight among them.")
    ] = None
    unended_percent: Annotated[
        float | None,
        Field(
            ge=0,
            le=100,
            description="Runs in percent that had not ended when its failures were looked at last, where that was most of them.",
        ),
    ] = None
    compared: Annotated[Compared | None, Field(description="What the recorder said of it, once that has been looked at.")] = None
