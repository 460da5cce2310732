"""Whether callers may reach the pods of the row that is rolled out."""

from __future__ import annotations

from dynamiq_operator.model.objects import Record
from dynamiq_operator.model.verification import Verify
from dynamiq_operator.plan.context import Context


def to_verify(context: Context) -> tuple[Record, Verify] | None:
    """The candidate, where it was pinned with what its pods have to answer, and they have not yet."""
    row = context.history.candidate
    if row is None or row.pinned is None or row.pinned.verify is None or row.spec.verified is not None:
        return None
    return row, row.pinned.verify


def may_be_reached(context: Context) -> bool:
    """Whether the Service may come to the target's pods. Pods that it selects already are reached by callers as it is."""
    return to_verify(context) is None


def verifies(context: Context) -> bool:
    """Whether new pods are asked, now or at the next deploy: then who asks them has to reach them."""
    return context.app.spec.rollout.verify is not None or to_verify(context) is not None


def needs_switch(context: Context) -> bool:
    """Whether the candidate would take the place of what serves pod by pod, and so would be reached before it is verified."""
    return to_verify(context) is not None and not context.switches
