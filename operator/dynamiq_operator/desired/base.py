"""What every child carries: name, labels, and the App as its owner."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import App, Manifest


@dataclass(frozen=True)
class Resource:
    """A kind of child as the API server's paths have it."""

    api_version: str
    kind: str
    plural: str


SERVICE = Resource("v1", "Service", "services")
INGRESS = Resource("networking.k8s.io/v1", "Ingress", "ingresses")
HTTP_ROUTE = Resource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
CONFIG_MAP = Resource("v1", "ConfigMap", "configmaps")
SECRET = Resource("v1", "Secret", "secrets")
WORKLOAD = Resource("apps/v1", "Deployment", "deployments")
AUTOSCALER = Resource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
NETWORK_POLICY = Resource("networking.k8s.io/v1", "NetworkPolicy", "networkpolicies")
DISRUPTION_BUDGET = Resource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
CRON_JOB = Resource("batch/v1", "CronJob", "cronjobs")
JOB = Resource("batch/v1", "Job", "jobs")


def owner(app: App) -> dict[str, Any]:
    """The ownerReference to an App, which ends its children and its rows with it."""
    return {"apiVersion": API_VERSION, "kind": "App", "name": app.meta.name, "uid": app.meta.uid, "controller": True}


def child(app: App, resource: Resource, name: str, *, annotations: Mapping[str, str] | None = None, **content: Any) -> Manifest:
    """A manifest of `resource` for `app`; `content` is all but its metadata."""
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": app.meta.namespace,
        "labels": names.labels(app.meta.name),
        "ownerReferences": [owner(app)],
    }
    if annotations:
        metadata["annotations"] = dict(annotations)
    return {"apiVersion": resource.api_version, "kind": resource.kind, "metadata": metadata, **content}


def is_owned(observed: Mapping[str, Any], app: App) -> bool:
    """Whether an object is this App's, by uid: a name says nothing about whose it is."""
    return any(reference.get("uid") == app.meta.uid for reference in observed["metadata"].get("ownerReferences") or ())


def awaits_garbage_collection(observed: Mapping[str, Any], app: App | None) -> bool:
    """Whether an object is owned by a deleted App of the same name: the garbage collector is going to delete it."""
    owners = [reference for reference in observed["metadata"].get("ownerReferences") or () if reference.get("kind") == "App"]
    return app is not None and bool(owners) and all(reference.get("uid") != app.meta.uid for reference in owners)


def is_labelled(observed: Mapping[str, Any], app: App) -> bool:
    """Whether an object carries our labels for this App, as one that a backup brought back does, whose owner is gone."""
    found = observed["metadata"].get("labels") or {}
    return names.labels(app.meta.name).items() <= found.items()


def is_ours(observed: Mapping[str, Any], app: App) -> bool:
    """Whether an object is this App's, or was before a restore: only then may it be written."""
    return is_owned(observed, app) or is_labelled(observed, app)


def is_ending(observed: Mapping[str, Any]) -> bool:
    """Whether an object is being deleted."""
    return "deletionTimestamp" in observed["metadata"]
