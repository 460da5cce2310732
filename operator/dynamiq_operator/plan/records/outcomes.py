"""Ending rows: each gets its outcome once, and the Events that tell of it.

Who may write an outcome is held by the API server: `manifests/admission/guard-rows.yaml`, and once by `model.record.SET_ONCE`.
"""

from __future__ import annotations

from dynamiq_operator.model import digests
from dynamiq_operator.model.guards import Verified
from dynamiq_operator.model.objects import Record, format_time
from dynamiq_operator.model.record import Outcome, Result
from dynamiq_operator.plan import events
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.history.lifecycle import completed
from dynamiq_operator.plan.operations import EndRecord, Operation, VerifyRecord


def end_overtaken(context: Context) -> Step:
    """Ends the rows that a newer one has overtaken."""
    newer = context.target
    ended = []
    for row in context.history.overtaken:
        if newer is not None and row.sequence < newer.sequence:
            reason = f"{events.title(newer)} was deployed after it"
        else:  # the chain of digests is in order: nothing is pinned below a row that is pinned and waits
            reason = f"{events.title(context.history.guarded[-1])} was asked for after it, and waits"
        ended.append(end_row(context, row, Result.OVERTAKEN, reason))
    return Step(context.having(*(row for row, _ in ended)), tuple(operation for _, operations in ended for operation in operations))


def verify_row(context: Context, row: Record, verified: Verified) -> tuple[Record, tuple[Operation, ...]]:
    """The row, whose pods have passed its cases, and the operations that write that."""
    return completed(row, verified=verified), (*events.verified(context.app, row, verified), VerifyRecord(row, verified))


def end_row(
    context: Context, row: Record, result: Result, reason: str, *, verification: float | None = None, is_warning: bool = False
) -> tuple[Record, tuple[Operation, ...]]:
    """The row with its outcome, and the operations that write it. `verification`: seconds of the verification that failed it."""
    said = {"result": result.value, "reason": reason[:1024], "at": format_time(context.now)}
    digest = row.pinned.digest if row.pinned else digests.row_digest(row.raw_spec)
    outcome = Outcome.model_validate({**said, "digest": digests.outcome_digest(digest, said, row.raw_spec)})
    told = events.ended(context.app, row, outcome, is_warning=is_warning)
    return completed(row, outcome=outcome), (*told, EndRecord(row, outcome, verification))
