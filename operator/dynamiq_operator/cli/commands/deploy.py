"""`deploy`: a version of an App becomes one more row."""

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
    """The config that the options ask for; what they leave out keeps what is live, the type too. Raises Refusal."""
    options = context.options
    of_server = {"minReplicas": options.min, "targetCPUUtilizationPercentage": options.cpu}
    of_serverless = {"idleSeconds": options.idle_seconds, "holdSeconds": options.hold_seconds}
    limits = {"maxReplicas": options.max}
    given = [value for each in (of_server, of_serverless, limits) for value in each.values() if value is not None]
    if not given and not options.server_based and not options.serverless:
        return None
    if options.serverless or (not options.server_based and _is_serverless(context)):
        if _named(of_server):
            raise Refusal(f"{options.app} is to be serverless, which has no --min and no --cpu: leave them out, or give --server-based")
        return {"type": "serverless", **_named(of_serverless | limits)}
    if _named(of_serverless):
        raise Refusal(
            f"{options.app} is to be a server, which never sleeps: leave out --idle-seconds and --hold-seconds, or give --serverless"
        )
    scaling = _named(of_server | limits)
    return {"type": "server", **({"autoscaling": scaling} if scaling else {})}


def _named(given: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in given.items() if value is not None}


def _is_serverless(context: CommandContext) -> bool:
    """Whether what is live is. Where that changes meanwhile, what is confirmed is no longer what would be deployed, and that is told."""
    live = reading.open_rows(context.api, context.namespace, context.options.app).live
    return live is not None and live.pinned is not None and live.pinned.config.type is ConfigType.SERVERLESS
