"""Ends rows: each gets its outcome once, with the Events about it. It does not decide which row ends.

A row fails by `plan.rollout.evaluation.evaluate` once it rolls out, and before that by `rows.numbering` (it can never be pinned) or
`rows.admission` (rejected, withdrawn).

The API server enforces who may write an outcome (`manifests/admission/guard-rows.yaml`), and that it is set once (`model.row.SET_ONCE`).
"""

from __future__ import annotations

from dynamiq_operator.model import digests
from dynamiq_operator.model.guards import Verified
from dynamiq_operator.model.objects import App, Row, format_time
from dynamiq_operator.model.row import Outcome, Result
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.history.lifecycle import completed
from dynamiq_operator.plan.operations import EndRow, Operation, VerifyRow
from dynamiq_operator.plan.output import events


def end_overtaken(context: Context) -> Step:
    """Ends the rows that a newer one has overtaken."""
    newer = context.history.target
    ended = []
    for row in context.history.overtaken:
        if newer is not None and row.sequence < newer.sequence:
            reason = f"{newer.title} was deployed after it"
        else:  # the chain of digests is in order: no row is pinned below a pinned one, even if that one waits
            reason = f"{context.history.guarded[-1].title} was requested after it, and waits"
        ended.append(end_row(context, row, Result.OVERTAKEN, reason))
    return Step(context.having(*(row for row, _ in ended)), tuple(operation for _, operations in ended for operation in operations))


def verify_row(app: App, row: Row, verified: Verified) -> tuple[Row, tuple[Operation, ...]]:
    """Returns the row with its passed verification, and the operations that write it."""
    return completed(row, verified=verified), (*events.verified(app, row, verified), VerifyRow(row, verified))


def end_row(
    context: Context, row: Row, result: Result, reason: str, *, verification: float | None = None, is_warning: bool = False
) -> tuple[Row, tuple[Operation, ...]]:
    """Returns the row with its outcome, and the operations that write it. `verification`: seconds of the verification that failed it."""
    content = {"result": result.value, "reason": reason[:1024], "at": format_time(context.snapshot.now)}
    digest = row.pinned.digest if row.pinned else digests.row_digest(row.raw_spec)
    outcome = Outcome.model_validate({**content, "digest": digests.outcome_digest(digest, content, row.raw_spec)})
    emits = events.ended(context.app, row, outcome, is_warning=is_warning)
    return completed(row, outcome=outcome), (*emits, EndRow(row, outcome, verification))
