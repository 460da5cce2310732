"""The input of every step of the planner: a snapshot, and the App's rows as the steps before left them. It decides no operation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import CONFIG_MAP, ChildKey
from dynamiq_operator.desired.pin_labels import PLAIN
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.template_note import applied_digest
from dynamiq_operator.model import freezes
from dynamiq_operator.model.app_status import LiveRow
from dynamiq_operator.model.guards import Waits
from dynamiq_operator.model.objects import App, Manifest, Row, parse_time
from dynamiq_operator.model.row import Pinned, Result
from dynamiq_operator.plan.history.ledger import Ledger, LedgerRow
from dynamiq_operator.plan.history.lifecycle import RowHistory, applies_environment, approved_environment, noted_environment, waits
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.observed.workloads import ObservedWorkloads
from dynamiq_operator.plan.operations import Operation
from dynamiq_operator.plan.snapshot import Snapshot

RESTORED_TOGETHER = timedelta(minutes=10)
"""The age difference of an App and its live row up to which one restore may have made both: it makes them in any order."""


@dataclass(frozen=True)
class Context:
    """A snapshot whose App exists, with the App's rows as they are after the previous steps.

    `history` and `ledger` start as observed. `waits`: for each row that cannot be pinned yet, by name, what is missing. `guarded`: for each
    pinned row that waits, by name, its guards. `guards_change_at`: when time alone may change those. `reserved`: the highest sequence that
    this plan assigns; None if it assigns none.
    """

    snapshot: Snapshot
    app: App
    history: RowHistory
    ledger: Ledger
    waits: Mapping[str, str] = field(default_factory=dict)
    guarded: Mapping[str, Waits] = field(default_factory=dict)
    guards_change_at: datetime | None = None
    reserved: int | None = None

    @classmethod
    def of(cls, snapshot: Snapshot, app: App) -> Context:
        history = RowHistory.of(snapshot.rows.observed)
        return cls(snapshot, app, history, snapshot.ledger.having(history.rows))

    def having(self, *changed: Row) -> Context:
        """Returns this context with each of `changed` in place of the row of its name."""
        return replace(self, history=self.history.having(*changed), ledger=self.ledger.having(changed)) if changed else self

    @cached_property
    def in_flight_since(self) -> datetime:
        """The time from which a deploy in flight counts: the one in the App's status, or now if it has none.

        A restore loses that status, so a restored deploy in flight starts again. Times in which no operator could work do not count.
        """
        noted = self.app.status.deploying_since
        since = parse_time(noted) if noted is not None else self.snapshot.now
        return max(since, self.snapshot.operator.unattended_until or since)

    @cached_property
    def given_up(self) -> int:
        """The highest sequence of a row whose rollout ended in this plan without going live; 0 if there is none."""
        rolled_out = {row.name for row in self.snapshot.rows.observed if row.pinned and not waits(row)}
        ended = (row for row in self.history.rows if row.outcome and row.outcome.result is not Result.SUCCEEDED)
        return max((row.sequence for row in ended if row.name in rolled_out), default=0)

    @property
    def lost(self) -> LiveRow | None:
        """The live row of the App's status if it was deleted and no newer row replaces it; else None."""
        # Its workload is kept: a deleted row is no request to stop the App.
        live, reached = self.app.status.live, self.history.target.sequence if self.history.target is not None else 0
        return live if live is not None and reached < live.sequence else None

    @property
    def pinned(self) -> Pinned | None:
        """The pins of the target."""
        return self.history.target.pinned if self.history.target is not None else None

    @property
    def last_sequence(self) -> int:
        """The highest sequence that any row of the App ever had; 0 if none had one."""
        return self.reserved or max(self.app.status.last_sequence or 0, self.ledger.highest)

    @cached_property
    def deploy_rows(self) -> tuple[LedgerRow, ...]:
        """The rows that were made from `App.spec.deploy`, oldest first; empty while the ledger is unknown."""
        return self.ledger.of_deploy_spec(self.app.meta.name)

    @cached_property
    def target_pins(self) -> Pins | None:
        """The pins from which the target's pods are made."""
        return Pins.of(self.pinned) if self.pinned is not None else None

    @cached_property
    def live_pins(self) -> Pins | None:
        """The pins from which the live row's pods are made."""
        live = self.history.live
        if live is self.history.target:
            return self.target_pins
        return Pins.of(live.pinned) if live is not None and live.pinned is not None else None

    @cached_property
    def workloads(self) -> ObservedWorkloads:
        """Every workload of the App, as observed."""
        return ObservedWorkloads.of(self.app, self.snapshot.children.observed)

    @cached_property
    def unverified(self) -> str | None:
        """The pins label of the candidate's pods while they are not verified and differ from the live row's; else None."""
        row, pins, live = self.history.candidate, self.target_pins, self.live_pins
        if row is None or row.pinned is None or row.pinned.verify is None or row.spec.verified is not None or pins is None:
            return None
        return pins.label if live is None or live.label != pins.label else None

    @cached_property
    def serving(self) -> str | None:
        """The pins label of the workload that serves, empty under strategy Rolling; None if no workload serves.

        It is the label that the Service selects. If the Service was edited or deleted, it is the workload that served last.
        """
        # A Service that selects unverified pods was edited: the operator never selects them.
        selected = self.workloads.selected if self.workloads.selected != self.unverified else None
        of_rows = {pins.label for pins in (self.target_pins, self.live_pins) if pins is not None} if selected else set()
        if selected is not None and (selected in self.workloads.by_label or selected in of_rows):
            return selected
        return self.workloads.newest_served(but=(self.unverified,)) or (PLAIN if PLAIN in self.workloads.by_label else None)

    @property
    def switches(self) -> bool:
        """True if rows are rolled out by strategy Switch: the strategy of the serving workload counts until it is converted."""
        if self.history.live is None or self.serving is None:
            candidate = self.history.candidate
            is_verified = candidate is not None and candidate.pinned is not None and candidate.pinned.verify is not None
            return self.app.spec.rollout.switches or is_verified
        return self.serving != PLAIN

    @cached_property
    def label(self) -> str:
        """The pins label of the workload for the target; empty under strategy Rolling."""
        return self.target_pins.label if self.target_pins is not None and self.switches else PLAIN

    @property
    def workload(self) -> Manifest | None:
        """The workload for the target, as observed."""
        return self.workloads.get(self.label)

    @property
    def serving_workload(self) -> Manifest | None:
        """The workload that the Service selects; the target's if none serves yet."""
        serving = self.workloads.get(self.serving)
        return self.workload if serving is None else serving

    @cached_property
    def template_digest(self) -> str | None:
        """The digest of the target's pod template, as in the label of its pods; None if nothing is to run."""
        return self.digest_of(self.target_pins, self.workload) if self.target_pins is not None else None

    @cached_property
    def holds_variables(self) -> bool:
        """True if changed variables, access and recording wait for the next row."""
        # They change what runs, and no row shows it: so they wait where a row would need an approval, in a freeze, during a suspension, and
        # while policies are unreadable.
        return self._needs_new_row or self.snapshot.guards.asks_approvals

    @cached_property
    def _needs_new_row(self) -> bool:
        """True if even an approved environment needs a new row: in a freeze, while suspended, or while the guards are unknown."""
        observed = self.snapshot.guards
        is_frozen = any(freezes.frozen(each.spec.freezes, self.snapshot.now) for each in observed.policies)
        return is_frozen or bool(observed.unknown) or bool(self.app.spec.suspend)

    def keeps_environment(self, pins: Pins, observed: Manifest | None) -> bool:
        """Returns True if a workload keeps its applied template although the App has other variables now, because no row came since.

        It is False if the variables were set back to the target's approved ones, as after a failed row with other variables.
        """
        if not self.holds_variables or observed is None or self.history.target is None or not workloads.has_pins(observed, pins):
            return False
        if self.target_pins is None or pins.digest != self.target_pins.digest:
            return True
        if not self._needs_new_row and approved_environment(self.history.target) == workloads.environment_digest(self.app):
            return False
        noted = workloads.template_row(observed)
        return noted is None or self.history.target.sequence <= noted or not applies_environment(self.history.target)

    def app_for(self, pins: Pins, observed: Manifest | None) -> App | None:
        """Returns the App with the environment for new pods of these pins; None if none is approved or known.

        While only rows change the environment, the first of these applies:

        - the App's own, if the row was approved with it
        - the approved one, from a workload that was applied with it
        - the environment that was applied before
        - the App's own, if the App's status or the row shows that it was in force

        A candidate with an approved environment gets only that one.
        """
        if not self.holds_variables:
            return self.app
        rows = ((self.history.target, self.target_pins), (self.history.live, self.live_pins))
        row = next((row for row, own in rows if own is not None and own.digest == pins.digest), None)
        approved = approved_environment(row)
        if approved == workloads.environment_digest(self.app):
            return self.app
        observed_workloads = self.workloads_with(observed)
        if approved is not None:
            with_approved = next(
                (app for each in observed_workloads if (app := workloads.applied_with(self.app, each, approved)) is not None), None
            )
            if with_approved is not None or row is self.history.candidate:
                return with_approved
        # A standby workload may have a reverted environment: it counts only for rows that note none.
        if noted_environment(row) is not None:
            observed_workloads = tuple(each for each in (observed, self._serving_own) if each is not None)
        known = [each for each in (self.target_pins, self.live_pins) if each is not None]
        applied = next((app for each in observed_workloads if (app := workloads.as_applied(self.app, each, *known)) is not None), None)
        if applied is not None:
            return applied
        return self.app if self._was_in_force(row) else None

    def workloads_with(self, observed: Manifest | None) -> tuple[Manifest, ...]:
        """Returns the App's workloads: this one first, then the one that serves."""
        in_order = (observed, self.serving_workload, *(self.workloads.by_label[label] for label in sorted(self.workloads.by_label)))
        return tuple({each["metadata"]["name"]: each for each in in_order if each is not None}.values())

    @property
    def _serving_own(self) -> Manifest | None:
        """The serving workload if it belongs to the target or to the live row; else None. A standby belongs to neither."""
        own = {PLAIN, *(pins.label for pins in (self.target_pins, self.live_pins) if pins is not None)}
        return self.serving_workload if self.serving in own else None

    @property
    def environment_in_force(self) -> str | None:
        """The digest of the serving pods' environment if it may differ from the App's; None if it may not, or is unknown."""
        if not self.holds_variables:
            return None
        known = [each for each in (self.target_pins, self.live_pins) if each is not None]
        applied = workloads.as_applied(self.app, self._serving_own, *known) if self._serving_own is not None else None
        return workloads.environment_digest(applied) if applied is not None else noted_environment(self.history.live)

    def _was_in_force(self, row: Row | None) -> bool:
        """Returns True if the row or the App's status shows that the pods had the App's environment, though no workload is left to compare.

        After a restore the status is lost, and perhaps the workloads. The App as restored then counts, unless the row notes another
        environment. An App that was created again beside its rows does not count.
        """
        status, own = self.app.status, workloads.environment_digest(self.app)
        if noted_environment(row) == own:
            return True
        if not status.observed_generation:
            if self._is_made_again:
                return False
            pinned = row.pinned if row is not None and (row.spec.is_rollback or applies_environment(row)) else None
            return pinned is None or pinned.environment in (None, own)
        return status.observed_generation == self.app.meta.generation and not status.is_holding_variables

    @property
    def _is_made_again(self) -> bool:
        """True if the App was created after its live row, and not by the same restore: a person deleted only the App."""
        live = self.history.live
        return live is not None and live.meta.created + RESTORED_TOGETHER < self.app.meta.created

    def digest_of(self, pins: Pins, observed: Manifest | None) -> str:
        """Returns the digest of the pod template for a workload of these pins; if none may be made, a digest that no pod has."""
        kept = applied_digest(observed) if observed is not None and self.keeps_environment(pins, observed) else None
        return kept or workloads.template_digest(self.app_for(pins, observed) or self.app, pins, observed)

    @property
    def is_rolled(self) -> bool:
        """True if the workload already makes the target's pods, ready or not."""
        return self.template_digest is not None and self.workload is not None and workloads.runs(self.workload, self.template_digest)

    @cached_property
    def pods(self) -> tuple[ObservedPod, ...]:
        """The pods of the target's workload and template. Other pods neither advance nor fail the rollout."""
        return tuple(pod for pod in self.snapshot.pods.observed if (pod.pins, pod.template_digest) == (self.label, self.template_digest))

    @property
    def has_flow(self) -> bool:
        """True if the target's flow can be mounted: from a ConfigMap, or from one made of a WorkflowVersion or of the archive."""
        if self.pinned is None:
            return False
        flow_hash, children = self.pinned.workflow_hash, self.snapshot.children
        is_somewhere = self.snapshot.sources.release_of(flow_hash) is not None or flow_hash in self.snapshot.archive.flows
        return flow_hash in children.flows or (is_somewhere and self.flow_key not in children.problems)

    @property
    def flow_key(self) -> ChildKey | None:
        """The ConfigMap of the target's flow."""
        return CONFIG_MAP.key(self.app.meta.name, self.pinned.workflow_hash) if self.pinned is not None else None


@dataclass(frozen=True)
class Step:
    """The result of a step of the planner: `operations`, and the context after they are done."""

    context: Context
    operations: tuple[Operation, ...] = ()
