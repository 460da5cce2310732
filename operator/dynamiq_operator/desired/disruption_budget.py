"""Builds the PodDisruptionBudget, which keeps a node drain from evicting all pods of an App at once."""

from __future__ import annotations

from dynamiq_operator.desired.base import DISRUPTION_BUDGET, child
from dynamiq_operator.desired.inputs import Inputs
from dynamiq_operator.desired.pin_labels import pod_selector
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import Manifest


def disruption_budget(inputs: Inputs) -> list[Manifest]:
    """Returns the budget, which allows one pod to be evicted at a time; empty for an App that runs nothing.

    A single pod may be evicted, too, since a drain has to end. Callers then get no answer until the next pod is Ready. An App that
    cannot accept this has a minimum of 2.
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
