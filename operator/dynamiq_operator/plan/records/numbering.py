"""Completing rows: each gets its place in the history, then its pins, or the reason why it waits or can never be deployed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from dynamiq_operator.model.app import Rollout
from dynamiq_operator.model.completion import Known, Missing, Refused, Unknown, complete
from dynamiq_operator.model.objects import Record
from dynamiq_operator.model.record import Pinned, Result
from dynamiq_operator.plan import events
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.history.lifecycle import completed
from dynamiq_operator.plan.operations import CompleteRecord, Operation, OwnRecord
from dynamiq_operator.plan.records.deploy_spec import source_of
from dynamiq_operator.plan.records.outcomes import end_row


def own_restored_rows(context: Context) -> tuple[OwnRecord, ...]:
    """Makes the App the owner of rows that a restore brought back; new rows become its own when they are completed."""
    return tuple(
        OwnRecord(context.app, row) for row in context.snapshot.records if row.sequence and context.app.meta.uid not in row.meta.owners
    )


def complete_rows(context: Context) -> Step:
    """Numbers the rows that have no sequence, in order, and pins each numbered row that can be."""
    highest = context.last_sequence
    numbers = {row.name: highest + place for place, row in enumerate(context.history.unnumbered, 1)}
    context = context.having(*(completed(row, sequence=numbers[row.name]) for row in context.history.unnumbered))
    context = replace(context, reserved=max(numbers.values(), default=None))
    reached = context.target.sequence if context.target is not None else 0
    due = [row for row in context.history.waiting if row.sequence >= reached]  # `end_overtaken` ends the others
    operations: list[Operation] = []
    for row in due:
        step = _complete_row(context, row, numbers.get(row.name))
        context = step.context
        operations += step.operations
    # What was numbered and is not due, such as a row that a restore brought back with pins alone, gets its number, too.
    done = {row.name for row in due}
    operations += [
        CompleteRecord(context.app, row, numbers[row.name], None) for row in context.history.rows if row.name in numbers.keys() - done
    ]
    return Step(context, tuple(operations))


def waits_until(row: Record, rollout: Rollout, known_since: datetime | None = None) -> datetime:
    """The moment until which a row may wait for what is missing; `known_since`: from when on an operator could see whether it is there."""
    return max(row.meta.created, known_since or row.meta.created) + timedelta(seconds=rollout.progress_deadline_seconds)


def seconds_left(row: Record, rollout: Rollout, now: datetime, known_since: datetime | None = None) -> float:
    """How long a row may wait still."""
    return max((waits_until(row, rollout, known_since) - now).total_seconds(), 0.0)


def _complete_row(context: Context, row: Record, number: int | None) -> Step:
    """Pins one row, lets it wait, or ends it. `number`: the sequence to write, with the pins where it gets them; None where it is written."""
    app = context.app
    rollout = app.spec.rollout
    found = _too_late(context, row) or complete(
        row,
        _known(context),
        sequence=row.sequence,
        source=source_of(context, row),
        previous_digest=context.ledger.last_digest,
        now=context.now,
    )
    if isinstance(found, Pinned):
        pinned = completed(row, pinned=found)
        return Step(context.having(pinned), (*events.began(app, pinned, found), CompleteRecord(app, row, number, found)))
    numbered = (CompleteRecord(app, row, number, None),) if number is not None else ()
    if isinstance(found, Unknown) or (isinstance(found, Missing) and context.now < waits_until(row, rollout, context.in_flight_since)):
        return Step(replace(context, waits={**context.waits, row.name: found.message}), numbered)
    failed, ending = end_row(context, row, Result.FAILED, _final(found, rollout))
    return Step(context.having(failed), (*numbered, *ending))


def _too_late(context: Context, row: Record) -> Refused | None:
    """Why a row fails whose App was created after the row had waited too long: by then its deploy would come as a surprise."""
    app, rollout = context.app.meta, context.app.spec.rollout
    if app.created <= waits_until(row, rollout):
        return None
    return Refused(f"App {app.name} was created more than {rollout.progress_deadline_seconds} s after the row")


def _final(found: Missing | Refused, rollout: Rollout) -> str:
    if isinstance(found, Missing):
        return f"{found.message}, {rollout.progress_deadline_seconds} s after the row was created"
    return found.message


def _known(context: Context) -> Known:
    snapshot = context.snapshot
    return Known(
        app=context.app,
        live=context.history.live,
        versions=snapshot.versions,
        runtimes=snapshot.runtimes,
        rows={row.name: row for row in context.history.rows},
        flows=snapshot.flows | {version.flow_hash for version in snapshot.versions},
        settings=context.settings,
        authors_stamped_since=snapshot.authors_stamped_since,
        promotions=snapshot.promotions,
        unknown=snapshot.unknown,
    )
