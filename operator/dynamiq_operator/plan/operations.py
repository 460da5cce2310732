"""What a plan consists of. Each operation is one request to the API server, or, for a flow, a read and a write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.model import names
from dynamiq_operator.model.app import AppStatus
from dynamiq_operator.model.guards import Released, Verified
from dynamiq_operator.model.objects import App, Manifest, Meta, Record, Unreadable
from dynamiq_operator.model.record import Outcome, Pinned, RecordStatus


@dataclass(frozen=True)
class Emit:
    """Create an Event about an object; `key` makes the same message sent twice one Event.

    `slots`: names of facts of which one alone can be true, such as how a row ended. The Event takes the first that no Event has told
    of yet, so that one which was decided otherwise, and arrives late, meets a name that exists.
    """

    about: App | Record | Unreadable
    reason: str
    message: str
    key: str
    warning: bool = False
    slots: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the Event, the first that is free or says the same to be taken; its own, which no other reason has, comes last."""
        return tuple(names.event(self.about.meta.uid, what, self.key) for what in (*self.slots, self.reason))


@dataclass(frozen=True)
class SetAppStatus:
    """Write the App's status, guarded by the resourceVersion of the snapshot: this reserves sequences as well."""

    app: App
    status: AppStatus


@dataclass(frozen=True)
class SetAppConditions:
    """Write the conditions of the App's status, and leave the rest of it: whatever else it says may not follow from a plan now."""

    meta: Meta
    conditions: tuple[Manifest, ...]


@dataclass(frozen=True)
class CreateRecord:
    """Create a row of the operator's: what `App.spec.deploy` asks for, in the name of the user who changed it, or one that takes a version back."""

    app: App
    name: str
    asked: Mapping[str, Any]
    created_by: str | None


@dataclass(frozen=True)
class DeleteRecord:
    """Delete a row that retention does not keep."""

    app: App
    name: str
    uid: str


@dataclass(frozen=True)
class CompleteRecord:
    """Set, once, the row's sequence, its pins, or both, and make the App its owner."""

    app: App
    record: Record
    sequence: int | None
    pinned: Pinned | None


@dataclass(frozen=True)
class OwnRecord:
    """Make the App the owner of a row that a restore brought back, so that the row is deleted with it."""

    app: App
    record: Record


@dataclass(frozen=True)
class LeaveRecord:
    """Make a deleted App the owner of a row that was there with it, so that the garbage collector deletes the row as well. `app_uid`: of that App."""

    meta: Meta
    app: str
    app_uid: str


@dataclass(frozen=True)
class ReleaseRecord:
    """Set, once, that nothing holds the row any more: from then on it is rolled out."""

    record: Record
    released: Released


@dataclass(frozen=True)
class EndRecord:
    """Set, once, how the row's deploy ended. `verification`: the seconds that its verification took, where that failed it."""

    record: Record
    outcome: Outcome
    verification: float | None = None


@dataclass(frozen=True)
class VerifyRecord:
    """Set, once, that the row's new pods passed its cases: from then on callers may reach them."""

    record: Record
    verified: Verified


@dataclass(frozen=True)
class SetRecordStatus:
    record: Record
    status: RecordStatus


@dataclass(frozen=True)
class CreateChild:
    """Create a child; `digest` identifies the manifest if the API server refuses it."""

    app: App
    manifest: Manifest
    digest: str


@dataclass(frozen=True)
class ApplyChild:
    """Bring an existing child to its manifest; `found` names the first field that differs."""

    app: App
    manifest: Manifest
    observed: Manifest
    digest: str
    found: str


@dataclass(frozen=True)
class OwnChild:
    """Make the App the owner of a child that a restore brought back, whose content must stay."""

    app: App
    observed: Manifest


@dataclass(frozen=True)
class DeleteChild:
    """Delete a child, and what it owns, but for `keep_dependents`."""

    observed: Manifest
    keep_dependents: bool = False


@dataclass(frozen=True)
class RunOnce:
    """Create the Job of a trigger that runs once; where it exists, the trigger has run."""

    app: App
    manifest: Manifest
    digest: str


@dataclass(frozen=True)
class CreateFlow:
    """Create the ConfigMap of a flow from the WorkflowVersion `version`, whose flow has this hash; or of the `text` that an archive had."""

    app: App
    flow_hash: str
    version: str
    text: str | None = None


@dataclass(frozen=True)
class ClaimHostname:
    """Create the claim of a hostname for an App; the first App to create it has the hostname.

    `since`: from when on the App has served it, where the claim of old was lost. `others`: namespace and name of the Apps that serve it as well.
    """

    app: App
    hostname: str
    since: datetime | None = None
    others: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class KeepClaim:
    """Note on a claim since when its holder no longer wants it, or, with None, that it does."""

    claim: Manifest
    released_at: datetime | None


@dataclass(frozen=True)
class ReleaseClaim:
    """Delete a claim whose holder no longer wants it, or that is younger than the App which serves the hostname, guarded by its resourceVersion."""

    claim: Manifest


@dataclass(frozen=True)
class CreateAccessKeys:
    app: App


@dataclass(frozen=True)
class WriteGateKeys:
    """Write, into the gate's `namespace`, digests of the App's Access Keys, whose Secret has this resourceVersion."""

    app: App
    namespace: str
    version: str


@dataclass(frozen=True)
class AnnotatePod:
    """Annotate a running pod, or take the annotation away with None: its kubelet then refreshes what the pod mounts.

    `observed`: the pod's resourceVersion. `annotation`: one of `names.POD_ANNOTATIONS`.
    """

    app: App
    pod: str
    uid: str
    observed: str
    annotation: str
    value: str | None


@dataclass(frozen=True)
class CreateEvaluationKey:
    """Create the Secret of the key of a Job that evaluates new pods, which that Job, of this uid, owns."""

    app: App
    job: str
    uid: str


@dataclass(frozen=True)
class StartEvaluation:
    """Let a Job begin that evaluates new pods, and that was made suspended."""

    observed: Manifest


@dataclass(frozen=True)
class ScaleWorkload:
    """Set `replicas` through the scale subresource: an autoscaler does nothing at 0."""

    observed: Manifest
    replicas: int


Operation = (
    Emit
    | SetAppStatus
    | SetAppConditions
    | CreateRecord
    | DeleteRecord
    | CompleteRecord
    | OwnRecord
    | LeaveRecord
    | ReleaseRecord
    | EndRecord
    | VerifyRecord
    | SetRecordStatus
    | CreateChild
    | ApplyChild
    | OwnChild
    | DeleteChild
    | RunOnce
    | CreateFlow
    | ClaimHostname
    | KeepClaim
    | ReleaseClaim
    | CreateAccessKeys
    | WriteGateKeys
    | AnnotatePod
    | CreateEvaluationKey
    | StartEvaluation
    | ScaleWorkload
)


@dataclass(frozen=True)
class Group:
    """Operations that are done in order; the first that fails ends their group alone. `name`: of this group in its plan.

    `after`: the groups that must have been done whole before this one is begun. A name that no group of the plan has holds up nothing.
    """

    name: str
    operations: tuple[Operation, ...]
    after: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Plan:
    """Groups in the order in which they are done, and the seconds after which to reconcile again, though nothing changes.

    `backlog`: whether it is a part of many of its kind, which may wait for what others have to do.
    """

    groups: tuple[Group, ...] = ()
    requeue_after: float | None = None
    backlog: bool = False

    @property
    def operations(self) -> tuple[Operation, ...]:
        """Every operation, in the order in which they are done where none fails."""
        return tuple(operation for group in self.groups for operation in group.operations)

    def of(self, kind: type[Any]) -> tuple[Any, ...]:
        """The operations of one type."""
        return tuple(operation for operation in self.operations if isinstance(operation, kind))
