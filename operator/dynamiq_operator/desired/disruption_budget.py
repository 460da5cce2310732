"""The PodDisruptionBudget: a drain of a node does not take all pods of an App at once."""

from __future__ import annotations

from dynamiq_operator.desired.base import DISRUPTION_BUDGET, child
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.desired.pins import pod_selector
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest


def disruption_budget(inputs: Inputs) -> list[Manifest]:
    """One pod at a time may be evicted, and so may the only one: a drain of a node has to end.

    Its callers are then without an answer until the next pod is Ready; an App that can't have that has a minimum of 2.
    """
    app = inputs.app
    if inputs.pinned is None:
        return []
    spec = {
        "maxUnavailable": 1,
        "unhealthyPodEvictionPolicy": "AlwaysAllow",
        "selector": {"matchLabels": pod_selector(app.meta.name, inputs.guarded)},
    }
    return [child(app, DISRUPTION_BUDGET, names.disruption_budget(app.meta.name), spec=spec)]
