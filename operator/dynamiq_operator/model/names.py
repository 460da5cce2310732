"""Defines every name, label, annotation and selector of the operator's objects, and the names of rows and WorkflowVersions.

No other code builds one of these. The exception is a row that a surface creates unseen and without a key: the API server completes its name
(`actions.deploy.row_manifest` has the prefix). `actions.create_app` and `model.triggers` turn users' names of Apps and triggers into names of
objects.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.model.manifests import GROUP

FIELD_MANAGER = "dynamiq-operator"
# A manager of its own: one that applies the field once and then leaves it out resets it to 1.
REPLICAS_MANAGER = "dynamiq-operator-replicas"
"""The field manager that owns `replicas` after a workload's creation."""

OPERATOR_NAMESPACE = "dynamiq-system"
"""Namespace of the operator, unless an overlay of `manifests/` changes it. Its pods know it by POD_NAMESPACE."""
NAME_LABEL = "app.kubernetes.io/name"
OPERATOR_PODS = {NAME_LABEL: "dynamiq-operator"}
"""Labels of the operator's pods."""

MANAGED_BY = "app.kubernetes.io/managed-by"
APP_LABEL = f"{GROUP}/app"
TRIGGER_LABEL = f"{GROUP}/trigger"
"""On a Job, beside the App's label: the trigger that it runs."""
TRIGGER_OF_LABEL = f"{GROUP}/trigger-of"
"""On the pods that run an App's triggers: the App. They lack `APP_LABEL`, by which the Service, the workload and the budget select."""
FINISHING_OF_LABEL = f"{GROUP}/finishing-of"
"""On pods that only finish background runs of an earlier version: the App. They lack `APP_LABEL`, by which the Service, the autoscaler and
the budget select.
"""
VERIFICATION_LABEL = f"{GROUP}/verification"
"""On the Job that evaluates a row's pods, beside the App's label: the row, by its uid."""
VERIFICATION_OF_LABEL = f"{GROUP}/verification-of"
"""On that Job's pod: the App. It lacks `APP_LABEL`, by which the Service, the workload and the budget select."""
KEYS_ANNOTATION = f"{GROUP}/access-keys"
"""On a workload: the version of the Secret of Access Keys, and since when. On a pod: the version announced to its kubelet."""
KEYS_OF_ANNOTATION = f"{GROUP}/access-keys-of"
"""On the Secret of key digests for the gate: namespace, name and uid of the App."""
KEYS_CHANGED_ANNOTATION = f"{GROUP}/access-keys-changed"
"""On an App: set to a new value by whoever changes its Access Keys, or a Secret or ConfigMap of its variables.

The operator may not watch Secrets; this makes it read them at once.
"""
TEMPLATE_LABEL = f"{GROUP}/template"
"""On a pod: the digest of all inputs of its template."""
APPLIED_TEMPLATE_ANNOTATION = f"{GROUP}/template"
"""On a workload: JSON, the applied pod template with digests of its inputs."""
APPLIED_ANNOTATION = f"{GROUP}/applied"
"""On a child: the digest of the applied manifest."""
FLOW_HASH_ANNOTATION = f"{GROUP}/flow-hash"
FLOW_KEY = "flow"
"""The key of the flow in its ConfigMap."""
CLAIM_LABEL = f"{GROUP}/claim"
CLAIMED_ANNOTATION = f"{GROUP}/claimed-since"
"""On a claim that was lost and recreated: since when its holder has had the hostname. Without it: since the claim was created."""
CONTESTED_ANNOTATION = f"{GROUP}/contested-by"
"""On a claim that was lost and recreated: the other Apps whose routes had the hostname then, as `namespace/name`, comma-separated."""
RELEASED_ANNOTATION = f"{GROUP}/released-at"
RESTORING_ANNOTATION = f"{GROUP}/restoring"
RESTORERS_ANNOTATION = f"{GROUP}/restorers"
"""On the operator's ClusterRoleBinding: users who restore backups, beside the group RESTORERS; comma-separated."""
RESTORERS = "dynamiq:restorers"
GIVEN_UP_ANNOTATION = f"{GROUP}/given-up"
"""On objects that a row decides, such as a workload: the sequence of the last row that was rolled out and ended without going live."""
UNATTENDED_ANNOTATION = f"{GROUP}/unattended-until"
"""On the operator's Lease: when a replica led again after a time without a leader."""
SERVES_ANNOTATION = f"{GROUP}/serves"
"""On the operator's Lease: the namespaces that its holder serves, `*` for all."""
TOLD_ANNOTATION = f"{GROUP}/told-until"
"""On the operator's Lease: until when sinks have been notified of rows, and how many notifications wait."""
PINS_LABEL = f"{GROUP}/pins"
"""On the workload of strategy Switch, its pods, and their selectors: the digest of flow, runtime and resources."""
UNVERIFIED = "unverified"
"""Replaces the pins in a Service's selector while no pod may be reached: the existing ones have yet to be verified."""
STANDBY_ANNOTATION = f"{GROUP}/standby"
"""On a pod: "true" if the Service no longer selects it. It then closes each connection after its response."""
VERIFICATION_ANNOTATION = f"{GROUP}/verification"
"""On a pod that is verified before callers reach it: the SHA-256 of the verification key."""
POD_ANNOTATIONS = (KEYS_ANNOTATION, STANDBY_ANNOTATION, VERIFICATION_ANNOTATION)
"""Annotations that the operator sets on running pods."""
SERVED_ANNOTATION = f"{GROUP}/served"
"""On a workload of strategy Switch: when the Service last switched to it, as a counter of the App's switches and a time.

An example: "3 2026-11-26T04:00:00Z".
"""
TEMPLATE_ROW_ANNOTATION = f"{GROUP}/template-row"
"""On a workload, while variables take effect with a row only: the sequence of the row of its template."""
ROOM_ANNOTATION = f"{GROUP}/room"
"""On a workload of strategy Switch that lacks quota while other pods end to make room: the row's sequence, and the pods left to end.

Each change of it makes the cluster's controllers try again.
"""
ENDPOINTS_LABEL = f"{GROUP}/endpoints"
"""On a Service, from which Kubernetes copies it to EndpointSlices, and on our slices: those that operator and gate watch."""
WATCHED_ENDPOINTS = "watched"
ENDPOINTS_SELECTOR = f"{ENDPOINTS_LABEL}={WATCHED_ENDPOINTS}"
GATE_LABEL = f"{GROUP}/gate"
"""On the EndpointSlice that routes a sleeping App's callers to the gate."""
GATE_ANNOTATION = f"{GROUP}/gate"
"""On that slice: JSON, the gate's knowledge of the App (`model.gates`)."""
GATE_NAMESPACE = "dynamiq-gate"
GATE_SERVICE = "dynamiq-gate"
GATE_MANAGER = "dynamiq-gate"
"""The field manager of the gate's writes: endpoints of its slices, and the replicas of an App that wakes."""
SERVICE_OF_SLICE_LABEL = "kubernetes.io/service-name"
SLICE_MANAGER_LABEL = "endpointslice.kubernetes.io/managed-by"
ENVIRONMENT_LABEL = f"{GROUP}/environment"
PROJECT_LABEL = f"{GROUP}/project"
"""On a namespace: its project. Apps are promoted from one environment of a project to another."""
FLOW_LABEL = f"{GROUP}/flow"
"""On a promoted WorkflowVersion: its flow, by which it is found again, whatever number it got."""
ORIGIN_ANNOTATION = f"{GROUP}/promoted-from"
KEY_ANNOTATION = f"{GROUP}/idempotency-key"
"""On an App: a hash of the Idempotency-Key that created it, and of its user."""
REQUEST_ANNOTATION = f"{GROUP}/request"
"""On an App or row that was created under an Idempotency-Key: a hash of the request."""
AUTHOR_ANNOTATION = f"{GROUP}/created-by"
"""On an App: who created it through the management API. Informative: no decision depends on it."""
PROMOTIONS_ANNOTATION = f"{GROUP}/promotions"
"""On an App that was promoted under an Idempotency-Key: JSON, by the hash of each key, a hash of its request."""

MANAGED_SELECTOR = f"{MANAGED_BY}={FIELD_MANAGER}"

AUTHOR_POLICY = "dynamiq-rows"
"""The MutatingAdmissionPolicy, and its binding, that stamps a row's author."""
APPROVAL_POLICY = "dynamiq-approvals"
"""The policy that stamps the author of an Approval."""

SETTINGS_POLICY = "dynamiq-apps-settings"
"""The policy that stamps who changes the settings of an App."""

MUTATING_POLICIES = (
    "dynamiq-amounts",
    "dynamiq-apps",
    SETTINGS_POLICY,
    APPROVAL_POLICY,
    "dynamiq-rejections",
    "dynamiq-restored",
    AUTHOR_POLICY,
)
VALIDATING_POLICIES = (
    *("dynamiq-approvals", "dynamiq-apps-deploy", "dynamiq-apps-protected", "dynamiq-apps-rights", "dynamiq-apps-secrets"),
    *(SETTINGS_POLICY, "dynamiq-changes", "dynamiq-crds", "dynamiq-crds-delete", "dynamiq-flows", "dynamiq-gate-scale"),
    *("dynamiq-gate-slices", "dynamiq-namespaces", "dynamiq-pods", "dynamiq-rejections", "dynamiq-rows", "dynamiq-rows-delete"),
    *("dynamiq-rows-rights", "dynamiq-status", "dynamiq-workloads"),
)
"""The admission policies, each with a binding of its name: `manifests/admission`."""
FROZEN_DEFINITIONS = tuple(
    f"{plural}.{GROUP}" for plural in ("deployments", "workflowversions", "runtimes", "approvals", "rejections", "appchanges")
)
"""The CustomResourceDefinitions whose schemas may never keep less than before."""
WEAKENING_ANNOTATION = f"{GROUP}/allow-weakening"
"""On one of them: the parts that may be dropped all the same, one a line, until the time in WEAKENING_UNTIL_ANNOTATION."""
WEAKENING_UNTIL_ANNOTATION = f"{GROUP}/allow-weakening-until"

LABEL_MAX = 63
CRON_JOB_MAX = 52
_SUFFIX = 8
DECLARED_SUFFIX = 10
_RUN_SUFFIX = 10
_KEY_SUFFIX = 16
"""Suffix of a row that was created under an Idempotency-Key: longer than `DECLARED_SUFFIX`, so the two kinds of names never collide."""


def shortened(name: str, limit: int = LABEL_MAX) -> str:
    """Returns `name`; if it exceeds `limit` characters, its beginning and a hash of the whole."""
    return name if len(name) <= limit else _hashed(name, limit)


def _hashed(name: str, limit: int) -> str:
    digest = hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX]
    return f"{name[: limit - _SUFFIX - 1].rstrip('-.')}-{digest}"


def labels(app: str) -> dict[str, str]:
    """Returns the labels of everything made for an App."""
    return {MANAGED_BY: FIELD_MANAGER, APP_LABEL: app}


def pod_selector(app: str) -> dict[str, str]:
    """Returns the selector of the Service, workload and PodDisruptionBudget: the App's identity, never a version."""
    return {APP_LABEL: app}


def caller_labels(app: str, trigger: str) -> dict[str, str]:
    """Returns the labels of the pods that run a trigger. They call the App, and are none of its pods."""
    return {MANAGED_BY: FIELD_MANAGER, TRIGGER_OF_LABEL: app, TRIGGER_LABEL: trigger}


def finishing_labels(app: str) -> dict[str, str]:
    """Returns the labels of the pods that only finish an App's background runs. They answer no caller."""
    return {MANAGED_BY: FIELD_MANAGER, FINISHING_OF_LABEL: app}


def evaluation_labels(app: str) -> dict[str, str]:
    """Returns the labels of the pod that evaluates an App's new pods. It calls them, and is none of them."""
    return {MANAGED_BY: FIELD_MANAGER, VERIFICATION_OF_LABEL: app}


def run_selector(app: str, trigger: str) -> dict[str, str]:
    """Returns the selector of a trigger's Jobs, which are its past runs."""
    return {APP_LABEL: app, TRIGGER_LABEL: trigger}


def service(app: str) -> str:
    return app


def turns(app: str, pins: str) -> str:
    """Returns the name of the Service by which turns of conversations reach pods of these pins. It always ends in a hash."""
    return _hashed(f"{app}-{pins}-turns", LABEL_MAX)


def route(app: str) -> str:
    """Returns the name of the Ingress or HTTPRoute."""
    return app


def workload(app: str, pins: str = "") -> str:
    """Returns the name of an App's apps/v1 Deployment; under strategy Switch each digest of pins has its own."""
    return shortened(f"{app}-{pins}") if pins else app


def finishing(app: str, pins: str) -> str:
    """Returns the name of the workload that finishes the background runs of earlier pins. `<app>-<pins>` is another workload's."""
    return shortened(f"{app}-{pins}-fin")


def finishing_selector(app: str, pins: str) -> dict[str, str]:
    """Returns the selector of that workload. It selects no pod that callers reach."""
    return {FINISHING_OF_LABEL: app, PINS_LABEL: pins}


def finishing_policy(app: str) -> str:
    """Returns the name of the NetworkPolicy of those pods. No App has a dot in its name."""
    return f"{app}.finishing"


def gate_slice(app: str) -> str:
    """Returns the name of the EndpointSlice that routes a sleeping App's callers to the gate."""
    return f"{app}-gate"


SETTINGS_KEY = "dynamiq-settings-key"
"""The Secret, in the operator's namespace, with the key by which values of Apps' settings are compared."""


def app_change(app: str, sequence: int) -> str:
    """Returns the name of an App's AppChange with this sequence."""
    return f"{app}-settings-{sequence}"


def gate_keys(namespace: str, app: str) -> str:
    """Returns the name of the Secret, in the gate's namespace, with the digests of an App's Access Keys."""
    return f"keys-{hashlib.sha256(f'{namespace}/{app}'.encode()).hexdigest()[:32]}"


@functools.lru_cache(10_000)
def revert_row(app: str, row: str) -> str:
    """Returns the name of the row that reverts `row`. It is always the same, so a repeat makes no second row."""
    digest = hashlib.sha256(json.dumps([app, row, "revert"]).encode()).hexdigest()[:DECLARED_SUFFIX]
    return f"{_revert_prefix(app)}{digest}"


def may_revert(app: str, row: str) -> bool:
    """Returns True if a row's name has the form of `revert_row`."""
    return row.startswith(_revert_prefix(app)) and len(row) == len(_revert_prefix(app)) + DECLARED_SUFFIX


def _revert_prefix(app: str) -> str:
    return f"{app}-revert-"


autoscaler = disruption_budget = network_policy = service
"""They have the name of the App, too."""


def access_keys(app: str) -> str:
    return shortened(f"{app}-access-keys")


def callback_key(app: str) -> str:
    return shortened(f"{app}-callback-key")


def flow(app: str, flow_hash: str) -> str:
    """Returns the name of the ConfigMap of a flow; `flow_hash` is `sha256:<hex>`."""
    return shortened(f"{_flow_prefix(app)}{flow_hash.removeprefix('sha256:')[:16]}")


def is_flow(app: str, name: str) -> bool:
    """Returns True if a ConfigMap's name is that of one of the App's flows."""
    return name.startswith(_flow_prefix(app))


def _flow_prefix(app: str) -> str:
    return f"{app}-flow-"


def flow_label(flow_hash: str) -> str:
    """Returns the label's value for a flow: part of the hash, since a whole one is too long."""
    return flow_hash.removeprefix("sha256:")[:32]


def trigger(app: str, name: str) -> str:
    """Returns the name of a trigger's CronJob: shorter than other names, since names of its Jobs have a suffix."""
    return shortened(f"{app}-{name}", CRON_JOB_MAX)


def trigger_apart(app: str, name: str) -> str:
    """Returns the CronJob name for a trigger whose `<app>-<trigger>` is also that of another App's trigger."""
    # App `a` with trigger `b-c` and App `a-b` with trigger `c` collide.
    digest = hashlib.sha256(json.dumps([app, name]).encode()).hexdigest()[:_SUFFIX]
    return f"{shortened(f'{app}-{name}', CRON_JOB_MAX - _SUFFIX - 1)}-{digest}"


def single_run(app_uid: str, app: str, name: str, run_at: str) -> str:
    """Returns the name of the Job of a trigger that runs once. It is always the same for a run, so no run is created twice."""
    digest = hashlib.sha256(json.dumps([app_uid, name, run_at]).encode()).hexdigest()[:_RUN_SUFFIX]
    return f"{trigger(app, name)}-{digest}"


def run_now(app: str, name: str, suffix: str) -> str:
    """Returns the name of the Job of a run that a user started; `suffix`: at most 10 characters."""
    return f"{trigger(app, name)}-{suffix}"


def evaluation(app: str, row_uid: str, pods: Iterable[str]) -> str:
    """Returns the name of the Job that evaluates a row's pods, given by uid, and of the Secret of its key."""
    digest = hashlib.sha256(json.dumps([row_uid, *sorted(pods)]).encode()).hexdigest()[:_RUN_SUFFIX]
    return f"{shortened(f'{app}-verification', CRON_JOB_MAX)}-{digest}"


def default_hostname(app: str, namespace: str, domain: str) -> str:
    return f"{app}.{namespace}.{domain}"


def claim(hostname: str) -> str:
    """Returns the name of the object by which an App claims a hostname."""
    return f"hostname-{hashlib.sha256(hostname.encode()).hexdigest()[:32]}"


def event(uid: str, *what: str) -> str:
    """Returns an Event's name. The same statement on the same object has the same name, so a repeat fails with "already exists"."""
    return f"dynamiq-{hashlib.sha256('/'.join((uid, *what)).encode()).hexdigest()[:24]}"


def row_under_key(prefix: str, key_hash: str) -> str:
    """Returns the name of the row created under an Idempotency-Key. It is always the same for a key, so no row is created twice.

    `prefix`: the App's name or, if the App does not exist yet, one for all. `key_hash`: of the key, its user and its owner.
    """
    return f"{prefix}-{key_hash[:_KEY_SUFFIX]}"


def confirmed_row(app: str, suffix: str) -> str:
    """Returns the name of a row that a surface creates after a confirmation.

    `suffix`: 8 random letters. This length tells it from a `declared_row` and from a row under a key.
    """
    return f"{app}-{suffix}"


def declared_row(app: str, request: Mapping[str, Any], after: int) -> str:
    """Returns the name of the row for `App.spec.deploy`, from its request and the sequence of the previous row of `App.spec.deploy`."""
    digest = hashlib.sha256(json.dumps([app, request, after], sort_keys=True).encode()).hexdigest()[:DECLARED_SUFFIX]
    return f"{app}-{digest}"


def may_be_declared(app: str, row: str) -> bool:
    """Returns True if a row's name has the form of `declared_row`."""
    return len(row) == len(app) + 1 + DECLARED_SUFFIX and row.startswith(f"{app}-")


def workflow_version(workflow: str, version: str) -> str:
    """Returns the name of the WorkflowVersion of a release such as `v3`."""
    return f"{workflow}-{version}"


def workflow_and_version(name: str) -> tuple[str, str]:
    """Returns the workflow and the version, such as `v3`, of the WorkflowVersion with this name."""
    workflow, _, version = name.rpartition("-")
    return workflow, version


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Returns a sort key that puts `v2` before `v10`."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part)
