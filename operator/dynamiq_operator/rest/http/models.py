"""The base models of all resources' requests and responses. A model's name, without its suffix, is that of its schema in the OpenAPI document."""

from __future__ import annotations

import functools
import operator
from collections.abc import Callable
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, Self, TypeVar, Union, get_args, get_origin

import orjson
from pydantic import BaseModel, ConfigDict, Field, GetJsonSchemaHandler
from pydantic_core import CoreSchema

from dynamiq_operator.model.text import in_camel_case
from dynamiq_operator.rest.http.examples import EXAMPLES
from dynamiq_operator.serving.encoding import dumps

ID_PATTERN = "^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$"
Id = Annotated[str, Field(json_schema_extra={"format": "uuid"})]
IdInput = Annotated[str, Field(pattern=ID_PATTERN, json_schema_extra={"format": "uuid"})]
Time = Annotated[str, Field(json_schema_extra={"format": "date-time"}, description="RFC 3339, UTC.")]
_T = TypeVar("_T")


class _Documented(BaseModel):
    """A part of a body. Its schema has the class's name without the suffix `Response` or `Fields`, and the example of that name."""

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        cls.__name__ = cls.__qualname__ = cls.__name__.removesuffix("Response").removesuffix("Fields")

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        made = handler(core_schema)
        if cls.__name__ in EXAMPLES:
            handler.resolve_ref_schema(made)["examples"] = [EXAMPLES[cls.__name__]]
        return made


class RequestModel(_Documented):
    """A part of a request's body. It is strict: it converts no numbers and strings, and refuses unknown fields."""

    model_config = ConfigDict(extra="forbid", strict=True)


class ResponseModel(_Documented):
    """A part of a response: an instance is encoded as JSON, and the class describes it in the OpenAPI document.

    A field that is omitted when an instance is made is omitted in its JSON.
    """

    model_config = ConfigDict(extra="forbid")

    def __init__(self, **fields: Any) -> None:
        # Nothing is validated: mypy checks the names, and validation would cost more than the rest of a response.
        object.__setattr__(self, "__dict__", fields)

    __init__.__pydantic_base_init__ = True  # type: ignore[attr-defined] # else pydantic would validate by this, too

    def __eq__(self, other: object) -> bool:
        # pydantic's own compares attributes that only a validated instance has.
        return isinstance(other, ResponseModel) and self.__dict__ == other.__dict__

    @classmethod
    def read(cls, data: Any, **fields: Any) -> Self:
        """Returns the response with these fields; the others are read from `data`, where their names are in camelCase.

        The type of a field decides: missing is null, an empty list, or false. Raises KeyError if it has none of them.
        """
        readers = _readers(cls)
        if not fields:  # half the time of the other
            return cls.of_fields({name: reader(data, key) for name, key, reader in readers})
        return cls.of_fields({name: fields[name] if name in fields else reader(data, key) for name, key, reader in readers})

    @classmethod
    def of_fields(cls, fields: dict[str, Any]) -> Self:
        """Returns the response with these fields, and copies none of them."""
        part = object.__new__(cls)
        object.__setattr__(part, "__dict__", fields)
        return part

    def members(self) -> dict[str, Any]:
        """Returns the fields by their names in JSON, the parts among them as they are."""
        return self.__dict__

    def plain(self) -> dict[str, Any]:
        """Returns all of it as plain data."""
        data: dict[str, Any] = orjson.loads(dumps(self))
        return data


class AliasedModel(ResponseModel):
    """A part of a response with fields whose names in JSON are keywords of Python, such as `from_` for `from`."""

    def members(self) -> dict[str, Any]:
        fields = type(self).model_fields
        return {fields[name].alias or name: value for name, value in self.__dict__.items()}


_Reader = Callable[[Any, str], Any]


@functools.cache
def _readers(model: type[ResponseModel]) -> tuple[tuple[str, str, _Reader], ...]:
    """Returns the fields of a model, each with its name in camelCase and what reads it."""
    fields = model.model_fields.items()
    return tuple((name, field.alias or in_camel_case(name), _reader(field.annotation)) for name, field in fields)


def _reader(annotation: Any) -> _Reader:
    members = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    kind = next(each for each in members if each is not NoneType)
    is_list, is_optional = get_origin(kind) is list, NoneType in members
    part = get_args(kind)[0] if is_list else kind
    read: Callable[[Any], Any] | None = part.read if isinstance(part, type) and issubclass(part, ResponseModel) else None
    if is_list and not is_optional:
        return lambda data, key: [read(each) for each in data.get(key) or ()] if read is not None else list(data.get(key) or ())
    if read is not None:
        return lambda data, key: read(data[key]) if not is_optional or data.get(key) else None
    if kind is bool and not is_optional:
        return lambda data, key: bool(data.get(key))
    return dict.get if is_optional else operator.getitem


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
