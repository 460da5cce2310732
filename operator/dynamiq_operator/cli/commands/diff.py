"""`diff`: what changed from one row to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.actions import history as reading
from dynamiq_operator.actions.comparison import UNREAD, Comparison, compare
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.views.history import HistoryRow
from dynamiq_operator.views.preview import differences

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    options = context.options
    before, after = (reading.find_row(context.api, context.namespace, options.app, given) for given in (options.before, options.after))
    context.out.preview(_lines(before, after, compare(context.api, before, after)))
    return 0


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
