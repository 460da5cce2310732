"""`reject-version`: rejects a version, so that nobody can deploy it; with `--withdraw` allows it again."""

from __future__ import annotations

import argparse
from typing import Any

from dynamiq_operator.cli import confirm, output, parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.cli.output import safe
from dynamiq_operator.model.manifests import Manifest


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "It counts for the version's flow, under any name, in this namespace and for promotions from it. A WorkflowVersion that is deleted"
        " and created again stays rejected. A deleted version is found by the rows that ran it. You need the right to `approve`.",
        (
            "support v5 -m 'It loses invoices'",
            "support --row 12 -m 'It loses invoices'",
            "support v5 --withdraw -m 'It was the mail server'",
        ),
        parsing.NO_OP_EXITS,
    )
    command.check = _wrong
    parsing.app(command)
    command.add_argument("workflow_version", metavar="VERSION", nargs="?", help="the version, such as v5")
    command.add_argument("--row", metavar="ROW", help="in place of VERSION: this row's version, by sequence or name")
    command.add_argument("--withdraw", action="store_true", help="withdraw the rejection: the version may be deployed again")
    command.add_argument("-m", "--message", required=True, metavar="REASON", help="reason, shown to everybody who tries to deploy it")
    parsing.add_preview_flags(command)


def _wrong(options: argparse.Namespace) -> str:
    if (options.workflow_version is None) is (options.row is None):
        return "name the version, such as v5, or with --row a row that ran it"
    return "give a reason: it must not be empty" if not options.message.strip() else ""


def run(context: CommandContext) -> int:
    return _withdraw(context) if context.options.withdraw else _reject(context)


def _row(context: CommandContext) -> Manifest | None:
    options = context.options
    return context.find_row(options.row) if options.row is not None else None


def _reject(context: CommandContext) -> int:
    from dynamiq_operator.actions.rejections import perform_rejection, plan_rejection, sentence

    options = context.options
    plan = plan_rejection(context.api, context.namespace, options.app, options.workflow_version, options.message, row=_row(context))
    data = {"version": plan.version, "flowHash": plan.flow_hash, "noOp": plan.existing is not None}
    if plan.existing is not None and not options.preview:
        context.err.lines(safe(line) for line in plan.lines())
        return 0
    if not _agreed(context, plan.lines(), data):
        return confirm.nothing_done(context)
    made = perform_rejection(context.api, plan)
    _print(context, [made], [sentence(made)])
    return 0


def _withdraw(context: CommandContext) -> int:
    from dynamiq_operator.actions.rejections import perform_withdrawal, plan_withdrawal

    options = context.options
    plan = plan_withdrawal(context.api, context.namespace, options.app, options.workflow_version, options.message, row=_row(context))
    data = {"version": plan.version, "rejections": [each["metadata"]["name"] for each in plan.rejections]}
    if not _agreed(context, plan.lines(), data):
        return confirm.nothing_done(context)
    _print(context, perform_withdrawal(context.api, plan), [f"{plan.version} of {plan.app} may be deployed again"])
    return 0


def _agreed(context: CommandContext, lines: list[str], data: dict[str, Any]) -> bool:
    return confirm.agreed(context, lines, {"namespace": context.namespace, "app": context.options.app, **data})


def _print(context: CommandContext, made: list[Manifest], lines: list[str]) -> None:
    names = (output.named("Rejection", each["metadata"]["name"]) for each in made)
    if not context.print_data(made[0] if len(made) == 1 else made, names):
        context.out.lines(safe(line) for line in lines)
