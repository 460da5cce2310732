"""Lists the guards that would block a new deploy of the App now, for its status, and finds when time alone changes them.

It evaluates no existing row: `evaluation` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from dynamiq_operator.model import freezes
from dynamiq_operator.model.guard_objects import DeployPolicy
from dynamiq_operator.model.guards import GuardReason, RowKind, StandingGuard
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards import sentences
from dynamiq_operator.plan.guards.hold import shown_hold
from dynamiq_operator.plan.guards.requirements import applies
from dynamiq_operator.plan.observed.guards import ObservedGuards

MOST = 64


def standing_guards(context: Context) -> tuple[StandingGuard, ...]:
    if context.snapshot.guards.outdated:
        return ()  # the cluster would drop it
    return tuple(_guards(context))[:MOST]


def freeze_change(guards: ObservedGuards, now: datetime) -> datetime | None:
    """Returns when a freeze of one of the App's policies begins or ends next; None if none does."""
    changes = (freezes.next_change(policy.spec.freezes, now) for policy in guards.policies)
    return min((each for each in changes if each is not None), default=None)


def _guards(context: Context) -> Iterator[StandingGuard]:
    observed, app = context.snapshot.guards, context.app
    if app.spec.suspend:
        yield StandingGuard(reason=GuardReason.SUSPENDED, message=sentences.suspended(app), applies_to=tuple(RowKind))
    if observed.unknown:
        others = tuple(kind for kind in RowKind if kind is not RowKind.ROLLBACK)
        yield StandingGuard(reason=GuardReason.UNKNOWN, message=sentences.unknown(observed.unknown)[:1024], applies_to=others)
    for policy in observed.policies:
        yield from _of_policy(policy, context.snapshot.now)
    if (held_by := shown_hold(context)) is not None:
        yield StandingGuard(reason=GuardReason.HELD, message=sentences.would_hold_git(app, held_by), applies_to=(RowKind.GIT,))


def _of_policy(policy: DeployPolicy, now: datetime) -> Iterator[StandingGuard]:
    name, spec = policy.meta.name, policy.spec
    kinds = tuple(kind for kind in RowKind if applies(policy, kind))
    if (frozen := freezes.frozen(spec.freezes, now)) is not None:
        message = sentences.would_hold_frozen(policy, frozen.name, frozen.until)
        yield StandingGuard(reason=GuardReason.FROZEN, message=message, applies_to=kinds, policy=name, until=format_time(frozen.until))
    if spec.promotion is not None:
        yield StandingGuard(
            reason=GuardReason.SOAKING,
            message=sentences.would_soak(name, spec.promotion)[:1024],
            applies_to=(RowKind.PROMOTION,),
            policy=name,
            seconds=spec.promotion.min_live_seconds,
            namespaces=spec.promotion.namespaces or None,
            clusters=spec.promotion.clusters or None,
        )
    if spec.approvals is not None:
        message = sentences.would_hold_awaiting(policy)
        yield StandingGuard(reason=GuardReason.AWAITING_APPROVAL, message=message, applies_to=kinds, policy=name, when=spec.approvals.when)
