"""A snapshot: all that was observed of one App at one moment, frozen. Every decision is made from it and from nothing else."""

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
    """Whether the Secret of Access Keys is there, and whose it is."""

    PRESENT = "present"
    ABSENT = "absent"
    FOREIGN = "foreign"


@dataclass(frozen=True)
class AccessKeys:
    """The Secret of Access Keys: its resourceVersion, which changes with its content, and since when that is known to be so."""

    presence: KeysPresence
    version: str = ""
    since: datetime | None = None


class ClaimState(Enum):
    """Whose the App's hostname is.

    `FREE`: no App has claimed it, and nothing serves it, but for a route of this App. `STALE`: the claim is another App's, and the
    older claim is this one's, which serves the hostname. `CONTESTED`: it is another App's, and a route of this one has served it all along.
    `UNKNOWN`: the claim could not be read.
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

    `holder`: namespace and name of the App that has it; `stranger`: where none has it, the kind of a foreign route that serves it.
    `since`: from when on a route of this App has served it, where that decides; `others`: the Apps that serve it as well then.
    `raw`: the claim, where it may be written.
    `unread`: why it could not be read.
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
    """A row that the App of this uid had not numbered when it was deleted: it goes with that App, and is of none that has the name since."""

    meta: Meta
    app_uid: str


@dataclass(frozen=True)
class Snapshot:
    """Everything known of the App `namespace`/`name` at `now`.

    `records`: its rows that are not closed, and closed ones that the others name. `children`: what carries our labels for
    this App, by kind and name. `problems`: children that could not be made lately.
    `runs`: Jobs of its triggers. `promotions`: by the name of a row, the row of another App that it promotes, where it was found.
    `named`: of Secrets and ConfigMaps that the App's variables name, and that were read, their keys; None where there is no such object.
    `has_gateway_api`: whether HTTPRoutes can be made.
    `activity`: by a pod's uid, what it said of its calls; a pod without an answer is not in it, and nothing is known of it.
    `silent`: pods that were asked several times in vain. `counts`: runs that have been counted, where a version is watched. `account`: by which name the API server knows the operator, where
    that is asked for.
    `comparison`: what the recorder said last of a row against the one before, and `unanswered` why it gave no answer, where it was asked.
    `archive`: what the archive has said of rows that retention is about to let go, where the App has one.
    `slices`: the EndpointSlices of its Service that are watched, the gate's among them. `gate`: the gate, as its own Service's slices say.
    `gate_ports`: ports that slices of other Apps have at the gate. `gate_keys`: the version of the Access Keys that the gate has digests
    of, where that was asked for and may be read; empty where it has none.
    `unreadable`: the App itself, or rows that any decision about it needs, which are there and cannot be read. `unknown`: by kind and
    name, why a release, a Runtime or the source of a promotion cannot be read. `failure`: what of the last reconcile failed.
    `row_problems`: by name, why a row may not be written. `more_rows`: whether further rows wait for a number, which the next reconciles look at.
    `denied`: by kind, why the operator may not list what there is of it: such children are neither made nor changed nor deleted.
    `unattended_until`: when an operator worked again after a time in which none could, such as one without an API server; None where
    there was no such time.
    `verification`: what new pods have answered by now that are asked before a caller reaches them; `evaluations`: Jobs that evaluate them.
    `left`: rows of an App that had the name before, which nobody owns yet.
    `guards`: what may keep its rows from being deployed. `authors_stamped_since`: from when on the API server has stamped who creates a row; None where it does not.
    """

    namespace: str
    name: str
    now: datetime
    settings: Settings
    app: App | None = None
    records: tuple[Record, ...] = ()
    versions: tuple[Version, ...] = ()
    runtimes: Mapping[str, Runtime] = field(default_factory=dict)
    children: Mapping[ChildKey, Manifest] = field(default_factory=dict)
    flows: frozenset[str] = frozenset()
    problems: Mapping[ChildKey, ChildProblem] = field(default_factory=dict)
    access_keys: AccessKeys = AccessKeys(KeysPresence.ABSENT)
    named: Mapping[ChildKey, frozenset[str] | None] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    runs: tuple[TriggerJob, ...] = ()
    claim: HostnameClaim = HostnameClaim()
    has_gateway_api: bool = True
    unattended_until: datetime | None = None
    authors_stamped_since: datetime | None = None
    promotions: Mapping[str, Record] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)
    unreadable: tuple[Unreadable, ...] = ()
    unknown: Mapping[ChildKey, str] = field(default_factory=dict)
    denied: Mapping[str, str] = field(default_factory=dict)
    failure: ReconcileFailure | None = None
    more_rows: bool = False
    row_problems: Mapping[str, ChildProblem] = field(default_factory=dict)
    activity: Mapping[str, Activity] = field(default_factory=dict)
    silent: frozenset[str] = frozenset()
    counts: RunCounts = field(default_factory=RunCounts)
    account: str = ""
    comparison: Comparison | None = None
    unanswered: str = ""
    archive: Archive = field(default_factory=Archive)
    slices: tuple[Slice, ...] = ()
    gate: Gate = field(default_factory=Gate)
    gate_ports: frozenset[int] = frozenset()
    gate_keys: str | None = None
    guards: ObservedGuards = field(default_factory=ObservedGuards)
    verification: Reading | None = None
    evaluations: tuple[EvaluationJob, ...] = ()
    left: tuple[LeftRow, ...] = ()

    @property
    def unreadable_app(self) -> Unreadable | None:
        """The App, where it is there and cannot be read."""
        return next((each for each in self.unreadable if each.kind == APP.kind), None)
