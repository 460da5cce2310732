"""Where callers of the Service end up, as its EndpointSlices say, counted by workload."""

from __future__ import annotations

from collections import Counter

from dynamiq_operator.desired.base import ENDPOINT_SLICE
from dynamiq_operator.model import names
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.endpoints import Slice

STRANGE = None
"""In the place of a pins label: an endpoint of which no pod is known."""


def own_slices(context: Context) -> list[Slice] | None:
    """The slices that Kubernetes keeps for the Service; None where nothing can be said: none is known, or what is known of them may be old."""
    if ENDPOINT_SLICE.kind in context.snapshot.denied:
        return None
    service = names.service(context.app.meta.name)
    return [each for each in context.snapshot.slices if each.service == service and not each.is_gates and not each.deleting] or None


def ready_endpoints(context: Context) -> Counter[str | None] | None:
    """Ready endpoints by pins label of their pods; None where nothing can be said."""
    if (slices := own_slices(context)) is None:
        return None
    labels = {pod.uid: pod.pins for pod in context.snapshot.pods}
    return Counter(labels.get(endpoint.pod_uid, STRANGE) for each in slices for endpoint in each.endpoints if endpoint.ready)


def lead_only_to(context: Context, label: str) -> bool:
    """Whether callers end up at pods of this workload alone, and at one at least."""
    found = ready_endpoints(context)
    return found is not None and set(found) == {label}


def lead_to_all(context: Context, label: str, pods: int) -> bool:
    """Whether callers reach as many pods of this workload, and one at least."""
    found = ready_endpoints(context)
    return found is not None and found[label] >= max(pods, 1)


def lead_away_from(context: Context, label: str) -> bool:
    """Whether it is known that no caller ends up at a pod of this workload."""
    found = ready_endpoints(context)
    return found is not None and label not in found and STRANGE not in found
