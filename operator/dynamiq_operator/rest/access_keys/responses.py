"""Responses about Access Keys, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import ResponseModel, example


class AccessKey(ResponseModel):
    """A key as a list has it."""

    model_config = example(name="website", begins="Zk3w")

    name: str
    begins: Annotated[str, Field(description="Its first letters; empty of a short key.")]


class MadeAccessKey(AccessKey):
    """A key that was just created. Its value is returned here, and never again."""

    model_config = example(name="website", begins="Zk3w", value="Zk3wq0yPfMNh5r0nJ6lTn4nM8Yt1pXv2aCkq9sWb7dE", is_announced=True)

    value: str
    is_announced: Annotated[
        bool,
        Field(
            description="True: it works in a few seconds, at most a minute. False: within 60 to 90 s, since the caller may not change the App."
        ),
    ]
