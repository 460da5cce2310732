"""A snapshot: all that is known of one App at one moment, frozen. Every decision is made from it and from nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import Enum
from typing import Any

from dynamiq_operator.desired.base import WORKLOAD, is_ending
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Manifest, Record, Runtime, Version, parse_time
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.triggers.run_statuses import Run

ChildKey = tuple[str, str]
"""Kind and name of a child."""


class Hindrance(Enum):
    """What keeps a child from being made."""

    TAKEN = "NameTaken"
    REFUSED = "Refused"
    DENIED = "Denied"
    HOSTNAME = "HostnameTaken"
    GATEWAY = "NoGateway"


@dataclass(frozen=True)
class Problem:
    """A child that could not be made. For `REFUSED`, `digest` is that of the manifest the API server found invalid."""

    hindrance: Hindrance
    message: str
    digest: str = ""


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
    """Whose the App's hostname is. `FREE`: nobody's, as far as can be seen."""

    NOT_NEEDED = "not needed"
    FREE = "free"
    OURS = "ours"
    HELD = "held"
    ABANDONED = "abandoned"


@dataclass(frozen=True)
class Claim:
    """The claim of the App's hostname. `holder`: namespace and name of the App that has it; `stranger`: else what serves it, its kind."""

    state: ClaimState = ClaimState.NOT_NEEDED
    holder: tuple[str, str] | None = None
    released_at: datetime | None = None
    raw: Manifest | None = None
    stranger: str = "Ingress"


@dataclass(frozen=True)
class Container:
    """State of a pod's container, from its status."""

    image: str
    ready: bool
    running: bool
    restarts: int
    waiting_reason: str | None = None
    waiting_message: str | None = None
    exit_code: int | None = None
    exit_reason: str | None = None
    exit_message: str | None = None


@dataclass(frozen=True)
class Pod:
    """`keys`: the version of the Access Keys that its kubelet was told of, empty where it has never been told."""

    name: str
    uid: str
    created: datetime
    keys: str
    template: str
    deleting: bool
    ready: bool
    container: Container | None
    unschedulable: str | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> Pod:
        status = raw.get("status") or {}
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        scheduled = conditions.get("PodScheduled", {})
        statuses = status.get("containerStatuses") or ()
        return cls(
            name=raw["metadata"]["name"],
            uid=raw["metadata"].get("uid", ""),
            created=parse_time(raw["metadata"].get("creationTimestamp") or "1970-01-01T00:00:00Z"),
            keys=(raw["metadata"].get("annotations") or {}).get(names.KEYS_ANNOTATION, ""),
            template=(raw["metadata"].get("labels") or {}).get(names.TEMPLATE_LABEL, ""),
            deleting=is_ending(raw),
            ready=conditions.get("Ready", {}).get("status") == "True",
            container=_container(raw, statuses[0]) if statuses else None,
            unschedulable=scheduled.get("message") if scheduled.get("status") == "False" else None,
        )


def _container(raw: Mapping[str, Any], status: Mapping[str, Any]) -> Container:
    state, last = status.get("state") or {}, status.get("lastState") or {}
    waiting = state.get("waiting") or {}
    ended = state.get("terminated") or last.get("terminated") or {}
    return Container(
        image=raw["spec"]["containers"][0]["image"],
        ready=bool(status.get("ready")),
        running="running" in state,
        restarts=status.get("restartCount", 0),
        waiting_reason=waiting.get("reason"),
        waiting_message=waiting.get("message"),
        exit_code=ended.get("exitCode"),
        exit_reason=ended.get("reason"),
        exit_message=ended.get("message"),
    )


@dataclass(frozen=True)
class WorkloadState:
    """What the workload's status says of its rollout. Counts are of pods; `failure` is why pods cannot be created."""

    replicas: int
    updated: int
    available: int
    total: int
    observed: bool
    progressed_at: datetime | None
    deadline_exceeded: bool
    failure: str | None

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> WorkloadState:
        status = raw.get("status") or {}
        conditions = {condition["type"]: condition for condition in status.get("conditions") or ()}
        progressing = conditions.get("Progressing", {})
        failing = conditions.get("ReplicaFailure", {})
        observed = status.get("observedGeneration", 0) >= raw["metadata"].get("generation", 0)
        return cls(
            replicas=raw["spec"].get("replicas", 1),
            updated=status.get("updatedReplicas", 0),
            available=status.get("availableReplicas", 0),
            total=status.get("replicas", 0),
            observed=observed,
            progressed_at=parse_time(progressing["lastUpdateTime"]) if progressing.get("lastUpdateTime") else None,
            deadline_exceeded=observed and progressing.get("reason") == "ProgressDeadlineExceeded",
            failure=failing.get("message") if failing.get("status") == "True" else None,
        )

    @property
    def complete(self) -> bool:
        """Every pod is of the newest template, as many as wanted, all available, and at least one."""
        return self.observed and 0 < self.replicas == self.updated == self.total == self.available


@dataclass(frozen=True)
class Snapshot:
    """Everything known of the App `namespace`/`name` at `now`.

    `records`: its rows that are not closed, and closed ones that the others name. `children`: what carries our labels for
    this App, by kind and name. `problems`: children that could not be made lately.
    `runs`: Jobs of its triggers. `promotions`: by the name of a row, the row of another App that it promotes, where it was found.
    `named`: of Secrets and ConfigMaps that the App's variables name, and that were looked at, the keys; None where there is none.
    `has_gateway_api`: whether HTTPRoutes can be made.
    `authors_stamped_since`: from when on the API server has stamped who creates a row; None where it does not.
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
    problems: Mapping[ChildKey, Problem] = field(default_factory=dict)
    access_keys: AccessKeys = AccessKeys(KeysPresence.ABSENT)
    named: Mapping[ChildKey, frozenset[str] | None] = field(default_factory=dict)
    pods: tuple[Pod, ...] = ()
    runs: tuple[Run, ...] = ()
    claim: Claim = Claim()
    has_gateway_api: bool = True
    authors_stamped_since: datetime | None = None
    promotions: Mapping[str, Record] = field(default_factory=dict)
    ledger: Ledger = field(default_factory=Ledger)

    def workload_of(self, row: Record | None) -> Manifest | None:
        """The workload that runs, or is to run, `row`."""
        return self.children.get((WORKLOAD.kind, names.workload(self.name, row.name if row else "")))
