"""The parts that requests about Apps and deployments share: the App's id in the path, and the deployment config."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from fastapi import Path
from pydantic import BeforeValidator, Field, model_validator
from pydantic_core import PydanticCustomError

from dynamiq_operator.model.app import ORIGINS_MOST
from dynamiq_operator.rest.http.models import Id, RequestModel
from dynamiq_operator.rest.parts.config_fields import SCALING, SERVERLESS_CONFIG, Pairs

Origins = Annotated[list[Annotated[str, Field(min_length=1, max_length=267)]], Field(max_length=ORIGINS_MOST)]
"""Origins of web pages. The API server checks their form."""
AppId = Annotated[Id, Path(description="The App's id: its metadata.uid.")]


class AutoscalingFields(RequestModel):
    """Replicas of a server-based App. Omitted fields keep what is live."""

    min_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Fewest pods.")] = None
    max_replicas: Annotated[int | None, Field(ge=1, le=1000, description="Most pods.")] = None
    target_cpu_utilization_percentage: Annotated[int | None, Field(ge=1, le=1000, description="In percent of the request.")] = None

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.min_replicas is not None and self.max_replicas is not None and self.min_replicas > self.max_replicas:
            raise PydanticCustomError("replicas", "min_replicas is at most max_replicas: raise max_replicas or lower min_replicas")
        return self


QUANTITY = r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$"
_Text = Annotated[str, Field(min_length=1, max_length=32, pattern=QUANTITY)]


def _as_text(value: object) -> object:
    """Returns a number as the text that is stored.

    The policy `dynamiq-amounts` does the same for objects from other clients: 2.0 becomes "2" there, too.
    """
    if isinstance(value, float) and value.is_integer():
        return str(value).removesuffix(".0")
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


Quantity = Annotated[_Text, BeforeValidator(_as_text, json_schema_input_type=_Text | Annotated[int, Field(ge=0, le=10**15)])]


class Amounts(RequestModel):
    """Amounts of compute, as Kubernetes writes them."""

    cpu: Annotated[Quantity | None, Field(description="CPU, such as 100m or 2.")] = None
    memory: Annotated[Quantity | None, Field(description="Memory, such as 256Mi.")] = None


class ResourcesFields(RequestModel):
    """Compute for each pod. Omitted fields keep what is live, whatever the type."""

    requests: Annotated[Amounts | None, Field(description="What a pod asks for; first the runtime's, else 100m and 256Mi.")] = None
    limits: Annotated[Amounts | None, Field(description="What a pod may use at most.")] = None

    def as_stored(self) -> dict[str, Any]:
        """Returns the resources of a row's config: the fields that were sent."""
        parts: dict[str, Any] = self.model_dump(exclude_none=True)
        return {part: amounts for part, amounts in parts.items() if amounts}


class TypeConfig(RequestModel):
    """The fields that differ from what is live, or from the type's default; none in `{}`.

    Except for resources, each is of one type only.
    """

    resources: Annotated[ResourcesFields | None, Field(description="Of either type: what each pod asks for, and may use at most.")] = None
    autoscaling: Annotated[AutoscalingFields | None, Field(description="For server_based.")] = None
    idle_seconds: Annotated[
        int | None, Field(ge=5, le=86400, description="For serverless: seconds without a call after which it sleeps; first 300.")
    ] = None
    max_replicas: Annotated[int | None, Field(ge=1, le=1000, description="For serverless: most pods while awake; first 10.")] = None
    hold_seconds: Annotated[
        int | None, Field(ge=1, le=3600, description="For serverless: seconds that a call waits for it to wake; first 120.")
    ] = None


class DeploymentConfig(RequestModel):
    """The type of an App, and its config."""

    deployment_type: Annotated[
        Literal["serverless", "server_based"],
        Field(description="serverless: asleep while nobody calls, woken by the next call. server_based: always running."),
    ]
    config: TypeConfig | None = None

    def as_stored(self) -> dict[str, Any]:
        """Returns the config of a row."""
        config = self.config or TypeConfig()
        resources = config.resources.as_stored() if config.resources is not None else {}
        compute = {"resources": resources} if resources else {}
        if self.deployment_type == "serverless":
            return {"type": "serverless", **_renamed(config, SERVERLESS_CONFIG), **compute}
        scaling = _renamed(config.autoscaling, SCALING)
        return {"type": "server", **({"autoscaling": scaling} if scaling else {}), **compute}

    def foreign(self) -> list[str]:
        """Returns the fields that were sent and are of the other type."""
        others = ["autoscaling"] if self.deployment_type == "serverless" else [name for name, _ in SERVERLESS_CONFIG]
        return [name for name in others if getattr(self.config, name, None) is not None]


def _renamed(model: RequestModel | None, names: Pairs) -> dict[str, Any]:
    """Returns the fields that were sent, by the names that a stored row has for them."""
    return {theirs: value for ours, theirs in names if (value := getattr(model, ours, None)) is not None}
