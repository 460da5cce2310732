"""What all five kinds share: JSON names, bounds, and how a validation rule is attached to a schema."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

GROUP = "dynamiq.getdynamiq.ai"
VERSION = "v1alpha1"
API_VERSION = f"{GROUP}/{VERSION}"

FLOW_MAX_BYTES = 900 * 1024
"""Largest flow, in bytes of UTF-8: a request of a flow this large still fits etcd's 1.5 MiB with managedFields beside it."""

RULES = "x-kubernetes-validations"
_Model = TypeVar("_Model", bound=type[BaseModel])


class Part(BaseModel):
    """A part of a resource: frozen, camelCase in JSON; unknown fields are dropped, as the API server drops them."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, frozen=True, extra="ignore")

    def as_json(self) -> dict[str, Any]:
        """The part as JSON data, without what is unset."""
        return self.model_dump(mode="json", by_alias=True, exclude_none=True)


def rule(expression: str, message: str, **extra: Any) -> dict[str, Any]:
    """A CEL rule of a CustomResourceDefinition, as `x-kubernetes-validations` has it."""
    return {"rule": expression, "message": message, **extra}


def validated(*rules: dict[str, Any]) -> Callable[[_Model], _Model]:
    """Attaches CEL rules to a model's schema; the API server enforces them, so does no Python code here."""

    def attach(model: _Model) -> _Model:
        extra = model.model_config.get("json_schema_extra")
        kept: dict[str, Any] = dict(extra) if isinstance(extra, dict) else {}
        model.model_config["json_schema_extra"] = {**kept, RULES: [*kept.get(RULES, ()), *rules]}
        model.model_rebuild(force=True)
        return model

    return attach


DnsLabel = Annotated[str, Field(max_length=40, pattern=r"^[a-z]([-a-z0-9]*[a-z0-9])?$")]
"""A name of at most 40 characters that begins with a letter: it also names a Service."""

ObjectName = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-.a-z0-9]*[a-z0-9])?$")]
VersionName = Annotated[str, Field(max_length=11, pattern=r"^v[1-9][0-9]*$")]
Quantity = Annotated[str, Field(min_length=1, max_length=32, pattern=r"^[0-9]+(\.[0-9]+)?(m|k|Ki|M|Mi|G|Gi|T|Ti)?$")]
Timestamp = Annotated[str, Field(max_length=35, json_schema_extra={"format": "date-time"})]
Digest = Annotated[str, Field(pattern=r"^sha256:[0-9a-f]{64}$", max_length=71)]
Flow = Annotated[
    str,
    Field(
        min_length=1,
        max_length=FLOW_MAX_BYTES,
        json_schema_extra={
            RULES: [
                rule(f"bytes(self).size() <= {FLOW_MAX_BYTES}", f"a flow is at most 900 KiB ({FLOW_MAX_BYTES} bytes): split the workflow")
            ]
        },
    ),
]


class Condition(Part):
    """One condition, as Kubernetes' own `metav1.Condition`."""

    type: Annotated[str, Field(max_length=316, description="What is said, in CamelCase.")]
    status: Annotated[str, Field(json_schema_extra={"enum": ["True", "False", "Unknown"]}, description="True, False or Unknown.")]
    reason: Annotated[str, Field(max_length=1024, description="Why, as one CamelCase word.")] = ""
    message: Annotated[str, Field(max_length=32768, description="Why, as a sentence for a person.")] = ""
    last_transition_time: Annotated[Timestamp, Field(description="When status last changed.")]
    observed_generation: Annotated[int | None, Field(description="The generation of the object that this was said of.")] = None


def conditions_field() -> Any:
    """A `conditions` list, merged by type under server-side apply."""
    return Field(
        default=(),
        description="What is true of the object now, each with its reason.",
        json_schema_extra={"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]},
    )
