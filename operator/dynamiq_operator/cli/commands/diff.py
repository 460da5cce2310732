"""`diff`: what changed from one row to another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dynamiq_operator.actions import history as reading
from dynamiq_operator.actions.comparison import UNREAD, Comparison, compare
from dynamiq_operator.actions.refusals import Unknown
from dynamiq_operator.cli import output
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.columns import as_data
from dynamiq_operator.views.history import HistoryRow
from dynamiq_operator.views.preview import differences

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext
    from dynamiq_operator.kube.api import Api


def run(context: CommandContext) -> int:
    before, api = _find(context, context.api, context.options.before)
    after, api = _find(context, api, context.options.after)
    compared = compare(api, before, after)
    if context.options.output is not None:
        context.out.lines([output.formatted(_data(before, after, compared), context.options.output)])
    else:
        context.out.preview(_lines(before, after, compared))
    return 0


def _data(before: Manifest, after: Manifest, compared: Comparison) -> dict[str, Any]:
    """Returns both rows as `history -o json` has them, and what changed; `flowDiff` is None where a flow cannot be read."""
    diff = compared.flow_diff
    return {
        "before": as_data(HistoryRow.of(before)),
        "after": as_data(HistoryRow.of(after)),
        "changes": [line.strip() for line in differences(compared.before, compared.after)] if compared.before is not None else [],
        "sameFlow": compared.is_same_flow,
        "flowDiff": "\n".join(diff) if diff is not None else None,
    }


def _find(context: CommandContext, api: Api, given: str) -> tuple[Manifest, Api]:
    """The row, from wherever it is, and what it is compared with: of one in the archive the flow may be there alone."""
    try:
        return reading.find_row(context.api, context.namespace, context.options.app, given), api
    except Unknown:
        from dynamiq_operator.cli.archive import beside

        found = beside(context, api, given)
        if found is None:
            raise
        return found.row, found


def _lines(before: Manifest, after: Manifest, compared: Comparison) -> list[str]:
    """What changed between two rows, as a preview says it."""
    old, new = HistoryRow.of(before), HistoryRow.of(after)
    said = [f"{old.app}: #{old.sequence} {old.name} → #{new.sequence} {new.name}"]
    said += differences(compared.before, compared.after) if compared.before is not None else []
    if compared.is_same_flow:
        return [*said, "  the flow is the same"]
    if compared.flow_diff is None:
        return [*said, f"  the flows differ, and {UNREAD}"]
    return [*said, "", *compared.flow_diff]
