"""Bodies of requests about runs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import RequestModel

NUMBER_MOST = 1e12


class NewScore(RequestModel):
    """A person's score of a run. A second score of this name by the same person replaces the first."""

    name: Annotated[str, Field(min_length=1, max_length=64, description="Name of what is scored, such as helpful.")]
    value: Annotated[float, Field(ge=-NUMBER_MOST, le=NUMBER_MOST, description="Averaged by row.")]
    comment: Annotated[str | None, Field(max_length=1024)] = None
