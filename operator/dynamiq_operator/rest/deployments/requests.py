"""Requests about deployments."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field

from dynamiq_operator.rest.http.models import IdInput, RequestModel
from dynamiq_operator.rest.shared.requests import DeploymentConfig

Message = Annotated[str | None, Field(max_length=1024, description="Why; it stands in the history.")]


class NewDeployment(RequestModel):
    """A deploy: a new row of the App's history. Each part that is left out keeps what is live."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "workflow_id": "04ac8f75-612f-4ff0-b239-7cda6a0aa611",
                    "workflow_version_id": "90de5471-2a4a-485a-aa20-b02607b591c3",
                    "message": "v2 answers too slowly",
                }
            ]
        }
    )

    workflow_id: IdInput
    workflow_version_id: Annotated[IdInput | None, Field(description="Left out: the newest release.")] = None
    runtime_id: IdInput | None = None
    deployment_config: DeploymentConfig | None = None
    message: Message = None
    restores: Annotated[IdInput | None, Field(description="Id of a deployment to bring back, in place of workflow_version_id.")] = None


class Promotion(RequestModel):
    """Where to promote what the App serves."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"environment": "production", "message": "Accepted by support"}]})

    environment: Annotated[
        str, Field(min_length=1, max_length=63, description="Environment of the same project: a label of its namespace.")
    ] = "production"
    project_id: Annotated[IdInput | None, Field(description="The one to promote to, where several namespaces are of this environment.")] = (
        None
    )
    hostname: Annotated[str | None, Field(max_length=253, description="For a first promotion: the App's hostname there.")] = None
    message: Message = None
