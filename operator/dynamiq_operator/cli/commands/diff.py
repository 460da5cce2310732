"""`diff`: what changed from one row to another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dynamiq_operator.actions import history as reading
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.views.flow_diff import flow_diff
from dynamiq_operator.views.history import HistoryRow, config_in_words
from dynamiq_operator.views.preview import change

if TYPE_CHECKING:
    from dynamiq_operator.cli.context import CommandContext


def run(context: CommandContext) -> int:
    options = context.options
    before, after = (reading.find_row(context.api, context.namespace, options.app, given) for given in (options.before, options.after))
    context.out.preview(_difference(context, before, after))
    return 0


def _difference(context: CommandContext, before: Manifest, after: Manifest) -> list[str]:
    """What changed between two rows, as a preview says it."""
    old, new = HistoryRow.of(before), HistoryRow.of(after)
    from_, to = (_pinned(row) for row in (before, after))
    pairs = [
        ("version", old.version or "", new.version or ""),
        ("runtime", old.runtime or "", new.runtime or ""),
        ("config", config_in_words(old.config), config_in_words(new.config)),
    ]
    said = [f"{old.app}: #{old.sequence} {old.name} → #{new.sequence} {new.name}"]
    said += [change(*pair) for pair in pairs]
    if from_.workflow_hash == to.workflow_hash:
        return [*said, "  the flow is the same"]
    texts = [reading.flow_of(context.api, context.namespace, old.app, pinned) for pinned in (from_, to)]
    if texts[0] is None or texts[1] is None:
        return [*said, "  the flows differ, and one of them is in no ConfigMap and no WorkflowVersion that you may read"]
    return [*said, "", *flow_diff(texts[0], texts[1], f"{old.version} (#{old.sequence})", f"{new.version} (#{new.sequence})")]


def _pinned(row: Manifest) -> Pinned:
    if (pins := row["spec"].get("pinned")) is None:
        raise Refusal(f"row {row['metadata']['name']} was never rolled out, so there is nothing to compare")
    return Pinned.model_validate(pins)
