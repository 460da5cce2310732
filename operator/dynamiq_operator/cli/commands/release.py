"""`release`: releases the draft of a workflow as its next version."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.actions.refusals import BrokenFlow, Refusal
from dynamiq_operator.actions.release import perform_release, plan_release
from dynamiq_operator.cli import confirm, output

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
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
        return 0 if options.preview else confirm.declined(context)
    if planned.is_no_op:
        context.err.lines([f"the draft of {planned.workflow} is {planned.before} already: {confirm.NOTHING_DONE}"])
        return 0
    made = perform_release(api, planned)
    if options.output == "name":
        context.out.lines([output.named("WorkflowVersion", made["metadata"]["name"])])
    elif options.output is not None:
        context.out.lines([output.formatted(made, options.output)])
    else:
        version = made["spec"]["version"]
        context.out.lines([f"{planned.workflow} {version} is released: deploy it by {context.hint(f'deploy APP --version {version}')}"])
    return 0
