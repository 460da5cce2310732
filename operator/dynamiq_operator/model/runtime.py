"""Runtime: an approved runtime version. Immutable except `deprecated`."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Part, Quantity, matching, rule, unchanged, validated


class Engine(StrEnum):
    """The program that runs a flow inside the runtime's container."""

    TINY = "tiny"
    SDK = "sdk"


class ImagePolicy(StrEnum):
    """The images that a Runtime may name."""

    ANY = "any"
    DIGEST = "digest"


class ResourceList(Part):
    """Amounts of compute, as Kubernetes quantities."""

    cpu: Annotated[Quantity | None, Field(description="CPU, such as 100m or 2.")] = None
    memory: Annotated[Quantity | None, Field(description="Memory, such as 256Mi; what is written to /tmp counts.")] = None


class Resources(Part):
    """The requests and limits of a container."""

    requests: Annotated[ResourceList | None, Field(description="Resources that the scheduler reserves.")] = None
    limits: Annotated[
        ResourceList | None,
        Field(description="What the container may use at most. Memory left out: 1Gi, with engine sdk 2Gi, or the request if that is more."),
    ] = None


PATH = matching("^/", "a path begins with /, such as /readyz")


class Probe(Part):
    """An HTTP probe of the runtime's port."""

    path: Annotated[str, Field(max_length=256, description="Path that answers 200 when all is well.", json_schema_extra=PATH)]
    period_seconds: Annotated[int | None, Field(ge=1, le=300, description="Seconds between two probes.")] = None
    timeout_seconds: Annotated[int | None, Field(ge=1, le=60, description="Seconds to wait for an answer.")] = None
    failure_threshold: Annotated[int | None, Field(ge=1, le=1000, description="Failures in a row before it counts.")] = None


class Probes(Part):
    """The probes by which the kubelet decides that a pod may get requests, or must be restarted."""

    readiness: Annotated[Probe | None, Field(description="Succeeds once the pod may get requests. Default: /readyz.")] = None
    liveness: Annotated[Probe | None, Field(description="Fails if the container must be restarted. Default: /healthz.")] = None
    startup: Annotated[Probe | None, Field(description="Succeeds once the runtime has started. Default: none.")] = None


class RuntimePins(Part):
    """The fields of a Runtime that change behaviour; a row pins all of them."""

    version: Annotated[str, Field(min_length=1, max_length=63, description="Version of the runtime, such as 1.4.0.")]
    label: Annotated[str | None, Field(max_length=128, description="Name for people, such as Python 3.11, stable.")] = None
    image: Annotated[
        str,
        Field(min_length=1, max_length=512, description="Container image. Use a digest (…@sha256:…): a tag can change."),
    ]
    port: Annotated[int | None, Field(ge=1, le=65535, description="Port that the runtime listens on. Default 8080.")] = None
    probes: Annotated[Probes | None, Field(description="Probes of the pod.")] = None
    resources: Annotated[Resources | None, Field(description="Compute for each pod. The config of a row overrides it.")] = None
    drain_seconds: Annotated[
        int | None, Field(ge=0, le=3600, description="Seconds for which a pod may finish its requests before it ends. Default 30.")
    ] = None
    engine: Annotated[Engine | None, Field(description="What runs the flow: tiny or sdk. Default tiny.")] = None
    run_timeout_seconds: Annotated[
        int | None, Field(ge=1, le=86400, description="Seconds after which a run times out. Default: the image's, 300 in ours.")
    ] = None
    max_concurrent_runs: Annotated[
        int | None,
        Field(ge=1, le=1000, description="Runs at the same time in one pod; more wait, or get 429. Default: the image's, 32 in ours."),
    ] = None


_FROZEN = tuple(RuntimePins.model_fields)


@validated(
    rule(
        " && ".join(unchanged(RuntimePins.model_fields[field].alias or field) for field in _FROZEN),
        "only deprecated of a Runtime can change: create a Runtime with another name for the new version",
        reason="FieldValueForbidden",
    )
)
class RuntimeSpec(RuntimePins):
    """An approved runtime version that rows can name."""

    deprecated: Annotated[
        bool | None, Field(description="True: new Apps do not get this runtime by default. Rows that name it still run.")
    ] = None

    def pins(self, name: str) -> PinnedRuntime:
        """Returns the copy of this Runtime that a row keeps, even after the Runtime is deleted."""
        return PinnedRuntime(name=name, **{field: getattr(self, field) for field in RuntimePins.model_fields})


class PinnedRuntime(RuntimePins):
    """A Runtime as a row pinned it: later changes of the Runtime do not matter."""

    name: Annotated[str, Field(max_length=253, description="Name of the Runtime when it was pinned.")]
