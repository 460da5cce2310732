"""`deploy`: deploys a version of an App as a new row."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.cli import background_runs, confirm, parsing
from dynamiq_operator.cli.context import CommandContext


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "The default version is the newest release; runtime and config stay as they are live. It shows what would change, asks, and"
        " follows the rollout until it is Live or Failed.",
        (
            "support --version v4 -m 'Answers in French'",
            "support --version v4 --preview",
            "support --version v4 --min 2 --max 6",
            "support --serverless --idle-seconds 600",
            "support --version v4 --yes --no-wait",
        ),
        confirm.DEPLOY_EXITS,
    )
    parsing.app(command)
    command.add_argument("--version", metavar="VERSION", help="version to deploy, such as v4 (default: the newest release)")
    confirm.add_runtime(command)
    types = command.add_mutually_exclusive_group()
    types.add_argument("--server-based", action="store_true", help="always running (default: the live type; for a first row, this one)")
    types.add_argument("--serverless", action="store_true", help="asleep while nobody calls, and woken by the next call")
    command.add_argument("--min", type=parsing.count, metavar="PODS", help="fewest pods of a server")
    command.add_argument("--max", type=parsing.count, metavar="PODS", help="most pods")
    command.add_argument("--cpu", type=parsing.count, metavar="PERCENT", help="CPU use that the autoscaler of a server aims at")
    command.add_argument(
        "--idle-seconds",
        type=parsing.seconds(5, 86400),
        metavar="SECONDS",
        help="serverless only: how long without a call until it sleeps",
    )
    command.add_argument(
        "--hold-seconds",
        type=parsing.seconds(1, 3600),
        metavar="SECONDS",
        help="serverless only: how long a call waits for it to wake",
    )
    confirm.add_take_sessions(command)
    confirm.add_deploy_flags(command)


def run(context: CommandContext) -> int:
    from dynamiq_operator.cli import deploy_reads

    options = context.options
    open_runs = background_runs.OpenRuns(context)
    with context.api.reading_ahead(*deploy_reads.of_deploy(context, options.version)):
        from dynamiq_operator.actions.deploy import DeployRequest, plan_deploy

        request = DeployRequest(
            context.namespace,
            options.app,
            version=options.version,
            runtime=options.runtime,
            config=_config(context),
            message=options.message,
            bypass_reason=options.bypass,
            take_sessions=options.take_sessions or None,
        )
        plan = plan_deploy(context.api, request)
    return confirm.show_and_deploy(context, open_runs.added_to(plan))


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
            raise Refusal(f"leave out --min and --cpu, or add --server-based: {options.app} would be serverless")
        return {"type": "serverless", **_without_none(of_serverless | limits)}
    if _without_none(of_serverless):
        raise Refusal(
            f"leave out --idle-seconds and --hold-seconds, or add --serverless: {options.app} would be a server, which never sleeps"
        )
    scaling = _without_none(of_server | limits)
    return {"type": "server", **({"autoscaling": scaling} if scaling else {})}


def _without_none(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _is_serverless(context: CommandContext) -> bool:
    """Returns True if the live row is serverless. The confirmation reports a live row that changed meanwhile."""
    from dynamiq_operator.actions import reads
    from dynamiq_operator.model.row import ConfigType

    live = reads.find_app_and_rows(context.api, context.namespace, context.options.app)[1].live
    return live is not None and live.pinned is not None and live.pinned.config.type is ConfigType.SERVERLESS
