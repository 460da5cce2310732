"""Approves, resumes, rejects or withdraws a row: shows what the row would do, asks, then creates the Approval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dynamiq_operator.cli import confirm, output, parsing
from dynamiq_operator.cli.output import safe
from dynamiq_operator.model.manifests import Purpose
from dynamiq_operator.views.waiting import is_waiting

if TYPE_CHECKING:
    from dynamiq_operator.actions.approvals import ApprovalPlan
    from dynamiq_operator.cli.context import CommandContext
    from dynamiq_operator.views.preview import Preview

ROW = "the row, by its sequence (13 or '#13') or its name (default: the waiting row)"


def add_arguments(command: parsing.Parser, more: str, examples: tuple[str, ...]) -> None:
    parsing.describe(command, more, examples, parsing.NO_OP_EXITS)
    parsing.app(command)
    command.add_argument("row", metavar="ROW", nargs="?", help=ROW)
    command.add_argument("-m", "--message", help="reason, kept next to the history")
    parsing.add_preview_flags(command)


def create_approval(context: CommandContext, purpose: Purpose) -> int:
    """Creates an Approval with this purpose for a row; returns the exit code. Raises Refusal and ApiError."""
    from dynamiq_operator.actions.approvals import ApprovalRequest, perform_approval, plan_approval

    options = context.options
    request = ApprovalRequest(context.namespace, options.app, purpose, options.row, options.message)
    plan = plan_approval(context.api, request)
    if plan.existing is not None and not options.preview:
        _print_outcome(context, plan, plan.existing)
        return 0
    # A rejection needs no preview, and must be possible even if the preview fails.
    shows = is_waiting(plan.row) and purpose in (Purpose.APPROVE, Purpose.RESUME)
    preview = plan.preview(context.api) if shows else None
    if not confirm.agreed(context, _lines(plan, preview), _data(plan, preview)):
        return 0 if options.preview else confirm.declined(context)
    _print_outcome(context, plan, perform_approval(context.api, plan).made)
    return 0


def _lines(plan: ApprovalPlan, preview: Preview | None) -> Iterator[str]:
    from dynamiq_operator.actions.approvals import DONE

    yield f"{plan.request.purpose.value.lower()} {plan.title} of {plan.request.app} in {plan.request.namespace}"
    if (author := plan.row["spec"].get("createdBy")) is not None:
        yield f"  by       {author}"
    if (message := plan.row["spec"].get("message")) is not None:
        yield f"  message  {message}"
    for approval in plan.approvals:
        spec = approval["spec"]
        why = f": {spec['message']}" if spec.get("message") else ""
        yield f"  {DONE[Purpose(spec['purpose'])]} by {spec.get('by') or 'an unknown user'}{why}"
    if preview is not None:
        yield from preview.lines()[1:]
    yield ""
    yield from (f"  {each}" for each in plan.consequences())


def _data(plan: ApprovalPlan, preview: Preview | None) -> dict[str, Any]:
    return {
        "purpose": plan.request.purpose.value,
        "row": plan.row["metadata"]["name"],
        "digest": plan.manifest["spec"]["digest"],
        "preview": preview.as_json() if preview is not None else None,
        "says": plan.consequences(),
        "noOp": plan.existing is not None,
    }


def _print_outcome(context: CommandContext, plan: ApprovalPlan, made: dict[str, Any]) -> None:
    from dynamiq_operator.actions.approvals import outcome_lines

    is_data = context.print_data(made, [output.named("Approval", made["metadata"]["name"])])
    (context.err if is_data else context.out).lines(safe(line) for line in [*outcome_lines(plan, made), *plan.warnings])
