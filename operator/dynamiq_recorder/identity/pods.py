"""Finds the App of a pod by its label and its chain of owners: a ReplicaSet, then a workload of the App. Each must have the named uid.

Pods that finish runs of an earlier version have a label of their own, and count as the App's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.client import Client
from dynamiq_operator.kube.resources import PODS, ApiResource
from dynamiq_operator.model import names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.serving.recent import Recent
from dynamiq_recorder.identity.tokens import NotNow

REPLICA_SETS = ApiResource("apps", "v1", "replicasets", "ReplicaSet")
WORKLOADS = ApiResource("apps", "v1", "deployments", "Deployment")
CONTAINER = "runtime"
KNOWN_MOST = 20_000
LABELS = (names.APP_LABEL, names.FINISHING_OF_LABEL)
"""Labels whose value is the App of a pod."""


class KnownPod(msgspec.Struct, frozen=True):
    """A pod as the recorder knows it. `app_uid`: None if the pod belongs to no App."""

    namespace: str
    app: str | None = None
    app_uid: str | None = None
    pins: str | None = None
    workflow_version: str | None = None
    workflow_hash: str | None = None


class Pods:
    """Pods by uid. Each is read once, since what is read of it never changes."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._known = Recent[str, KnownPod](KNOWN_MOST)

    async def get(self, namespace: str, name: str, uid: str) -> KnownPod:
        """Returns a pod; without an App if it is missing or belongs to none.

        Raises NotNow.
        """
        if (known := self._known.get(uid)) is not None:
            return known
        try:
            pod = await self._read(namespace, name, uid)
        except errors.NotFound:
            return KnownPod(namespace)
        except errors.ApiError as error:
            raise NotNow(f"the API server did not answer to which App the pod belongs: {error}") from error
        self._known.put(uid, pod)
        return pod

    async def alive(self, namespace: str, app: str) -> tuple[str, ...]:
        """Lists the uids of an App's pods.

        Raises NotNow.
        """
        try:
            return tuple(
                [
                    str(pod["metadata"]["uid"])
                    for label in LABELS
                    async for page in self._client.pages(PODS, namespace, label=f"{label}={app}")
                    for pod in page["items"]
                ]
            )
        except errors.ApiError as error:
            raise NotNow(f"the API server did not list pods: {error}") from error

    async def _read(self, namespace: str, name: str, uid: str) -> KnownPod:
        pod = await self._client.get(PODS, namespace, name)
        labels = pod["metadata"].get("labels") or {}
        app = next((labels[label] for label in LABELS if labels.get(label)), None)
        without_app = KnownPod(namespace)
        if pod["metadata"].get("uid") != uid or not app:
            return without_app
        owner: Manifest | None = pod
        for resource in (REPLICA_SETS, WORKLOADS):
            assert owner is not None  # noqa: S101 - for the type checker
            owner = await self._owner(owner, resource, namespace)
            if owner is None:
                return without_app
        reference = _controller(owner, API_VERSION, "App")
        if reference is None or reference.get("name") != app:
            return without_app
        env = _environment(pod)
        return KnownPod(
            namespace,
            app,
            str(reference["uid"]),
            env.get("DYNAMIQ_PINS"),
            env.get("DYNAMIQ_WORKFLOW_VERSION"),
            env.get("DYNAMIQ_FLOW_HASH"),
        )

    async def _owner(self, of: Manifest, resource: ApiResource, namespace: str) -> Manifest | None:
        reference = _controller(of, resource.api_version, resource.kind)
        if reference is None:
            return None
        owner = await self._client.get(resource, namespace, str(reference.get("name")))
        return owner if owner["metadata"].get("uid") == reference.get("uid") else None


def _controller(raw: Manifest | None, api_version: str, kind: str) -> Mapping[str, Any] | None:
    """Returns the reference to an object's controller if that has this kind; else None."""
    for each in (raw or {"metadata": {}})["metadata"].get("ownerReferences") or ():
        if each.get("controller") is True and (each.get("apiVersion"), each.get("kind")) == (api_version, kind):
            reference: Mapping[str, Any] = each
            return reference
    return None


def _environment(pod: Manifest) -> dict[str, str]:
    container: Mapping[str, Any] = next((each for each in pod["spec"].get("containers") or () if each.get("name") == CONTAINER), {})
    return {each["name"]: each["value"] for each in container.get("env") or () if each.get("value")}
