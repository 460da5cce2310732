"""`release`: releases the draft of a workflow as its next version."""

from __future__ import annotations

from dynamiq_operator.actions.refusals import BrokenFlow, Refusal
from dynamiq_operator.cli import confirm, output, parsing
from dynamiq_operator.cli.context import CommandContext


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "A version never changes, so a flow that cannot run is refused. If the draft equals the newest version, a release needs another --description.",
        ("support", "support --description 'Answers in French'", "support --preview"),
    )
    command.add_argument("workflow", metavar="WORKFLOW", help="name of the workflow")
    command.add_argument("--description", help="what changed (default: the draft's description)")
    command.add_argument("--force", action="store_true", help="release a flow that cannot run: its errors become warnings")
    parsing.add_preview_flags(command)


def run(context: CommandContext) -> int:
    from dynamiq_operator.actions.release import perform_release, plan_release

    options, api = context.options, context.api
    try:
        planned = plan_release(api, context.namespace, options.workflow, description=options.description, force=options.force)
    except BrokenFlow as error:
        raise Refusal(f"the flow cannot run: {error.reason}; --force releases it as it is") from None
    data = {
        "warnings": list(planned.warnings),
        "namespace": planned.namespace,
        "workflow": planned.workflow,
        "from": planned.before,
        "to": planned.version,
    }
    if not confirm.agreed(context, planned.lines(), {**data, "flowDiff": "\n".join(planned.flow_diff), "noOp": planned.is_no_op}):
        return confirm.nothing_done(context)
    if planned.is_no_op:
        context.err.lines([f"the draft of {planned.workflow} is {planned.before} already: {confirm.NOTHING_DONE}"])
        return 0
    made = perform_release(api, planned)
    if not context.print_data(made, [output.named("WorkflowVersion", made["metadata"]["name"])]):
        version = made["spec"]["version"]
        context.out.lines([f"{planned.workflow} {version} is released: deploy it by {context.hint(f'deploy APP --version {version}')}"])
    return 0
