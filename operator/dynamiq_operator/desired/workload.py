"""The workload: the apps/v1 Deployment that runs an App.

Its pod template depends on nothing but what changes behaviour: flow, runtime, compute, variables and access. While those
stay the same the template that was applied stays, whatever this version of the operator would write: an upgrade of the
operator restarts no pod.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dynamiq_operator.desired.base import WORKLOAD, child
from dynamiq_operator.desired.exposure import HTTP
from dynamiq_operator.desired.quantities import amount
from dynamiq_operator.model import names
from dynamiq_operator.model.app import Variable
from dynamiq_operator.model.base import Part
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.model.runtime import Engine, PinnedRuntime, Probe, Probes

CONTAINER = "runtime"
DEFAULT_PORT = 8080
DEFAULT_DRAIN_SECONDS = 30
PRE_STOP_SECONDS = 5
"""A pod goes on answering for so long after it was told to end: endpoints and gateways need it to forget the pod."""
EXIT_SECONDS = 5
KEPT_REVISIONS = 3
MEMORY_LIMITS = {Engine.TINY: "1Gi", Engine.SDK: "2Gi"}
"""What a pod may use where neither the row nor its Runtime says: with no limit, one workflow could take the memory of its whole node."""
STORAGE_LIMIT = "1Gi"
"""For logs alone: the root is read-only, and what is written to /tmp is memory. Nothing of it is reserved."""
TMP_SIZE = "64Mi"
FLOW_FOLDER = "/etc/dynamiq/flow"
KEYS_FOLDER = "/etc/dynamiq/access-keys"


def inputs(app: App, pinned: Pinned) -> str:
    """Digest of all that the pod template depends on, as 16 hex characters: it is also a label of the pods."""
    own = {"variables": [variable.as_json() for variable in app.spec.variables], "private": app.spec.is_private}
    return _digest(_pins(pinned) | own)


def _pins(pinned: Pinned) -> dict[str, Any]:
    """The part of the inputs that comes from the row."""
    return {
        "flow": pinned.workflow_hash,
        "runtime": pinned.runtime.as_json(),
        "resources": _json(pinned.config.resources),
    }


def _digest(content: Mapping[str, Any]) -> str:
    return canonical(content).removeprefix("sha256:")[:16]


def workload(
    app: App, record: str, pinned: Pinned, observed: Mapping[str, Any] | None, *, replicas: int | None = None, keys: str | None = None
) -> Manifest:
    """The workload of `app` that runs the pins of `record`.

    `observed` is the workload as it is, whose template is kept where its inputs are the same. `replicas` is for its
    creation alone: from then on the autoscaler owns it. `keys`: what is noted of the Access Keys, which is no part of the template.
    """
    wanted = inputs(app, pinned)
    template = _applied(observed, wanted) or _template(app, pinned, wanted)
    return _workload(app, record, {"inputs": wanted, "pins": _digest(_pins(pinned)), "template": template}, replicas, keys)


def held(app: App, record: str, observed: Manifest, *, keys: str | None = None) -> Manifest:
    """The workload with the template that was applied, though the App wants other variables or another access by now."""
    noted = _note(observed)
    template = _applied(observed, str(noted.get("inputs")))
    if template is None:
        return observed
    return _workload(app, record, {**noted, "template": template}, None, keys)


def has_pins(observed: Manifest, pinned: Pinned) -> bool:
    """Whether the template that was applied is of a row with these pins."""
    return bool(_note(observed).get("pins") == _digest(_pins(pinned)))


def _workload(app: App, record: str, note: Mapping[str, Any], replicas: int | None, keys: str | None) -> Manifest:
    spec: dict[str, Any] = {
        "revisionHistoryLimit": KEPT_REVISIONS,
        "progressDeadlineSeconds": app.spec.rollout.progress_deadline_seconds,
        "selector": {"matchLabels": names.pod_selector(app.meta.name)},
        "strategy": {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": "25%"}},
        "template": note["template"],
    }
    if replicas is not None:
        spec["replicas"] = replicas
    return child(
        app,
        WORKLOAD,
        names.workload(app.meta.name, record),
        annotations={names.TEMPLATE_ANNOTATION: json.dumps(note, sort_keys=True)} | ({names.KEYS_ANNOTATION: keys} if keys else {}),
        spec=spec,
    )


def runs(observed: Mapping[str, Any], wanted: str) -> bool:
    """Whether the workload's template is the one of these inputs."""
    labels = observed["spec"]["template"]["metadata"].get("labels") or {}
    return bool(labels.get(names.TEMPLATE_LABEL) == wanted)


def _applied(observed: Mapping[str, Any] | None, wanted: str) -> dict[str, Any] | None:
    note = _note(observed or {})
    try:
        labelled = note["template"]["metadata"]["labels"][names.TEMPLATE_LABEL] if note else None
    except (KeyError, TypeError):
        return None  # somebody edited the note: the template is written anew
    return note["template"] if note and note.get("inputs") == wanted == labelled else None


def _note(observed: Mapping[str, Any]) -> dict[str, Any]:
    """What was noted of the template when it was applied; empty where nothing was, or where somebody edited it."""
    noted = (observed.get("metadata", {}).get("annotations") or {}).get(names.TEMPLATE_ANNOTATION)
    try:
        note = json.loads(noted) if noted else {}
    except ValueError:
        return {}
    return note if isinstance(note, dict) else {}


def _template(app: App, pinned: Pinned, wanted: str) -> dict[str, Any]:
    drain = DEFAULT_DRAIN_SECONDS if pinned.runtime.drain_seconds is None else pinned.runtime.drain_seconds
    return {
        "metadata": {"labels": names.labels(app.meta.name) | {names.TEMPLATE_LABEL: wanted}},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "terminationGracePeriodSeconds": PRE_STOP_SECONDS + drain + EXIT_SECONDS,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [_container(app, pinned, drain)],
            "volumes": [
                {"name": "flow", "configMap": {"name": names.flow(app.meta.name, pinned.workflow_hash)}},
                *([{"name": "access-keys", "secret": {"secretName": names.access_keys(app.meta.name)}}] if app.spec.is_private else []),
                {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": TMP_SIZE}},  # a disk would be full before a kubelet looks
            ],
        },
    }


def _container(app: App, pinned: Pinned, drain: int) -> dict[str, Any]:
    runtime = pinned.runtime
    port = runtime.port or DEFAULT_PORT
    own: dict[str, str | int | None] = {
        "DYNAMIQ_ENGINE": (runtime.engine or Engine.TINY).value,
        "DYNAMIQ_FLOW": f"{FLOW_FOLDER}/flow",
        "DYNAMIQ_FLOW_HASH": pinned.workflow_hash,
        # For logs, metrics and traces: of versions with the same flow it is the one that the pods were made for.
        "DYNAMIQ_WORKFLOW_VERSION": pinned.workflow_version,
        "DYNAMIQ_APP": app.meta.name,
        "DYNAMIQ_APP_ID": app.meta.uid,
        "DYNAMIQ_DRAIN_SECONDS": drain,
        "DYNAMIQ_RUN_TIMEOUT": runtime.run_timeout_seconds,
        "DYNAMIQ_MAX_CONCURRENT_RUNS": runtime.max_concurrent_runs,
        "DYNAMIQ_ACCESS_KEYS_DIR": KEYS_FOLDER if app.spec.is_private else None,
        "PORT": port,
    }
    settings = [{"name": name, "value": str(value)} for name, value in own.items() if value is not None]
    return {
        "name": CONTAINER,
        "image": runtime.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [{"name": HTTP, "containerPort": port, "protocol": "TCP"}],
        "env": settings + [_variable(each) for each in app.spec.variables],
        "terminationMessagePolicy": "FallbackToLogsOnError",
        "lifecycle": {"preStop": {"sleep": {"seconds": PRE_STOP_SECONDS}}},
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": [
            {"name": "flow", "mountPath": FLOW_FOLDER, "readOnly": True},
            *([{"name": "access-keys", "mountPath": KEYS_FOLDER, "readOnly": True}] if app.spec.is_private else []),
            {"name": "tmp", "mountPath": "/tmp"},  # noqa: S108 - a volume of the pod's own
        ],
        "resources": _resources(pinned),
        **_probes(runtime),
    }


def _resources(pinned: Pinned) -> dict[str, Any]:
    """What the row pins, and limits where it has none: a workflow that goes wrong is to hurt its own pod alone."""
    given = _json(pinned.config.resources) or {}
    requests, limits = given.get("requests", {}), given.get("limits", {})
    default = MEMORY_LIMITS[pinned.runtime.engine or Engine.TINY]
    memory = max(requests.get("memory", "0"), default, key=lambda quantity: amount(quantity) or 0)
    return {
        "requests": {**requests, "ephemeral-storage": "0"},
        "limits": {"memory": memory, **limits, "ephemeral-storage": STORAGE_LIMIT},
    }


def _probes(runtime: PinnedRuntime) -> dict[str, Any]:
    probes = runtime.probes or Probes()
    made = {
        "readinessProbe": _probe(
            probes.readiness or Probe(path="/readyz"), {"periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 2}
        ),
        "livenessProbe": _probe(
            probes.liveness or Probe(path="/healthz"), {"periodSeconds": 10, "timeoutSeconds": 5, "failureThreshold": 3}
        ),
    }
    if probes.startup is not None:
        made["startupProbe"] = _probe(probes.startup, {"periodSeconds": 2, "timeoutSeconds": 2, "failureThreshold": 60})
    return made


def _probe(probe: Probe, defaults: Mapping[str, int]) -> dict[str, Any]:
    given = {key: value for key, value in probe.as_json().items() if key != "path"}
    return {"httpGet": {"path": probe.path, "port": HTTP}, **defaults, **given}


def _variable(variable: Variable) -> dict[str, Any]:
    if variable.secret is not None:
        return {"name": variable.name, "valueFrom": {"secretKeyRef": variable.secret.as_json()}}
    if variable.config_map is not None:
        return {"name": variable.name, "valueFrom": {"configMapKeyRef": variable.config_map.as_json()}}
    # The kubelet expands `$(OTHER)`, and takes two dollars for one: each doubled, the value stays what the user wrote.
    return {"name": variable.name, "value": (variable.value or "").replace("$", "$$")}


def _json(part: Part | None) -> dict[str, Any] | None:
    return part.as_json() if part is not None else None
