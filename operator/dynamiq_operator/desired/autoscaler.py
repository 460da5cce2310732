"""Builds the HorizontalPodAutoscaler, which owns `replicas` of the workload after its creation."""

from __future__ import annotations

from dynamiq_operator.desired.base import AUTOSCALER, WORKLOAD, child
from dynamiq_operator.desired.inputs import Inputs, scale_of
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest


def autoscaler(inputs: Inputs) -> list[Manifest]:
    """Returns the autoscaler; empty for an App that runs nothing."""
    app, pinned = inputs.app, inputs.pinned
    if pinned is None:
        return []
    scale = inputs.scale or scale_of(pinned)
    spec = {
        "scaleTargetRef": {
            "apiVersion": WORKLOAD.api_version,
            "kind": WORKLOAD.kind,
            "name": names.workload(app.meta.name, inputs.scaled),
        },
        "minReplicas": scale.min_replicas,
        "maxReplicas": scale.max_replicas,
        "metrics": [
            {
                "type": "Resource",
                "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": scale.target_cpu}},
            }
        ],
    }
    return [child(app, AUTOSCALER, names.autoscaler(app.meta.name), spec=spec)]
