"""Sends plain requests to a real API server, makes a namespace for a test, and provides the client that actions use."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from kubernetes import client, config
from kubernetes.client import rest

from dynamiq_operator.kube import errors
from dynamiq_operator.kube.api import PLAIN
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.kinds import KINDS
from local.clusters import Cluster

MANAGER = "tests"
REQUEST_TIMEOUT = 60  # seconds
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
Manifest = dict[str, Any]
_PLURALS = {kind.kind: kind.plural for kind in KINDS} | {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}
CLUSTER_SCOPED = {kind.kind for kind in KINDS if not kind.namespaced} | {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "Node",
}


@dataclass(frozen=True)
class Answer:
    """An answer of the API server: HTTP status, and the object, list or Status."""

    status: int
    body: Manifest

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def message(self) -> str:
        """Returns the sentence that kubectl prints of a refusal."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True)
class Api:
    """Plain requests to the API server, for tests of its answers. Nothing raises for a refusal: see `Answer.ok`."""

    client: client.ApiClient
    user: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, cluster: Cluster) -> Api:
        context = os.environ["CLUSTER"] if cluster.profile == "context" else None
        return cls(_client(str(cluster.kubeconfig), context, incarnation(cluster)))

    def acting_as(self, user: str, group: str | None = None) -> Api:
        """Returns the same requests, impersonating `user`, who is in `group`."""
        return Api(self.client, user, group)

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Answer:
        return self.request("POST", path(manifest, named=False), manifest, query=_query(dry_run, fieldValidation="Strict"))

    def apply(self, manifest: Manifest, *, manager: str = MANAGER, dry_run: bool = False, subresource: str = "") -> Answer:
        """Applies on the server side, forced."""
        query = _query(dry_run, fieldManager=manager, force="true", fieldValidation="Strict")
        body = json.dumps(manifest, ensure_ascii=False).encode()  # the parser of an apply takes no escaped surrogates
        return self.request("PATCH", path(manifest) + subresource, body, "application/apply-patch+yaml; charset=utf-8", query=query)

    def merge(self, manifest: Manifest, patch: Manifest, *, dry_run: bool = False, subresource: str = "") -> Answer:
        """Sends a JSON merge patch of the object that `manifest` names."""
        return self.request(
            "PATCH", path(manifest) + subresource, patch, "application/merge-patch+json", query=_query(dry_run, fieldValidation="Strict")
        )

    def json_patch(self, manifest: Manifest, *operations: Manifest, dry_run: bool = False) -> Answer:
        return self.request(
            "PATCH", path(manifest), list(operations), "application/json-patch+json", query=_query(dry_run, fieldValidation="Strict")
        )

    def replace(self, manifest: Manifest, *, dry_run: bool = False) -> Answer:
        return self.request("PUT", path(manifest), manifest, query=_query(dry_run, fieldValidation="Strict"))

    def read(self, manifest: Manifest) -> Answer:
        """Returns the current object that `manifest` names."""
        return self.request("GET", path(manifest))

    def delete(self, manifest: Manifest, **options: Any) -> Answer:
        """Deletes the object. `options`: DeleteOptions, such as propagationPolicy."""
        return self.request("DELETE", path(manifest), options or None)

    def get(self, kind: str, name: str, namespace: str, *, api_version: str | None = None, **query: str) -> Answer:
        """Returns an object, or with an empty name the list. Our kinds need no `api_version`; nor does the core group."""
        group = api_version or (API_VERSION if kind in {known.kind for known in KINDS} else "v1")
        manifest = {"apiVersion": group, "kind": kind, "metadata": {"name": name, "namespace": namespace}}
        return self.request("GET", path(manifest, named=bool(name)), query=query)

    def request(
        self,
        method: str,
        url: str,
        body: Any = None,
        content_type: str = "application/json",
        *,
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> Answer:
        """Sends any request; `url` is a path of the API server, `body` JSON data, or bytes."""
        response = self._send(method, url, body, content_type, query, accept)
        text = response.read().decode()  # type: ignore[no-untyped-call]
        return Answer(response.status, json.loads(text) if text.startswith("{") else {"message": text})

    def text(self, url: str) -> str:
        """Returns the unparsed answer to a GET of a path, such as a pod's log; empty for a refusal."""
        response = self._send("GET", url)
        text = response.read().decode()  # type: ignore[no-untyped-call]
        return text if response.status < 300 else ""

    def watch(self, url: str, query: Mapping[str, str]) -> Iterator[Manifest]:
        """Yields the events of a watch, until the API server ends it."""
        response = self._send("GET", url, query={"watch": "true", **query})
        incomplete = b""
        for chunk in response.response.stream(amt=None, decode_content=False):
            *lines, incomplete = (incomplete + chunk).split(b"\n")
            yield from map(json.loads, filter(None, lines))

    def _send(
        self,
        method: str,
        url: str,
        body: Any = None,
        content_type: str = "application/json",
        query: Mapping[str, str] | None = None,
        accept: str = "application/json",
    ) -> rest.RESTResponse:
        headers = {"Content-Type": content_type, "Accept": accept}
        if token := self.client.configuration.get_api_key_with_prefix("BearerToken", "authorization"):
            headers["authorization"] = token
        if self.user:
            headers["Impersonate-User"] = self.user
        if self.group:
            headers["Impersonate-Group"] = self.group
        suffix = "?" + "&".join(f"{key}={_quoted(value)}" for key, value in query.items()) if query else ""
        return self.client.call_api(
            method, f"{self.client.configuration.host}{url}{suffix}", headers, body, _request_timeout=REQUEST_TIMEOUT
        )


def incarnation(cluster: Cluster) -> int:
    """Returns a number that differs between successive clusters of one name: each has a kubeconfig of its own."""
    return cluster.kubeconfig.stat().st_mtime_ns if cluster.kubeconfig.exists() else 0


@functools.cache
def _client(kubeconfig: str, context: str | None, _incarnation: int) -> client.ApiClient:
    connected: client.ApiClient = config.new_client_from_config(kubeconfig, context)  # type: ignore[no-untyped-call]
    return connected


def _query(dry_run: bool, **more: str) -> dict[str, str]:
    return {**more, **({"dryRun": "All"} if dry_run else {})}


def _quoted(value: str) -> str:
    return quote(value, safe="")


def path(manifest: Manifest, *, named: bool = True) -> str:
    """Returns the API server's path of an object, or of its collection."""
    version, kind, meta = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    where = "" if kind in CLUSTER_SCOPED else f"/namespaces/{meta.get('namespace', 'default')}"
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    return f"/{'apis' if '/' in version else 'api'}/{version}{where}/{plural}" + (f"/{meta['name']}" if named else "")


_LEFT: set[str] = set()
"""Addresses of API servers on which namespaces are left."""


@contextlib.contextmanager
def namespaces_left(cluster: Cluster) -> Iterator[None]:
    """Keeps namespaces of tests on this cluster while the block runs; only their CronJobs are deleted, which would otherwise continue."""
    host = str(Api.of(cluster).client.configuration.host)
    _LEFT.add(host)
    try:
        yield
    finally:
        _LEFT.discard(host)


def goes(api: Api) -> bool:
    """Returns True if the cluster is deleted at the end of the session: its objects may then be left."""
    return str(api.client.configuration.host) in _LEFT


@contextlib.contextmanager
def fresh_namespace(api: Api, purpose: str = "", labels: Mapping[str, str] | None = None, *, leave: bool = True) -> Iterator[str]:
    """Makes a namespace that accepts only restricted pods; deletes it at the end without waiting.

    With `leave` it is deleted only if the cluster outlives the session.
    """
    begin = re.sub(r"[^a-z0-9]+", "-", purpose.lower()).strip("-")[:54]
    name = f"t-{begin}-{uuid.uuid4().hex[:6]}".replace("--", "-")
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**RESTRICTED, **(labels or {})}}}
    created = api.create(manifest)
    assert created.ok, created.message
    try:
        yield name
    finally:
        if leave and goes(api):
            api.request("DELETE", f"/apis/batch/v1/namespaces/{name}/cronjobs")
        else:
            api.delete(manifest)


@dataclass(frozen=True)
class ActionClient:
    """Sends the requests of actions as the user of `api`."""

    api: Api

    def request(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, str | int] | None = None,
        body: Any = None,
        content_type: str = PLAIN,
        accept: str = PLAIN,
    ) -> Manifest:
        texts = {name: str(value) for name, value in (query or {}).items()}
        answer = self.api.request(method, path, body, content_type, query=texts, accept=accept)
        if not answer.ok:
            raise errors.from_answer(answer.status, json.dumps(answer.body).encode(), f"{method} {path}")
        return answer.body
