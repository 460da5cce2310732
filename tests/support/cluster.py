"""Provides a real API server for tests: a cluster for the session, with our resources installed, and kubectl for it.

It never skips a test: a cluster that can't be started or found is an error that names the remedy.
"""

from __future__ import annotations

import contextlib
import fcntl
import functools
import itertools
import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.kinds import KINDS
from local import builds, clusters
from local.clusters import Cluster
from local.errors import LocalError
from local.progress import say
from tests.support import audited
from tests.support.api import CLUSTER_SCOPED, Api, Manifest, incarnation, namespaces_left
from tests.support.waiting import eventually

REPOSITORY = Path(__file__).parents[2]
CRDS = REPOSITORY / "crds"
SESSION_NAMES = {"control-plane": "dynamiq-test", "node": "dynamiq-test-node"}
KEPT = "CLUSTER_NAME", "CLUSTER", "KEEP_CLUSTER"
"""Variables that name a cluster which outlives the session."""
COMMAND_TIMEOUT = 300  # seconds: one command may apply or delete a folder, and wait until all of it is gone
ESTABLISHED_TIMEOUT = 300  # seconds
TOKEN_LIVES = 12 * 3600  # seconds
SHORT_LIVED = {"GOGC": "off"}
"""Short-lived programs of Go's collect no garbage: that would take a quarter of their time."""
GARBAGE_KEPT = "300"
"""Per cent of the memory in use; Go's default is 100. A control plane then uses an eighth less CPU, and up to twice the memory."""


@contextlib.contextmanager
def session_cluster(profile: str, pytest_config: pytest.Config, *, default_limits: bool = False, nodes: int = 1) -> Iterator[Cluster]:
    """Provides the cluster of a test session, with our resources installed. `nodes`: the number of simulated nodes.

    `$CLUSTER_NAME` uses a running cluster of ours, `$CLUSTER` a kube context; neither is stopped. Otherwise one of `profile` is started for
    this session alone and stopped at its end. With `$KEEP_CLUSTER` it is left, and the next session uses it. A cluster with
    `default_limits`, whose controllers are as slow as Kubernetes' defaults, has a name of its own. Namespaces of tests are left on
    simulated clusters that are stopped at the end: deleting them costs more than they use.
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
    with _own_name(SESSION_NAMES[profile] + ("-limited" if default_limits else "")) as name:
        try:
            with _shown(pytest_config), pytest.MonkeyPatch.context() as patch:
                if not default_limits:
                    patch.setenv("GOGC", GARBAGE_KEPT)
                if not keep and clusters.stop(name):
                    say(f"tests: cluster {name}, left by a session that was killed, is gone")
                lean = profile == "control-plane" and not default_limits
                started = None if borrowed else profile
                cluster = clusters.start(name, started, nodes=nodes, default_limits=default_limits, lean=lean)
                install(cluster)
            try:
                with (
                    namespaces_left(cluster) if cluster.profile == "control-plane" and ends_with_the_session() else contextlib.nullcontext()
                ):
                    yield cluster
            finally:
                audited.keep(cluster, audited.suite_of(pytest_config))
        finally:
            with _shown(pytest_config):
                if keep:
                    say(f"tests: cluster {name} goes on running: KEEP_CLUSTER is set")
                elif clusters.stop(name) and not borrowed:
                    say(f"tests: cluster {name} is stopped")


def ends_with_the_session() -> bool:
    """Returns True if a session's cluster is its own, and is stopped at its end."""
    return not any(os.environ.get(name) for name in KEPT)


def install(cluster: Cluster) -> None:
    """Applies `crds/` and waits until the API server serves them."""
    say(f"tests: applying {CRDS.relative_to(REPOSITORY)}/ to cluster {cluster.name}")
    kubectl = Kubectl(cluster)
    kubectl("apply", "--server-side", "--force-conflicts", "-k", str(CRDS))
    until_established(kubectl, *(f"crd/{kind.crd_name}" for kind in KINDS))
    api = Api.of(cluster)
    eventually("every kind is in the API server's discovery", lambda: {kind.kind for kind in KINDS} <= _discovered(api))
    # kubectl's cache from before the resources existed: it does not have their category.
    shutil.rmtree(kubectl.cache, ignore_errors=True)


def until_established(kubectl: Kubectl, *named: str) -> None:
    """Waits until the definitions in `named`, arguments of kubectl, are served.

    `kubectl wait` fails for a definition without conditions, so it is repeated.
    """
    wait = ("wait", "--for=condition=Established", f"--timeout={ESTABLISHED_TIMEOUT}s", *named)
    eventually(
        f"{' '.join(named)} established",
        lambda: kubectl(*wait, check=False, timeout=ESTABLISHED_TIMEOUT + 5).returncode == 0,
        ESTABLISHED_TIMEOUT,
    )


def _discovered(api: Api) -> set[str]:
    """Kinds of our group that discovery names, and whose lists are served."""
    version = f"/apis/{API_VERSION}"
    discovered = [resource["kind"] for resource in api.request("GET", version).body.get("resources", ())]
    aggregated = api.request("GET", "/apis", accept="application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList").body
    known = {
        resource["responseKind"]["kind"]
        for group in aggregated.get("items", ())
        if version.startswith(f"/apis/{group['metadata']['name']}/")
        for served in group["versions"]
        for resource in served["resources"]
    }
    return {kind for kind in discovered if kind in known and api.get(kind, "", "default").ok}


@contextlib.contextmanager
def _own_name(base: str) -> Iterator[str]:
    """Yields the first of base, base-2, base-3… that no other session holds: sessions run side by side, and a killed one frees its name."""
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
    """Disables pytest's capture within the block: a start may take minutes if something is built."""
    capture = pytest_config.pluginmanager.getplugin("capturemanager")
    return capture.global_and_fixture_disabled() if capture is not None else contextlib.nullcontext()


@dataclass(frozen=True)
class Kubectl:
    """Runs kubectl on a cluster: `kubectl("get", "pods", namespace="x")`. A failure raises, unless `check=False`."""

    cluster: Cluster

    @property
    def cache(self) -> Path:
        """Returns kubectl's cache for this cluster: another cluster may have had the same port before."""
        return self.cluster.kubeconfig.parent / "kubectl-cache"

    def __call__(
        self,
        *arguments: str,
        input: str | Manifest | Sequence[Manifest] | None = None,  # noqa: A002 - subprocess's own name
        namespace: str | None = None,
        check: bool = True,
        timeout: float = COMMAND_TIMEOUT,
    ) -> subprocess.CompletedProcess[str]:
        """Runs kubectl. `input`: text, or manifests for `-f -`. `timeout` in seconds. Raises AssertionError with kubectl's own message."""
        command = self.command(*arguments, namespace=namespace)
        done = subprocess.run(
            command, input=_text(input), env=os.environ | SHORT_LIVED, capture_output=True, text=True, timeout=timeout, check=False
        )
        if check and done.returncode != 0:
            raise AssertionError(f"kubectl {' '.join(arguments)}: {done.stderr.strip() or done.stdout.strip()}")
        return done

    def command(self, *arguments: str, namespace: str | None = None) -> list[str]:
        """Returns the command that runs kubectl."""
        command = [str(self.cluster.kubectl), "--kubeconfig", str(self.cluster.kubeconfig), "--cache-dir", str(self.cache)]
        if self.cluster.profile == "context":
            command += ["--context", os.environ["CLUSTER"]]
        return [*command, *(["--namespace", namespace] if namespace else []), *arguments]

    def kustomized(self, folder: Path) -> list[Manifest]:
        """Returns the objects that kustomize makes of a folder; it uses no cluster."""
        return kustomized(self.cluster.kubectl, folder)


def kustomized(kubectl: Path, *folders: Path) -> list[Manifest]:
    """Returns the objects that kustomize makes of folders; it uses no cluster. Raises AssertionError with kubectl's own message."""
    objects = []
    for folder in folders:
        command = [str(kubectl), "kustomize", str(folder)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT, check=False)
        assert done.returncode == 0, f"kubectl kustomize {folder}: {done.stderr.strip()}"
        objects += parsed(done.stdout)
    return objects


def parsed(text: str) -> list[Manifest]:
    """Parses a text of YAML documents."""
    return [each for each in yaml.load_all(text, yaml.CSafeLoader) if each]


def _text(content: str | Manifest | Sequence[Manifest] | None) -> str | None:
    if content is None or isinstance(content, str):
        return content
    return "\n".join(map(json.dumps, [content] if isinstance(content, dict) else content))


def install_files(cluster: Cluster, namespace: str, *files: Path) -> None:
    """Applies the objects of manifest files; namespaced ones without a namespace get `namespace`."""
    objects = [each for file in files for each in parsed(file.read_text())]
    placed = [
        each if each["kind"] in CLUSTER_SCOPED else {**each, "metadata": {"namespace": namespace, **each["metadata"]}} for each in objects
    ]
    Kubectl(cluster)("apply", "--server-side", "--force-conflicts", "-f", "-", input=placed)


def login_of(cluster: Cluster, account: str, namespace: str, path: Path) -> Path:
    """Writes to `path`, and returns it, a kubeconfig that logs in as this account."""
    request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": TOKEN_LIVES}}
    answer = Api.of(cluster).request("POST", f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", request)
    assert answer.ok, answer.message
    shown = _shown_login(cluster, incarnation(cluster))
    user = {**shown["users"][0], "user": {"token": answer.body["status"]["token"]}}
    path.write_text(json.dumps({**shown, "users": [user]}))
    path.chmod(0o600)
    return path


@functools.cache
def _shown_login(cluster: Cluster, _incarnation: int) -> Manifest:
    """Returns the cluster's kubeconfig, with one cluster and one user."""
    login: Manifest = yaml.safe_load(Kubectl(cluster)("config", "view", "--minify", "--raw", "--flatten").stdout)
    return login
