"""Responses about users, organisations and projects, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, ResponseModel, example
from dynamiq_operator.rest.shared.examples import ANNA, CLUSTER, PROJECT


class Me(ResponseModel):
    model_config = example(**ANNA, first_name="Anna", last_name="Ek")

    id: Annotated[Id, Field(description="Derived from the username: the same in every cluster.")]
    email: str | None
    first_name: str
    last_name: str
    username: str


class Organisation(ResponseModel):
    model_config = example(id=CLUSTER, name="kubernetes")

    id: Id
    name: str


class Project(ResponseModel):
    model_config = example(id=PROJECT, name="demo", org_id=CLUSTER, environment="production")

    id: Annotated[Id, Field(description="The namespace's uid.")]
    name: str
    org_id: Id
    environment: Annotated[str | None, Field(description="The namespace's label dynamiq.getdynamiq.ai/environment.")]
