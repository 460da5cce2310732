"""`rollback`: deploys what an App ran before, as a new row."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.actions.rollback import RollbackRequest, plan_rollback
from dynamiq_operator.cli import confirm

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext
    from dynamiq_operator.kube.api import Api


def run(context: CommandContext) -> int:
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
    )
    api: Api = context.api
    try:
        plan = plan_rollback(api, request)
    except Unknown:
        from dynamiq_operator.cli.archive import beside

        if row is None or (archived := beside(context, api, row)) is None:
            raise
        api, plan = archived, plan_rollback(archived, request)
    return confirm.show_and_deploy(context, plan, api)
