"""How many pods an App has: the autoscaler owns `replicas`, the disruption budget keeps a drain from taking all of them."""

from __future__ import annotations

from dynamiq_operator.desired.base import AUTOSCALER, DISRUPTION_BUDGET, WORKLOAD, child
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.record import Autoscaling, Pinned


def bounds(pinned: Pinned) -> Autoscaling:
    """The row's replicas and target; a pinned config leaves none of them out."""
    return pinned.config.autoscaling or Autoscaling(min_replicas=1, max_replicas=1, target_cpu=80)


def autoscaler(app: App, record: str, pinned: Pinned) -> Manifest:
    scale = bounds(pinned)
    return child(
        app,
        AUTOSCALER,
        names.autoscaler(app.meta.name),
        spec={
            "scaleTargetRef": {"apiVersion": WORKLOAD.api_version, "kind": WORKLOAD.kind, "name": names.workload(app.meta.name, record)},
            "minReplicas": scale.min_replicas,
            "maxReplicas": scale.max_replicas,
            "metrics": [
                {
                    "type": "Resource",
                    "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": scale.target_cpu}},
                }
            ],
        },
    )


def disruption_budget(app: App) -> Manifest:
    """One pod at a time may be evicted, and so may the only one: a drain of a node has to end.

    Its callers are then without an answer until the next pod is Ready; an App that can't have that has a minimum of 2.
    """
    return child(
        app,
        DISRUPTION_BUDGET,
        names.disruption_budget(app.meta.name),
        spec={
            "maxUnavailable": 1,
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
            "selector": {"matchLabels": names.pod_selector(app.meta.name)},
        },
    )
