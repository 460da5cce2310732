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
        Field(
            description="True: it works in a few seconds, at most a minute. False: within 60 to 90 s, since the caller may not change the App."
        ),
    ]
