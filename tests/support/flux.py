"""Flux itself: its source-controller and kustomize-controller beside a cluster, and a Git repository that it fetches by HTTP.

The controllers act for a service account of the namespace, as a tenant's Kustomization does: what it may is what its role says.
"""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import yaml

from local import builds, components
from local.clusters import Cluster
from tests.support.api import Manifest
from tests.support.cluster import Kubectl
from tests.support.ports import free_port
from tests.support.waiting import eventually

NAME = "apps"
"""Of the GitRepository and of the Kustomization."""
KUSTOMIZATION = "kustomization.kustomize.toolkit.fluxcd.io"
ACCOUNT = "flux"
BRANCH = "main"
STARTS_WITHIN = 60.0  # seconds
APPLIES_WITHIN = 60.0
REQUESTED = "reconcile.fluxcd.io/requestedAt"
IDENTITY = {"GIT_AUTHOR_NAME": "anna", "GIT_AUTHOR_EMAIL": "anna@example.com", "GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}
COMMITTER = {"GIT_COMMITTER_NAME": "anna", "GIT_COMMITTER_EMAIL": "anna@example.com"}


@dataclass
class Flux:
    """What Git holds for a namespace, and Flux that applies it."""

    kubectl: Kubectl
    namespace: str
    repository: Path
    requested: int = field(default=0)

    def push(self, *objects: Manifest, message: str = "change") -> str:
        """Commits these objects, each in a file of its own, beside those that are there; returns the revision as Flux writes it."""
        for each in objects:
            (self.repository / f"{each['kind']}-{each['metadata']['name']}.yaml".lower()).write_text(yaml.safe_dump(each))
        git(self.repository, "add", "--all")
        git(self.repository, "commit", "--quiet", f"--message={message}")
        return f"{BRANCH}@sha1:{git(self.repository, 'rev-parse', 'HEAD').strip()}"

    def until_applied(self, revision: str) -> None:
        """Tells Flux of a change, as a webhook of a forge does, and waits until it has applied it."""
        self._told("gitrepository")
        eventually(f"Flux has {revision}", lambda: self._get("gitrepository", "{.status.artifact.revision}") == revision, APPLIES_WITHIN)
        self._told(KUSTOMIZATION)
        eventually(f"{revision} is applied", lambda: self._get(KUSTOMIZATION, "{.status.lastAppliedRevision}") == revision, APPLIES_WITHIN)

    def again(self) -> None:
        """Has Flux apply what it has applied already, and waits for it."""
        asked = self._told(KUSTOMIZATION)
        eventually("it is applied again", lambda: self._get(KUSTOMIZATION, "{.status.lastHandledReconcileAt}") == asked, APPLIES_WITHIN)

    def _told(self, kind: str) -> str:
        self.requested += 1
        self.kubectl("annotate", "--overwrite", kind, NAME, f"{REQUESTED}={self.requested}", namespace=self.namespace)
        return str(self.requested)

    def _get(self, kind: str, path: str) -> str:
        return self.kubectl("get", kind, NAME, "-o", f"jsonpath={path}", namespace=self.namespace).stdout


@contextmanager
def flux(cluster: Cluster, namespace: str, folder: Path) -> Iterator[Flux]:
    """Flux at work for a namespace, in which its account may edit. It is built where the cache does not have it: minutes."""
    built = builds.ensure(components.FLUX)
    kubectl = Kubectl(cluster)
    repository = folder / "git" / NAME
    repository.mkdir(parents=True)
    git(repository, "init", "--quiet", f"--initial-branch={BRANCH}")
    made = Flux(kubectl, namespace, repository)
    for name in components.FLUX_CRDS:
        kubectl("apply", "--server-side", "-f", str(built[name]))
    kubectl(
        "wait",
        "--for=condition=Established",
        "crd",
        "gitrepositories.source.toolkit.fluxcd.io",
        "kustomizations.kustomize.toolkit.fluxcd.io",
    )
    with ExitStack() as running:
        url = running.enter_context(_served(repository.parent))
        address = f"127.0.0.1:{free_port()}"
        storage = folder / "artifacts"
        storage.mkdir()
        stored = [f"--storage-path={storage}", f"--storage-addr={address}", f"--storage-adv-addr={address}"]
        running.enter_context(_controller(built["source-controller"], cluster, folder, *stored))
        running.enter_context(_controller(built["kustomize-controller"], cluster, folder))
        try:
            kubectl("apply", "-f", "-", input=list(_objects(namespace, f"{url}/{NAME}")), namespace=namespace)
            yield made
        finally:  # while somebody is there to take the finalizers off
            kubectl("delete", "--ignore-not-found", f"{KUSTOMIZATION},gitrepository", NAME, namespace=namespace)


def _objects(namespace: str, url: str) -> Iterator[Manifest]:
    meta = {"name": NAME, "namespace": namespace}
    account = {"name": ACCOUNT, "namespace": namespace}
    yield {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": account}
    yield {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": account,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "edit"},
        "subjects": [{"kind": "ServiceAccount", **account}],
    }
    source = {"url": url, "ref": {"branch": BRANCH}, "interval": "10m"}
    yield {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": meta, "spec": source}
    applied = {
        "interval": "10m",
        "retryInterval": "5s",
        "prune": True,
        "targetNamespace": namespace,
        "serviceAccountName": ACCOUNT,
        "sourceRef": {"kind": "GitRepository", "name": NAME},
    }
    yield {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": meta, "spec": applied}


@contextmanager
def _controller(program: Path, cluster: Cluster, folder: Path, *flags: str) -> Iterator[None]:
    health = free_port()
    command: list[str | Path] = [
        program,
        *flags,
        f"--health-addr=127.0.0.1:{health}",
        "--metrics-addr=0",
        "--enable-leader-election=false",
        "--events-addr=",
    ]
    environment = os.environ | {"KUBECONFIG": str(cluster.kubeconfig), "RUNTIME_NAMESPACE": "flux-system", "HOME": str(folder)}
    log = folder / f"{program.name}.log"
    with log.open("w") as output:
        process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
    try:
        eventually(
            f"{program.name} runs: see {log}", lambda: process.poll() is None and "Starting workers" in log.read_text(), STARTS_WITHIN
        )
        yield
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _served(root: Path) -> Iterator[str]:
    """The repositories below `root`, by the program that every forge had first: git http-backend, a CGI program."""

    class Backend(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.0"

        def do_GET(self) -> None:
            self._pass_on()

        def do_POST(self) -> None:
            self._pass_on()

        def _pass_on(self) -> None:
            asked = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            done = subprocess.run(
                ["git", "http-backend"],
                env=os.environ | self._variables(asked.path, asked.query, body),
                input=body,
                capture_output=True,
                check=True,
            )
            head, _, content = done.stdout.partition(b"\r\n\r\n")
            headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
            self.send_response(int(headers.pop("Status", "200 OK").split()[0]))
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

        def _variables(self, path: str, query: str, body: bytes) -> Mapping[str, str]:
            return {
                "GIT_PROJECT_ROOT": str(root),
                "GIT_HTTP_EXPORT_ALL": "1",
                "PATH_INFO": path,
                "QUERY_STRING": query,
                "REQUEST_METHOD": self.command,
                "CONTENT_TYPE": self.headers.get("Content-Type") or "",
                "CONTENT_LENGTH": str(len(body)),
                "HTTP_CONTENT_ENCODING": self.headers.get("Content-Encoding") or "",
                "GIT_PROTOCOL": self.headers.get("Git-Protocol") or "",
            }

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Backend) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}"
        finally:
            server.shutdown()


def git(folder: Path, *arguments: str) -> str:
    """What git says of a repository, whatever its user has configured. Raises CalledProcessError."""
    command = ["git", "-c", "commit.gpgSign=false", *arguments]
    return subprocess.run(command, cwd=folder, env=os.environ | IDENTITY | COMMITTER, capture_output=True, text=True, check=True).stdout
