"""The rows of one App over the plan's steps for rows: sequences, pins, admissions and ends. Pods are ready once nothing else is to be done.

It is quick enough for thousands of histories. An operator can be killed after each write; the next one decides from the written state.
"""

from __future__ import annotations

import copy
import random
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any

from dynamiq_operator.model.guard_objects import Approval, DeployPolicy, Rejection
from dynamiq_operator.model.objects import App, Manifest, Row, format_time
from dynamiq_operator.model.row import CLOSED, Result
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.history.lifecycle import RowHistory
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.contracts import ObservedContracts
from dynamiq_operator.plan.observed.guards import ObservedGuards
from dynamiq_operator.plan.observed.rows import ObservedRows
from dynamiq_operator.plan.observed.sources import PinSources
from dynamiq_operator.plan.operations import AdmitRow, CompleteRow, CreateRow, EndRow, Operation
from dynamiq_operator.plan.rows.admission import admit_rows
from dynamiq_operator.plan.rows.deploy_spec import create_deploy_row
from dynamiq_operator.plan.rows.numbering import complete_rows
from dynamiq_operator.plan.rows.outcomes import end_overtaken, end_row
from dynamiq_operator.plan.snapshot import Snapshot
from tests.support import factories as given

VERSIONS = ("v1", "v2", "v3", "v4", "v5")
ANNA, BERT, CARA = "anna", "bert", "cara"
FLUX = "system:serviceaccount:flux-system:kustomize-controller"
STAMPED = given.NOW - timedelta(days=1)
PASSES = 200
_WRITES = (CompleteRow, AdmitRow, EndRow, CreateRow)
_VERSIONS = tuple(given.a_version(version) for version in VERSIONS)
_RUNTIMES = {given.RUNTIME_NAME: given.a_runtime()}
_FLOWS = frozenset(given.flow_hash(version) for version in VERSIONS)
_STORED = given.stored(given.app_manifest())


class GuardedRows:
    """The rows, and the guards that may block them.

    `killed`: the source of chance by which each operator is killed after any of its writes; None: no operator is killed.
    """

    def __init__(self, killed: random.Random | None = None) -> None:
        self.now: datetime = given.NOW
        self.rows: dict[str, Manifest] = {}
        self.app: dict[str, Any] = {"workflow": given.NAME}
        self._records: dict[str, Row] = {}
        self.policies: dict[str, Manifest] = {}
        self.approvals: list[Approval] = []
        self.rejections: dict[str, Rejection] = {}
        self.unknown = ""
        self.contracts = ObservedContracts()
        self._killed, self._made, self._last, self._reserved = killed, 0, 0, 0

    # Acts of people.

    def ask(self, by: str = ANNA, **asked: Any) -> str:
        """Creates a row as a user."""
        self._made += 1
        name = f"row-{self._made:04}"
        self._keep(name, {"app": given.NAME, "createdBy": by, **asked})
        return name

    def say(self, row: str, purpose: str, by: str = BERT, **more: Any) -> None:
        """Creates an Approval of a row as it is pinned."""
        pinned = self.record(row).pinned
        assert pinned is not None
        spec = {"row": row, "digest": pinned.digest, "purpose": purpose, "by": by, **more}
        made = {"metadata": {"name": f"word-{len(self.approvals)}", "creationTimestamp": format_time(self.now)}, "spec": spec}
        self.approvals.append(Approval.of(made))

    def reject_version(self, version: str) -> None:
        spec = {"workflowHash": given.flow_hash(version), "reason": "loses invoices", "by": BERT}
        self.rejections[given.flow_hash(version)] = Rejection.of({"metadata": {"name": version}, "spec": spec})

    def set_policy(self, name: str, **spec: Any) -> None:
        self.policies[name] = {"metadata": {"name": name}, "spec": {"namespaceSelector": {}, **spec}}

    def later(self, seconds: float = 1) -> None:
        self.now += timedelta(seconds=seconds)

    def restore(self, rows: Iterable[tuple[str, Manifest]]) -> None:
        """Restores the rows from a backup, in this order."""
        self.rows.clear()
        self._records.clear()
        for _, made in rows:
            self._store(made)

    # State.

    @property
    def records(self) -> Iterable[Row]:
        return self._records.values()

    def record(self, name: str) -> Row:
        return self._records[name]

    @property
    def history(self) -> RowHistory:
        return RowHistory.of(self.records)

    @property
    def live(self) -> str | None:
        return self.history.live.name if self.history.live is not None else None

    @property
    def waiting(self) -> list[str]:
        return [row.name for row in self.history.guarded]

    def ended(self, name: str) -> str | None:
        """Returns the result of a row, and its reason; None if it has not ended."""
        outcome = self.record(name).outcome
        return f"{outcome.result}: {outcome.reason}" if outcome is not None else None

    def why(self, name: str) -> str:
        """Returns the reason and the message of a waiting row; empty if it does not wait."""
        waits = admit_rows(complete_rows(self.context()).context).context.guarded.get(name)
        return f"{waits.reason}: {waits.message}" if waits is not None else ""

    # Acts of the operator.

    def context(self) -> Context:
        """Returns the context of an operator that has just started."""
        history = self.history
        open_rows = {row.name: row for row in history.rows if history.phase(row) not in CLOSED}
        named = {row.spec.restores for row in open_rows.values() if row.spec.restores and not row.pinned}
        open_rows |= {name: self._records[name] for name in named & self._records.keys() if name is not None}
        app = App.of({**_STORED, "spec": self.app, "status": {"observedGeneration": 1, "lastSequence": self._last}})
        observed = ObservedGuards(
            policies=tuple(DeployPolicy.of(policy) for policy in self.policies.values()),
            approvals=tuple(self.approvals),
            rejections=self.rejections,
            unknown=self.unknown,
            stamped_since=STAMPED,
        )
        snapshot = Snapshot(
            given.NAMESPACE,
            given.NAME,
            self.now,
            Settings(),
            app=app,
            rows=ObservedRows(tuple(open_rows.values())),
            sources=PinSources(_VERSIONS, _RUNTIMES, authors_stamped_since=STAMPED),
            children=ObservedChildren(flows=_FLOWS),
            ledger=Ledger(known=True).having(self.records),
            guards=observed,
            contracts=self.contracts,
        )
        return Context.of(snapshot, app)

    def settle(self) -> None:
        """Performs plans until nothing is left to do. An operator that is killed performs only a part of its plan."""
        for _ in range(PASSES):
            todo = self._plan()
            if not todo:
                return
            for operation in todo[: self._killed.randrange(len(todo) + 1)] if self._killed is not None else todo:
                self._do(operation)
        raise AssertionError("no rest")

    def _plan(self) -> list[Operation]:
        """Returns the writes of rows, in the planner's order. If there are none, a candidate's pods are ready, and it goes live."""
        context = self.context()
        done: list[Operation] = []
        for step in (complete_rows, admit_rows, end_overtaken):
            found = step(context)
            context, done = found.context, [*done, *found.operations]
        self._reserved = context.last_sequence
        done += create_deploy_row(context)
        writes: list[Operation] = [each for each in done if isinstance(each, _WRITES)]
        if writes or (row := context.history.candidate) is None:
            return writes
        _, operations = end_row(context, row, Result.SUCCEEDED, "its pods are ready")
        return [each for each in operations if isinstance(each, _WRITES)]

    def _do(self, operation: Operation) -> None:
        self._last = max(self._last, self._reserved)
        match operation:
            case CompleteRow(row=record, sequence=sequence, pinned=pinned):
                self._set_once(record.name, sequence=sequence, pinned=pinned.as_json() if pinned is not None else None)
            case AdmitRow(row=record, released=released):
                self._set_once(record.name, released=released.as_json())
            case EndRow(row=record, outcome=outcome):
                self._set_once(record.name, outcome=outcome.as_json())
            case CreateRow(name=name, content=asked, created_by=by):
                if name not in self.rows:
                    self._keep(name, {"app": given.NAME, "createdBy": by, **asked})

    def _set_once(self, name: str, **parts: Any) -> None:
        spec = dict(self.rows[name]["spec"])
        for part, value in parts.items():
            if value is not None:
                assert spec.get(part, value) == value, f"{part} of row {name} was set before"
                spec[part] = value
        self._store({**self.rows[name], "spec": spec})

    def _keep(self, name: str, spec: Manifest) -> None:
        made = given.row_manifest(name, given.with_meta(creationTimestamp=format_time(self.now)))
        self._store(given.stored({**made, "spec": copy.deepcopy(spec)}))

    def _store(self, made: Manifest) -> None:
        self.rows[made["metadata"]["name"]] = made
        self._records[made["metadata"]["name"]] = Row.of(made)
