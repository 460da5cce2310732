"""`approve`, `resume`, `reject` and `withdraw`: show what the row would do, ask, then create the Approval."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dynamiq_operator.cli import confirm, output, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.model.manifests import Purpose
from dynamiq_operator.views.waiting import is_waiting

if TYPE_CHECKING:
    from dynamiq_operator.actions.approvals import ApprovalPlan
    from dynamiq_operator.views.preview import Preview

HELP = {
    "approve": (
        "It previews the row against what is live now, and asks. You need the right to `approve` (ClusterRole dynamiq-approver)."
        " Authors cannot approve their own rows. A policy says how many approvals are needed, and for how long each counts.",
        ("support", "support 13 -m 'Read the diff'", "support --preview", "support '#13' --yes"),
    ),
    "resume": (
        "After a rollback, changes from Git are on hold: this deploys the row that waits, or lets Git deploy again. You need the right to"
        " `deploy`.",
        ("support", "support 14 -m 'The fix is in'"),
    ),
    "reject": (
        "The row ends Failed, with your name and reason. You need the right to `approve`. To reject a version for good, under any name:"
        " `kubectl dynamiq reject-version`.",
        ("support -m 'Not before the fair'", "support 13 -m 'Not before the fair'"),
    ),
    "withdraw": (
        "The row ends, and is not deployed. Only its author can withdraw it; others reject it.",
        ("support", "support 13 -m 'I have a better one'"),
    ),
}
"""Details and examples of each command."""


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(command, *HELP[command.prog.rpartition(" ")[2]], parsing.NO_OP_EXITS)
    parsing.app(command)
    command.add_argument(
        "row", metavar="ROW", nargs="?", help="the row, by its sequence (13 or '#13') or its name (default: the waiting row)"
    )
    command.add_argument("-m", "--message", help="reason, kept next to the history")
    parsing.add_preview_flags(command)


def run(context: CommandContext) -> int:
    from dynamiq_operator.actions.approvals import ApprovalRequest, perform_approval, plan_approval

    options = context.options
    purpose = Purpose(options.command.capitalize())
    request = ApprovalRequest(context.namespace, options.app, purpose, options.row, options.message)
    plan = plan_approval(context.api, request)
    if plan.existing is not None and not options.preview:
        _print_outcome(context, plan, plan.existing)
        return 0
    # A rejection needs no preview, and must be possible even if the preview fails.
    shows = is_waiting(plan.row) and purpose in (Purpose.APPROVE, Purpose.RESUME)
    preview = plan.preview(context.api) if shows else None
    if not confirm.agreed(context, _lines(plan, preview), _data(plan, preview)):
        return confirm.nothing_done(context)
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
