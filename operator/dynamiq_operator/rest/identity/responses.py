"""Responses about users, organisations and projects."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.names import ENVIRONMENT_LABEL
from dynamiq_operator.rest.http.models import Id, ResponseModel


class Me(ResponseModel):
    id: Annotated[Id, Field(description="Derived from the username: the same in every cluster.")]
    email: str | None
    first_name: str
    last_name: str
    username: str


class Organisation(ResponseModel):
    id: Id
    name: str


class Project(ResponseModel):
    id: Annotated[Id, Field(description="The namespace's uid.")]
    name: str
    org_id: Id
    environment: Annotated[str | None, Field(description="The namespace's label dynamiq.getdynamiq.ai/environment.")]

    @classmethod
    def of(cls, uid: str, name: str, labels: Mapping[str, str], organisation: str) -> Project:
        """Returns a namespace as a project."""
        return cls(id=uid, name=name, org_id=organisation, environment=labels.get(ENVIRONMENT_LABEL))
