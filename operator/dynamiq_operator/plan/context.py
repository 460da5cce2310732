"""What a plan is decided from: one frozen value that every step of the planner takes, and passes on with the rows that it completes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import CONFIG_MAP, ChildKey
from dynamiq_operator.desired.pins import PLAIN, Pins
from dynamiq_operator.model import freezes
from dynamiq_operator.model.app import LiveRow
from dynamiq_operator.model.guards import GuardReason, Waits
from dynamiq_operator.model.objects import App, Manifest, Record, parse_time
from dynamiq_operator.model.record import Pinned, Result
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.history.ledger import Ledger, LedgerRow
from dynamiq_operator.plan.history.lifecycle import History, waits
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.observed.workloads import Workloads
from dynamiq_operator.plan.operations import Operation
from dynamiq_operator.plan.snapshot import Snapshot


@dataclass(frozen=True)
class Context:
    """A snapshot whose App exists, and the App's rows as they are once the steps before have been carried out.

    `history` and `ledger` start as observed. `waits`: by name of a row that cannot be pinned yet, what it waits for. `guarded`: by name of
    a pinned one, what holds it; `guards_change_at`: when time alone may change that.
    `reserved`: the highest sequence that this plan gives to a row, None where it gives none.
    """

    snapshot: Snapshot
    app: App
    history: History
    ledger: Ledger
    waits: Mapping[str, str] = field(default_factory=dict)
    guarded: Mapping[str, Waits] = field(default_factory=dict)
    guards_change_at: datetime | None = None
    reserved: int | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, app: App) -> Context:
        history = History.of(snapshot.records)
        return cls(snapshot, app, history, snapshot.ledger.having(history.rows))

    def having(self, *changed: Record) -> Context:
        """This context with each of `changed` in place of the row of its name."""
        return replace(self, history=self.history.having(*changed), ledger=self.ledger.having(changed)) if changed else self

    @property
    def now(self) -> datetime:
        return self.snapshot.now

    @property
    def settings(self) -> Settings:
        return self.snapshot.settings

    @cached_property
    def in_flight_since(self) -> datetime:
        """Since when an operator has known that a deploy is in flight: as the App's status says, and now where it does not say so yet.

        A restore loses that status, so what it brings back in flight begins anew. A time in which no operator could work is not known of.
        """
        said = self.app.status.deploying_since
        since = parse_time(said) if said is not None else self.now
        return max(since, self.snapshot.unattended_until or since)

    @property
    def target(self) -> Record | None:
        """The row whose pins the workload is to run; None where nothing has been deployed."""
        return self.history.target

    @cached_property
    def given_up(self) -> int:
        """The highest sequence of an open row that was being rolled out and has ended without going live; 0 where there is none."""
        rolled_out = {row.name for row in self.snapshot.records if row.pinned and not waits(row)}
        ended = (row for row in self.history.rows if row.outcome and row.outcome.result is not Result.SUCCEEDED)
        return max((row.sequence for row in ended if row.name in rolled_out), default=0)

    @property
    def lost(self) -> LiveRow | None:
        """The row that the App serves, as its status says, where it is there no more, and nothing newer is to take its place.

        What runs is all that is left of it, and stays: that a row is not there is no wish of its App.
        """
        said, reached = self.app.status.live, self.target.sequence if self.target is not None else 0
        return said if said is not None and reached < said.sequence else None

    @property
    def pinned(self) -> Pinned | None:
        """The pins of the target."""
        return self.target.pinned if self.target is not None else None

    @property
    def last_sequence(self) -> int:
        """The highest sequence that was ever given to a row of the App, 0 where none was."""
        return self.reserved or max(self.app.status.last_sequence or 0, self.ledger.highest)

    @cached_property
    def deploy_rows(self) -> tuple[LedgerRow, ...]:
        """The rows that were made of `App.spec.deploy`, oldest first, as far as the ledger is known."""
        return self.ledger.of_deploy_spec(self.app.meta.name)

    @cached_property
    def target_pins(self) -> Pins | None:
        """What makes the target's pods."""
        return Pins.of(self.pinned) if self.pinned is not None else None

    @cached_property
    def live_pins(self) -> Pins | None:
        """What makes the live row's pods."""
        live = self.history.live
        if live is self.target:
            return self.target_pins
        return Pins.of(live.pinned) if live is not None and live.pinned is not None else None

    @cached_property
    def workloads(self) -> Workloads:
        """Every workload of the App, as observed."""
        return Workloads.of(self.app, self.snapshot.children)

    @cached_property
    def unverified(self) -> str | None:
        """The pins label of the candidate's pods, where they have yet to be verified and are none of the live row's."""
        row, pins, live = self.history.candidate, self.target_pins, self.live_pins
        if row is None or row.pinned is None or row.pinned.verify is None or row.spec.verified is not None or pins is None:
            return None
        return pins.label if live is None or live.label != pins.label else None

    @cached_property
    def serving(self) -> str | None:
        """The pins label of the workload that serves, empty for that of strategy Rolling; None where there is none.

        It is what the Service selects. Where that was edited, or the Service deleted, it is the one that served last. One that callers may
        not reach yet never is: then the Service was edited.
        """
        selected = self.workloads.selected if self.workloads.selected != self.unverified else None
        of_rows = {pins.label for pins in (self.target_pins, self.live_pins) if pins is not None} if selected else set()
        if selected is not None and (selected in self.workloads.by_label or selected in of_rows):
            return selected
        return self.workloads.newest_served(but=(self.unverified,)) or (PLAIN if PLAIN in self.workloads.by_label else None)

    @property
    def switches(self) -> bool:
        """Whether rows are rolled out by strategy Switch: as what serves the live row is, until it has been brought to another strategy."""
        if self.history.live is None or self.serving is None:
            candidate = self.history.candidate
            is_verified = candidate is not None and candidate.pinned is not None and candidate.pinned.verify is not None
            return self.app.spec.rollout.switches or is_verified
        return self.serving != PLAIN

    @cached_property
    def label(self) -> str:
        """The pins label of the workload that is to run the target; empty under strategy Rolling."""
        return self.target_pins.label if self.target_pins is not None and self.switches else PLAIN

    @property
    def workload(self) -> Manifest | None:
        """The workload that runs, or is to run, the target, as observed."""
        return self.workloads.get(self.label)

    @property
    def serving_workload(self) -> Manifest | None:
        """The workload that the Service selects; that of the target where none serves yet."""
        found = self.workloads.get(self.serving)
        return self.workload if found is None else found

    @cached_property
    def template_digest(self) -> str | None:
        """The digest of the target's pod template, as the label of its pods has it; None where nothing is to run."""
        return self.digest_of(self.target_pins, self.workload) if self.target_pins is not None else None

    @cached_property
    def holds_variables(self) -> bool:
        """Whether variables, access and what is recorded take effect with the next row alone: they change what runs, and no row says so.

        So it is where a row would need an Approval, in a freeze, while the App is suspended, and while the policies cannot be read.
        """
        observed = self.snapshot.guards
        asked = any(each.spec.approvals is not None or freezes.frozen(each.spec.freezes, self.now) for each in observed.policies)
        return asked or bool(observed.unknown) or bool(self.app.spec.suspend)

    def keeps_variables(self, pins: Pins, observed: Manifest | None) -> bool:
        """Whether a workload keeps the template that was applied, though the App wants other variables by now: no row has come since."""
        if not self.holds_variables or observed is None or self.target is None or not workloads.has_pins(observed, pins):
            return False
        noted = workloads.template_row(observed)
        return noted is None or self.target.sequence <= noted or not self._brings_variables(pins)

    def _brings_variables(self, pins: Pins) -> bool:
        """Whether changed variables take effect with these pins: they are of a row that was approved, or waited for a freeze, or a bypass.

        One that was only suspended, or unknown, has met no rule: a rollback, which is exempt, would bring them past all.
        """
        spec = self.target.spec if self.target is not None else None
        if spec is None or self.target_pins is None or pins.digest != self.target_pins.digest:
            return False
        waited_for = set(spec.released.guards) if spec.released is not None else set()
        return spec.bypass is not None or bool(waited_for & {GuardReason.AWAITING_APPROVAL, GuardReason.FROZEN})

    def app_for(self, pins: Pins, observed: Manifest | None) -> App:
        """The App with the variables that pods of these pins are to have: where changed ones are held, those that serve now."""
        if not self.holds_variables or self._brings_variables(pins):
            return self.app
        applied = observed if observed is not None else self.serving_workload
        found = workloads.as_applied(self.app, applied) if applied is not None else None
        return found or self.app

    def digest_of(self, pins: Pins, observed: Manifest | None) -> str:
        """The digest of the pod template that a workload of these pins is to have."""
        kept = workloads.applied_digest(observed) if observed is not None and self.keeps_variables(pins, observed) else None
        return kept or workloads.template_digest(self.app_for(pins, observed), pins, observed)

    @property
    def is_rolled(self) -> bool:
        """Whether the workload makes the target's pods already, Ready or not."""
        return self.template_digest is not None and self.workload is not None and workloads.runs(self.workload, self.template_digest)

    @cached_property
    def pods(self) -> tuple[Pod, ...]:
        """Those of the target's workload and template; others neither are its progress nor fail it."""
        return tuple(pod for pod in self.snapshot.pods if (pod.pins, pod.template_digest) == (self.label, self.template_digest))

    @property
    def release_of_flow(self) -> str | None:
        """The name of a WorkflowVersion that has the target's flow."""
        wanted = self.pinned.workflow_hash if self.pinned is not None else None
        return next((version.name for version in self.snapshot.versions if version.flow_hash == wanted), None)

    @property
    def has_flow(self) -> bool:
        """Whether the target's flow can be mounted: from a ConfigMap that is there, or one made of a WorkflowVersion, or of the archive's."""
        if self.pinned is None:
            return False
        is_somewhere = self.release_of_flow is not None or self.pinned.workflow_hash in self.snapshot.archive.flows
        could_be_made = is_somewhere and self.flow_key not in self.snapshot.problems
        return self.pinned.workflow_hash in self.snapshot.flows or could_be_made

    @property
    def flow_key(self) -> ChildKey | None:
        """The ConfigMap of the target's flow."""
        return CONFIG_MAP.key(self.app.meta.name, self.pinned.workflow_hash) if self.pinned is not None else None


@dataclass(frozen=True)
class Step:
    """What a step of the planner decides: `operations`, and the context as it is once they have been carried out."""

    context: Context
    operations: tuple[Operation, ...] = ()
