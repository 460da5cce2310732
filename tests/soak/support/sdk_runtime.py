"""Makes a Runtime of the SDK's engine for long runs, with probes that a busy machine does not fail."""

from __future__ import annotations

from typing import Any

from local import images
from tests.support.stage import Stage

ROOM: dict[str, Any] = {"requests": {"cpu": "500m", "memory": "768Mi"}, "limits": {"memory": "2Gi"}}
PATIENT = {
    "liveness": {"path": "/healthz", "timeoutSeconds": 10, "failureThreshold": 6},
    "readiness": {"path": "/readyz", "periodSeconds": 1, "timeoutSeconds": 10},
}


def sdk_runtime(on: Stage, resources: dict[str, Any]) -> str:
    """Creates the Runtime; returns its name. The cluster has its image already."""
    return on.runtime(
        "sdk",
        image=images.RUNTIME_SDK.reference,
        engine="sdk",
        resources=resources,
        probes=PATIENT,
        runTimeoutSeconds=60,
        maxConcurrentRuns=50,
    )
