"""Builds the pod template of the workload: one container of the runtime, under the strictest pod security."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.desired.exposure import HTTP, METRICS, METRICS_PORT
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.quantities import amount
from dynamiq_operator.model import names
from dynamiq_operator.model.app import Access, AccessType, Variable
from dynamiq_operator.model.journal import JOURNAL_AUDIENCE
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.recorder import RECORDER_AUDIENCE
from dynamiq_operator.model.runtime import Engine, PinnedRuntime, Probe, Probes

CONTAINER = "runtime"
FLOW_HASH = "DYNAMIQ_FLOW_HASH"
ORIGINS = "DYNAMIQ_ORIGINS"
"""The variable with the origins of web pages that may call, separated by a space. A pod of an App without origins lacks it."""
RECORDER = "DYNAMIQ_RECORDER"
"""The variable with the recorder's URL. A pod that records nothing lacks it."""
JOURNAL = "DYNAMIQ_JOURNAL"
"""The variable with the journal's URL. A pod that takes no background runs lacks it."""
PINS = "DYNAMIQ_PINS"
DEFAULT_PORT = 8080
DEFAULT_DRAIN_SECONDS = 30
PRE_STOP_SECONDS = 5
"""Seconds for which a pod still answers after it was told to end. Endpoints and gateways need them to drop the pod."""
EXIT_SECONDS = 8
"""Seconds after the drain: the pod closes its last connections and sends its last runs to the recorder."""
MEMORY_LIMITS = {Engine.TINY: "1Gi", Engine.SDK: "2Gi"}
"""Limits where neither the row nor its Runtime has one. Without them one workflow could take the memory of its whole node."""
STORAGE_LIMIT = "1Gi"
"""Storage for logs only: the root is read-only, and /tmp is memory. Nothing of it is reserved."""
TMP_SIZE = "64Mi"
FLOW_FOLDER = "/etc/dynamiq/flow"
KEYS_FOLDER = "/etc/dynamiq/access-keys"
POD_FOLDER = "/etc/dynamiq/pod"
"""Folder, under strategy Switch, with the pod's own annotations. They show if its Service no longer selects it."""


RECORDER_FOLDER = "/var/run/secrets/dynamiq/recorder"
JOURNAL_FOLDER = "/var/run/secrets/dynamiq/journal"
CALLBACK_FOLDER = "/var/run/secrets/dynamiq/callback"
CALLBACK_ENTRY = "key"
"""The entry of the Secret with the key for callbacks, and the name of its file in pods."""
CALLBACK_KEY = "callback-key"
"""The name of the volume with the key for callbacks."""
TOKEN_SECONDS = 3600
"""Seconds of validity of a pod's tokens for recorder and journal. The kubelet renews them long before."""


def pod_template(
    app: App,
    pins: Pins,
    digest: str,
    label: str = "",
    recorder: str | None = None,
    journal: str | None = None,
    *,
    callbacks: bool = False,
    finishes: bool = False,
) -> dict[str, Any]:
    """Returns the template of these pins, labelled with the digest of its inputs and, under strategy Switch, with the pins.

    `recorder`: the URL to which its pods send their runs. `journal`: the URL from which those of a private App take background runs.
    `callbacks`: True if pods with a journal mount the key for callbacks. None of these is an input: installing, moving or removing a
    recorder or journal restarts no pod, and neither does the key. `finishes`: True for pods that only finish
    background runs, which nothing that selects the App's pods may find.
    """
    journal = journal if app.spec.is_private else None
    callbacks = callbacks and journal is not None
    drain = DEFAULT_DRAIN_SECONDS if pins.runtime.drain_seconds is None else pins.runtime.drain_seconds
    of_pins = {names.PINS_LABEL: label} if label else {}
    own = names.finishing_labels(app.meta.name) if finishes else names.labels(app.meta.name)
    tells_standby = bool(label) and not finishes
    return {
        "metadata": {"labels": own | {names.TEMPLATE_LABEL: digest} | of_pins},
        "spec": {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            # A process that a workflow starts and leaves behind is waited for by the pod's first one. The runtime waits for its own alone, and
            # as the first it would keep each until the pod has no process left.
            "shareProcessNamespace": True,
            "terminationGracePeriodSeconds": PRE_STOP_SECONDS + drain + EXIT_SECONDS,
            "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
            "containers": [_container(app, pins, drain, recorder, journal, callbacks=callbacks, tells_standby=tells_standby)],
            "volumes": [
                {"name": "flow", "configMap": {"name": names.flow(app.meta.name, pins.flow)}},
                *([{"name": "access-keys", "secret": {"secretName": names.access_keys(app.meta.name)}}] if app.spec.is_private else []),
                {"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": TMP_SIZE}},  # a disk would be full before a kubelet looks
                *([_OWN_ANNOTATIONS] if tells_standby else []),
                *([_token("recorder", RECORDER_AUDIENCE)] if recorder is not None else []),
                *([_token("journal", JOURNAL_AUDIENCE)] if journal is not None else []),
                *([_callback_key(app)] if callbacks else []),
            ],
        },
    }


def recorder_of(template: Mapping[str, Any]) -> str | None:
    """Returns the URL to which a pod, or pods of a template, send their runs; None if they send none."""
    return _value(template, RECORDER)


def journal_of(template: Mapping[str, Any]) -> str | None:
    """Returns the URL from which a pod, or pods of a template, take background runs; None if they take none."""
    return _value(template, JOURNAL)


def checks_keys(template: Mapping[str, Any]) -> bool:
    """Returns True if pods of this template require an Access Key."""
    return any(each.get("name") == "access-keys" for each in template["spec"].get("volumes") or ())


def signs_callbacks(template: Mapping[str, Any]) -> bool:
    """Returns True if pods of this template mount the key for callbacks."""
    return any(each.get("name") == CALLBACK_KEY for each in template["spec"].get("volumes") or ())


def access_of(template: Mapping[str, Any]) -> Access:
    """Returns the access that pods of this template enforce."""
    access = AccessType.PRIVATE if checks_keys(template) else AccessType.PUBLIC
    # Not validated: a template that another manager edited may have anything, and must not end the plan that repairs it.
    return Access.model_construct(type=access, origins=tuple((_value(template, ORIGINS) or "").split()))


def _value(template: Mapping[str, Any], variable: str) -> str | None:
    containers: Iterable[Mapping[str, Any]] = template["spec"].get("containers") or ()
    env = next((each.get("env") or () for each in containers if each.get("name") == CONTAINER), ())
    return next((each.get("value") for each in env if each.get("name") == variable), None)


def runs_pins(pod: Mapping[str, Any], pins: Pins) -> bool:
    """Returns True if the container of a pod matches these pins.

    False if admission changed the image or the amounts.
    """
    # Not by the digest of the template: the App's variables may have changed since, and with them the digest.
    containers: Iterable[Mapping[str, Any]] = pod["spec"].get("containers") or ()
    container = next((each for each in containers if each.get("name") == CONTAINER), {})
    flow = next((each.get("value") for each in container.get("env") or () if each.get("name") == FLOW_HASH), None)
    if (flow, container.get("image")) != (pins.flow, pins.runtime.image):
        return False
    resources = container.get("resources") or {}
    return all(
        amount(str((resources.get(part) or {}).get(name))) == amount(quantity)
        for part, amounts in _resources(pins).items()
        for name, quantity in amounts.items()
    )


_OWN_ANNOTATIONS = {
    "name": "pod",
    "downwardAPI": {"items": [{"path": "annotations", "fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.annotations"}}]},
}


def _token(name: str, audience: str) -> dict[str, Any]:
    """Returns the volume of a projected token. The API server does not accept its audience."""
    token = {"audience": audience, "expirationSeconds": TOKEN_SECONDS, "path": "token"}
    return {"name": name, "projected": {"sources": [{"serviceAccountToken": token}]}}


def _callback_key(app: App) -> dict[str, Any]:
    """Returns the volume of the key for callbacks. Pods start without it."""
    return {"name": CALLBACK_KEY, "secret": {"secretName": names.callback_key(app.meta.name), "optional": True}}


def _container(
    app: App, pins: Pins, drain: int, recorder: str | None, journal: str | None, *, callbacks: bool, tells_standby: bool
) -> dict[str, Any]:
    runtime = pins.runtime
    port = runtime.port or DEFAULT_PORT
    # A runtime that answers callers on the port of metrics could not start; its metrics are then read by Prometheus alone.
    metrics = METRICS_PORT + 1 if port == METRICS_PORT else METRICS_PORT
    own: dict[str, str | int | None] = {
        "DYNAMIQ_ENGINE": (runtime.engine or Engine.TINY).value,
        "DYNAMIQ_FLOW": f"{FLOW_FOLDER}/flow",
        FLOW_HASH: pins.flow,
        # For logs, metrics and traces: of versions with the same flow it is the one that the pods were made for.
        "DYNAMIQ_WORKFLOW_VERSION": pins.version,
        "DYNAMIQ_APP": app.meta.name,
        "DYNAMIQ_APP_ID": app.meta.uid,
        "DYNAMIQ_DRAIN_SECONDS": drain,
        "DYNAMIQ_RUN_TIMEOUT": runtime.run_timeout_seconds,
        "DYNAMIQ_MAX_CONCURRENT_RUNS": runtime.max_concurrent_runs,
        "DYNAMIQ_ACCESS_KEYS_DIR": KEYS_FOLDER if app.spec.is_private else None,
        "DYNAMIQ_POD_ANNOTATIONS": f"{POD_FOLDER}/annotations" if tells_standby else None,
        "PORT": port,
        "DYNAMIQ_METRICS_PORT": metrics if metrics != METRICS_PORT else None,
        ORIGINS: " ".join(app.spec.origins) or None,
    }
    settings = [{"name": name, "value": str(value)} for name, value in own.items() if value is not None]
    return {
        "name": CONTAINER,
        "image": runtime.image,
        "imagePullPolicy": "IfNotPresent",
        "ports": [
            {"name": HTTP, "containerPort": port, "protocol": "TCP"},
            {"name": METRICS, "containerPort": metrics, "protocol": "TCP"},
        ],
        # The recorder's variables come after, then the journal's: reordering would change the template and restart pods.
        "env": [
            *settings,
            *(_variable(each) for each in sorted(app.spec.variables, key=lambda each: each.name)),
            *_recording(app, pins, recorder),
            *_background(pins, recorder, journal),
            *([_literal("DYNAMIQ_CALLBACK_KEY", f"{CALLBACK_FOLDER}/{CALLBACK_ENTRY}")] if callbacks else []),
        ],
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
            *([{"name": "pod", "mountPath": POD_FOLDER, "readOnly": True}] if tells_standby else []),
            *([{"name": "recorder", "mountPath": RECORDER_FOLDER, "readOnly": True}] if recorder is not None else []),
            *([{"name": "journal", "mountPath": JOURNAL_FOLDER, "readOnly": True}] if journal is not None else []),
            *([{"name": CALLBACK_KEY, "mountPath": CALLBACK_FOLDER, "readOnly": True}] if callbacks else []),
        ],
        "resources": _resources(pins),
        **_probes(runtime),
    }


def _recording(app: App, pins: Pins, recorder: str | None) -> list[dict[str, Any]]:
    """Returns the variables about the recorder; empty without one."""
    if recorder is None:
        return []
    policy = app.spec.runs
    runs = json.dumps({"content": False, **policy.of_pods()}, sort_keys=True) if policy is not None and not policy.is_default else None
    own = {RECORDER: recorder, f"{RECORDER}_TOKEN": f"{RECORDER_FOLDER}/token", PINS: pins.digest, "DYNAMIQ_RUNS": runs}
    return [_literal(name, value) for name, value in own.items() if value is not None]


def _background(pins: Pins, recorder: str | None, journal: str | None) -> list[dict[str, Any]]:
    """Returns the variables about the journal; empty without one. With a recorder the pins are there already."""
    if journal is None:
        return []
    own = {JOURNAL: journal, f"{JOURNAL}_TOKEN": f"{JOURNAL_FOLDER}/token"} | ({PINS: pins.digest} if recorder is None else {})
    return [_literal(name, value) for name, value in own.items()]


def _resources(pins: Pins) -> dict[str, Any]:
    """Returns the row's resources, with default limits: a faulty workflow must only hurt its own pod."""
    pinned = pins.resources.as_json() if pins.resources is not None else {}
    requests, limits = pinned.get("requests", {}), pinned.get("limits", {})
    default = MEMORY_LIMITS[pins.runtime.engine or Engine.TINY]
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
    stated = {key: value for key, value in probe.as_json().items() if key != "path"}
    return {"httpGet": {"path": probe.path, "port": HTTP}, **defaults, **stated}


def _variable(variable: Variable) -> dict[str, Any]:
    if variable.secret is not None:
        return {"name": variable.name, "valueFrom": {"secretKeyRef": variable.secret.as_json()}}
    if variable.config_map is not None:
        return {"name": variable.name, "valueFrom": {"configMapKeyRef": variable.config_map.as_json()}}
    return _literal(variable.name, variable.value or "")


def _literal(name: str, value: str) -> dict[str, Any]:
    """Returns a variable with this exact value. Dollars are doubled: the kubelet expands `$(OTHER)` and takes two dollars for one."""
    return {"name": name, "value": value.replace("$", "$$")}
