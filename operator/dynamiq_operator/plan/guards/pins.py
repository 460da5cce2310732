"""Adds the parts of guards to the pins of a new row: its guards, its base, its environment, its hold and its verification."""

from __future__ import annotations

from typing import Any

from dynamiq_operator.desired.workload import environment_digest
from dynamiq_operator.model.completion import NotReadable, Refused, sealed
from dynamiq_operator.model.guards import RowKind, RowOf
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.model.verification import Verify
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards import sentences
from dynamiq_operator.plan.guards.hold import holds_of_new, runs_alike
from dynamiq_operator.plan.guards.kinds import kind_of
from dynamiq_operator.plan.guards.requirements import passes_rules, required_guards, why_never
from dynamiq_operator.plan.history.lifecycle import applies_once_admitted


def guarded(context: Context, row: Row, pinned: Pinned) -> Pinned | Refused | NotReadable:
    """Returns the pins with the parts that guards add; unchanged if no guard applies, which saves a write.

    Refused if the rules never allow the row. NotReadable if it would wait but the cluster cannot store why.
    """
    kind = kind_of(context.snapshot.guards, row, pinned)
    if why := why_never(context, row, pinned, kind):
        return Refused(why)
    added: dict[str, Any] = {}
    guards = tuple(required_guards(context, row, pinned, kind))
    if context.snapshot.guards.outdated:  # the cluster would drop the notes, and the digest would not match the stored row
        return NotReadable(sentences.unknown(context.snapshot.guards.unknown)) if guards else pinned
    if guards:
        live = context.history.live
        base = RowOf(row=live.name, sequence=live.sequence) if live is not None else None
        added |= {"guards": guards, "base": base}
    if row.spec.is_rollback and not applies_once_admitted(row, [guard.reason for guard in guards]):
        added |= {"environment": in_force} if (in_force := context.environment_in_force) is not None else {}
    elif guards or row.spec.bypass is not None:
        added["environment"] = environment_digest(context.app)
    if (holds := holds_of_new(context, row, pinned, kind)) is not None:
        added["holds"] = holds
    if (verify := _verify(context, row, pinned, kind)) is not None:
        added["verify"] = verify
    return sealed(row, pinned.model_copy(update=added), row.sequence) if added else pinned


def _verify(context: Context, row: Row, pinned: Pinned, kind: RowKind) -> Verify | None:
    """Returns the verification of the row's new pods; None if it needs no new pods, or if nothing may delay it."""
    verify, live = context.app.spec.rollout.verify, context.history.live
    if verify is None or not context.app.spec.rollout.switches or passes_rules(row, pinned):
        return None
    if kind is RowKind.ROLLBACK and not verify.rollbacks:
        return None
    return verify if live is None or live.pinned is None or not runs_alike(live.pinned, pinned) else None
