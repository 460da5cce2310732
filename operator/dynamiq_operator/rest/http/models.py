"""The base models of all resources' requests and responses. A model's name is its name in the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict, Field

ID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
IdInput = Annotated[str, Field(pattern=ID_PATTERN, json_schema_extra={"format": "uuid"})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC.")]
_T = TypeVar("_T")


def example(**fields: Any) -> ConfigDict:
    """Returns the config of a model with an example."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [fields]})


class RequestModel(BaseModel):
    """A part of a request's body. It is strict: it converts no numbers and strings, and refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ResponseModel(BaseModel):
    """A part of a response, for the OpenAPI document alone. Responses are serialized by hand, and no model validates them."""

    model_config = ConfigDict(extra="forbid")


class ErrorBody(ResponseModel):
    code: Annotated[str, Field(description="A word for programs, such as not_found.")]
    message: Annotated[str, Field(description="What is wrong, and how to correct it.")]
    details: Annotated[
        dict[str, Any],
        Field(
            description="What is wrong, by field of the request. A confirmed value that has changed is an object with confirmed and now. "
            "If the target of a promotion lacks what variables read, lacking is a list of objects with kind (Secret or ConfigMap), name, "
            "namespace, key, variable, and is_there: true if the object exists, and only its key is missing."
        ),
    ]


class Error(ResponseModel):
    error: ErrorBody


class Pagination(ResponseModel):
    page: int
    page_size: int
    page_count: int
    total_count: int


class One(ResponseModel, Generic[_T]):
    data: _T


class All(ResponseModel, Generic[_T]):
    """A list without pages, because it is never long."""

    data: list[_T]


class Many(ResponseModel, Generic[_T]):
    data: list[_T]
    pagination: Pagination
