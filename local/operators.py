"""Installs operator, gate, recorder and journal in a cluster as its user would, by `kubectl apply -k`, with their images loaded before.

An overlay of `manifests/` names recorder, journal, and our gateway if there is one: Apps without a hostname then get one. If pods are
simulated, the operator is a process of this machine that ends with the cluster. There is no recorder then, since there are no runs.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import yaml

from local import images, journal, processes, recorder, state, volumes
from local.clusters import Cluster
from local.errors import LocalError
from local.gateway import Gateway
from local.progress import say, wait_for
from local.transcript import Transcript, heading

NAMESPACE = "dynamiq-system"
WORKLOAD = "deployment/dynamiq-operator"
SELECTOR = "app.kubernetes.io/name=dynamiq-operator"
MANIFESTS = "manifests/"
GATE_MANIFESTS = "manifests/gate/"
GATE_NAMESPACE = "dynamiq-gate"
GATE = "deployment/dynamiq-gate"
GATE_SELECTOR = "app.kubernetes.io/name=dynamiq-gate"
WAIT = 120  # seconds


Archives = Callable[[], Mapping[str, Path]]
"""Finds or makes the archives of the images, by the names that the manifests use."""


def install(cluster: Cluster, kubectl: Transcript, in_front: Gateway | None = None, archives: Archives = images.ensure) -> None:
    """Installs the operator of the folder in which `kubectl` runs, or updates the installed one to it. `in_front`: the gateway.

    Raises LocalError.
    """
    heading("Install the operator")
    if cluster.real_pods:
        _as_pods(cluster, kubectl, in_front, archives())
    else:
        _as_process(cluster, kubectl)


def _as_pods(cluster: Cluster, kubectl: Transcript, in_front: Gateway | None, archives: Mapping[str, Path]) -> None:
    digests = {reference: images.digest_of(archive) for reference, archive in archives.items()}
    _load(cluster, kubectl, archives, digests)
    parts = {
        (WORKLOAD, NAMESPACE, SELECTOR): images.OPERATOR,
        (GATE, GATE_NAMESPACE, GATE_SELECTOR): images.OPERATOR,
        (recorder.WORKLOAD, recorder.NAMESPACE, recorder.SELECTOR): images.RECORDER,
        (journal.WORKLOAD, journal.NAMESPACE, journal.SELECTOR): images.RECORDER,
    }
    before = {part: _images(kubectl, *part[1:]) for part in parts}
    settings = {**(in_front.settings if in_front is not None else {}), "recorder": recorder.URL, "journal": journal.URL}
    programs = {"operator": settings, "api": settings}
    kubectl.run("apply", "-k", _overlay(cluster, kubectl, MANIFESTS, programs))
    kubectl.run("apply", "-k", _overlay(cluster, kubectl, GATE_MANIFESTS, {"gate": {"recorder": recorder.URL, "journal": journal.URL}}))
    for program in ("recorder", "journal"):
        volumes.provide(cluster, kubectl, program)
    trusted = {"recorder": {"recorder-journal-account": journal.ACCOUNT}}
    kubectl.run("apply", "-k", _overlay(cluster, kubectl, recorder.MANIFESTS, trusted, kind="StatefulSet"))
    kubectl.run("apply", "-k", journal.MANIFESTS)
    for part, image_of in parts.items():
        if any(not image.endswith(digests[image_of.reference]) for image in before[part]):
            say("# pods of another build run: they are replaced")
            kubectl.run("rollout", "restart", part[0], "-n", part[1])
    for workload, namespace, _ in parts:
        kubectl.run("rollout", "status", workload, "-n", namespace, f"--timeout={WAIT}s")
    wait_for("the API server to apply the new kinds and policies", lambda: _is_applied(kubectl), every=0.5)


def _overlay(
    cluster: Cluster, kubectl: Transcript, manifests: str, programs: Mapping[str, Mapping[str, str]], kind: str = "Deployment"
) -> str:
    """Returns the folder of an overlay of `manifests` with settings for each program, whose workloads are of this kind."""
    folder = cluster.kubeconfig.parent / "installation" / Path(manifests).name
    folder.mkdir(parents=True, exist_ok=True)
    overlay = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": [os.path.relpath(Path(kubectl.root).resolve() / manifests, folder.resolve())],
        "patches": [_settings_patch(program, kind, settings) for program, settings in programs.items()],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(overlay, sort_keys=False))
    variables = {name: value for settings in programs.values() for name, value in _variables(settings).items()}
    say(f"# {manifests} with {', '.join(f'{name}={value}' for name, value in variables.items())}")
    return str(folder)


def _variables(settings: Mapping[str, str]) -> dict[str, str]:
    return {f"DYNAMIQ_{name.replace('-', '_').upper()}": value for name, value in settings.items()}


def _settings_patch(program: str, kind: str, settings: Mapping[str, str]) -> dict[str, object]:
    """Returns a patch that finds a program's workload and container by name: their order does not matter.

    It names its target without a namespace, and so also applies to a release's file, which has one.
    """
    container = {"name": program, "env": [{"name": name, "value": value} for name, value in _variables(settings).items()]}
    spec = {"template": {"spec": {"containers": [container]}}}
    target = {"kind": kind, "name": f"dynamiq-{program}"}
    named = {"apiVersion": "apps/v1", "kind": target["kind"], "metadata": {"name": target["name"]}}
    return {"target": target, "patch": yaml.safe_dump({**named, "spec": spec})}


def _images(kubectl: Transcript, namespace: str, selector: str) -> list[str]:
    return kubectl.ask("get", "pods", "-n", namespace, "-l", selector, "-o", "jsonpath={..imageID}").split()


def _is_applied(kubectl: Transcript) -> bool:
    """Returns True if a dry run accepts an App and stamps a row's author: both take a few seconds after a first installation."""
    if not kubectl.ask("create", "--dry-run=server", "-f", "-", "-o", "name", text=_PROBE.format(kind="App", spec="{workflow: probe}")):
        return False
    row = _PROBE.format(kind="Deployment", spec="{app: probe}")
    return bool(kubectl.ask("create", "--dry-run=server", "-f", "-", "-o", "jsonpath={.spec.createdBy}", text=row))


_PROBE = """
apiVersion: dynamiq.getdynamiq.ai/v1alpha1
kind: {kind}
metadata: {{name: probe, namespace: default}}
spec: {spec}
"""


def _load(cluster: Cluster, kubectl: Transcript, archives: Mapping[str, Path], digests: Mapping[str, str]) -> None:
    """Loads the images that the nodes do not have yet."""
    if all(_has(kubectl, reference, digest) for reference, digest in digests.items()):
        say(f"the images are there: {', '.join(archives)}")
        return
    size = sum(path.stat().st_size for path in archives.values()) / 1e6
    say(f"loading images, {size:.0f} MB, which takes some seconds: {', '.join(archives)}")
    started = time.monotonic()
    cluster.load_images(archives.values())
    say(f"images loaded in {time.monotonic() - started:.0f} s")


def _has(kubectl: Transcript, reference: str, digest: str) -> bool:
    nodes = json.loads(kubectl.ask("get", "nodes", "-o", "json") or '{"items": []}')["items"]
    name = f"{reference.rpartition(':')[0]}@{digest}"
    return bool(nodes) and all(
        any({name, reference} <= set(image.get("names") or ()) for image in node["status"].get("images") or ()) for node in nodes
    )


def _as_process(cluster: Cluster, kubectl: Transcript) -> None:
    say("# pods are simulated: the operator runs as a process of this machine, and only what it reads is installed")
    kubectl.run("apply", "-k", "crds/")
    kubectl.run("apply", "-f", "manifests/base/namespace.yaml")
    kubectl.run("wait", "--for=condition=Established", "crd", "--all", f"--timeout={WAIT}s")
    for pid in _processes(cluster):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    wait_for("the operator before this one to end", lambda: not _processes(cluster), seconds=40)
    say(f"$ python -m dynamiq_operator run --kubeconfig {cluster.kubeconfig} &")
    daemons = cluster.add_daemon("operator", [sys.executable, "-m", "dynamiq_operator", "run", "--kubeconfig", cluster.kubeconfig])
    lease = ("get", "lease", "dynamiq-operator", "-n", NAMESPACE, "-o", "jsonpath={.spec.holderIdentity}")
    wait_for("the operator to work", lambda: kubectl.ask(*lease), still=daemons.require_alive)


def _processes(cluster: Cluster) -> list[int]:
    """Lists the operators that an earlier run started on this cluster."""
    record = state.load(cluster.name)
    if record is None:
        raise LocalError(f"there is no cluster {cluster.name}")
    return [pid for pid in processes.find(record.token) if "dynamiq_operator" in _arguments(pid)]


def _arguments(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    except OSError:
        return []
