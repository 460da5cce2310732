"""The parts of many responses: authors, conditions, access, rights, and references to rows. `Ids` finds the ids that an object does not have."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Annotated, Any, Protocol, Self

from pydantic import Field

from dynamiq_operator.kube.resources import ApiResource
from dynamiq_operator.model.app import AccessType
from dynamiq_operator.rest.http.models import Id, ResponseModel, Time
from dynamiq_operator.rest.http.sessions import User


class Ids(Protocol):
    """A source of ids by name."""

    def id_of(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        """Returns the uid of an object; None if there is none of that name."""

    def created_at(self, resource: ApiResource, namespace: str, name: str) -> str | None:
        """Returns when an object was created; None if there is none of that name."""

    def newest_version(self, namespace: str, workflow: str) -> str | None:
        """Returns the newest release of a workflow, such as `v3`; None if there is none."""

    def sequence_of(self, namespace: str, row: str) -> int | None:
        """Returns the sequence of a row; None if there is no such row, or it has none yet."""


class AccessResponse(ResponseModel):
    access_type: Annotated[str, Field(json_schema_extra={"enum": ["private", "public"]})]
    origins: Annotated[list[str], Field(description="Origins of the web pages that may call it from a browser; `*`: all.")]

    @classmethod
    def of(cls, access: Mapping[str, Any]) -> AccessResponse:
        """Returns the access of an App, as it is stored. Anything but public is private."""
        kind = AccessType.PUBLIC if access.get("type") == AccessType.PUBLIC else AccessType.PRIVATE
        return cls(access_type=kind.value, origins=access.get("origins") or [])


class Author(ResponseModel):
    id: Id
    email: Annotated[str | None, Field(description="The username, if it is an address.")]
    username: str

    @classmethod
    def read(cls, data: Any, **fields: Any) -> Self:
        """Returns the author of this username."""
        user = User(data)
        return cls.of_fields({"id": user.id, "email": user.email, "username": user.username, **fields})


@functools.lru_cache(10_000)
def author(username: str | None) -> Author | None:
    """Returns the author of this username; None for no name."""
    return Author.read(username) if username else None


class RightResponse(ResponseModel):
    allowed: bool
    needs: Annotated[str | None, Field(description="What is missing, and the role that has it.")]


class ConditionResponse(ResponseModel):
    type: str
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]})]
    reason: Annotated[str | None, Field(description="Why, as one word.")]
    message: Annotated[str | None, Field(description="Why, as a sentence.")]
    since: Annotated[Time | None, Field(description="When the status last changed.")]

    @classmethod
    def read(cls, data: Any, **fields: Any) -> Self:
        """Returns a stored condition of an App or a row."""
        texts = {name: data.get(name) or None for name in ("reason", "message")}
        return super().read(data, since=data.get("lastTransitionTime"), **texts, **fields)


class ReadyPodsResponse(ResponseModel):
    """Pods of a row."""

    ready: Annotated[int, Field(description="Pods of this row that are Ready.")]
    wanted: int
    serving: Annotated[str | None, Field(description="The version that the App serves meanwhile; none before the first.")]


class RowRef(ResponseModel):
    """A row, by its name and its place in the history."""

    row: str
    sequence: int


def identity(meta: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the fields of a response that every object has."""
    return {"id": meta["uid"], "name": meta["name"], "created_at": meta["creationTimestamp"]}


def changed_at(meta: Mapping[str, Any]) -> str:
    """Returns when anyone last wrote the object, apart from its status."""
    times: list[str] = [
        each["time"] for each in meta.get("managedFields") or () if each.get("time") and each.get("subresource") != "status"
    ]
    return max(times, default=str(meta["creationTimestamp"]))
