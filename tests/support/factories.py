"""Makes test objects: a default of each kind, changed by modifiers: `an_app(with_hostname("chat.example.com"))`, `a_row("a", live(1,
"v1"))`.

`*_manifest` returns a user's manifest, as JSON data; `a_row` and its like return the typed object, as the API server would have stored it.
Digests of rows are always correct: they are computed last.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

from dynamiq_operator.model import digests, kinds
from dynamiq_operator.model.app_status import DEFAULT_APP_STATUS
from dynamiq_operator.model.base import API_VERSION
from dynamiq_operator.model.kinds import Kind
from dynamiq_operator.model.objects import App, Manifest, Row, Runtime, Version, format_time
from dynamiq_operator.model.policy import NAME_OF_NAMESPACE
from dynamiq_operator.model.row import DEFAULT_RECORD_STATUS

NOW = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
NAMESPACE = "demo"
NAME = "chat"
"""Name of the App and of its workflow."""

RUNTIME_NAME = "tiny-1"
IMAGE = f"registry.test/runtime@sha256:{'1' * 64}"
CONFIG: Manifest = {
    "type": "server",
    "autoscaling": {"minReplicas": 1, "maxReplicas": 2, "targetCPUUtilizationPercentage": 80},
    "resources": {"requests": {"cpu": "100m", "memory": "256Mi"}},
}
NO_NODE_HAS: Manifest = {"requests": {"cpu": "9000"}}
"""No node has so much: a deploy with this request waits until its deadline."""
UNSEALED = "sha256:" + "0" * 64

Modifier = Callable[[Manifest], None]


def flow(version: str) -> str:
    """Returns the flow of a version: short, valid for the runtime, and with a different hash for each version."""
    return f"""\
nodes:
- {{id: input, type: dynamiq.nodes.utils.Input}}
- id: answer
  type: dynamiq.nodes.tools.Python
  code: "def run(input_data): return '{version}'"
  depends: [{{node: input}}]
- {{id: output, type: dynamiq.nodes.utils.Output, depends: [{{node: answer}}]}}
"""


def flow_hash(version: str) -> str:
    return digests.flow_hash(flow(version))


# Manifests of users.


def manifest(kind: Kind, name: str, spec: Manifest, *modifiers: Modifier) -> Manifest:
    """Returns an object of ours, changed by `modifiers` in order."""
    raw: Manifest = {"apiVersion": API_VERSION, "kind": kind.kind, "metadata": {"name": name}, "spec": copy.deepcopy(spec)}
    if kind.namespaced:
        raw["metadata"]["namespace"] = NAMESPACE
    for modify in modifiers:
        modify(raw)
    return raw


def app_manifest(*modifiers: Modifier, name: str = NAME) -> Manifest:
    return manifest(kinds.APP, name, {"workflow": NAME}, *modifiers)


def row_manifest(name: str, *modifiers: Modifier) -> Manifest:
    raw = manifest(kinds.ROW, name, {"app": NAME}, *modifiers)
    _seal(raw["spec"])
    return raw


def workflow_manifest(*modifiers: Modifier, name: str = NAME) -> Manifest:
    return manifest(kinds.WORKFLOW, name, {"description": "Answers questions", "flow": flow("draft")}, *modifiers)


def version_manifest(version: str = "v1", *modifiers: Modifier, workflow: str = NAME) -> Manifest:
    spec = {"workflow": workflow, "version": version, "description": f"What {version} does", "flow": flow(version)}
    return manifest(kinds.WORKFLOW_VERSION, f"{workflow}-{version}", spec, *modifiers)


def runtime_manifest(*modifiers: Modifier, name: str = RUNTIME_NAME) -> Manifest:
    spec = {"version": "1.0.0", "label": "Python 3.11", "image": IMAGE, "port": 8080, "engine": "tiny"}
    return manifest(kinds.RUNTIME, name, spec, *modifiers)


NOWHERE = {"key": NAME_OF_NAMESPACE, "operator": "In", "values": ["nowhere"]}


def policy_manifest(*modifiers: Modifier, name: str = "production") -> Manifest:
    """Returns a policy for a namespace that does not exist, so that it blocks no other test's Apps."""
    return manifest(kinds.DEPLOY_POLICY, name, {"namespaceSelector": {"matchExpressions": [NOWHERE]}}, *modifiers)


def approval_manifest(*modifiers: Modifier, name: str = "agreed") -> Manifest:
    return manifest(kinds.APPROVAL, name, {"row": "row", "digest": UNSEALED, "purpose": "Approve"}, *modifiers)


def rejection_manifest(*modifiers: Modifier, name: str = "bad") -> Manifest:
    spec = {"workflowHash": flow_hash("v1"), "workflow": NAME, "version": "v1", "reason": "It loses invoices"}
    return manifest(kinds.REJECTION, name, spec, *modifiers)


def app_change_manifest(*modifiers: Modifier, name: str = f"{NAME}-settings-1") -> Manifest:
    """Returns the first record of the App's settings; its digest is a dummy."""
    spec = {
        "app": NAME,
        "uid": "0d2c1f3e-5a6b-4c7d-8e9f-a0b1c2d3e4f5",
        "sequence": 1,
        "reason": "First",
        "at": format_time(NOW),
        "generation": {"to": 1},
        "by": "ada",
        "byVerified": True,
        "summary": "the App was created",
        "states": [{"field": "variables", "name": "MODEL", "mac": "a" * 32}, {"field": "workflow", "value": NAME}],
        "key": "0" * 16,
        "digest": UNSEALED,
    }
    return manifest(kinds.APP_CHANGE, name, spec, *modifiers)


# Typed objects, as stored.


def an_app(*modifiers: Modifier, name: str = NAME) -> App:
    return App.of(stored(app_manifest(*modifiers, name=name)))


def a_row(name: str, *modifiers: Modifier) -> Row:
    return Row.of(stored(row_manifest(name, *modifiers)))


def a_version(version: str = "v1", *modifiers: Modifier, workflow: str = NAME) -> Version:
    raw = version_manifest(version, *modifiers, workflow=workflow)
    spec = raw["spec"]
    return Version(raw["metadata"]["name"], spec["workflow"], spec["version"], spec.get("description"), digests.flow_hash(spec["flow"]))


def a_runtime(*modifiers: Modifier, name: str = RUNTIME_NAME) -> Runtime:
    return Runtime.of(stored(runtime_manifest(*modifiers, name=name)))


def a_history(*manifests: Manifest) -> tuple[Row, ...]:
    """Returns rows oldest first; each pinned one contains the digest of the previous pinned one."""
    previous: str | None = None
    rows = []
    for raw in copy.deepcopy(manifests):
        if pins := raw["spec"].get("pinned"):
            if previous is not None:
                pins["previousDigest"] = previous
            _seal(raw["spec"])
            previous = pins["digest"]
        rows.append(Row.of(stored(raw)))
    return tuple(rows)


def stored(raw: Manifest) -> Manifest:
    """Returns a manifest with the API server's additions, if they are missing: identity, and the status default."""
    kind, meta = raw["kind"], raw["metadata"]
    identity = uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{meta.get('namespace')}/{meta['name']}")
    writes = sum(any(part in raw["spec"] for part in parts) for parts in (("sequence", "pinned"), ("outcome",)))
    added = {"uid": str(identity), "generation": 1 + writes, "resourceVersion": "1", "creationTimestamp": format_time(NOW)}
    defaults: dict[str, Manifest] = {kinds.APP.kind: {**DEFAULT_APP_STATUS}, kinds.ROW.kind: {**DEFAULT_RECORD_STATUS}}
    status = raw.get("status") or defaults.get(kind)
    return {**raw, "metadata": {**added, **meta}, **({"status": dict(status)} if status else {})}


def _seal(spec: Manifest) -> None:
    if "pinned" in spec:
        spec["pinned"]["digest"] = digests.row_digest(spec)
    if outcome := spec.get("outcome"):
        digest = spec["pinned"]["digest"] if "pinned" in spec else digests.row_digest(spec)
        outcome["digest"] = digests.outcome_digest(digest, outcome, spec)


# Modifiers of any kind.


def with_spec(**fields: Any) -> Modifier:
    """Sets fields of the spec, by their JSON names; None removes one."""

    def modify(raw: Manifest) -> None:
        raw["spec"] = {key: value for key, value in {**raw["spec"], **copy.deepcopy(fields)}.items() if value is not None}

    return modify


VARIABLES_HELD: Manifest = {
    "type": "VariablesHeld",
    "status": "True",
    "reason": "AwaitsRow",
    "message": "access",
    "lastTransitionTime": "2026-11-24T12:00:00Z",
}
"""The condition of an App whose change of `access` waits for a row."""


def with_status(**fields: Any) -> Modifier:
    """Sets fields of the status, by their JSON names."""
    return lambda raw: raw.setdefault("status", {}).update(copy.deepcopy(fields))


def with_meta(**fields: Any) -> Modifier:
    """Sets fields of the metadata, by their JSON names."""
    return lambda raw: raw["metadata"].update(copy.deepcopy(fields))


def in_namespace(namespace: str) -> Modifier:
    return with_meta(namespace=namespace)


def annotated(**annotations: str) -> Modifier:
    return lambda raw: raw["metadata"].setdefault("annotations", {}).update(annotations)


def created(seconds: float) -> Modifier:
    """Created this many seconds after NOW; before it, if negative."""
    return with_meta(creationTimestamp=format_time(NOW + timedelta(seconds=seconds)))


def being_deleted() -> Modifier:
    return with_meta(deletionTimestamp=format_time(NOW))


# Modifiers of an App.


def with_hostname(hostname: str) -> Modifier:
    return with_spec(hostname=hostname)


def exposed(type: str, **fields: Any) -> Modifier:  # noqa: A002 - the field's own name
    return with_spec(exposure={"type": type, **fields})


def public() -> Modifier:
    return with_spec(access={"type": "public"})


def with_variables(*variables: Manifest) -> Modifier:
    return with_spec(variables=list(variables))


def with_triggers(*triggers: Manifest) -> Modifier:
    return with_spec(triggers=list(triggers))


def with_deadline(seconds: int) -> Modifier:
    return with_spec(rollout={"progressDeadlineSeconds": seconds})


def with_deploy(**fields: Any) -> Modifier:
    """Sets `spec.deploy`, which Git declares."""
    return with_spec(deploy=fields)


# Modifiers of a Runtime.


def deprecated() -> Modifier:
    return with_spec(deprecated=True)


def with_image(image: str) -> Modifier:
    return with_spec(image=image)


# Modifiers of a row: its request, and its phase.


def of_app(app: str) -> Modifier:
    return with_spec(app=app)


def asking(**fields: Any) -> Modifier:
    """Sets the request of a row: workflowVersion, restores, runtime, config, message, promotedFrom."""
    return with_spec(**fields)


def numbered(sequence: int) -> Modifier:
    return with_spec(sequence=sequence)


def pinned(sequence: int, version: str = "v1", *, runtime: Runtime | None = None, **pins: Any) -> Modifier:
    """Pins the row, as its deploy begins: it runs `version` on `runtime`. `pins` replace others, by their JSON names."""

    def modify(raw: Manifest) -> None:
        on = runtime or a_runtime()
        raw["spec"] |= {
            "sequence": sequence,
            "pinned": {
                "createdAt": format_time(NOW),
                "workflow": NAME,
                "workflowVersion": version,
                "workflowHash": flow_hash(version),
                "description": f"What {version} does",
                "runtime": on.spec.pins(on.meta.name).as_json(),
                "config": copy.deepcopy(CONFIG),
                "source": "Record",
                "digest": UNSEALED,
                **copy.deepcopy(pins),
            },
        }

    return modify


def ended(result: str, reason: str = "", *, seconds: float = 0) -> Modifier:
    """Ends the row, `seconds` after NOW."""
    outcome = {"result": result, "reason": reason, "at": format_time(NOW + timedelta(seconds=seconds)), "digest": UNSEALED}
    return with_spec(outcome=outcome)


def in_phase(phase: str) -> Modifier:
    """Sets the phase of the row, as written by the operator for its current generation."""

    def modify(raw: Manifest) -> None:
        raw["status"] = {**raw.get("status", {}), "phase": phase, "observedGeneration": stored(raw)["metadata"]["generation"]}

    return modify


def waiting(sequence: int) -> Modifier:
    """Numbers the row, which waits for something missing."""
    return _all(numbered(sequence), in_phase("Pending"))


def progressing(sequence: int, version: str = "v1", **pins: Any) -> Modifier:
    return _all(pinned(sequence, version, **pins), in_phase("Progressing"))


def live(sequence: int, version: str = "v1", **pins: Any) -> Modifier:
    return _all(pinned(sequence, version, **pins), ended("Succeeded"), in_phase("Live"))


def superseded(sequence: int, version: str = "v1", **pins: Any) -> Modifier:
    """Makes a row that was live once, and was replaced by a newer one."""
    return _all(pinned(sequence, version, **pins), ended("Succeeded"), in_phase("Superseded"))


def failed(sequence: int, version: str = "v1", reason: str = "no pod became Ready", **pins: Any) -> Modifier:
    return _all(pinned(sequence, version, **pins), ended("Failed", reason), in_phase("Failed"))


def never_deployed(sequence: int, reason: str = "App chat does not exist") -> Modifier:
    """Makes a row that failed before it was pinned."""
    return _all(numbered(sequence), ended("Failed", reason), in_phase("Failed"))


def overtaken(sequence: int, version: str = "v1", **pins: Any) -> Modifier:
    return _all(pinned(sequence, version, **pins), ended("Overtaken", "a newer row was deployed after it"), in_phase("Superseded"))


def _all(*modifiers: Modifier) -> Modifier:
    def modify(raw: Manifest) -> None:
        for modifier in modifiers:
            modifier(raw)

    return modify
