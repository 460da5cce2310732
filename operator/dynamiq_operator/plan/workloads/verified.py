"""Decides whether callers may reach the pods of the row that is being rolled out."""

from __future__ import annotations

from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.verification import Verify
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import RowHistory


def to_verify(history: RowHistory) -> tuple[Row, Verify] | None:
    """Returns the candidate and its verification while that has not passed; else None."""
    row = history.candidate
    if row is None or row.pinned is None or row.pinned.verify is None or row.spec.verified is not None:
        return None
    return row, row.pinned.verify


def may_be_reached(context: Context) -> bool:
    """Returns True if the Service may select the target's pods. It does not move away from pods that it already selects."""
    return to_verify(context.history) is None


def verifies(context: Context) -> bool:
    """Returns True if new pods are verified now, or will be at the next deploy: the network has to let the verifier reach them."""
    return context.app.spec.rollout.verify is not None or to_verify(context.history) is not None


def needs_switch(context: Context) -> bool:
    """Returns True if the candidate would replace the serving pods one by one, so that callers reach it unverified."""
    return to_verify(context.history) is not None and not context.switches
