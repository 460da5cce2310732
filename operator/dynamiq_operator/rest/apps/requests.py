"""Requests about Apps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from dynamiq_operator.rest.http.models import IdInput, RequestModel
from dynamiq_operator.rest.shared.requests import DeploymentConfig


class AccessControl(RequestModel):
    """Who may call an App."""

    access_type: Annotated[Literal["private", "public"], Field(description="private: callers send an Access Key.")]


class NewApp(RequestModel):
    """An App and its first deployment."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "name": "Customer support",
                    "project_id": "7c2eedb0-2296-4575-86f2-b8e1993949b6",
                    "workflow_id": "04ac8f75-612f-4ff0-b239-7cda6a0aa611",
                    "access_control": {"access_type": "private"},
                    "deployment_config": {
                        "deployment_type": "server_based",
                        "config": {"autoscaling": {"min_replicas": 1, "max_replicas": 2, "target_cpu_utilization_percentage": 80}},
                    },
                }
            ]
        }
    )

    name: Annotated[
        str,
        Field(min_length=1, max_length=128, pattern=r"^[\w ./'-]*[^\W_][\w ./'-]*$", description="Letters, digits, spaces, and . / _ ' -"),
    ]
    project_id: IdInput
    workflow_id: IdInput
    workflow_version_id: Annotated[IdInput | None, Field(description="Left out: the newest release.")] = None
    description: Annotated[str | None, Field(max_length=512)] = None
    runtime_id: Annotated[IdInput | None, Field(description="Left out: the newest Runtime that is not deprecated.")] = None
    access_control: AccessControl | None = None
    deployment_config: DeploymentConfig | None = None
