"""`rollback`: deploys what an App ran before, as a new row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.cli import background_runs, confirm, parsing
from dynamiq_operator.cli.context import CommandContext

if TYPE_CHECKING:
    from dynamiq_operator.actions.deploy import PreviewedDeploy
    from dynamiq_operator.kube.api import Api


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command,
        "The default is the last good row: the newest that went Live with another flow or runtime than the live row. A version that was"
        " rolled back, reverted or rejected is not good until somebody deploys it again. The runtime of the row is deployed with it;"
        " scaling stays as it is live. Changes from Git are then on hold: `kubectl dynamiq resume`.",
        ("support", "support --to v3", "support --to-row 12 --with-config", "support --no-hold", "support --preview"),
        confirm.DEPLOY_EXITS,
    )
    parsing.app(command)
    target = command.add_mutually_exclusive_group()
    target.add_argument("--to", type=parsing.version_to_restore, metavar="VERSION", help="the newest row of this version, such as v3")
    target.add_argument("--to-row", metavar="ROW", help="this row, by its sequence (12) or its name")
    command.add_argument("--with-config", action="store_true", help="deploy the row's scaling, too (default: scaling stays as it is live)")
    confirm.add_runtime(command)
    command.add_argument(
        "--no-hold", action="store_true", help="keep deploying changes from Git (default: they are on hold until somebody resumes them)"
    )
    confirm.add_take_sessions(command)
    confirm.add_deploy_flags(command)


def run(context: CommandContext) -> int:
    from dynamiq_operator.cli import deploy_reads

    open_runs = background_runs.OpenRuns(context)
    with context.api.reading_ahead(*deploy_reads.of_rollback(context)):
        plan, api = _plan(context)
    return confirm.show_and_deploy(context, open_runs.added_to(plan), api)


def _plan(context: CommandContext) -> tuple[PreviewedDeploy, Api]:
    """Returns the plan, and the client that made it: it may know a row from the archive."""
    from dynamiq_operator.actions.rollback import RollbackRequest, plan_rollback

    options = context.options
    row = int(number) if options.to_row and (number := options.to_row.removeprefix("#")).isdecimal() else options.to_row
    request = RollbackRequest(
        context.namespace,
        options.app,
        version=options.to,
        row=row,
        with_config=options.with_config,
        runtime=options.runtime,
        message=options.message,
        hold=False if options.no_hold else None,
        bypass_reason=options.bypass,
        take_sessions=options.take_sessions or None,
    )
    api: Api = context.api
    try:
        return plan_rollback(api, request), api
    except Unknown:
        from dynamiq_operator.cli.archive import with_archived_row

        if row is None or (archived := with_archived_row(context, api, row)) is None:
            raise
        return plan_rollback(archived, request), archived
