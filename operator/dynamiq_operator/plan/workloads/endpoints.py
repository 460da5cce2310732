"""Counts by workload which pods callers of the Service reach, according to its EndpointSlices."""

from __future__ import annotations

from collections import Counter

from dynamiq_operator.desired.base import ENDPOINT_SLICE
from dynamiq_operator.model import names
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.endpoints import Slice

STRANGE = None
"""Counted in place of a pins label: an endpoint whose pod is unknown."""


def own_slices(context: Context) -> list[Slice] | None:
    """Returns the slices that Kubernetes keeps for the Service; None if they are unknown or may be old."""
    if ENDPOINT_SLICE.kind in context.snapshot.children.denied:
        return None
    service = names.service(context.app.meta.name)
    return [
        each for each in context.snapshot.endpoints.slices if each.service == service and not each.is_gates and not each.deleting
    ] or None


def ready_endpoints(context: Context) -> Counter[str | None] | None:
    """Returns the number of ready endpoints by pins label of their pods; None if unknown."""
    if (slices := own_slices(context)) is None:
        return None
    labels = {pod.uid: pod.pins for pod in context.snapshot.pods.observed}
    return Counter(labels.get(endpoint.pod_uid, STRANGE) for each in slices for endpoint in each.endpoints if endpoint.ready)


def lead_only_to(context: Context, label: str) -> bool:
    """Returns True if callers reach pods of this workload only, and at least one."""
    reached = ready_endpoints(context)
    return reached is not None and set(reached) == {label}


def lead_to_all(context: Context, label: str, pods: int) -> bool:
    """Returns True if callers reach at least `pods` pods of this workload, and at least one."""
    reached = ready_endpoints(context)
    return reached is not None and reached[label] >= max(pods, 1)


def lead_away_from(context: Context, label: str) -> bool:
    """Returns True if no caller reaches a pod of this workload; False if that is unknown."""
    reached = ready_endpoints(context)
    return reached is not None and label not in reached and STRANGE not in reached
