"""`deploy`: deploys a version of an App as a new row."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions import history as reading
from dynamiq_operator.actions.deploy import DeployRequest, plan_deploy
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import confirm
from dynamiq_operator.model.record import ConfigType

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    options = context.options
    request = DeployRequest(
        context.namespace,
        options.app,
        version=options.version,
        runtime=options.runtime,
        config=_config(context),
        message=options.message,
        bypass_reason=options.bypass,
    )
    return confirm.show_and_deploy(context, plan_deploy(context.api, request))


def _config(context: CommandContext) -> dict[str, Any] | None:
    """Returns the config that the options set; None if they set nothing.

    Omitted options keep the live config, including its type. Raises Refusal.
    """
    options = context.options
    of_server = {"minReplicas": options.min, "targetCPUUtilizationPercentage": options.cpu}
    of_serverless = {"idleSeconds": options.idle_seconds, "holdSeconds": options.hold_seconds}
    limits = {"maxReplicas": options.max}
    values = [value for each in (of_server, of_serverless, limits) for value in each.values() if value is not None]
    if not values and not options.server_based and not options.serverless:
        return None
    if options.serverless or (not options.server_based and _is_serverless(context)):
        if _without_none(of_server):
            raise Refusal(f"{options.app} is to be serverless, which has no --min and no --cpu: leave them out, or give --server-based")
        return {"type": "serverless", **_without_none(of_serverless | limits)}
    if _without_none(of_serverless):
        raise Refusal(
            f"{options.app} is to be a server, which never sleeps: leave out --idle-seconds and --hold-seconds, or give --serverless"
        )
    scaling = _without_none(of_server | limits)
    return {"type": "server", **({"autoscaling": scaling} if scaling else {})}


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _is_serverless(context: CommandContext) -> bool:
    """Returns True if the live row is serverless. The confirmation reports a live row that changed meanwhile."""
    live = reading.open_rows(context.api, context.namespace, context.options.app).live
    return live is not None and live.pinned is not None and live.pinned.config.type is ConfigType.SERVERLESS
