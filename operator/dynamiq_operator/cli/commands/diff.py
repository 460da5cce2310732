"""`diff`: prints what changed from one row to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.cli import parsing
from dynamiq_operator.cli.context import CommandContext
from dynamiq_operator.model.manifests import Manifest
from dynamiq_operator.views.columns import as_data
from dynamiq_operator.views.history import HistoryRow

if TYPE_CHECKING:
    from dynamiq_operator.actions.comparison import RowDiff
    from dynamiq_operator.kube.api import Api


def add_arguments(command: parsing.Parser) -> None:
    parsing.describe(
        command, "A row is named by its sequence (3 or '#3') or by its name.", ("support 1 3", "support support-9ml5c support-f8mmm")
    )
    parsing.app(command)
    command.add_argument("before", metavar="ROW", help="the old row")
    command.add_argument("after", metavar="ROW", help="the new row")
    parsing.output(command)


def run(context: CommandContext) -> int:
    from dynamiq_operator.actions.comparison import compare

    before, api = _find(context, context.api, context.options.before)
    after, api = _find(context, api, context.options.after)
    compared = compare(api, before, after)
    if not context.print_data(_data(before, after, compared)):
        context.out.preview(_lines(before, after, compared))
    return 0


def _data(before: Manifest, after: Manifest, compared: RowDiff) -> dict[str, Any]:
    """Returns both rows as `history -o json` has them, and what changed; `flowDiff` is None if a flow cannot be read."""
    from dynamiq_operator.views.preview import differences

    diff = compared.flow_diff
    return {
        "before": as_data(HistoryRow.of(before)),
        "after": as_data(HistoryRow.of(after)),
        "changes": [line.strip() for line in differences(compared.before, compared.after)] if compared.before is not None else [],
        "sameFlow": compared.is_same_flow,
        "flowDiff": "\n".join(diff) if diff is not None else None,
    }


def _find(context: CommandContext, api: Api, row: str) -> tuple[Manifest, Api]:
    """Finds a row in the cluster, else in the archive.

    Also returns the API for the comparison: the flow of an archived row may be only there.
    """
    try:
        return context.find_row(row), api
    except Unknown:
        from dynamiq_operator.cli.archive import with_archived_row

        archived = with_archived_row(context, api, row)
        if archived is None:
            raise
        return archived.row, archived


def _lines(before: Manifest, after: Manifest, compared: RowDiff) -> list[str]:
    from dynamiq_operator.actions.comparison import UNREAD
    from dynamiq_operator.views.preview import differences

    old, new = HistoryRow.of(before), HistoryRow.of(after)
    lines = [f"{old.app}: #{old.sequence} {old.name} → #{new.sequence} {new.name}"]
    lines += differences(compared.before, compared.after) if compared.before is not None else []
    if compared.is_same_flow:
        return [*lines, "  the flow is the same"]
    if compared.flow_diff is None:
        return [*lines, f"  the flows differ, and {UNREAD}"]
    return [*lines, "", *compared.flow_diff]
