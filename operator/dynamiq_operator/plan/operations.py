"""The operations of a plan. Each is one request to the API server, or, for a flow, one read and one write. They only carry data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.app_status import AppStatus
from dynamiq_operator.model.guards import Released, Verified
from dynamiq_operator.model.objects import App, Manifest, Meta, Row, Unreadable
from dynamiq_operator.model.row import Outcome, Pinned, RowStatus


class Operation:
    """One write of a plan. `controller.execute.executor.EXECUTE` has a function for each subclass, which a test holds."""


@dataclass(frozen=True)
class Emit(Operation):
    """A new Event about an object; `key` makes repeated messages one Event.

    `slots`: names for facts that exclude each other, such as how a row ended. The Event takes the first slot that no Event has. An Event of
    an older, different decision that arrives late then meets an existing name.
    """

    about: App | Row | Unreadable
    reason: str
    message: str
    key: str
    warning: bool = False
    slots: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the Event: the first that is free, or has the same text, is taken. The last one is unique to its reason."""
        return tuple(names.event(self.about.meta.uid, what, self.key) for what in (*self.slots, self.reason))


@dataclass(frozen=True)
class SetAppStatus(Operation):
    """A write of the App's status, guarded by the snapshot's resourceVersion. It also reserves sequences."""

    app: App
    status: AppStatus


@dataclass(frozen=True)
class SetAppConditions(Operation):
    """A write of only the conditions of the App's status: without a plan, the rest of it may be wrong."""

    meta: Meta
    conditions: tuple[Manifest, ...]


@dataclass(frozen=True)
class CreateRow(Operation):
    """A new row of the operator: for `App.spec.deploy`, in the name of the user who changed it, or as a revert."""

    app: App
    name: str
    content: Mapping[str, Any]
    created_by: str | None


@dataclass(frozen=True)
class DeleteRow(Operation):
    """The deletion of a row that retention does not keep."""

    app: App
    name: str
    uid: str


@dataclass(frozen=True)
class CompleteRow(Operation):
    """The row's sequence, its pins, or both, each set once. The App becomes its owner."""

    app: App
    row: Row
    sequence: int | None
    pinned: Pinned | None


@dataclass(frozen=True)
class OwnRow(Operation):
    """The App as the owner of a row restored from a backup, so that the row is deleted with it."""

    app: App
    row: Row


@dataclass(frozen=True)
class LeaveRow(Operation):
    """A deleted App, of uid `app_uid`, as the owner of a row that it left, so that the garbage collector deletes the row."""

    meta: Meta
    app: str
    app_uid: str


@dataclass(frozen=True)
class AdmitRow(Operation):
    """The row's admission, set once: no guard blocks it any more, and it is rolled out."""

    row: Row
    released: Released


@dataclass(frozen=True)
class EndRow(Operation):
    """The outcome of the row's deploy, set once. `verification`: seconds of the verification if that failed it."""

    row: Row
    outcome: Outcome
    verification: float | None = None


@dataclass(frozen=True)
class VerifyRow(Operation):
    """The row's passed verification, set once: from then on callers may reach its new pods."""

    row: Row
    verified: Verified


@dataclass(frozen=True)
class SetRowStatus(Operation):
    row: Row
    status: RowStatus


@dataclass(frozen=True)
class CreateChild(Operation):
    """A new child; `digest` identifies the manifest if the API server refuses it."""

    app: App
    manifest: Manifest
    digest: str


@dataclass(frozen=True)
class ApplyChild(Operation):
    """An existing child's new manifest; `changed_field`: the first that differs."""

    app: App
    manifest: Manifest
    observed: Manifest
    digest: str
    changed_field: str


@dataclass(frozen=True)
class OwnChild(Operation):
    """The App as the owner of a child restored from a backup, whose content must stay."""

    app: App
    observed: Manifest


@dataclass(frozen=True)
class DeleteChild(Operation):
    """The deletion of a child, and of the objects that it owns, except with `keep_dependents`."""

    observed: Manifest
    keep_dependents: bool = False


@dataclass(frozen=True)
class RunOnce(Operation):
    """The Job of a trigger that runs once; if the Job exists, the trigger has run."""

    app: App
    manifest: Manifest
    digest: str


@dataclass(frozen=True)
class CreateFlow(Operation):
    """The new ConfigMap of a flow, from the WorkflowVersion `version`, whose flow has this hash, or from the archived `text`."""

    app: App
    flow_hash: str
    version: str
    text: str | None = None


@dataclass(frozen=True)
class ClaimHostname(Operation):
    """The new claim of a hostname for an App; the first App that creates it has the hostname.

    `since`: since when the App has served it, if its earlier claim was lost. `others`: namespace and name of other Apps that serve it.
    """

    app: App
    hostname: str
    since: datetime | None = None
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class KeepClaim(Operation):
    """A note on a claim since when its holder no longer wants it; None: its holder wants it."""

    claim: Manifest
    released_at: datetime | None


@dataclass(frozen=True)
class ReleaseClaim(Operation):
    """The deletion of a claim, guarded by its resourceVersion: its holder no longer wants it, or is younger than the App that serves the
    hostname.
    """

    claim: Manifest


@dataclass(frozen=True)
class CreateAccessKeys(Operation):
    app: App


@dataclass(frozen=True)
class CreateCallbackKey(Operation):
    app: App


@dataclass(frozen=True)
class WriteGateKeys(Operation):
    """A write of digests of the App's Access Keys, whose Secret has this resourceVersion, into the gate's `namespace`."""

    app: App
    namespace: str
    version: str


@dataclass(frozen=True)
class AnnotatePod(Operation):
    """A running pod's annotation; None removes it. The change makes the kubelet refresh what the pod mounts.

    `observed`: the pod's resourceVersion. `annotation`: one of `names.POD_ANNOTATIONS`.
    """

    app: App
    pod: str
    uid: str
    observed: str
    annotation: str
    value: str | None


@dataclass(frozen=True)
class CreateEvaluationKey(Operation):
    """The new Secret with the key of an evaluation Job. The Job, of this uid, owns it."""

    app: App
    job: str
    uid: str


@dataclass(frozen=True)
class StartEvaluation(Operation):
    """The start of an evaluation Job that was created suspended."""

    observed: Manifest


@dataclass(frozen=True)
class ScaleWorkload(Operation):
    """New `replicas`, written to the scale subresource: an autoscaler does nothing at 0."""

    observed: Manifest
    replicas: int


@dataclass(frozen=True)
class Group:
    """Operations that run in order; a failure ends only their own group. `name`: unique in its plan.

    `after`: groups that must be done before this one begins. A name without a group stops nothing.
    """

    name: str
    operations: tuple[Operation, ...]
    after: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """Groups in the order in which they run, and the seconds until the next reconcile if nothing changes.

    `backlog`: True if it handles one part of many rows, so that other Apps may go first.
    """

    groups: tuple[Group, ...] = ()
    requeue_after: float | None = None
    backlog: bool = False

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation, in the order in which they run if none fails."""
        return tuple(operation for group in self.groups for operation in group.operations)

    def of(self, kind: type[Any]) -> tuple[Any, ...]:
        """Returns the operations of one type."""
        return tuple(operation for operation in self.operations if isinstance(operation, kind))
