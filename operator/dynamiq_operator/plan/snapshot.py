"""The snapshot of one App: everything observed of it at one moment, frozen. Every decision uses it and nothing else. It decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum

from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.model.kinds import APP
from dynamiq_operator.model.objects import App, Manifest, Meta, Record, Runtime, Unreadable, Version
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.observed.activity import Activity
from dynamiq_operator.plan.observed.archive import Archive
from dynamiq_operator.plan.observed.comparison import Comparison
from dynamiq_operator.plan.observed.endpoints import Gate, Slice
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.observed.jobs import TriggerJob
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.observed.problems import ChildProblem, ReconcileFailure
from dynamiq_operator.plan.observed.run_counts import RunCounts
from dynamiq_operator.plan.observed.verification import EvaluationJob, Reading


class KeysPresence(Enum):
    """The state of the Secret of Access Keys; FOREIGN: another owner has it."""

    PRESENT = "present"
    ABSENT = "absent"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class AccessKeys:
    """The Secret of Access Keys: its resourceVersion, and since when the operator has known this version."""

    presence: KeysPresence
    version: str = ""
    since: datetime | None = None


class ClaimState(Enum):
    """The owner of the App's hostname.

    - `FREE`: no App claims it, and no route serves it, except perhaps one of this App.
    - `OURS`: this App claims it. `HELD`: another App claims it, or a foreign route serves it.
    - `ABANDONED`: the App that claims it no longer wants it.
    - `STALE`: another App claims it, but this one has the older claim and serves the hostname.
    - `CONTESTED`: another App claims it, but a route of this one has always served it.
    - `UNKNOWN`: the claim could not be read.
    """

    NOT_NEEDED = "not needed"
    FREE = "free"
    OURS = "ours"
    HELD = "held"
    ABANDONED = "abandoned"
    STALE = "stale"
    CONTESTED = "contested"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class HostnameClaim:
    """The claim of the App's hostname.

    - `holder`: namespace and name of the App that has it.
    - `released_at`: since when its holder no longer wants it.
    - `raw`: the claim if it may be written.
    - `stranger`: without a claim, the kind of a foreign route that serves the hostname.
    - `since`: since when a route of this App serves it, if that decides. `others`: the Apps that also serve it then.
    - `unread`: why it could not be read.
    """

    state: ClaimState = ClaimState.NOT_NEEDED
    holder: tuple[str, str] | None = None
    released_at: datetime | None = None
    raw: Manifest | None = None
    stranger: str = "Ingress"
    since: datetime | None = None
    others: tuple[tuple[str, str], ...] = ()
    unread: str = ""


@dataclass(frozen=True)
class LeftRow:
    """A row that a deleted App of this uid had not numbered. It is deleted with that App; a later App of the same name does not own it."""

    meta: Meta
    app_uid: str


@dataclass(frozen=True)
class Snapshot:
    """Everything known of the App `namespace`/`name` at `now`."""

    namespace: str
    name: str
    now: datetime
    settings: Settings
    app: App | None = None
    records: tuple[Record, ...] = ()
    """Its rows that are not closed, and closed rows that those name."""
    versions: tuple[Version, ...] = ()
    runtimes: Mapping[str, Runtime] = field(default_factory=dict)
    children: Mapping[ChildKey, Manifest] = field(default_factory=dict)
    """The objects with our labels for this App, by kind and name."""
    flows: frozenset[str] = frozenset()
    problems: Mapping[ChildKey, ChildProblem] = field(default_factory=dict)
    """Children that could not be made lately."""
    access_keys: AccessKeys = AccessKeys(KeysPresence.ABSENT)
    named: Mapping[ChildKey, frozenset[str] | None] = field(default_factory=dict)
    """The keys of each Secret and ConfigMap that the App's variables name, as far as they were read; None for a missing object."""
    pods: tuple[Pod, ...] = ()
    runs: tuple[TriggerJob, ...] = ()
    """Jobs of its triggers."""
    claim: HostnameClaim = HostnameClaim()
    has_gateway_api: bool = True
    """True if HTTPRoutes can be created."""
    unattended_until: datetime | None = None
    """The end of the last time in which no operator could work, such as an outage of the API server; None if there was none."""
    authors_stamped_since: datetime | None = None
    """Since when the API server stamps who creates a row; None if it does not."""
    promotions: Mapping[str, Record] = field(default_factory=dict)
    """The row of another App that a row promotes, by the promoting row's name. Missing sources are left out."""
    ledger: Ledger = field(default_factory=Ledger)
    unreadable: tuple[Unreadable, ...] = ()
    """The App, or rows that every decision about it needs, if they exist but are unreadable."""
    unknown: Mapping[ChildKey, str] = field(default_factory=dict)
    """Why a release, a Runtime or the source of a promotion is unreadable, by kind and name."""
    denied: Mapping[str, str] = field(default_factory=dict)
    """Why the operator may not list a kind, by kind. Children of such a kind are not created, changed or deleted."""
    failure: ReconcileFailure | None = None
    """The part of the last reconcile that failed."""
    more_rows: bool = False
    """True if further rows wait for a number; the next reconciles handle those."""
    row_problems: Mapping[str, ChildProblem] = field(default_factory=dict)
    """Why a row may not be written, by the row's name."""
    activity: Mapping[str, Activity] = field(default_factory=dict)
    """The last report of each pod, by uid. A pod without a report is unknown."""
    silent: frozenset[str] = frozenset()
    """Uids of pods that repeatedly failed to report."""
    counts: RunCounts = field(default_factory=RunCounts)
    """Runs that were counted while a version is watched."""
    account: str = ""
    """The operator's user name at the API server, if a decision needs it."""
    comparison: Comparison | None = None
    """The recorder's last comparison of a row with the one before."""
    unanswered: str = ""
    """Why the recorder gave no answer, if it had to compare."""
    archive: Archive = field(default_factory=Archive)
    """The archive's answers about rows that retention is about to delete, if the App has an archive."""
    slices: tuple[Slice, ...] = ()
    """The watched EndpointSlices of its Service, including those of the gate."""
    gate: Gate = field(default_factory=Gate)
    """The gate, from the slices of its own Service."""
    gate_ports: frozenset[int] = frozenset()
    """Ports of the gate that slices of other Apps use."""
    gate_keys: str | None = None
    """The version of the Access Keys whose digests the gate has; empty if it has none. None: not needed, or unreadable."""
    guards: ObservedGuards = field(default_factory=ObservedGuards)
    """The observed policies, Approvals and Rejections."""
    verification: Reading | None = None
    """The answers so far of new pods that are verified before callers reach them."""
    evaluations: tuple[EvaluationJob, ...] = ()
    """Jobs that evaluate those pods."""
    left: tuple[LeftRow, ...] = ()
    """Rows of a deleted App of the same name, which no App owns yet."""

    @property
    def unreadable_app(self) -> Unreadable | None:
        """The App if it exists but is unreadable."""
        return next((each for each in self.unreadable if each.kind == APP.kind), None)
