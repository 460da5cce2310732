"""Defines the settings of the operator, for the whole cluster."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.app import ParentRef
from dynamiq_operator.model.base import Part
from dynamiq_operator.model.names import GATE_NAMESPACE, OPERATOR_NAMESPACE
from dynamiq_operator.model.runtime import ImagePolicy as ImagePolicy

TRIGGER_IMAGE = "dynamiq.local/runtime:0.1.0"
"""The reference runtime of this version."""


ANY_CLASS = "*"
"""In the lists of annotations: every ingress class without its own list."""


class PublicScheme(StrEnum):
    """The scheme by which the gateway in front of Apps is called from outside the cluster."""

    HTTP = "http"
    HTTPS = "https"


class MetricsPeer(Part):
    """Pods that may read the metrics of Apps: all of a namespace, or those with a label."""

    namespace: str
    label: Annotated[tuple[str, str] | None, Field(description="Key and value.")] = None


class Settings(Part):
    """Settings of the operator. Each is a flag and an environment variable of `python -m dynamiq_operator run`."""

    domain: Annotated[str | None, Field(description="Apps without a hostname get <app>.<namespace>.<domain>.")] = None
    public_scheme: Annotated[
        PublicScheme | None, Field(description="How the gateway is called from outside. Left out with a port: https.")
    ] = None
    public_port: Annotated[int | None, Field(description="Port at which it is called. Left out: the scheme's own.")] = None
    ingress_class: Annotated[str | None, Field(description="IngressClass of Apps that name none.")] = None
    ingress_annotations: Annotated[
        Mapping[str, tuple[str, ...]],
        Field(
            description="By ingress class, or * for every other: the annotations of an Ingress that Apps may set. Left out: those that are safe."
        ),
    ] = {}
    gateway: Annotated[ParentRef | None, Field(description="Gateway of Apps of type Gateway that name no other.")] = None
    image_policy: Annotated[ImagePolicy, Field(description="digest: refuse a Runtime whose image names no digest.")] = ImagePolicy.ANY
    operator_namespace: Annotated[
        str, Field(description="Namespace of the operator's pods, which read the metrics of Apps with spec.network.ingressFrom.")
    ] = OPERATOR_NAMESPACE
    gate_namespace: Annotated[str, Field(description="Namespace of the gate, behind which serverless Apps sleep.")] = GATE_NAMESPACE
    trigger_image: Annotated[str, Field(description="Image whose `python -m dynamiq_runtime trigger` calls an App for its triggers.")] = (
        TRIGGER_IMAGE
    )
    recorder: Annotated[str | None, Field(description="URL of the recorder, which pods of Apps send their runs to.")] = None
    journal: Annotated[str | None, Field(description="URL of the journal, which keeps the background runs of private Apps.")] = None
    metrics_from: Annotated[
        tuple[MetricsPeer, ...], Field(description="Who else reads the metrics of Apps with spec.network.ingressFrom.")
    ] = ()
