"""Every name, label, annotation and selector of what the operator makes, and the names of rows and of WorkflowVersions.

Nothing else in the code builds one of these, but for a row that a surface creates unseen and without a key: its name is completed by the API
server (`actions.deploy.record_of` says after what). What a user calls an App or a trigger becomes an object's name in
`actions.create_app` and `model.triggers`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from dynamiq_operator.model.manifests import GROUP

FIELD_MANAGER = "dynamiq-operator"
REPLICAS_MANAGER = "dynamiq-operator-replicas"
"""The field manager that owns `replicas` from a workload's creation on: a manager that applies it once and then leaves it out resets it to 1."""

OPERATOR_NAMESPACE = "dynamiq-system"
"""Where the operator is installed, unless an overlay of `manifests/` says otherwise: then its pods know by POD_NAMESPACE."""
NAME_LABEL = "app.kubernetes.io/name"
OPERATOR_PODS = {NAME_LABEL: "dynamiq-operator"}
"""Labels of the operator's pods."""

MANAGED_BY = "app.kubernetes.io/managed-by"
APP_LABEL = f"{GROUP}/app"
TRIGGER_LABEL = f"{GROUP}/trigger"
"""Of a Job, beside the App's: the trigger that it is a run of."""
TRIGGER_OF_LABEL = f"{GROUP}/trigger-of"
"""Of the pods that run an App's triggers: the App. They lack `APP_LABEL`, by which the Service, the workload and the budget select."""
VERIFICATION_LABEL = f"{GROUP}/verification"
"""Of the Job that evaluates a row's pods, beside the App's: the row, by its uid."""
VERIFICATION_OF_LABEL = f"{GROUP}/verification-of"
"""Of that Job's pod: the App. It lacks `APP_LABEL`, by which the Service, the workload and the budget select."""
KEYS_ANNOTATION = f"{GROUP}/access-keys"
"""Of a workload: the version of the Secret of Access Keys, and since when. Of a pod: the version that was announced to its kubelet."""
KEYS_OF_ANNOTATION = f"{GROUP}/access-keys-of"
"""Of the digests of Access Keys that the gate has: namespace, name and uid of the App."""
KEYS_CHANGED_ANNOTATION = f"{GROUP}/access-keys-changed"
"""Of an App: whoever changes its Access Keys, or a Secret or ConfigMap of its variables, writes another value here. The operator, which
may not watch Secrets, then looks at them at once."""
TEMPLATE_LABEL = f"{GROUP}/template"
"""Of a pod: the digest of all that its template depends on."""
APPLIED_TEMPLATE_ANNOTATION = f"{GROUP}/template"
"""Of a workload: JSON, the pod template that was applied last, with digests of what it was made of."""
APPLIED_ANNOTATION = f"{GROUP}/applied"
"""Of a child: the digest of the manifest that was applied last."""
FLOW_HASH_ANNOTATION = f"{GROUP}/flow-hash"
CLAIM_LABEL = f"{GROUP}/claim"
CLAIMED_ANNOTATION = f"{GROUP}/claimed-since"
"""Of a claim that was lost and made again: since when its holder has had the hostname. Without it: since the claim was made."""
CONTESTED_ANNOTATION = f"{GROUP}/contested-by"
"""Of a claim that was lost and made again: the other Apps whose routes had the hostname then, as `namespace/name`, separated by commas."""
RELEASED_ANNOTATION = f"{GROUP}/released-at"
RESTORING_ANNOTATION = f"{GROUP}/restoring"
RESTORERS_ANNOTATION = f"{GROUP}/restorers"
"""Of the operator's ClusterRoleBinding: who restores backups beside the group RESTORERS, as user names with commas between them."""
RESTORERS = "dynamiq:restorers"
GIVEN_UP_ANNOTATION = f"{GROUP}/given-up"
"""Of what a row decides, such as a workload: the sequence of the last row that was rolled out and ended without going live."""
UNATTENDED_ANNOTATION = f"{GROUP}/unattended-until"
"""Of the operator's Lease: when a replica led again after a time in which none could."""
SERVES_ANNOTATION = f"{GROUP}/serves"
"""Of the operator's Lease: which namespaces its holder serves, `*` for all."""
TOLD_ANNOTATION = f"{GROUP}/told-until"
"""Of the operator's Lease: until when sinks have been told what became of rows, and how many notifications wait."""
PINS_LABEL = f"{GROUP}/pins"
"""Of the workload of strategy Switch, of its pods, and of what selects them: the digest of flow, runtime and resources."""
UNVERIFIED = "unverified"
"""In the place of pins in a Service's selector, where no pod is to be reached: those that there are have yet to be verified."""
STANDBY_ANNOTATION = f"{GROUP}/standby"
"""Of a pod: "true" where the Service no longer selects it. It then closes connections after what it answers."""
VERIFICATION_ANNOTATION = f"{GROUP}/verification"
"""Of a pod that is asked before a caller reaches it: the SHA-256 of the key with which that is done."""
POD_ANNOTATIONS = (KEYS_ANNOTATION, STANDBY_ANNOTATION, VERIFICATION_ANNOTATION)
"""What the operator notes on running pods."""
SERVED_ANNOTATION = f"{GROUP}/served"
"""Of a workload of strategy Switch: how manieth of its App's it was when the Service last came to it, and when that was, as "3 2026-11-26T04:00:00Z"."""
TEMPLATE_ROW_ANNOTATION = f"{GROUP}/template-row"
"""Of a workload, while variables take effect with a row alone: the sequence of the row that its template came with."""
ROOM_ANNOTATION = f"{GROUP}/room"
"""Of a workload of strategy Switch whose pods a quota keeps from being made, while others end to make room: the row's sequence, and
how many of them are left. Each change of it has the cluster's controllers try again."""
ENDPOINTS_LABEL = f"{GROUP}/endpoints"
"""Of a Service, which Kubernetes copies to its EndpointSlices, and of slices of ours: those that operator and gate watch."""
WATCHED_ENDPOINTS = "watched"
ENDPOINTS_SELECTOR = f"{ENDPOINTS_LABEL}={WATCHED_ENDPOINTS}"
GATE_LABEL = f"{GROUP}/gate"
"""Of the EndpointSlice by which a sleeping App's callers reach the gate."""
GATE_ANNOTATION = f"{GROUP}/gate"
"""Of that slice: JSON, all that the gate knows of the App (`model.gates`)."""
GATE_NAMESPACE = "dynamiq-gate"
GATE_SERVICE = "dynamiq-gate"
GATE_MANAGER = "dynamiq-gate"
"""The field manager of what the gate writes: endpoints of its slices, and the replicas of an App that wakes."""
SERVICE_OF_SLICE_LABEL = "kubernetes.io/service-name"
SLICE_MANAGER_LABEL = "endpointslice.kubernetes.io/managed-by"
ENVIRONMENT_LABEL = f"{GROUP}/environment"
PROJECT_LABEL = f"{GROUP}/project"
"""Of a namespace: Apps are promoted from one environment of a project to another."""
FLOW_LABEL = f"{GROUP}/flow"
"""Of a WorkflowVersion that was promoted, by which it is found again under whatever number it got."""
ORIGIN_ANNOTATION = f"{GROUP}/promoted-from"
KEY_ANNOTATION = f"{GROUP}/idempotency-key"
"""Of an App: a hash of the key under which it was made, with its user."""
REQUEST_ANNOTATION = f"{GROUP}/request"
"""Of an App and a row that were created under an Idempotency-Key: a hash of the request."""
AUTHOR_ANNOTATION = f"{GROUP}/created-by"
"""Of an App: who created it through the management API. Informative: no decision depends on it."""
PROMOTIONS_ANNOTATION = f"{GROUP}/promotions"
"""Of an App that was promoted under an Idempotency-Key: JSON, by the hash of each key, a hash of the request with it."""

MANAGED_SELECTOR = f"{MANAGED_BY}={FIELD_MANAGER}"

AUTHOR_POLICY = "dynamiq-rows"
"""The MutatingAdmissionPolicy, and its binding, that stamp a row's author."""
APPROVAL_POLICY = "dynamiq-approvals"
"""The same of who makes an Approval."""

SETTINGS_POLICY = "dynamiq-apps-settings"
"""The same of who changes the settings of an App."""

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
    *(
        SETTINGS_POLICY,
        "dynamiq-changes",
        "dynamiq-crds",
        "dynamiq-crds-delete",
        "dynamiq-flows",
        "dynamiq-gate-scale",
        "dynamiq-gate-slices",
        "dynamiq-namespaces",
        "dynamiq-pods",
        "dynamiq-rejections",
        "dynamiq-rows",
        "dynamiq-rows-delete",
        "dynamiq-rows-rights",
        "dynamiq-status",
        "dynamiq-workloads",
    ),
)
"""The admission policies, each with a binding of its name: `manifests/admission`."""
FROZEN_DEFINITIONS = tuple(
    f"{plural}.{GROUP}" for plural in ("deployments", "workflowversions", "runtimes", "approvals", "rejections", "appchanges")
)
"""The CustomResourceDefinitions whose schemas may not keep less than they did."""
WEAKENING_ANNOTATION = f"{GROUP}/allow-weakening"
"""Of one of them: what of it may go all the same, a line each, until the time of the other."""
WEAKENING_UNTIL_ANNOTATION = f"{GROUP}/allow-weakening-until"

LABEL_MAX = 63
CRON_JOB_MAX = 52
_SUFFIX = 8
DECLARED_SUFFIX = 10
_RUN_SUFFIX = 10
_KEY_SUFFIX = 16
"""Of a row that was created under an Idempotency-Key: longer than `DECLARED_SUFFIX`, so that no such name is taken for the other."""


def shortened(name: str, limit: int = LABEL_MAX) -> str:
    """`name`, or, where it would pass `limit` characters, its beginning and a hash of the whole."""
    if len(name) <= limit:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:_SUFFIX]
    return f"{name[: limit - _SUFFIX - 1].rstrip('-.')}-{digest}"


def labels(app: str) -> dict[str, str]:
    """Labels of everything made for an App."""
    return {MANAGED_BY: FIELD_MANAGER, APP_LABEL: app}


def pod_selector(app: str) -> dict[str, str]:
    """What the Service, workload and PodDisruptionBudget select by: the App's identity, never a version."""
    return {APP_LABEL: app}


def caller_labels(app: str, trigger: str) -> dict[str, str]:
    """Labels of the pods that run a trigger: they call the App, and are none of its pods."""
    return {MANAGED_BY: FIELD_MANAGER, TRIGGER_OF_LABEL: app, TRIGGER_LABEL: trigger}


def evaluation_labels(app: str) -> dict[str, str]:
    """Labels of the pod that evaluates an App's new pods: it calls them, and is none of them."""
    return {MANAGED_BY: FIELD_MANAGER, VERIFICATION_OF_LABEL: app}


def run_selector(app: str, trigger: str) -> dict[str, str]:
    """What the Jobs of a trigger are found by: the runs that it has had."""
    return {APP_LABEL: app, TRIGGER_LABEL: trigger}


def service(app: str) -> str:
    return app


def route(app: str) -> str:
    """The Ingress or the HTTPRoute."""
    return app


def workload(app: str, pins: str = "") -> str:
    """The apps/v1 Deployment of an App; under strategy Switch each digest of pins has its own."""
    return shortened(f"{app}-{pins}") if pins else app


def gate_slice(app: str) -> str:
    """The EndpointSlice by which a sleeping App's callers reach the gate."""
    return f"{app}-gate"


SETTINGS_KEY = "dynamiq-settings-key"
"""The Secret, in the operator's namespace, of the key by which values of Apps' settings are compared."""


def app_change(app: str, sequence: int) -> str:
    """The AppChange of an App that is this one in its order."""
    return f"{app}-settings-{sequence}"


def gate_keys(namespace: str, app: str) -> str:
    """The Secret, in the gate's namespace, of the digests of an App's Access Keys."""
    return f"keys-{hashlib.sha256(f'{namespace}/{app}'.encode()).hexdigest()[:32]}"


def revert_row(app: str, row: str) -> str:
    """The row that takes `row` back: made twice it is one row."""
    digest = hashlib.sha256(json.dumps([app, row, "revert"]).encode()).hexdigest()[:DECLARED_SUFFIX]
    return f"{_revert_prefix(app)}{digest}"


def may_revert(app: str, row: str) -> bool:
    """Whether a row's name has the form of `revert_row`."""
    return row.startswith(_revert_prefix(app)) and len(row) == len(_revert_prefix(app)) + DECLARED_SUFFIX


def _revert_prefix(app: str) -> str:
    return f"{app}-revert-"


def autoscaler(app: str) -> str:
    return app


def disruption_budget(app: str) -> str:
    return app


def network_policy(app: str) -> str:
    return app


def access_keys(app: str) -> str:
    return shortened(f"{app}-access-keys")


def flow(app: str, flow_hash: str) -> str:
    """The ConfigMap of a flow; `flow_hash` is `sha256:<hex>`."""
    return shortened(f"{_flow_prefix(app)}{flow_hash.removeprefix('sha256:')[:16]}")


def is_flow(app: str, name: str) -> bool:
    """Whether a ConfigMap's name is that of one of the App's flows."""
    return name.startswith(_flow_prefix(app))


def _flow_prefix(app: str) -> str:
    return f"{app}-flow-"


def flow_label(flow_hash: str) -> str:
    """The label's value for a flow; a whole hash would be too long for one."""
    return flow_hash.removeprefix("sha256:")[:32]


def trigger(app: str, name: str) -> str:
    """The CronJob of a trigger: shorter than other names, since its Jobs' names carry a suffix."""
    return shortened(f"{app}-{name}", CRON_JOB_MAX)


def trigger_apart(app: str, name: str) -> str:
    """The CronJob of a trigger whose plain name is that of another App's, as App `a` with `b-c` and App `a-b` with `c` have one name."""
    digest = hashlib.sha256(json.dumps([app, name]).encode()).hexdigest()[:_SUFFIX]
    return f"{shortened(f'{app}-{name}', CRON_JOB_MAX - _SUFFIX - 1)}-{digest}"


def single_run(app_uid: str, app: str, name: str, run_at: str) -> str:
    """The Job of a trigger that runs once, at `run_at`: the same run has the same name, so that it is never created twice."""
    digest = hashlib.sha256(json.dumps([app_uid, name, run_at]).encode()).hexdigest()[:_RUN_SUFFIX]
    return f"{trigger(app, name)}-{digest}"


def run_now(app: str, name: str, suffix: str) -> str:
    """The Job of a run that a user started; `suffix`: at most 10 characters."""
    return f"{trigger(app, name)}-{suffix}"


def evaluation(app: str, row_uid: str, pods: Iterable[str]) -> str:
    """The Job that evaluates these pods, by their uids, of a row, and the Secret of its key."""
    digest = hashlib.sha256(json.dumps([row_uid, *sorted(pods)]).encode()).hexdigest()[:_RUN_SUFFIX]
    return f"{shortened(f'{app}-verification', CRON_JOB_MAX)}-{digest}"


def default_hostname(app: str, namespace: str, domain: str) -> str:
    return f"{app}.{namespace}.{domain}"


def claim(hostname: str) -> str:
    """The object by which an App claims a hostname."""
    return f"hostname-{hashlib.sha256(hostname.encode()).hexdigest()[:32]}"


def event(uid: str, *what: str) -> str:
    """An Event's name: the same statement of the same object has the same name, so a repeat meets "already exists"."""
    return f"dynamiq-{hashlib.sha256('/'.join((uid, *what)).encode()).hexdigest()[:24]}"


def row_under_key(prefix: str, key_hash: str) -> str:
    """The row that is created under an Idempotency-Key: the same key has the same name, so that it is never created twice.

    `prefix`: the App's name, or, where the App is yet to be made, one for all. `key_hash`: of the key, its user and its owner.
    """
    return f"{prefix}-{key_hash[:_KEY_SUFFIX]}"


def confirmed_row(app: str, suffix: str) -> str:
    """A row that a surface makes of what was confirmed. `suffix`: 8 letters by chance, so that it is no `declared_row` and under no key."""
    return f"{app}-{suffix}"


def declared_row(app: str, asked: Mapping[str, Any], after: int) -> str:
    """The row made of `App.spec.deploy`, by what it requests and by the sequence of the row that was made of it before."""
    digest = hashlib.sha256(json.dumps([app, asked, after], sort_keys=True).encode()).hexdigest()[:DECLARED_SUFFIX]
    return f"{app}-{digest}"


def may_be_declared(app: str, row: str) -> bool:
    """Whether a row's name has the form of `declared_row`."""
    return len(row) == len(app) + 1 + DECLARED_SUFFIX and row.startswith(f"{app}-")


def workflow_version(workflow: str, version: str) -> str:
    """The WorkflowVersion of a release such as `v3`."""
    return f"{workflow}-{version}"


def workflow_and_version(name: str) -> tuple[str, str]:
    """The workflow and the version, such as `v3`, whose WorkflowVersion has this name."""
    workflow, _, version = name.rpartition("-")
    return workflow, version


def natural(name: str) -> tuple[tuple[int, int, str], ...]:
    """Sort key that puts `v2` before `v10`."""
    return tuple((0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part)
