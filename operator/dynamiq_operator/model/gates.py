"""Defines the data on a sleeping App that the operator passes to the gate: JSON in an annotation of the App's slice."""

from __future__ import annotations

from enum import Enum
from typing import Annotated

from pydantic import Field

from dynamiq_operator.model.base import Part

PORTS = range(20000, 30000)
"""Ports of the gate, one for each sleeping App."""
AT_ONCE = 128
"""Calls at one pod, unless stated otherwise."""


class GateState(Enum):
    """The state of the gate. `ABSENT`: not installed. `DOWN`: none of its pods is ready. `UNKNOWN`: it cannot be read."""

    ABSENT = "absent"
    DOWN = "down"
    READY = "ready"
    UNKNOWN = "unknown"


class GateNote(Part):
    """The gate's knowledge of one App."""

    workload: Annotated[str, Field(description="Name of the apps/v1 Deployment to scale, in the slice's namespace.")]
    app_id: Annotated[str, Field(description="Uid of the App.")]
    pins: Annotated[
        str, Field(description="Digest of the pins of the workload's pods, 16 hex characters; empty in a note of an older operator.")
    ] = ""
    hold_seconds: Annotated[int, Field(ge=1, le=3600, description="Seconds that a call waits for the App to wake.")]
    private: Annotated[bool, Field(description="True: callers need an Access Key.")]
    origins: Annotated[
        tuple[str, ...],
        Field(description="Origins of the web pages that may call the App; * for all.", exclude_if=lambda origins: not origins),
    ] = ()
    port: Annotated[int, Field(ge=1, le=65535, description="Port at which the pods answer.")]
    ready_path: Annotated[str, Field(pattern=r"^/[!-~]*$", max_length=1024, description="Path of the pod's readiness probe.")] = "/readyz"
    at_once: Annotated[
        int, Field(ge=1, description="Most calls in progress at one pod, of all replicas of the gate together. Others wait until one ends.")
    ] = AT_ONCE
