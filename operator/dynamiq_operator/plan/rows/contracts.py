"""Adds to the pins of a new row what its flow reads and answers, and whom that may break. It reads no flow and asks no recorder."""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.model.breaking import FORM, Judgement, judged
from dynamiq_operator.model.completion import sealed
from dynamiq_operator.model.contract import Contract
from dynamiq_operator.model.guards import ApprovalWhen, RowKind, RowOf
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards.kinds import kind_of
from dynamiq_operator.plan.guards.requirements import applies, passes_rules

NOT_COUNTED = "callers are not counted for a rollback, a revert or a bypass"


def with_contract(context: Context, row: Row, pinned: Pinned) -> Pinned:
    """Returns the pins with the contract of their flow; unchanged if the flow could not be read."""
    contracts, live = context.snapshot.contracts, context.history.live
    contract = contracts.by_hash.get(pinned.workflow_hash)
    # A cluster with older definitions would drop it, and the digest would not match the stored row.
    if contract is None or context.snapshot.guards.outdated:
        return pinned
    if live is None or live.pinned is None:
        added = Judgement(()).pins(contract, None)
    else:
        judgement = judgement_of(context, live.pinned, pinned)
        if judgement.fields:
            counts = counts_callers(context, row, pinned)
            judgement = judgement.counted(contracts.shapes if counts else None, contracts.problem if counts else NOT_COUNTED)
        added = judgement.pins(contract, RowOf(row=live.name, sequence=live.sequence))
    return sealed(row, pinned.model_copy(update={"contract": added}), row.sequence)


def judgement_of(context: Context, live: Pinned, pinned: Pinned) -> Judgement:
    """Returns the judgement on pins before callers are counted."""
    if live.workflow_hash == pinned.workflow_hash:
        return Judgement(())
    by_hash = context.snapshot.contracts.by_hash
    return judged(by_hash.get(live.workflow_hash), by_hash.get(pinned.workflow_hash))


def counts_callers(context: Context, row: Row, pinned: Pinned) -> bool:
    """Returns True if the recorder is asked before the row is pinned. A rollback waits for it only if a policy may block it by the answer."""
    if passes_rules(row, pinned):
        return False
    policies, kind = context.snapshot.guards.policies, kind_of(context.snapshot.guards, row, pinned)
    asked = (each for each in policies if each.spec.approvals is not None and each.spec.approvals.when is ApprovalWhen.BREAKING)
    return kind is not RowKind.ROLLBACK or any(applies(policy, kind) for policy in asked)


def pinned_contracts(rows: Iterable[Row]) -> dict[str, Contract]:
    """Returns the contracts that rows pinned, by the hash of their flow, without those of another analysis."""
    every = (row.pinned for row in rows)
    return {
        each.workflow_hash: each.contract for each in every if each is not None and each.contract is not None and each.contract.form == FORM
    }
