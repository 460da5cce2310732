"""Compares two rows of an App: their pins and their flows. It does not compare their runs: the recorder does."""

from __future__ import annotations

from dataclasses import dataclass

from dynamiq_operator.actions import reads
from dynamiq_operator.actions.refusals import Refusal
from dynamiq_operator.kube.api import Api
from dynamiq_operator.model.objects import Manifest, Row
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.views.flow_diff import flow_diff
from dynamiq_operator.views.preview import Side

UNREAD = "one of them is in no ConfigMap and no WorkflowVersion that you may read"
"""Reason why two flows cannot be compared."""


@dataclass(frozen=True)
class RowDiff:
    """The changes from `before` to `after`. `before`: None for the App's first row. `flow_diff`: None if a flow cannot be read."""

    before: Side | None
    after: Side
    is_same_flow: bool
    flow_diff: tuple[str, ...] | None


def compare(api: Api, before: Manifest | None, after: Manifest) -> RowDiff:
    """Compares two rows of one App as they are stored.

    Raises Refusal if one was never rolled out, NotNow if this version cannot read one, and kube.errors.ApiError.
    """
    then = pinned_of(after)
    side = _side(then, after)
    if before is None:
        return RowDiff(None, side, is_same_flow=False, flow_diff=())
    now = pinned_of(before)
    old = _side(now, before)
    if now.workflow_hash == then.workflow_hash:
        return RowDiff(old, side, is_same_flow=True, flow_diff=())
    namespace, app = after["metadata"]["namespace"], after["spec"]["app"]
    texts = [reads.flow_of(api, namespace, app, pinned) for pinned in (now, then)]
    if texts[0] is None or texts[1] is None:
        return RowDiff(old, side, is_same_flow=False, flow_diff=None)
    return RowDiff(old, side, is_same_flow=False, flow_diff=flow_diff(texts[0], texts[1], _title(old), _title(side)))


def pinned_of(row: Manifest) -> Pinned:
    """Returns the pins of a row.

    Raises Refusal if it was never rolled out, and NotNow if this version cannot read it.
    """
    if (pinned := reads.typed(Row, row).pinned) is None:
        raise Refusal(f"row {row['metadata']['name']} was never rolled out, so there is nothing to compare")
    return pinned


def _side(pinned: Pinned, row: Manifest) -> Side:
    return Side.of(pinned, row["metadata"]["name"], row["spec"].get("sequence"))


def _title(side: Side) -> str:
    return f"{side.version} (#{side.sequence})"
