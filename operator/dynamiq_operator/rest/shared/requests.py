"""What callers send, as models. Strict: a number is no string and a string no number; fields that are not known here are ignored."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from dynamiq_operator.rest.shared.responses import ID_PATTERN

Id = Annotated[str, Field(pattern=ID_PATTERN, json_schema_extra={"format": "uuid"})]
Message = Annotated[str | None, Field(max_length=1024, description="Why; it stands in the history.")]


class Body(BaseModel):
    """A part of a body."""

    model_config = ConfigDict(extra="ignore", strict=True)


class Autoscaling(Body):
    """Replicas of a server-based App. What is left out keeps what is live."""

    min_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Fewest pods.")] = None
    max_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Most pods.")] = None
    target_cpu_utilization_percentage: Annotated[int | None, Field(ge=1, le=1000, description="In percent of the request.")] = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_replicas is not None and self.max_replicas is not None and self.min_replicas > self.max_replicas:
            raise PydanticCustomError("replicas", "min_replicas is at most max_replicas: raise max_replicas or lower min_replicas")
        return self


class ServerConfig(Body):
    """`{}` for a serverless App."""

    autoscaling: Autoscaling | None = None


class DeploymentConfig(Body):
    """How an App is run."""

    deployment_type: Annotated[Literal["serverless", "server_based"], Field(description="serverless needs Knative Serving in the cluster.")]
    config: ServerConfig | None = None

    def as_record(self) -> dict[str, Any]:
        """The config of a record."""
        if self.deployment_type == "serverless":
            return {"type": "serverless"}
        given = self.config.autoscaling if self.config else None
        named = {
            "minReplicas": given.min_replicas if given else None,
            "maxReplicas": given.max_replicas if given else None,
            "targetCPUUtilizationPercentage": given.target_cpu_utilization_percentage if given else None,
        }
        scaling = {name: value for name, value in named.items() if value is not None}
        return {"type": "server", **({"autoscaling": scaling} if scaling else {})}


class AccessControl(Body):
    """Who may call an App."""

    access_type: Annotated[Literal["private", "public"], Field(description="private: callers send an Access Key.")]


class NewApp(Body):
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
    project_id: Id
    workflow_id: Id
    workflow_version_id: Annotated[Id | None, Field(description="Left out: the newest release.")] = None
    description: Annotated[str | None, Field(max_length=512)] = None
    runtime_id: Annotated[Id | None, Field(description="Left out: the newest Runtime that is not deprecated.")] = None
    access_control: AccessControl | None = None
    deployment_config: DeploymentConfig | None = None


class NewDeployment(Body):
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

    workflow_id: Id
    workflow_version_id: Annotated[Id | None, Field(description="Left out: the newest release.")] = None
    runtime_id: Id | None = None
    deployment_config: DeploymentConfig | None = None
    message: Message = None
    restores: Annotated[Id | None, Field(description="Id of a deployment to bring back, in place of workflow_version_id.")] = None


class Promotion(Body):
    """Where to promote what the App serves."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"environment": "production", "message": "Accepted by support"}]})

    environment: Annotated[
        str, Field(min_length=1, max_length=63, description="Environment of the same project: a label of its namespace.")
    ] = "production"
    project_id: Annotated[Id | None, Field(description="The one to promote to, where several namespaces are of this environment.")] = None
    hostname: Annotated[str | None, Field(max_length=253, description="For a first promotion: the App's hostname there.")] = None
    message: Message = None
