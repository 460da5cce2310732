"""The snapshot of one App: everything observed of it at one moment, frozen, in parts by topic. Every decision uses it and nothing else.

It decides nothing.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from dynamiq_operator.model.kinds import APP
from dynamiq_operator.model.objects import App, Unreadable
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.observed.archive import ArchiveAnswers
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.claim import HostnameClaim
from dynamiq_operator.plan.observed.contracts import ObservedContracts
from dynamiq_operator.plan.observed.endpoints import ObservedEndpoints
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.observed.moved import MovedSessions
from dynamiq_operator.plan.observed.open_runs import OpenRuns
from dynamiq_operator.plan.observed.operator import OperatorState
from dynamiq_operator.plan.observed.pods import ObservedPods
from dynamiq_operator.plan.observed.rows import ObservedRows
from dynamiq_operator.plan.observed.secrets import ObservedSecrets
from dynamiq_operator.plan.observed.sources import PinSources
from dynamiq_operator.plan.observed.trial import ObservedTrial
from dynamiq_operator.plan.observed.verification import ObservedVerification


@dataclass(frozen=True)
class Snapshot:
    """Everything known of the App `namespace`/`name` at `now`. Each part documents its fields."""

    namespace: str
    name: str
    now: datetime
    settings: Settings
    app: App | None = None
    unreadable: tuple[Unreadable, ...] = ()
    """The App, or rows that every decision about it needs, if they exist but are unreadable."""
    rows: ObservedRows = field(default_factory=ObservedRows)
    ledger: Ledger = field(default_factory=Ledger)
    sources: PinSources = field(default_factory=PinSources)
    guards: ObservedGuards = field(default_factory=ObservedGuards)
    children: ObservedChildren = field(default_factory=ObservedChildren)
    claim: HostnameClaim = field(default_factory=HostnameClaim)
    secrets: ObservedSecrets = field(default_factory=ObservedSecrets)
    pods: ObservedPods = field(default_factory=ObservedPods)
    endpoints: ObservedEndpoints = field(default_factory=ObservedEndpoints)
    verification: ObservedVerification = field(default_factory=ObservedVerification)
    trial: ObservedTrial = field(default_factory=ObservedTrial)
    archive: ArchiveAnswers = field(default_factory=ArchiveAnswers)
    open_runs: OpenRuns = field(default_factory=OpenRuns)
    contracts: ObservedContracts = field(default_factory=ObservedContracts)
    moved: tuple[MovedSessions, ...] = ()
    """The conversations that were moved since the last snapshot."""
    operator: OperatorState = field(default_factory=OperatorState)

    @property
    def unreadable_app(self) -> Unreadable | None:
        """The App if it exists but is unreadable."""
        return next((each for each in self.unreadable if each.kind == APP.kind), None)
