"""What a plan is decided from: one frozen value that every step of the planner takes, and passes on with the rows that it completes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import CONFIG_MAP, ChildKey
from dynamiq_operator.desired.pins import PLAIN, Pins
from dynamiq_operator.model import freezes
from dynamiq_operator.model.app import LiveRow
from dynamiq_operator.model.guards import Waits
from dynamiq_operator.model.objects import App, Manifest, Record, parse_time
from dynamiq_operator.model.record import Pinned, Result
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.history.ledger import Ledger, LedgerRow
from dynamiq_operator.plan.history.lifecycle import History, approved_environment, brings_environment, noted_environment, waits
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.observed.workloads import Workloads
from dynamiq_operator.plan.operations import Operation
from dynamiq_operator.plan.snapshot import Snapshot

RESTORED_TOGETHER = timedelta(minutes=10)
"""By which an App may be newer than its live row where a restore made both, which it does in any order."""


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
        return self._stands_still or self.asks_approvals

    @property
    def asks_approvals(self) -> bool:
        """Whether a policy that can be read asks for approvals."""
        return any(each.spec.approvals is not None for each in self.snapshot.guards.policies)

    @cached_property
    def _stands_still(self) -> bool:
        """Whether not even what was approved before may come back without a row: in a freeze, suspended, or while that is not known."""
        observed = self.snapshot.guards
        is_frozen = any(freezes.frozen(each.spec.freezes, self.now) for each in observed.policies)
        return is_frozen or bool(observed.unknown) or bool(self.app.spec.suspend)

    def keeps_environment(self, pins: Pins, observed: Manifest | None) -> bool:
        """Whether a workload keeps the template that was applied, though the App wants other variables by now: no row has come since.

        It does not where they are set back to what the target was approved with, as after a row that has failed with others.
        """
        if not self.holds_variables or observed is None or self.target is None or not workloads.has_pins(observed, pins):
            return False
        if self.target_pins is None or pins.digest != self.target_pins.digest:
            return True
        if not self._stands_still and approved_environment(self.target) == workloads.environment_digest(self.app):
            return False
        noted = workloads.template_row(observed)
        return noted is None or self.target.sequence <= noted or not brings_environment(self.target)

    def app_for(self, pins: Pins, observed: Manifest | None) -> App | None:
        """Returns the App with the environment that new pods of these pins are to have; None where none is approved or known.

        While rows alone change it, this is in order: the App's own, if the row was approved with it; what some workload has of it; for other
        rows what was applied before. A candidate has what it was approved with, or nothing. What is warm beside what serves may have what
        was taken back since: it tells what was applied only to rows that note nothing.
        """
        if not self.holds_variables:
            return self.app
        rows = ((self.target, self.target_pins), (self.history.live, self.live_pins))
        row = next((row for row, own in rows if own is not None and own.digest == pins.digest), None)
        approved = approved_environment(row)
        if approved == workloads.environment_digest(self.app):
            return self.app
        there = self.workloads_with(observed)
        if approved is not None:
            found = next((app for each in there if (app := workloads.applied_with(self.app, each, approved)) is not None), None)
            if found is not None or row is self.history.candidate:
                return found
        if noted_environment(row) is not None:
            there = tuple(each for each in (observed, self._serving_own) if each is not None)
        known = [each for each in (self.target_pins, self.live_pins) if each is not None]
        applied = next((app for each in there if (app := workloads.as_applied(self.app, each, *known)) is not None), None)
        if applied is not None:
            return applied
        return self.app if self._was_in_force(row) else None

    def workloads_with(self, observed: Manifest | None) -> tuple[Manifest, ...]:
        """Returns the App's workloads: this one first, then what serves."""
        found = (observed, self.serving_workload, *(self.workloads.by_label[label] for label in sorted(self.workloads.by_label)))
        return tuple({each["metadata"]["name"]: each for each in found if each is not None}.values())

    @property
    def _serving_own(self) -> Manifest | None:
        """The workload that serves, where it is of the target or of the live row; what is warm beside it is neither."""
        own = {PLAIN, *(pins.label for pins in (self.target_pins, self.live_pins) if pins is not None)}
        return self.serving_workload if self.serving in own else None

    @property
    def environment_in_force(self) -> str | None:
        """The digest of the environment that the pods have that serve, where it need not be the App's; None where it may be, or is unknown."""
        if not self.holds_variables:
            return None
        known = [each for each in (self.target_pins, self.live_pins) if each is not None]
        applied = workloads.as_applied(self.app, self._serving_own, *known) if self._serving_own is not None else None
        return workloads.environment_digest(applied) if applied is not None else noted_environment(self.history.live)

    def _was_in_force(self, row: Record | None) -> bool:
        """Whether the App's environment is what its pods had, as far as its status tells: no workload is left to compare with.

        What the row notes tells it as well. A restore loses the status and may lose the workloads: then it relies on the App as it came
        back, unless the row notes another one. It does not rely on an App that was made again beside its rows.
        """
        status, own = self.app.status, workloads.environment_digest(self.app)
        if noted_environment(row) == own:
            return True
        if not status.observed_generation:
            if self._is_made_again:
                return False
            pinned = row.pinned if row is not None and (row.spec.is_rollback or brings_environment(row)) else None
            return pinned is None or pinned.environment in (None, own)
        return status.observed_generation == self.app.meta.generation and not status.is_holding_variables

    @property
    def _is_made_again(self) -> bool:
        """Whether the App was created after its live row, and not with it, as in a restore: somebody deleted the App alone."""
        live = self.history.live
        return live is not None and live.meta.created + RESTORED_TOGETHER < self.app.meta.created

    def digest_of(self, pins: Pins, observed: Manifest | None) -> str:
        """The digest of the pod template that a workload of these pins is to have; where none may be made, one that no pod has."""
        kept = workloads.applied_digest(observed) if observed is not None and self.keeps_environment(pins, observed) else None
        return kept or workloads.template_digest(self.app_for(pins, observed) or self.app, pins, observed)

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
