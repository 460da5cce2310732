"""Describes the responses of a route in the OpenAPI document: the model of the good one, and each error that it can have."""

from __future__ import annotations

from typing import Any, get_origin

from pydantic import BaseModel

from dynamiq_operator.rest.http.examples import EXAMPLES
from dynamiq_operator.rest.http.models import Error
from dynamiq_operator.serving import request_log
from dynamiq_operator.serving.limits import error_body
from dynamiq_operator.serving.problems import CODES

Responses = dict[int | str, dict[str, Any]]

_SAYS = {
    401: "No token, or one that is not valid.",
    403: "The token is valid, and its user may not do this.",
    404: "The id does not exist, or the caller may not see it.",
    405: "The path has no such method.",
    408: "The body arrived too slowly.",
    409: "A name or hostname is taken, or somebody else changed the same object at the same time.",
    413: "The body is larger than 2 MiB.",
    415: "The body is not JSON.",
    422: "The request does not validate. `details` names each wrong or unknown field or query parameter.",
    429: "The caller has too many requests in progress, or the API server requests a pause.",
    431: "The headers are larger than 32 KiB.",
    501: "No recorder is installed, so no runs are recorded; or no journal, so there are no background runs.",
    502: "The App broke off its response; it may have run.",
    503: "The cluster cannot be reached now.",
    504: "The App did not respond in time; it may have run.",
}
_RECORDER_AWAY = "The recorder, the journal or the cluster cannot be reached now."
_EVERY = (401, 403, 422, 429, 431, 503)
_OF_A_BODY = (408, 413, 415)
OF_A_WRITE = (404, 409, 413, 415, 422)
"""The errors of most calls that write."""
_REQUEST_ID = {
    request_log.HEADER: {
        "description": "The request's own id, if it has at most 128 letters, digits and . _ : -, else a new one.",
        "schema": {"type": "string"},
    }
}
_WAITING = {"Retry-After": {"description": "Seconds to wait.", "schema": {"type": "string"}}}


def documented(model: type[BaseModel] | None, *problems: int, status: int = 200, says: str = "Done.") -> Responses:
    """Returns the responses of a route: the good one, the errors `problems`, and those of every route."""
    described: Responses = {status: {"description": says, "headers": _REQUEST_ID, **({"model": model} if model else {})}}
    if model is not None and (example := _example(model)) is not None:
        described[status]["content"] = {"application/json": {"example": example}}
    for code in sorted({*_EVERY, *problems, *(_OF_A_BODY if 413 in problems else ())}):
        says = _RECORDER_AWAY if code == 503 and 501 in problems else _SAYS[code]
        example = error_body(CODES[code], says, {})
        described[code] = {"model": Error, "description": says, "content": {"application/json": {"example": example}}}
        described[code]["headers"] = _REQUEST_ID | (_WAITING if code in (429, 503) else {})
    return described


def documented_as(kind: str, example: str, *problems: int, says: str) -> Responses:
    """Returns the responses of a route whose good one is text of another media type, such as lines or events."""
    described = documented(None, *problems, says=says)
    for answer in described.values():
        if answer.pop("model", None) is not None:  # FastAPI would give an error this media type, too
            answer["content"]["application/json"]["schema"] = {"$ref": "#/components/schemas/Error"}
    described[200]["content"] = {kind: {"schema": {"type": "string"}, "example": example}}
    return described


def _example(model: type[BaseModel]) -> Any:
    """Returns the example of a model, of the one inside `One`, `All` or `Many`, or inside a model that adds optional fields to these."""
    bases = (each.__pydantic_generic_metadata__ for each in model.__mro__ if issubclass(each, BaseModel) and each is not BaseModel)
    (inner, *_) = next((each["args"] for each in bases if each["args"]), (model,))
    example = EXAMPLES.get(inner.__name__)
    if example is None or inner is model:
        return example
    if "pagination" in model.model_fields:
        return {"data": [example], "pagination": {"page": 1, "page_size": 25, "page_count": 1, "total_count": 1}}
    return {"data": [example] if get_origin(model.model_fields["data"].annotation) is list else example}
