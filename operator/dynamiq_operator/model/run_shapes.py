"""Models of the shapes of runs' inputs for every surface: the recorder's answer, which the API passes on and the plugin reads."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.runs import Shape


class CallerShapes(Shape):
    """The runs of one caller: those with one Access Key and one trigger."""

    key: Annotated[str | None, Field(description="Name of the Access Key; null without one. `…` has all callers beyond the limit.")]
    trigger: Annotated[str | None, Field(description="Name of a trigger of the App; null for other calls.")]
    runs: int
    others: Annotated[int, Field(description="Runs of which not all names are counted: they may have sent any field.")]
    fields: Annotated[
        Mapping[str, Mapping[str, int]], Field(description="Runs by the name of a requested field that was sent, and its type.")
    ]


class RunShapes(Shape):
    """The names and types of the top-level fields of an App's inputs, by caller, most runs first."""

    enabled: Annotated[bool, Field(description="False if App.spec.runs.shapes is false: then there are no callers.")]
    days: Annotated[int, Field(description="Days in UTC, the last one of which is today.")]
    recorded: Annotated[int, Field(description="All runs of the App's pods in these days.")]
    runs: Annotated[int, Field(description="Those with a shape.")]
    callers: tuple[CallerShapes, ...]
