"""What is answered about Apps and deployments alike."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.rest.http.models import Id, ResponseModel


class Author(ResponseModel):
    id: Id
    email: Annotated[str | None, Field(description="The username, where it is an address.")]
    username: str


class RuntimeShape(ResponseModel):
    id: Id | None
    version: str | None
    label: str | None


class VersionRef(ResponseModel):
    id: Annotated[Id | None, Field(description="None where the WorkflowVersion was deleted: the row still has what it ran.")]
    version: str
    description: str | None


class AutoscalingShape(ResponseModel):
    min_replicas: int
    max_replicas: int
    target_cpu_utilization_percentage: int


class ConfigBody(ResponseModel):
    autoscaling: Annotated[AutoscalingShape | None, Field(description="Left out for serverless.")] = None


class ConfigShape(ResponseModel):
    deployment_type: Annotated[str, Field(json_schema_extra={"enum": ["serverless", "server_based"]})]
    config: ConfigBody
