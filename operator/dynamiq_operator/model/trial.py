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

    at: Annotated[Timestamp, Field(description="When the comparison was made.")]
    result: Annotated[ComparisonResult, Field(description="Kept, Regressed or NotCompared.")]
    runs: Annotated[int | None, Field(ge=0, description="Runs of the row that had been recorded by then.")] = None
    p95_ratio: Annotated[float | None, Field(description="Its p95 divided by that of the row before.")] = None
    cost_ratio: Annotated[float | None, Field(description="Its cost per run divided by that of the row before.")] = None
    message: Annotated[str, Field(max_length=512, description="The same for people.")]


class Trial(Part):
    """The watch of the live row, and the figures of the previous version."""

    row: Annotated[str, Field(description="Name of the row that is watched.")]
    until: Annotated[Timestamp, Field(description="When the watch ends.")]
    previous_failed_percent: Annotated[
        float | None, Field(ge=0, le=100, description="Failed runs of the version before, in percent, if known.")
    ] = None
    previous_runs: Annotated[
        int | None, Field(ge=0, description="Runs of the version before behind that percentage, including those in flight.")
    ] = None
    unended_percent: Annotated[
        float | None,
        Field(
            ge=0,
            le=100,
            description="Percent of runs that had not ended when failures were last counted, if that was most of them.",
        ),
    ] = None
    compared: Annotated[Compared | None, Field(description="The recorder's comparison, once it was made.")] = None
