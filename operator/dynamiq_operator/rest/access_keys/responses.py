"""Responses about Access Keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import ResponseModel


class AccessKey(ResponseModel):
    """A key as a list has it."""

    name: str
    begins: Annotated[str, Field(description="Its first letters; empty of a short key.")]


class MadeAccessKey(AccessKey):
    """A key that was just created. Its value is returned here, and never again."""

    value: str
    is_announced: Annotated[
        bool,
        Field(description="It works in a few seconds, a minute at most; else, where the caller may not change the App, within 60 to 90 s."),
    ]
