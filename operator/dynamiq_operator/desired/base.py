"""Defines what all children share: an API resource, a name, labels, and the App as owner."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model import names, ownership
from dynamiq_operator.model.objects import App, Manifest

ChildKey = tuple[str, str]
"""Kind and name of a child."""


@dataclass(frozen=True)
class Resource:
    """The API resource of a child kind, and the function that names its children."""

    api_version: str
    kind: str
    plural: str
    name: Callable[..., str]

    def key(self, *of: str) -> ChildKey:
        """Returns the key of the child with these arguments of `name`: the App's name, then whatever distinguishes its children."""
        return self.kind, self.name(*of)


SERVICE = Resource("v1", "Service", "services", names.service)
INGRESS = Resource("networking.k8s.io/v1", "Ingress", "ingresses", names.route)
HTTP_ROUTE = Resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes", names.route)
NETWORK_POLICY = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies", names.network_policy)
WORKLOAD = Resource("apps/v1", "Deployment", "deployments", names.workload)
AUTOSCALER = Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers", names.autoscaler)
DISRUPTION_BUDGET = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets", names.disruption_budget)
CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps", names.flow)
SECRET = Resource("v1", "Secret", "secrets", names.access_keys)
CRON_JOB = Resource("batch/v1", "CronJob", "cronjobs", names.trigger)
JOB = Resource("batch/v1", "Job", "jobs", names.run_now)
ENDPOINT_SLICE = Resource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices", names.gate_slice)


def owner(app: App) -> dict[str, Any]:
    """Returns the ownerReference to an App. Children and rows are deleted with it."""
    return ownership.reference(app.meta.name, app.meta.uid)


def child(
    app: App,
    resource: Resource,
    name: str,
    *,
    annotations: Mapping[str, str] | None = None,
    labels: dict[str, str] | None = None,
    **content: Any,
) -> Manifest:
    """Returns a manifest of `resource` for `app`. `labels` are added to those of every child; `content` is everything but its metadata."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": app.meta.namespace,
        "labels": names.labels(app.meta.name) | (labels or {}),
        "ownerReferences": [owner(app)],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **content}


def key_of(manifest: Manifest) -> ChildKey:
    return manifest["kind"], manifest["metadata"]["name"]


def is_owned(observed: Mapping[str, Any], app: App) -> bool:
    """Returns True if an object is this App's, by uid."""
    return ownership.is_owned(observed, app.meta.uid)


def is_ours(observed: Mapping[str, Any], app: App) -> bool:
    """Returns True if an object is this App's, or was before a restore. Only such an object may be written.

    An object of another App is never ours, whatever its labels.
    """
    if is_owned(observed, app):
        return True
    return ownership.is_labelled(observed, app.meta.name) and ownership.is_nobodys(observed)


def is_ending(observed: Mapping[str, Any]) -> bool:
    """Returns True if an object is being deleted."""
    return "deletionTimestamp" in observed["metadata"]
