"""What requests about Apps and deployments share: the App's id in the path, and the deployment config."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from fastapi import Path
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dynamiq_operator.rest.http.models import Id, RequestModel

AppId = Annotated[Id, Path(description="The App's id: its metadata.uid.")]


class Autoscaling(RequestModel):
    """Replicas of a server-based App. What is left out keeps what is live."""

    min_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Fewest pods.")] = None
    max_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Most pods.")] = None
    target_cpu_utilization_percentage: Annotated[int | None, Field(ge=1, le=1000, description="In percent of the request.")] = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_replicas is not None and self.max_replicas is not None and self.min_replicas > self.max_replicas:
            raise PydanticCustomError("replicas", "min_replicas is at most max_replicas: raise max_replicas or lower min_replicas")
        return self


class ServerConfig(RequestModel):
    """`{}` for a serverless App."""

    autoscaling: Autoscaling | None = None


class DeploymentConfig(RequestModel):
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
