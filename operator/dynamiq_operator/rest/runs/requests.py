"""Bodies of requests about runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from dynamiq_operator.model.journal import CALLBACKS_MOST
from dynamiq_operator.rest.http.models import RequestModel

NUMBER_MOST = 1e12


class NewScore(RequestModel):
    """A person's score of a run. A second score of this name by the same person replaces the first."""

    name: Annotated[str, Field(min_length=1, max_length=64, description="Name of what is scored, such as helpful.")]
    value: Annotated[float, Field(ge=-NUMBER_MOST, le=NUMBER_MOST, description="Averaged by row.")]
    comment: Annotated[str | None, Field(max_length=1024)] = None


class StructuredAnswer(RequestModel):
    """The answer to one of the questions of a request."""

    question_id: Annotated[str, Field(min_length=1, max_length=256)]
    selected: Annotated[list[str], Field(max_length=100, description="Labels of options.")] = []  # noqa: RUF012 - pydantic copies it
    custom_text: Annotated[str | None, Field(description="A text of one's own, if the question allows it.")] = None


class RunInputData(RequestModel):
    """The answer itself. A request of type approval_request needs `is_approved`: text alone never approves."""

    request_id: Annotated[str, Field(min_length=1, max_length=256, description="The `id` of the question.")]
    feedback: Annotated[str | None, Field(description="A text.")] = None
    answers: Annotated[list[StructuredAnswer] | None, Field(max_length=100, description="For a request with `questions`.")] = None
    is_approved: Annotated[bool | None, Field(description="For an approval_request.")] = None
    data: Annotated[dict[str, Any] | None, Field(description="For an approval: changed params, of `editable_params` alone.")] = None


class RunInput(RequestModel):
    """An answer to a question of a background run, of at most 64 KiB."""

    type: Annotated[Literal["human_feedback", "approval_request"], Field(description="The `type` of the question.")]
    data: RunInputData


class CallbacksAgain(RequestModel):
    """Which callbacks of a run are sent again."""

    n: Annotated[int | None, Field(ge=0, lt=CALLBACKS_MOST, description="Its number in the run. Left out: all.")] = None
