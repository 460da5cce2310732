"""Responses about an App's configuration."""

from __future__ import annotations

from typing import Annotated, Any, Self

from pydantic import Field

from dynamiq_operator.actions.configuration import managed_by, version_of
from dynamiq_operator.model.app import AccessType, ExposureType
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.status.conditions import CHILDREN, VARIABLES
from dynamiq_operator.rest.http.models import AliasedModel, ResponseModel
from dynamiq_operator.rest.parts.responses import ConditionResponse


class KeyRefShape(ResponseModel):
    name: str
    key: str


class VariableResponse(ResponseModel):
    """An environment variable. The value in a Secret is never returned."""

    name: str
    value: str | None
    secret: KeyRefShape | None
    config_map: KeyRefShape | None


class ExposureShape(AliasedModel):
    type: Annotated[str | None, Field(json_schema_extra={"enum": [*(each.value for each in ExposureType), None]})]
    class_: Annotated[str | None, Field(alias="class", description="IngressClass.")]
    tls_secret: str | None
    gateway: Annotated[str | None, Field(description="Name of the Gateway, or `namespace/name`.")]
    gateway_section: str | None
    annotations: dict[str, str]

    @classmethod
    def read(cls, data: Any, **fields: Any) -> Self:
        """Returns the exposure of an App's spec."""
        parent = data.get("parentRef") or {}
        return cls(
            type=data.get("type"),
            class_=data.get("className"),
            tls_secret=(data.get("tls") or {}).get("secretName"),
            gateway="/".join(part for part in (parent.get("namespace"), parent.get("name")) if part) or None,
            gateway_section=parent.get("sectionName"),
            annotations=data.get("annotations") or {},
            **fields,
        )


class Configuration(ResponseModel):
    """The settings of an App that outlive its deployments."""

    object_version: Annotated[str, Field(description="Changes only with this configuration. A change must name it.")]
    name: str
    description: str | None
    hostname: Annotated[str | None, Field(description="None: the one in the operator's domain, if it has a domain.")]
    exposure: ExposureShape
    access_type: Annotated[str, Field(json_schema_extra={"enum": [each.value for each in AccessType]})]
    origins: Annotated[list[str], Field(description="Web pages that may call it from a browser, by their origins; `*`: all.")]
    variables: list[VariableResponse]
    managed_by: Annotated[
        str | None,
        Field(
            json_schema_extra={"enum": ["argocd", "flux", "helm", None]},
            description="Who writes the App from elsewhere, such as from Git: they may overwrite a change made here.",
        ),
    ]
    is_applied: Annotated[
        bool, Field(description="True: the operator has seen the current App. False: `problems` describes an earlier one.")
    ]
    problems: Annotated[
        list[ConditionResponse],
        Field(description="The App's conditions about it that are not True, such as a hostname of another App or a missing key."),
    ]

    @classmethod
    def of(cls, raw: Manifest) -> Configuration:
        """Returns the configuration of an App."""
        meta, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
        access = spec.get("access") or {}
        conditions = [each for each in status.get("conditions") or () if each["type"] in (CHILDREN, VARIABLES) and each["status"] != "True"]
        return cls.read(
            spec,
            object_version=version_of(raw),
            name=spec.get("displayName") or meta["name"],
            exposure=ExposureShape.read(spec.get("exposure") or {}),
            access_type=access.get("type") or AccessType.PRIVATE.value,
            origins=access.get("origins") or [],
            managed_by=managed_by(raw),
            is_applied=status.get("observedGeneration") == meta.get("generation"),
            problems=[ConditionResponse.read(each) for each in conditions],
        )


NAMES = {"displayName": ("name",), "access": ("access_type", "origins")}
"""The contract's names of fields of `App.spec`, if they differ."""
