"""What a plan asks to be done, in order. Each is one request to the API server, or, for a flow, a read and a write."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from dynamiq_operator.model.app import AppStatus
from dynamiq_operator.model.objects import App, Manifest, Record
from dynamiq_operator.model.record import Outcome, Pinned, RecordStatus


@dataclass(frozen=True)
class Emit:
    """Say something of an object, as an Event; `key` makes the same thing said twice the same Event."""

    about: App | Record
    reason: str
    message: str
    key: str
    warning: bool = False


@dataclass(frozen=True)
class SetAppStatus:
    """Write the App's status, if nobody has written the App since the snapshot: this reserves sequences as well."""

    app: App
    status: AppStatus


@dataclass(frozen=True)
class CreateRecord:
    """Create the row that `App.spec.deploy` asks for, in the name of who changed it."""

    app: App
    name: str
    asked: Mapping[str, Any]
    created_by: str | None


@dataclass(frozen=True)
class DeleteRecord:
    """Delete a row that retention lets go."""

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
    """Make the App the owner of a row that a restore brought back, so that the row goes with it."""

    app: App
    record: Record


@dataclass(frozen=True)
class EndRecord:
    """Set, once, how the row's deploy ended."""

    record: Record
    outcome: Outcome


@dataclass(frozen=True)
class SetRecordStatus:
    record: Record
    status: RecordStatus


@dataclass(frozen=True)
class CreateChild:
    """Create what is not there; `digest` identifies the manifest if the API server refuses it."""

    app: App
    manifest: Manifest
    digest: str


@dataclass(frozen=True)
class ApplyChild:
    """Bring an existing child to its manifest; `found` names the first field that was otherwise."""

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
    """Create the Job of a trigger that runs once; that it is there already means that it has been run."""

    app: App
    manifest: Manifest
    digest: str


@dataclass(frozen=True)
class CreateFlow:
    """Create the ConfigMap of a flow from the WorkflowVersion `version`, whose flow has this hash."""

    app: App
    flow_hash: str
    version: str


@dataclass(frozen=True)
class ClaimHostname:
    """Create the claim of a hostname for an App; whoever is first has it."""

    app: App
    hostname: str


@dataclass(frozen=True)
class KeepClaim:
    """Note on a claim since when nobody wants it, or, with None, that its holder does."""

    claim: Manifest
    released_at: datetime | None


@dataclass(frozen=True)
class ReleaseClaim:
    """Delete a claim whose holder is gone for good, if nobody has written it since."""

    claim: Manifest


@dataclass(frozen=True)
class CreateAccessKeys:
    app: App


@dataclass(frozen=True)
class TellOfKeys:
    """Note on a running pod which version of the Access Keys there is: its kubelet then looks at what the pod mounts."""

    app: App
    pod: str
    uid: str
    version: str


@dataclass(frozen=True)
class ScaleWorkload:
    """Set `replicas` through the scale subresource: an autoscaler does nothing at 0."""

    observed: Manifest
    replicas: int


Action = (
    Emit
    | SetAppStatus
    | CreateRecord
    | DeleteRecord
    | CompleteRecord
    | OwnRecord
    | EndRecord
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
    | TellOfKeys
    | ScaleWorkload
)


@dataclass(frozen=True)
class Plan:
    """Actions in the order in which they are done, and the seconds after which to reconcile again, though nothing changes."""

    actions: tuple[Action, ...] = ()
    requeue_after: float | None = None

    def of(self, kind: type[Any]) -> tuple[Any, ...]:
        """The actions of one type."""
        return tuple(action for action in self.actions if isinstance(action, kind))
