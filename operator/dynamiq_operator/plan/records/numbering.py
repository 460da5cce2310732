"""Completing rows: each gets its place in the history, then its pins, or the reason why it waits or can never be deployed."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from dynamiq_operator.model import digests
from dynamiq_operator.model.app import Rollout
from dynamiq_operator.model.completion import Known, Missing, Refused, complete
from dynamiq_operator.model.objects import Record, format_time
from dynamiq_operator.model.record import Outcome, Pinned, Result
from dynamiq_operator.plan import events
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.history.lifecycle import completed
from dynamiq_operator.plan.operations import CompleteRecord, EndRecord, Operation, OwnRecord
from dynamiq_operator.plan.records.deploy_spec import source_of


def own_restored_rows(context: Context) -> tuple[OwnRecord, ...]:
    """Makes the App the owner of rows that a restore brought back; new rows become its own when they are completed."""
    return tuple(
        OwnRecord(context.app, row) for row in context.snapshot.records if row.sequence and context.app.meta.uid not in row.meta.owners
    )


def complete_rows(context: Context) -> Step:
    """Numbers the rows that have no sequence, in order, and pins each numbered row that can be."""
    app = context.app
    highest = context.last_sequence
    numbers = {row.name: highest + place for place, row in enumerate(context.history.unnumbered, 1)}
    context = context.having(*(completed(row, sequence=numbers[row.name]) for row in context.history.unnumbered))
    context = replace(context, reserved=highest + len(numbers) if numbers else None)
    operations: list[Operation] = []
    waits: dict[str, str] = {}
    for row in context.history.waiting:
        if context.target is not None and row.sequence < context.target.sequence:
            continue
        found = _too_late(context, row) or complete(
            row,
            _known(context),
            sequence=row.sequence,
            source=source_of(context, row),
            previous_digest=context.ledger.last_digest,
            now=context.now,
        )
        number = numbers.pop(row.name, None)
        if isinstance(found, Pinned):
            pinned = completed(row, pinned=found)
            context = context.having(pinned)
            operations += [*events.began(app, pinned, found), CompleteRecord(app, row, number, found)]
            continue
        if number is not None:
            operations.append(CompleteRecord(app, row, number, None))
        if isinstance(found, Missing) and context.now < waits_until(row, app.spec.rollout):
            waits[row.name] = found.message
            continue
        failed, end = end_row(context, row, Result.FAILED, _final(found, app.spec.rollout))
        context = context.having(failed)
        operations += end
    # Rows that a newer one overtook before they were pinned still get the number that was reserved for them.
    operations += [CompleteRecord(app, row, numbers[row.name], None) for row in context.history.rows if row.name in numbers]
    return Step(replace(context, waits=waits), tuple(operations))


def end_overtaken(context: Context) -> Step:
    """Ends the rows that a newer one has overtaken."""
    newer = context.target
    reason = f"{events.title(newer)} was deployed after it" if newer else ""
    ended = [end_row(context, row, Result.OVERTAKEN, reason) for row in context.history.overtaken]
    return Step(context.having(*(row for row, _ in ended)), tuple(operation for _, operations in ended for operation in operations))


def end_row(context: Context, row: Record, result: Result, reason: str) -> tuple[Record, tuple[Operation, ...]]:
    """The row with its outcome, and the operations that write it."""
    said = {"result": result.value, "reason": reason[:1024], "at": format_time(context.now)}
    digest = row.pinned.digest if row.pinned else digests.row_digest(row.raw_spec)
    outcome = Outcome.model_validate({**said, "digest": digests.outcome_digest(digest, said)})
    return completed(row, outcome=outcome), (*events.ended(context.app, row, outcome), EndRecord(row, outcome))


def waits_until(row: Record, rollout: Rollout) -> datetime:
    """The moment until which a row may wait for what is missing."""
    return row.meta.created + timedelta(seconds=rollout.progress_deadline_seconds)


def seconds_left(row: Record, rollout: Rollout, now: datetime) -> float:
    """How long a row may wait still."""
    return max((waits_until(row, rollout) - now).total_seconds(), 0.0)


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
    )
