"""`suspend`: suspends deploys of an App until `--off` resumes them."""

from __future__ import annotations

from dynamiq_operator.cli import confirm, output, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "New rows wait, even with a bypass. The live row keeps running. You need the rights to `deploy` and to change the App.",
        ("support", "support --off", "support --preview"),
        parsing.NO_OP_EXITS,
    )
    parsing.app(command)
    command.add_argument("--off", action="store_true", help="end the suspension: rows that wait only for it are deployed")
    parsing.add_preview_flags(command)


def run(context: CommandContext) -> int:
    from dynamiq_operator.actions.suspend import perform_suspension, plan_suspension

    options = context.options
    plan = plan_suspension(context.api, context.namespace, options.app, suspend=not options.off)
    if plan.is_no_op and not options.preview:
        context.err.lines(safe(line) for line in plan.lines())
        return 0
    data = {"namespace": context.namespace, "app": options.app, "suspend": plan.suspend, "noOp": plan.is_no_op}
    if not confirm.agreed(context, plan.lines(), data):
        return confirm.nothing_done(context)
    made = perform_suspension(context.api, plan)
    if not context.print_data(made, [output.named("App", options.app)]):
        off = f": {context.hint(f'suspend {options.app} --off')} ends that"
        context.out.lines([safe(f"{options.app} {'is suspended' + off if plan.suspend else 'is resumed'}")])
    return 0
