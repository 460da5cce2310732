"""`deploy`: a version of an App becomes one more row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions.deploy import Deploy
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import confirm

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    options = context.options
    asked = Deploy(
        context.namespace, options.app, version=options.version, runtime=options.runtime, config=_config(context), message=options.message
    )
    return confirm.preview_and_deploy(context, asked)


def _config(context: CommandContext) -> dict[str, Any] | None:
    """The config that the options ask for; what they leave out keeps what is live."""
    options = context.options
    asked = {"minReplicas": options.min, "maxReplicas": options.max, "targetCPUUtilizationPercentage": options.cpu}
    scaling = {name: value for name, value in asked.items() if value is not None}
    if options.serverless:
        if scaling:
            raise Refusal("a serverless App scales by itself: leave out --min, --max and --cpu, or --serverless")
        return {"type": "serverless"}
    return {"type": "server", "autoscaling": scaling} if scaling else None
