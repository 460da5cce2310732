"""`promote`: what an App serves here goes to another environment of its project."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from dynamiq_operator.actions.promote import NeedsHostname, PromotionPlan, PromotionRequest, perform_confirmed_promotion, plan_promotion
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import confirm, output

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    plan = _plan(context)
    return confirm.perform_and_follow(
        context, plan.lines(), plan.preview.as_json(), lambda: perform_confirmed_promotion(context.api, plan).made, plan.target_namespace
    )


def _plan(context: CommandContext) -> PromotionPlan:
    """Plans the promotion. A missing hostname is asked for on a terminal. Raises Refusal, which names the option, where there is no answer."""
    options = context.options
    hostname = options.hostname
    while True:
        try:
            request = PromotionRequest(
                context.namespace, options.app, options.to, options.target_namespace, hostname, options.message, options.bypass
            )
            return plan_promotion(context.api, request)
        except NeedsHostname as lacking:
            if options.yes or options.preview or not confirm.can_ask() or not (hostname := _ask_for_hostname(context, lacking)):
                raise Refusal(f"{lacking}: --hostname", lacking.field) from None


def _ask_for_hostname(context: CommandContext, lacking: NeedsHostname) -> str:
    context.err.write(f"{output.safe(lacking)}\nHostname: ")
    return sys.stdin.readline().strip()
