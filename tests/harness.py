"""A real API server for tests: a cluster for the session, kubectl and plain requests against it, and waiting for a condition.

It never takes a cluster for granted: what can't be started or found is an error that says what to do, not a skipped test.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import json
import os
import re
import shutil
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

import pytest
import yaml
from kubernetes import client, config

from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.kinds import KINDS
from local import builds, clusters
from local.clusters import Cluster
from local.errors import LocalError
from local.progress import say

REPOSITORY = Path(__file__).parents[1]
CRDS = REPOSITORY / "crds"
SESSION_NAMES = {"control-plane": "dynamiq-test", "node": "dynamiq-test-node"}
MANAGER = "tests"
REQUEST_TIMEOUT = 60  # seconds
COMMAND_TIMEOUT = 120  # seconds: one command may apply or delete a folder, and wait until all of it is gone
ESTABLISHED_TIMEOUT = 120  # seconds
IN_TIME = 90.0
"""Seconds for what is not promised within a time: a machine that does much else takes long, and a test that fails waits once."""
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}

Manifest = dict[str, Any]
_Found = TypeVar("_Found")
_PLURALS = {kind.kind: kind.plural for kind in KINDS} | {"Ingress": "ingresses", "NetworkPolicy": "networkpolicies"}
_CLUSTER_SCOPED = {kind.kind for kind in KINDS if not kind.namespaced} | {
    "ClusterRole",
    "ClusterRoleBinding",
    "CustomResourceDefinition",
    "Namespace",
    "Node",
}


@contextlib.contextmanager
def session_cluster(profile: str, pytest_config: pytest.Config) -> Iterator[Cluster]:
    """The cluster of a test session, with our resources installed.

    `$CLUSTER_NAME` takes one of ours that runs already, `$CLUSTER` a kube context; neither is stopped. Otherwise one of `profile`
    is started for this session alone and stopped at its end, or left with `$KEEP_CLUSTER`, which the next session then takes over.
    """
    if name := os.environ.get("CLUSTER_NAME"):
        with _shown(pytest_config):
            cluster = clusters.find(name)
            if cluster is None:
                raise LocalError(f"CLUSTER_NAME={name}, but no such cluster runs: start it with `python -m local up --name {name}`")
            say(f"tests: cluster {name} ({cluster.profile}) is used as it is")
            install(cluster)
        yield cluster
        return
    borrowed = bool(os.environ.get("CLUSTER"))
    keep = bool(os.environ.get("KEEP_CLUSTER"))
    with _own_name(SESSION_NAMES[profile]) as name:
        try:
            with _shown(pytest_config):
                if not keep and clusters.stop(name):
                    say(f"tests: cluster {name}, left by a session that was killed, is gone")
                cluster = clusters.start(name, None if borrowed else profile)
                install(cluster)
            yield cluster
        finally:
            with _shown(pytest_config):
                if keep:
                    say(f"tests: cluster {name} goes on running: KEEP_CLUSTER is set")
                elif clusters.stop(name) and not borrowed:
                    say(f"tests: cluster {name} is stopped")


def install(cluster: Cluster) -> None:
    """Applies `crds/` and waits until the API server serves them."""
    say(f"tests: applying {CRDS.relative_to(REPOSITORY)}/ to cluster {cluster.name}")
    kubectl = Kubectl(cluster)
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(CRDS))
    names = [f"crd/{kind.crd_name}" for kind in KINDS]
    kubectl("wait", "--for=condition=Established", f"--timeout={ESTABLISHED_TIMEOUT}s", *names, timeout=ESTABLISHED_TIMEOUT + 5)
    api = Api.of(cluster)
    eventually("every kind is in the API server's discovery", lambda: {kind.kind for kind in KINDS} <= _discovered(api))
    # What kubectl remembers from before the resources were there: it would not know their category.
    shutil.rmtree(kubectl.cache, ignore_errors=True)


def _discovered(api: Api) -> set[str]:
    """Kinds of our group that discovery names, and whose lists are served."""
    version = f"/apis/{API_VERSION}"
    found = [resource["kind"] for resource in api.request("GET", version).body.get("resources", ())]
    aggregated = api.request("GET", "/apis", accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").body
    known = {
        resource["responseKind"]["kind"]
        for group in aggregated.get("items", ())
        if version.startswith(f"/apis/{group['metadata']['name']}/")
        for served in group["versions"]
        for resource in served["resources"]
    }
    return {kind for kind in found if kind in known and api.get(kind, "", "default").ok}


@contextlib.contextmanager
def _own_name(base: str) -> Iterator[str]:
    """The first of base, base-2, base-3… that no other session holds: sessions run side by side, a killed one frees its name."""
    folder = builds.cache_root()
    folder.mkdir(parents=True, exist_ok=True)
    for number in itertools.count(1):
        name = f"{base}-{number}" if number > 1 else base
        with (folder / f".{name}.session").open("w") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                continue
            yield name
            return


def _shown(pytest_config: pytest.Config) -> contextlib.AbstractContextManager[None]:
    """Lets through pytest's capture what is printed within: a start may take minutes where something is built."""
    capture = pytest_config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext()


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl against a cluster: `kubectl("get", "pods", namespace="x")`. A failure raises, unless `check=False`."""

    cluster: Cluster

    @property
    def cache(self) -> Path:
        """Where kubectl keeps what it discovered of this cluster: another cluster may have had the same port before."""
        return self.cluster.kubeconfig.parent / "kubectl-cache"

    def __call__(
        self,
        *arguments: str,
        input: str | Manifest | Sequence[Manifest] | None = None,  # noqa: A002 - subprocess's own name
        namespace: str | None = None,
        check: bool = True,
        timeout: float = COMMAND_TIMEOUT,
    ) -> subprocess.CompletedProcess[str]:
        """`input`: text, or manifests for `-f -`. `timeout` in seconds. Raises AssertionError with kubectl's own words."""
        command = [str(self.cluster.kubectl), "--kubeconfig", str(self.cluster.kubeconfig), "--cache-dir", str(self.cache)]
        if self.cluster.profile == "context":
            command += ["--context", os.environ["CLUSTER"]]
        command += [*(["--namespace", namespace] if namespace else []), *arguments]
        done = subprocess.run(command, input=_text(input), capture_output=True, text=True, timeout=timeout, check=False)
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done


def _text(given: str | Manifest | Sequence[Manifest] | None) -> str | None:
    if given is None or isinstance(given, str):
        return given
    return yaml.safe_dump_all([given] if isinstance(given, dict) else list(given))


@dataclass(frozen=True)
class Answer:
    """What the API server answered: HTTP status and the object, list or Status."""

    status: int
    body: Manifest

    @property
    def ok(self) -> bool:
        return self.status < 300

    @property
    def message(self) -> str:
        """The sentence that kubectl prints of a refusal."""
        return str(self.body.get("message", ""))


@dataclass(frozen=True)
class Api:
    """Plain requests to the API server, for tests that look at its answers. Nothing raises for a refusal: see `Answer.ok`."""

    client: client.ApiClient
    user: str | None = None
    group: str | None = None

    @classmethod
    def of(cls, cluster: Cluster) -> Api:
        context = os.environ["CLUSTER"] if cluster.profile == "context" else None
        return cls(_client(str(cluster.kubeconfig), context))

    def acting_as(self, user: str, group: str | None = None) -> Api:
        """The same requests, impersonating `user`, who is in `group`."""
        return Api(self.client, user, group)

    def create(self, manifest: Manifest, *, dry_run: bool = False) -> Answer:
        return self.request("POST", path(manifest, named=False), manifest, query=_query(dry_run, fieldValidation="Strict"))

    def apply(self, manifest: Manifest, *, manager: str = MANAGER, dry_run: bool = False, subresource: str = "") -> Answer:
        """Server-side apply, forced."""
        query = _query(dry_run, fieldManager=manager, force="true", fieldValidation="Strict")
        body = json.dumps(manifest, ensure_ascii=False).encode()  # the parser of an apply takes no escaped surrogates
        return self.request("PATCH", path(manifest) + subresource, body, "application/apply-patch+yaml; charset=utf-8", query=query)

    def merge(self, manifest: Manifest, patch: Manifest, *, dry_run: bool = False, subresource: str = "") -> Answer:
        """A JSON merge patch of the object that `manifest` names."""
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
        """The object that `manifest` names, as it is now."""
        return self.request("GET", path(manifest))

    def delete(self, manifest: Manifest, **options: Any) -> Answer:
        """`options`: DeleteOptions, such as propagationPolicy."""
        return self.request("DELETE", path(manifest), options or None)

    def get(self, kind: str, name: str, namespace: str, *, api_version: str | None = None, **query: str) -> Answer:
        """An object, or with an empty name the list. Kinds of ours need no `api_version`; nor does the core group."""
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
        """Any request; `url` is a path of the API server, `body` JSON data, or bytes."""
        headers = {"Content-Type": content_type, "Accept": accept}
        if token := self.client.configuration.get_api_key_with_prefix("BearerToken", "authorization"):
            headers["authorization"] = token
        if self.user:
            headers["Impersonate-User"] = self.user
        if self.group:
            headers["Impersonate-Group"] = self.group
        suffix = "?" + "&".join(f"{key}={_quoted(value)}" for key, value in query.items()) if query else ""
        response = self.client.call_api(
            method, f"{self.client.configuration.host}{url}{suffix}", headers, body, _request_timeout=REQUEST_TIMEOUT
        )
        text = response.read().decode()  # type: ignore[no-untyped-call]
        return Answer(response.status, json.loads(text) if text.startswith("{") else {"message": text})


@functools.cache
def _client(kubeconfig: str, context: str | None) -> client.ApiClient:
    made: client.ApiClient = config.new_client_from_config(kubeconfig, context)  # type: ignore[no-untyped-call]
    return made


def _query(dry_run: bool, **more: str) -> dict[str, str]:
    return {**more, **({"dryRun": "All"} if dry_run else {})}


def _quoted(value: str) -> str:
    return quote(value, safe="")


def path(manifest: Manifest, *, named: bool = True) -> str:
    """The API server's path of an object, or of the collection that it is in."""
    version, kind, meta = manifest["apiVersion"], manifest["kind"], manifest["metadata"]
    where = "" if kind in _CLUSTER_SCOPED else f"/namespaces/{meta.get('namespace', 'default')}"
    plural = _PLURALS.get(kind, f"{kind.lower()}s")
    return f"/{'apis' if '/' in version else 'api'}/{version}{where}/{plural}" + (f"/{meta['name']}" if named else "")


def eventually(what: str, check: Callable[[], _Found | None], seconds: float = IN_TIME, every: float = 0.05) -> _Found:
    """The first answer of `check` that is true. Raises AssertionError naming `what`, and the last answer, after `seconds`."""
    deadline = time.monotonic() + seconds
    while not (found := check()):
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what}; the last answer was {found!r}")
        time.sleep(every)
    return found


@contextlib.contextmanager
def fresh_namespace(api: Api, purpose: str = "", labels: Mapping[str, str] | None = None) -> Iterator[str]:
    """A namespace of its own that takes no pods but restricted ones, deleted at the end without waiting for its end."""
    begin = re.sub(r"[^a-z0-9]+", "-", purpose.lower()).strip("-")[:54]
    name = f"t-{begin}-{uuid.uuid4().hex[:6]}".replace("--", "-")
    manifest = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {**RESTRICTED, **(labels or {})}}}
    created = api.create(manifest)
    assert created.ok, created.message
    try:
        yield name
    finally:
        api.delete(manifest)
