"""Responses about an App's configuration, for the OpenAPI document."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.app import AccessType, ExposureType
from dynamiq_operator.rest.http.models import ResponseModel, example
from dynamiq_operator.rest.shared.responses import Condition


class KeyRefShape(ResponseModel):
    name: str
    key: str


class Variable(ResponseModel):
    """An environment variable. The value in a Secret is never returned."""

    name: str
    value: str | None
    secret: KeyRefShape | None
    config_map: KeyRefShape | None


class ExposureShape(ResponseModel):
    type: Annotated[str | None, Field(json_schema_extra={"enum": [*(each.value for each in ExposureType), None]})]
    class_: Annotated[str | None, Field(alias="class", description="IngressClass.")]
    tls_secret: str | None
    gateway: Annotated[str | None, Field(description="Name of the Gateway, or `namespace/name`.")]
    gateway_section: str | None
    annotations: dict[str, str]


class Configuration(ResponseModel):
    """The settings of an App that outlive its deployments."""

    model_config = example(
        object_version="74234e98af-74234e98af-5d3e0a5b1c-74234e98af-74234e98af-4f53cda18c",
        name="Customer support",
        description="Answers customers' questions",
        hostname="support.example.com",
        exposure={"type": "Ingress", "class": "nginx", "tls_secret": None, "gateway": None, "gateway_section": None, "annotations": {}},
        access_type="private",
        variables=[
            {"name": "LANGUAGE", "value": "en", "secret": None, "config_map": None},
            {"name": "TOKEN", "value": None, "secret": {"name": "support", "key": "token"}, "config_map": None},
        ],
        managed_by=None,
        is_applied=True,
        problems=[],
    )

    object_version: Annotated[str, Field(description="Changes only with this configuration. A change must name it.")]
    name: str
    description: str | None
    hostname: Annotated[str | None, Field(description="None: the one in the operator's domain, if it has a domain.")]
    exposure: ExposureShape
    access_type: Annotated[str, Field(json_schema_extra={"enum": [each.value for each in AccessType]})]
    variables: list[Variable]
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
        list[Condition],
        Field(description="The App's conditions about it that are not True, such as a hostname of another App or a missing key."),
    ]
