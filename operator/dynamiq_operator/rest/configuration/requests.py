"""Requests about an App's configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from dynamiq_operator.actions.refusals import InvalidField
from dynamiq_operator.model.app import ANY_ORIGIN
from dynamiq_operator.rest.http.models import RequestModel
from dynamiq_operator.rest.parts.requests import Origins

VARIABLES_MOST = 128
"""The most variables that an App may have."""
OBJECT_VERSION = "^[0-9a-f]{10}(-[0-9a-f]{10}){5}$"
Name = Annotated[str, Field(min_length=1, max_length=253)]


class KeyRef(RequestModel):
    """A key of a Secret or a ConfigMap in the App's namespace."""

    name: Name
    key: Name


class VariableInput(RequestModel):
    """An environment variable: exactly one of value, secret and config_map."""

    name: Annotated[str, Field(min_length=1, max_length=128)]
    value: Annotated[str | None, Field(max_length=32768, description="Its value, readable by whoever reads the App.")] = None
    secret: Annotated[KeyRef | None, Field(description="Take the value from a Secret, which the caller must be allowed to read.")] = None
    config_map: Annotated[KeyRef | None, Field(description="Take the value from a ConfigMap.")] = None

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if sum(each is not None for each in (self.value, self.secret, self.config_map)) != 1:
            raise PydanticCustomError("source", "a variable has exactly one of value, secret and config_map")
        return self

    def as_spec(self) -> dict[str, Any]:
        """Returns the variable for `App.spec`."""
        variable: dict[str, Any] = self.model_dump(exclude_none=True)
        if "config_map" in variable:
            variable["configMap"] = variable.pop("config_map")
        return variable


class ExposureInput(RequestModel):
    """How callers reach the App, as a whole: omitted fields are left to the operator."""

    type: Annotated[
        Literal["Ingress", "Gateway", "ClusterIP"] | None,
        Field(description="null: an Ingress if there is a hostname or the operator has a domain, else only inside the cluster."),
    ] = None
    class_name: Annotated[Name | None, Field(alias="class", description="IngressClass, for type Ingress.")] = None
    tls_secret: Annotated[Name | None, Field(description="Secret with the certificate, for type Ingress.")] = None
    gateway: Annotated[
        str | None, Field(min_length=1, max_length=507, description="Gateway, for type Gateway: its name, or `namespace/name`.")
    ] = None
    gateway_section: Annotated[Name | None, Field(description="One of the Gateway's listeners.")] = None
    annotations: Annotated[
        dict[str, Annotated[str, Field(max_length=1024)]] | None,
        Field(max_length=16, description="Annotations of the Ingress; only those that the operator allows."),
    ] = None

    @model_validator(mode="after")
    def _of_a_type(self) -> Self:
        if self.type is None and any(value is not None for name, value in self if name != "type"):
            raise PydanticCustomError("exposure", "add a type: Ingress or Gateway")
        if self.gateway_section is not None and self.gateway is None:
            raise PydanticCustomError("exposure", "gateway_section is a listener of gateway: add gateway, too")
        return self

    def as_spec(self) -> dict[str, Any] | None:
        """Returns the exposure for `App.spec`; None if the operator chooses it."""
        if self.type is None:
            return None
        made: dict[str, Any] = {"type": self.type}
        if self.class_name is not None:
            made["className"] = self.class_name
        if self.tls_secret is not None:
            made["tls"] = {"secretName": self.tls_secret}
        if self.gateway is not None:
            namespace, _, name = self.gateway.rpartition("/")
            parent = {"name": name, "namespace": namespace, "sectionName": self.gateway_section}
            made["parentRef"] = {key: value for key, value in parent.items() if value}
        if self.annotations:
            made["annotations"] = self.annotations
        return made


class ConfigurationChange(RequestModel):
    """The fields to change. Omitted fields stay; each field is replaced as a whole."""

    object_version: Annotated[str, Field(pattern=OBJECT_VERSION, description="Version of the configuration that was read.")]
    hostname: Annotated[str | None, Field(min_length=1, max_length=253, description="null: the one in the operator's domain.")] = None
    exposure: Annotated[ExposureInput | None, Field(description="null: left to the operator.")] = None
    variables: Annotated[list[VariableInput] | None, Field(max_length=VARIABLES_MOST, description="All of them; null: none.")] = None
    description: Annotated[str | None, Field(max_length=512, description="null: none.")] = None
    access_type: Annotated[Literal["private", "public"], Field(description="private: callers send an Access Key.")] = "private"
    origins: Annotated[
        Origins | None,
        Field(description="All web pages that may call it, such as https://app.example.com; `*`: all, of a public App; null: none."),
    ] = None

    def as_spec(self, access: Mapping[str, Any]) -> dict[str, Any]:
        """Returns the fields of `App.spec` that the body sets; None for one to remove. `access`: as it is; what is omitted of it stays.

        Raises InvalidField if a private App would keep the origin `*`.
        """
        made = {
            "hostname": self.hostname,
            "exposure": self.exposure.as_spec() if self.exposure is not None else None,
            "variables": [each.as_spec() for each in self.variables or ()] or None,
            "description": self.description,
        }
        spec = {name: value for name, value in made.items() if name in self.model_fields_set}
        return spec | ({"access": self._access(access)} if self.model_fields_set & {"access_type", "origins"} else {})

    def _access(self, access: Mapping[str, Any]) -> dict[str, Any]:
        kind = self.access_type if "access_type" in self.model_fields_set else access.get("type") or "private"
        origins = self.origins if "origins" in self.model_fields_set else access.get("origins")
        if kind == "private" and "origins" not in self.model_fields_set and ANY_ORIGIN in (origins or ()):
            # The API server would name a field that the caller has not sent.
            raise InvalidField("access_type", f"every web page may call this App (origins: {ANY_ORIGIN}): list its pages in origins first")
        return {"type": kind, **({"origins": origins} if origins else {})}
