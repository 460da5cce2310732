"""Completes rows: each gets its place in the history, then its pins, or the reason why it waits or fails. It rolls out nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from dynamiq_operator.model.completion import Known, Missing, NotReadable, Refused, complete
from dynamiq_operator.model.objects import App, Row
from dynamiq_operator.model.rollout import Rollout
from dynamiq_operator.model.row import Pinned, Result
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.guards.pins import guarded
from dynamiq_operator.plan.history.lifecycle import RowHistory, arrival, completed
from dynamiq_operator.plan.observed.problems import ChildProblem
from dynamiq_operator.plan.observed.rows import ObservedRows
from dynamiq_operator.plan.operations import CompleteRow, Operation, OwnRow
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.revert.revert_row import is_by_operator, reverts_live
from dynamiq_operator.plan.rows.contracts import with_contract
from dynamiq_operator.plan.rows.deploy_spec import is_of_former_spec, source_of
from dynamiq_operator.plan.rows.outcomes import end_row


def own_restored_rows(context: Context) -> tuple[OwnRow, ...]:
    """Returns the operations that make the App the owner of restored rows; new rows get their owner when they are completed."""
    return tuple(
        OwnRow(context.app, row) for row in context.snapshot.rows.observed if row.sequence and context.app.meta.uid not in row.meta.owners
    )


def complete_rows(context: Context) -> Step:
    """Numbers the rows without a sequence, in order, and pins each numbered row that can be pinned.

    A row whose write was refused lately is skipped until it is due again; the rows after it continue.
    """
    refused = refused_rows(context.snapshot.rows, context.history)
    held = {name: problem.message for name, problem in refused.items() if problem.holds_back("")}
    unnumbered = [row for row in context.history.unnumbered if row.name not in held]
    numbers = {row.name: context.last_sequence + place for place, row in enumerate(unnumbered, 1)}
    numbered = replace(
        context.having(*(completed(row, sequence=numbers[row.name]) for row in unnumbered)), reserved=max(numbers.values(), default=None)
    )
    due = [row for row in numbered.history.waiting if row.sequence >= numbered.history.reached]  # `end_overtaken` ends the others
    completion = _Completion(numbered, numbers, refused)
    for row in due:
        completion.complete(row)
    # Numbered rows that are not due, such as a restored row that has pins only, get their number, too.
    rest = numbers.keys() - {row.name for row in due}
    others = (CompleteRow(context.app, row, numbers[row.name], None) for row in numbered.history.rows if row.name in rest)
    return Step(completion.context, (*completion.operations(), *others))


def refused_rows(observed: ObservedRows, history: RowHistory) -> dict[str, ChildProblem]:
    """Returns the problems of open rows that may not be written, by name."""
    problems = observed.problems
    return {row.name: problems[row.name] for row in history.rows if row.name in problems and row.outcome is None}


def waits_until(row: Row, rollout: Rollout, known_since: datetime | None = None) -> datetime:
    """Returns until when a row may wait for what is missing. `known_since`: since when an operator could see what is missing."""
    return max(row.meta.created, known_since or row.meta.created) + timedelta(seconds=rollout.progress_deadline_seconds)


def seconds_left(row: Row, rollout: Rollout, now: datetime, known_since: datetime | None = None) -> float:
    """Returns how many seconds a row may still wait."""
    return max((waits_until(row, rollout, known_since) - now).total_seconds(), 0.0)


class _Completion:
    """The completion of rows in order: each is chained to the row pinned before it, and may be a rollback to it.

    `numbers`: the new sequences. `refused`: problems of rows whose write was refused lately.
    """

    def __init__(self, context: Context, numbers: Mapping[str, int], refused: Mapping[str, ChildProblem]) -> None:
        self._context, self._numbers, self._refused = context, numbers, refused
        self._rows = {row.name: row for row in context.history.rows}
        self._known = _known(context, self._rows)
        self._last, self._ledger = context.ledger.last_pinned, context.ledger
        self._waits = {row.name: refused[row.name].message for row in context.history.unnumbered if row.name in refused}
        self._changed: set[str] = set()
        self._operations: dict[str, tuple[Operation, ...]] = {}

    @property
    def context(self) -> Context:
        """The context with the rows completed so far."""
        # Rows keep their order, as no sequence changes here. `Context.having` would copy all changes again for each row.
        history = RowHistory(tuple(self._rows.values()))
        return replace(self._context, history=history, ledger=self._ledger, waits={**self._context.waits, **self._waits})

    def operations(self) -> Iterator[Operation]:
        """Yields the operations in order. Only the newest row gets an Event that its deploy began: it overtakes the others."""
        target = self.context.history.target
        for name, operations in self._operations.items():
            if target is not None and name == target.name and target.pinned is not None and name in self._changed:
                yield from events.began(self._context.app, target, target.pinned)
            yield from operations

    def complete(self, row: Row) -> None:
        """Pins one row, lets it wait, or ends it."""
        context, app, number = self._context, self._context.app, self._numbers.get(row.name)
        late = context.snapshot.now >= waits_until(row, app.spec.rollout, context.in_flight_since)
        completion = (
            _too_late(context.app, row)
            or _outdated(context, row)
            or self._hindrance(row, late)
            or _awaits_switch(context, row)
            or self._pins(row)
        )
        if isinstance(completion, Pinned):
            pinned = completed(row, pinned=completion)
            if number is not None:
                pinned = replace(pinned, meta=row.meta)  # number and pins are one write, and one generation
            self._last = max(self._last or (0, ""), (row.sequence, completion.digest))
            self._change(pinned, CompleteRow(app, row, number, completion))
            return
        if isinstance(completion, NotReadable) or (isinstance(completion, Missing) and not late):
            self._waits[row.name] = completion.message
            self._operations[row.name] = self._numbering(row, number)
            return
        ended, ending = end_row(context, row, Result.FAILED, _final(completion, app.spec.rollout))
        self._change(ended, *self._numbering(row, number), *ending)

    def _numbering(self, row: Row, number: int | None) -> tuple[Operation, ...]:
        return (CompleteRow(self._context.app, row, number, None),) if number is not None else ()

    def _hindrance(self, row: Row, late: bool) -> Missing | Refused | None:
        """Returns why a row whose write was refused is not pinned now; None if it may be. It fails once a newer row was deployed."""
        problem, target = self._refused.get(row.name), self._context.history.target
        if problem is None:
            return None
        if target is not None and arrival(target) > arrival(row):
            return Refused(f"{problem.message}; {target.title} was deployed meanwhile")
        return Missing(problem.message) if late or problem.holds_back("") else None

    def _pins(self, row: Row) -> Pinned | Missing | Refused:
        source = source_of(self._context, row)
        previous = self._last[1] if self._last is not None else None
        completion = complete(
            row, self._known, sequence=row.sequence, source=source, previous_digest=previous, now=self._context.snapshot.now
        )
        if not isinstance(completion, Pinned):
            return completion
        return guarded(self.context, row, with_contract(self.context, row, completion))

    def _change(self, row: Row, *operations: Operation) -> None:
        self._rows[row.name] = row
        self._changed.add(row.name)
        self._ledger = self._ledger.having([row])
        self._operations[row.name] = operations


def _too_late(app: App, row: Row) -> Refused | None:
    """Returns why a row fails that is much older than its App: its deploy would surprise people by then."""
    rollout = app.spec.rollout
    if app.meta.created <= waits_until(row, rollout):
        return None
    return Refused(f"App {app.meta.name} was created more than {rollout.progress_deadline_seconds} s after the row")


def _outdated(context: Context, row: Row) -> Refused | None:
    """Returns why a row of the operator fails: its `deploy` was changed, or a person deployed over the bad version."""
    if is_of_former_spec(context, row):
        return Refused("App.spec.deploy was changed before the row arrived")
    if is_by_operator(context.snapshot.operator, context.app, row) and not reverts_live(context, row):
        return Refused("a newer row exists, so the version that it was to revert stays")
    return None


def _awaits_switch(context: Context, row: Row) -> Missing | None:
    """Returns why a row to be verified waits while its App is converted to strategy Switch."""
    # Under strategy Rolling callers would reach each new pod at once. The wait has a deadline: a live row whose pods crash may never be
    # converted.
    verify = context.app.spec.rollout.verify
    if verify is None or context.history.live is None or context.switches or row.spec.bypass is not None:
        return None
    if (row.spec.is_rollback and not verify.rollbacks) or is_by_operator(context.snapshot.operator, context.app, row):
        return None
    return Missing(
        "the App is being brought to strategy Switch, by which its new pods are verified before a caller reaches them; a bypass does not wait"
    )


def _final(completion: Missing | Refused, rollout: Rollout) -> str:
    if isinstance(completion, Missing):
        return f"{completion.message}, {rollout.progress_deadline_seconds} s after the row was created"
    return completion.message


def _known(context: Context, rows: Mapping[str, Row]) -> Known:
    snapshot = context.snapshot
    return Known(
        app=context.app,
        live=context.history.live,
        versions=snapshot.sources.versions,
        runtimes=snapshot.sources.runtimes,
        rows={**snapshot.archive.rows, **rows},
        flows=snapshot.children.flows | {version.flow_hash for version in snapshot.sources.versions} | set(snapshot.archive.flows),
        settings=context.snapshot.settings,
        authors_stamped_since=snapshot.sources.authors_stamped_since,
        promotions=snapshot.sources.promotions,
        gate=snapshot.endpoints.gate.state,
        unknown=snapshot.sources.unknown,
    )
