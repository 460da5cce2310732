"""`promote`: what an App serves here goes to another environment of its project."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dynamiq_operator.actions.promote import NeedsHostname, Promotion, plan_promotion, promote
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import confirm, output

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    api = context.api
    planned = _plan(context)
    return confirm.create_and_follow(
        context, planned.lines(), planned.preview.as_json(), lambda: promote(api, planned), planned.target_namespace
    )


def _plan(context: CommandContext) -> Promotion:
    """The promotion; a hostname that it lacks is asked for where somebody sits there, else the refusal names the option."""
    options = context.options
    hostname = options.hostname
    while True:
        try:
            return plan_promotion(
                context.api,
                context.namespace,
                options.app,
                environment=options.to,
                target_namespace=options.target_namespace,
                hostname=hostname,
                message=options.message,
            )
        except NeedsHostname as lacking:
            if options.yes or options.preview or not sys.stdin.isatty() or not (hostname := _ask_for_hostname(context, lacking)):
                raise Refusal(f"{lacking}: --hostname", lacking.field) from None


def _ask_for_hostname(context: CommandContext, lacking: NeedsHostname) -> str:
    context.err.write(f"{output.safe(lacking)}\nHostname: ")
    return sys.stdin.readline().strip()
