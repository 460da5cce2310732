"""Requests about Access Keys."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import RequestModel


class NewAccessKey(RequestModel):
    """A key to create."""

    name: Annotated[
        str | None,
        Field(
            min_length=1,
            max_length=253,
            description="Letters, digits, '-', '_' and '.', not beginning with '.'. Left out: a generated one.",
        ),
    ] = None
