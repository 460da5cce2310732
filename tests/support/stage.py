"""Stages a namespace as users have it: an operator from this checkout, Apps, deploys, and, if pods are real, callers inside the cluster.

It sends the requests of a user, and every wait has a deadline.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dynamiq_operator.model import kinds, names
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.names import OPERATOR_NAMESPACE
from local import images
from local.clusters import Cluster
from tests.support import factories
from tests.support.api import Api, Manifest, fresh_namespace, incarnation, path
from tests.support.cluster import Kubectl
from tests.support.factories import Modifier
from tests.support.faults.operators import allow_leases
from tests.support.flows import answering
from tests.support.inside import node_of
from tests.support.operator import Operator, install_rights, logged_in
from tests.support.talks import Talk, Talks
from tests.support.waiting import IN_TIME, eventually

IN_FLIGHT = re.compile(r"^dynamiq_runtime_runs_in_flight (\S+)$", re.MULTILINE)
WORKFLOW = "answers"
"""The default workflow of Apps; each version answers with its own name."""

FAST = {
    "engine": "tiny",
    "drainSeconds": 1,
    "probes": {"readiness": {"path": "/readyz", "periodSeconds": 1, "timeoutSeconds": 10, "failureThreshold": 6}},
    "resources": {"requests": {"cpu": "10m", "memory": "32Mi"}},
}
"""A pod is ready a second after it can be, and stays ready while others start on the same two cores."""
ONE_POD = {"autoscaling": {"minReplicas": 1, "maxReplicas": 1}}
LIVE_WITHIN = 300.0  # seconds: several Apps may start at once on two cores
END_WITHIN = IN_TIME
LOGS_WITHIN = IN_TIME
ENDED = {
    "Live": {"Failed", "Superseded"},
    "Failed": {"Live", "Superseded"},
    "Superseded": {"Failed"},
    "Progressing": {"Failed"},
    "Pending": {"Failed", "Live"},
}
"""Phases from which a row never changes to another."""

PROGRAM = ("-m", "dynamiq_operator")
CALLER = "caller"

WAIT_FOR_THE_END = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit()); signal.pause()"
TELL_IT_TO_END = "import os, signal; os.kill(1, signal.SIGTERM)"


@dataclass(frozen=True)
class Stage:
    """One namespace of one cluster. Runtimes made here have its name as prefix, and are deleted with it."""

    cluster: Cluster
    api: Api
    kubectl: Kubectl
    namespace: str
    _by_default: dict[str, str] = field(default_factory=dict, repr=False, compare=False)
    _talks: Talks = field(default_factory=Talks, repr=False, compare=False)

    # Objects of users.

    def create(self, manifest: Manifest) -> Manifest:
        """Creates an object that must not exist yet. Raises AssertionError with the API server's sentence."""
        created = self.api.create(manifest)
        assert created.ok, created.message
        return created.body

    def app(self, name: str, *modifiers: Modifier, workflow: str = WORKFLOW) -> None:
        self.create(
            factories.app_manifest(factories.in_namespace(self.namespace), factories.with_spec(workflow=workflow), *modifiers, name=name)
        )

    def change(self, kind: str, name: str, **fields: Any) -> None:
        """Merges `fields` into an object, like a user's edit."""
        changed = self.api.merge(self.named(kind, name), fields)
        assert changed.ok, changed.message

    def delete(self, kind: str, name: str) -> None:
        deleted = self.api.delete(self.named(kind, name))
        assert deleted.ok, deleted.message

    def end_apps(self) -> None:
        """Deletes all Apps: unused pods, with a probe each second, use a good part of the machine."""
        for each in self.api.get(kinds.APP.kind, "", self.namespace).body["items"]:
            self.delete(kinds.APP.kind, each["metadata"]["name"])

    def release(self, *versions: str, workflow: str = WORKFLOW, text: str | None = None) -> None:
        """Releases versions, each of which answers with its name; `text` is another flow."""
        for version in versions:
            chosen = factories.with_spec(flow=text or answering(version))
            self.create(factories.version_manifest(version, factories.in_namespace(self.namespace), chosen, workflow=workflow))

    def runtime(self, name: str, *, image: str = images.RUNTIME.reference, by_default: bool = False, **spec: Any) -> str:
        """Makes a Runtime that only rows that name it use, or, with `by_default`, first rows in this namespace; returns its name."""
        full = f"{self.namespace}-{name}"
        changed = factories.with_spec(version=name[:63], label=None, port=None, image=image, deprecated=True, **(FAST | spec))
        self.create(factories.runtime_manifest(changed, name=full))
        if by_default:
            self._by_default[self.namespace] = full
        return full

    def deploy(self, app: str, version: str | None = None, *, row: str | None = None, **fields: Any) -> str:
        """Creates a row as `kubectl create` does; returns its name.

        If no row of the App was live yet it names the namespace's Runtime: the newest of the cluster may be another test's.
        """
        spec = {"app": app, "workflowVersion": version, **fields}
        if not {"runtime", "restores"} & set(fields) and self.namespace in self._by_default and not self._was_live(app):
            spec["runtime"] = self._by_default[self.namespace]
        raw = factories.row_manifest(row or "", factories.in_namespace(self.namespace), factories.with_spec(**spec))
        if row is None:
            raw["metadata"] = {"generateName": f"{app[:30]}-", "namespace": self.namespace}
        return str(self.create(raw)["metadata"]["name"])

    def _was_live(self, app: str) -> bool:
        return any(row["spec"].get("outcome", {}).get("result") == "Succeeded" for row in self.rows(app))

    # Views of users.

    def find(self, kind: str, name: str) -> Manifest | None:
        """Returns the current object; None if it is missing. The kind `Workload` is the apps/v1 Deployment."""
        answer = self.api.read(self.named(kind, name))
        assert answer.ok or answer.status == 404, answer.message
        return answer.body if answer.ok else None

    def get(self, kind: str, name: str) -> Manifest:
        raw = self.find(kind, name)
        assert raw is not None, f"there is no {kind} {name}"
        return raw

    def row(self, name: str) -> Manifest:
        return self.get(kinds.ROW.kind, name)

    def rows(self, app: str) -> list[Manifest]:
        """Returns the App's rows in the order of their sequence."""
        items: list[Manifest] = self.api.get(kinds.ROW.kind, "", self.namespace, fieldSelector=f"spec.app={app}").body["items"]
        return sorted(items, key=lambda row: row["spec"].get("sequence", 0))

    def workload(self, app: str) -> Manifest:
        return self.get("Workload", app)

    def pods(self, app: str) -> list[Manifest]:
        """Returns pods of the App that are not being deleted."""
        items = self.api.get("Pod", "", self.namespace, labelSelector=f"{names.APP_LABEL}={app}").body["items"]
        return [pod for pod in items if "deletionTimestamp" not in pod["metadata"]]

    def until(self, row: str, phase: str, seconds: float = LIVE_WITHIN) -> Manifest:
        """Returns the row once it is in `phase`. Fails at once if the row has ended otherwise.

        A row is Progressing from its first moment, by the CRD's default: the wait lasts until the operator has pinned it. Two unpinned rows
        of one second are ordered by their names.
        """

        def seen() -> Manifest | None:
            current = self.row(row)
            now = current.get("status", {}).get("phase")
            assert now not in ENDED[phase], f"row {row} is {now}: {said(current)}"
            return current if now == phase and (phase != "Progressing" or "pinned" in current["spec"]) else None

        return eventually(f"row {row} is {phase}", seen, seconds, 0.1 if phase == "Progressing" else None)

    def live(self, app: str, version: str | None = None, seconds: float = LIVE_WITHIN, **fields: Any) -> str:
        """Deploys and waits until the row is Live; returns its name."""
        row = self.deploy(app, version, **fields)
        self.until(row, "Live", seconds)
        return row

    def runs_under_way(self, app: str) -> int:
        """Returns the number of runs under way, as reported by the App's pods."""
        pods = [path(self.named("Pod", pod["metadata"]["name"])) for pod in self.pods(app)]
        return sum(int(float(number)) for each in pods for number in IN_FLIGHT.findall(self.api.text(f"{each}:9090/proxy/metrics")))

    def until_settled(self, app: str) -> list[Manifest]:
        """Returns the App's pods once the workload's rollout is complete and it has no other pods."""

        def settled() -> list[Manifest] | None:
            workload, pods = self.workload(app), self.pods(app)
            status, replicas = workload["status"], workload["spec"]["replicas"]
            counts = [status.get(name) for name in ("replicas", "updatedReplicas", "availableReplicas")]
            is_observed = status.get("observedGeneration") == workload["metadata"]["generation"]
            return pods if is_observed and counts == [replicas] * 3 and len(pods) == replicas else None

        return eventually(f"the workload of App {app} is settled", settled)

    def condition(self, app: str, type_: str) -> Manifest:
        """Returns a condition of the App, empty if it has none of this type."""
        return condition(self.get(kinds.APP.kind, app), type_)

    def until_condition(self, app: str, type_: str, status: str, seconds: float = END_WITHIN, **more: str) -> Manifest:
        """Returns the App's condition once it has this status and these other fields."""
        expected = {"status": status, **more}

        def seen() -> Manifest | None:
            current = self.condition(app, type_)
            return current if expected.items() <= current.items() else None

        return eventually(f"{type_} of App {app} is {expected}: {self.condition(app, type_)}", seen, seconds)

    def events(self, about: str) -> dict[str, str]:
        """Returns messages of the Events of an App or a row, by reason."""
        return {event["reason"]: event["message"] for event in self._events(about)}

    def told(self, about: str, reason: str) -> list[str]:
        """Returns messages of all Events of this reason of an App or a row, in no order."""
        return [event["message"] for event in self._events(about) if event["reason"] == reason]

    def _events(self, about: str) -> list[Manifest]:
        items = self.api.get("Event", "", self.namespace, fieldSelector=f"involvedObject.name={about}").body["items"]
        return [event for event in items if event["source"].get("component") == names.FIELD_MANAGER]

    # Views of callers.

    def pod(
        self,
        name: str,
        *command: str,
        labels: Mapping[str, str] | None = None,
        namespace: str | None = None,
        ports: Sequence[Manifest] = (),
    ) -> None:
        """Runs a pod of the runtime's image with `command`, by default without end; returns when it runs. `ports`: of its container."""
        raw = _caller(name, namespace or self.namespace, list(command) or ["python3", "-c", WAIT_FOR_THE_END])
        raw["metadata"]["labels"] = dict(labels or {})
        raw["spec"]["containers"][0]["ports"] = list(ports)
        self.create(raw)
        eventually(f"pod {name} runs", lambda: self.api.read(raw).body["status"]["phase"] == "Running")

    def reached(self, pod: str, *targets: str, namespace: str | None = None) -> list[str]:
        """Returns those of `host:port` that a pod reaches; an unresolved name is listed as such."""
        return _reached(self._talk(pod, namespace or self.namespace).ask("reach", *targets))

    def reached_from_node(self, *targets: str) -> list[str]:
        """Returns those of `host:port` that the node itself reaches, whatever NetworkPolicies allow."""
        return _reached(self._talks.of("", lambda: [*node_of(self.cluster).enter, sys.executable, "-I"]).ask("reach", *targets))

    def _talk(self, pod: str, namespace: str) -> Talk:
        """Returns the talk with a pod in which Python runs; its first user creates the pod `caller`."""

        def command() -> list[str]:
            if pod == CALLER and self.find("Pod", pod) is None:
                self.pod(pod)
            return self.kubectl.command("exec", "-i", pod, "--", "python3", namespace=namespace)

        return self._talks.of(f"{namespace}/{pod}", command)

    def key(self, app: str, name: str = "default") -> str:
        """Returns an Access Key of the App."""
        secret = eventually(f"App {app} has keys", lambda: self.find("Secret", names.access_keys(app)))
        return base64.b64decode(secret["data"][name]).decode()

    def call(self, app: str, key: str | None = None, *, host: str | None = None) -> tuple[int, str]:
        """Calls the App's Service from a pod; returns the HTTP status, 0 if nothing answered, and the body."""
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        return self.asked(f"http://{host or f'{app}.{self.namespace}.svc'}/", '{"input": {}}', headers)

    def asked(self, url: str, body: str | None, headers: Mapping[str, str]) -> tuple[int, str]:
        """Requests a URL from a pod, by GET or with a body by POST; returns the HTTP status, 0 if nothing answered, and the body."""
        status, text = self._talk(CALLER, self.namespace).ask("http", url, body, headers)
        return status, text

    def until_answer(self, app: str, answer: str, key: str | None = None) -> None:
        """Waits until the App answers so: for a moment after a deploy the node sends callers to an old pod, or to none."""
        expected = (200, json.dumps({"answer": answer}, separators=(",", ":")))
        eventually(f"App {app} answers {answer}", lambda: self.call(app, key) == expected)

    def until_reached(self, app: str) -> None:
        """Waits until a call by the App's Service is answered: its node learns of a new Service a moment later, and refuses calls until
        then.
        """
        key = self.key(app)
        eventually(f"App {app} is reached", lambda: self.call(app, key)[0] == 200)

    @contextlib.contextmanager
    def load(
        self, app: str, *, every: float = 0.1, pod: str = "load", url: str | None = None, options: Sequence[str] = ()
    ) -> Iterator[Manifest]:
        """Calls the App constantly from a pod of its own, and at least once before and after the block.

        The yielded mapping then has the caller's summary. `url` is another address of the App than its Service.
        """
        pod = f"{pod}-{app}"
        url = url or f"http://{app}.{self.namespace}.svc/"
        command = ["python3", "-m", "dynamiq_runtime", "call", url, "--key-file=/keys/default", f"--every={every}", "--timed", *options]
        self.create(_caller(pod, self.namespace, command, keys_of=app))
        eventually(f"pod {pod} runs", lambda: self.get("Pod", pod)["status"]["phase"] == "Running")

        def has_called_since(moment: float) -> bool:
            return any(float(line.split()[0]) > moment for line in self._last_line(pod))

        eventually(f"pod {pod} calls", lambda: has_called_since(0))
        summary: Manifest = {}
        yield summary
        ended = time.time()
        eventually(f"pod {pod} calls once more", lambda: has_called_since(ended))
        # The end of the pod may kill the process of this exec too, which is then told as exit code 137: only the pod's end counts.
        self.kubectl("exec", pod, "--", "python3", "-c", TELL_IT_TO_END, namespace=self.namespace, check=False)
        eventually(f"pod {pod} ends", lambda: self.get("Pod", pod)["status"]["phase"] in ("Succeeded", "Failed"))
        summary |= json.loads(*self._last_line(pod))

    def _last_line(self, pod: str) -> list[str]:
        """Returns the last line of a pod's log, if there is one."""
        return self.kubectl("logs", "--tail=1", pod, namespace=self.namespace, timeout=LOGS_WITHIN).stdout.splitlines()

    def named(self, kind: str, name: str) -> Manifest:
        """Returns the identity of an object of this namespace."""
        version, real = _KINDS.get(kind, ("v1", kind))
        return {"apiVersion": version, "kind": real, "metadata": {"name": name, "namespace": self.namespace}}


_KINDS = {kind.kind: (API_VERSION, kind.kind) for kind in kinds.KINDS} | {
    "Workload": ("apps/v1", "Deployment"),
    "Ingress": ("networking.k8s.io/v1", "Ingress"),
    "HTTPRoute": ("gateway.networking.k8s.io/v1", "HTTPRoute"),
    "HorizontalPodAutoscaler": ("autoscaling/v2", "HorizontalPodAutoscaler"),
    "PodDisruptionBudget": ("policy/v1", "PodDisruptionBudget"),
    "NetworkPolicy": ("networking.k8s.io/v1", "NetworkPolicy"),
    "EndpointSlice": ("discovery.k8s.io/v1", "EndpointSlice"),
    "Lease": ("coordination.k8s.io/v1", "Lease"),
    "CronJob": ("batch/v1", "CronJob"),
    "Job": ("batch/v1", "Job"),
}


def _reached(answers: Mapping[str, bool | str]) -> list[str]:
    return [target if answer is True else f"{target}: {answer}" for target, answer in answers.items() if answer]


def condition(raw: Manifest, type_: str) -> Manifest:
    """Returns a condition of an object, empty if it has none of this type."""
    return next((each for each in raw.get("status", {}).get("conditions") or () if each["type"] == type_), {})


def is_ready(pod: Manifest) -> bool:
    """Returns True if a pod's status is Ready."""
    return condition(pod, "Ready").get("status") == "True"


def said(row: Manifest) -> str:
    """Returns the message about the deploy in the row's condition."""
    return str(condition(row, "Succeeded").get("message", ""))


def took(row: Manifest) -> float:
    """Returns the seconds from the start of the deploy to its end."""
    began, ended = (datetime.fromisoformat(text) for text in (row["spec"]["pinned"]["createdAt"], row["spec"]["outcome"]["at"]))
    return (ended - began).total_seconds()


def uids(pods: list[Manifest]) -> set[str]:
    return {pod["metadata"]["uid"] for pod in pods}


def restarts(pods: list[Manifest]) -> int:
    return sum(status["restartCount"] for pod in pods for status in pod["status"].get("containerStatuses", ()))


@contextlib.contextmanager
def stage(cluster: Cluster, purpose: str) -> Iterator[Stage]:
    """Makes a namespace; deletes it at the end with the Runtimes that were made for it."""
    _load_images(cluster, incarnation(cluster))
    api, kubectl = Api.of(cluster), Kubectl(cluster)
    with fresh_namespace(api, purpose) as namespace:
        created = Stage(cluster, api, kubectl, namespace)
        try:
            yield created
        finally:
            created._talks.end()
            for runtime in api.get(kinds.RUNTIME.kind, "", "").body["items"]:
                if runtime["metadata"]["name"].startswith(f"{namespace}-"):
                    created.delete(kinds.RUNTIME.kind, runtime["metadata"]["name"])


@contextlib.contextmanager
def operator(*stages: Stage, folder: Path, options: Sequence[str] = (), program: Sequence[str] = PROGRAM) -> Iterator[Operator]:
    """Runs the operator of this checkout for these stages, under its own account, while the block runs; its logs are in `folder`."""
    first = stages[0]
    _install_rights(first.cluster, incarnation(first.cluster))
    allow_leases(first.api, first.namespace)
    login = logged_in(first.cluster, folder, OPERATOR_NAMESPACE)
    running = Operator(login, folder, [each.namespace for each in stages], options, home=first.namespace, cluster=first.cluster)
    running.start(program)
    try:
        yield running
    finally:
        running.stop()


@functools.cache
def _install_rights(cluster: Cluster, _incarnation: int) -> None:
    """Installs the rights once for each cluster."""
    install_rights(cluster)


@functools.cache
def _load_images(cluster: Cluster, _incarnation: int) -> None:
    """Loads the images once for each cluster with real pods: an import takes seconds."""
    if cluster.real_pods:
        cluster.load_images(images.ensure([images.RUNTIME]).values())


def _caller(name: str, namespace: str, command: list[str], *, keys_of: str | None = None) -> Manifest:
    """Returns a pod of the runtime's image that calls from inside the cluster, with the keys of App `keys_of` mounted."""
    container: Manifest = {
        "name": "caller",
        "image": images.RUNTIME.reference,
        "command": command,
        "securityContext": {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}},
    }
    spec: Manifest = {
        "restartPolicy": "Never",
        "automountServiceAccountToken": False,
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [container],
    }
    if keys_of is not None:
        spec["volumes"] = [{"name": "keys", "secret": {"secretName": names.access_keys(keys_of)}}]
        container["volumeMounts"] = [{"name": "keys", "mountPath": "/keys", "readOnly": True}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
