"""Evaluates the guards that still block a row: the stricter of those pinned and those in force, minus approvals. It writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dynamiq_operator.model import freezes
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.guard_objects import Approval
from dynamiq_operator.model.guards import AfterFreeze, Guard, GuardReason, Released, RowKind, Waits
from dynamiq_operator.model.needs import in_order
from dynamiq_operator.model.objects import App, Row, format_time, parse_time
from dynamiq_operator.model.policy import EXPIRES_SECONDS
from dynamiq_operator.model.row import Pinned
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards import sentences
from dynamiq_operator.plan.guards.approvals import counted_approvals, find_resumption, uncounted_reasons
from dynamiq_operator.plan.guards.hold import hold
from dynamiq_operator.plan.guards.kinds import kind_of
from dynamiq_operator.plan.guards.requirements import applies, passes_rules, required_guards
from dynamiq_operator.plan.observed.guards import ObservedGuards

STAGGER = timedelta(seconds=60)
"""Window in which rows are deployed after a freeze whose policy is Deploy, so that they do not start all at once."""


@dataclass(frozen=True)
class Open:
    """A guard that still blocks a row. `given`, `needed`: numbers of approvals. `changes_at`: when time alone may change it."""

    reason: GuardReason
    message: str
    until: datetime | None = None
    changes_at: datetime | None = None
    given: int | None = None
    needed: int | None = None
    resumable: bool = False


@dataclass(frozen=True)
class GuardEvaluation:
    """The evaluation of a waiting row: the guards that still block it, and the Approvals that counted.

    `expires`: when the first of these Approvals expires.
    """

    open: tuple[Open, ...]
    counted: tuple[Approval, ...]
    expires: datetime | None = None

    @property
    def waits(self) -> Waits | None:
        """The part `waits` of the row's status; None if nothing blocks the row."""
        if not self.open:
            return None
        first = self.open[0]
        needs_approvals = next((each for each in self.open if each.needed is not None), None)
        ends = [each.until for each in self.open]
        return Waits(
            reason=first.reason,
            message=in_order([each.message for each in self.open])[:2048],
            until=format_time(max(each for each in ends if each is not None)) if None not in ends else None,
            approvals=needs_approvals.given if needs_approvals is not None else None,
            approvals_needed=needs_approvals.needed if needs_approvals is not None else None,
            resumable=True if any(each.resumable for each in self.open) else None,
        )

    @property
    def changes_at(self) -> datetime | None:
        times = (*(each.changes_at for each in self.open), self.expires)
        return min((each for each in times if each is not None), default=None)

    def admission(self, pinned: Pinned, now: datetime) -> Released:
        """Returns what is written into a row that nothing blocks any more."""
        reasons = dict.fromkeys(guard.reason for guard in pinned.guards or ())
        return Released(
            at=format_time(now),
            guards=tuple(reasons)[:16],
            approvals=tuple(each.meta.name for each in self.counted)[:32] or None,
            by=tuple(sorted({each.spec.by for each in self.counted if each.spec.by}))[:32] or None,
        )


def evaluate_guards(context: Context, row: Row, pinned: Pinned) -> GuardEvaluation:
    """Evaluates the guards of a waiting row."""
    observed = context.snapshot.guards
    kind = kind_of(observed, row, pinned)
    today = tuple(required_guards(context, row, pinned, kind))
    noted = pinned.guards or ()
    counted: list[Approval] = []
    passed = tuple(_passed(context.snapshot.guards, context.snapshot.now, row, pinned, kind))
    blocking = (
        *_suspended(context.app),
        *_unknown(observed, today),
        *_frozen(context, row, (*noted, *today, *passed), counted),
        *_soaking(context.snapshot.now, row, (*noted, *today)),
        *_awaiting(context, row, noted, today, counted),
        *_held(context, row, (*noted, *today), counted),
    )
    approvals = [each for each in counted if each.spec.purpose is Purpose.APPROVE]
    expire = (each.meta.created + timedelta(seconds=_seconds(noted, today)) for each in approvals)
    return GuardEvaluation(blocking, tuple({each.meta.name: each for each in counted}.values()), min(expire, default=None))


def _of(reason: GuardReason, guards: Iterable[Guard]) -> list[Guard]:
    return [guard for guard in guards if guard.reason is reason]


def _suspended(app: App) -> Iterator[Open]:
    # The pins do not count here: whoever may deploy may end the suspension.
    if app.spec.suspend:
        yield Open(GuardReason.SUSPENDED, sentences.suspended(app))


def _unknown(observed: ObservedGuards, today: Sequence[Guard]) -> Iterator[Open]:
    if _of(GuardReason.UNKNOWN, today):
        yield Open(GuardReason.UNKNOWN, sentences.unknown(observed.unknown))


def _frozen(context: Context, row: Row, guards: Sequence[Guard], counted: list[Approval]) -> Iterator[Open]:
    """Yields a guard until the last freeze ends. After it, a policy with Hold blocks until a person resumes the row."""
    windows = [(parse_time(each.until), each) for each in _of(GuardReason.FROZEN, guards) if each.until is not None]
    if not windows:
        return
    until, last = max(windows, key=lambda window: window[0])
    must_resume = any(each.after_freeze is not AfterFreeze.DEPLOY for _, each in windows)
    if context.snapshot.now < until:
        yield Open(
            GuardReason.FROZEN, sentences.frozen(context.app, last, until, must_resume), None if must_resume else until + STAGGER, until
        )
    elif must_resume:
        if (resumption := find_resumption(context.snapshot.guards, row, until)) is None:
            yield Open(GuardReason.HELD, sentences.held_after_freeze(context.app, last, until), resumable=True)
        else:
            counted.append(resumption)
    elif context.snapshot.now < (starts := until + _place(row) * STAGGER):
        yield Open(GuardReason.FROZEN, sentences.staggered(last, until), starts, starts)


def _passed(guards: ObservedGuards, now: datetime, row: Row, pinned: Pinned, kind: RowKind) -> Iterator[Guard]:
    """Yields the freezes that ended while the row waited, whether it was pinned during them or before."""
    if passes_rules(row, pinned):
        return
    for policy in guards.policies:
        over = freezes.last_end(policy.spec.freezes, parse_time(pinned.created_at), now) if applies(policy, kind) else None
        if over is not None:
            after = policy.spec.after_freeze or AfterFreeze.HOLD
            until = format_time(over.until)
            yield Guard(reason=GuardReason.FROZEN, policy=policy.meta.name, window=over.name, until=until, after_freeze=after)


def _place(row: Row) -> float:
    """Returns the row's place among those that are deployed after a freeze, from 0 to 1, derived from its uid."""
    return int(canonical(row.meta.uid)[-4:], 16) / 0x10000


def _soaking(now: datetime, row: Row, guards: Sequence[Guard]) -> Iterator[Open]:
    ends = [(parse_time(each.until), each) for each in _of(GuardReason.SOAKING, guards) if each.until is not None]
    until, last = max(ends, key=lambda end: end[0], default=(None, None))
    if until is not None and last is not None and now < until:
        yield Open(GuardReason.SOAKING, sentences.soaking(row, last, until), until, until)


def _awaiting(context: Context, row: Row, noted: Sequence[Guard], today: Sequence[Guard], counted: list[Approval]) -> Iterator[Open]:
    """Yields a guard while approvals are missing.

    Pinned and current policies both apply: the larger count, the shorter expiry, and only the service accounts that all of them name.
    """
    requirements = [*_of(GuardReason.AWAITING_APPROVAL, noted), *_of(GuardReason.AWAITING_APPROVAL, today)]
    if not requirements:
        return
    needed = max(each.approvals or 1 for each in requirements)
    observed, seconds = context.snapshot.guards, _seconds(noted, today)
    accounts = frozenset.intersection(*(frozenset(each.service_accounts or ()) for each in requirements))
    approvals = counted_approvals(observed, row, context.snapshot.now, seconds, accounts)
    counted += approvals
    if len(approvals) >= needed:
        return
    policies = sorted({each.policy for each in requirements if each.policy})
    message = sentences.awaiting(context.app, observed, row, len(approvals), needed, policies, uncounted_reasons(observed, row, accounts))
    yield Open(GuardReason.AWAITING_APPROVAL, message, given=len(approvals), needed=needed)


def _seconds(noted: Sequence[Guard], today: Sequence[Guard]) -> int:
    """Returns how long an Approval counts, in seconds: the shortest of all policies."""
    return min(
        (each.expires_seconds or EXPIRES_SECONDS for each in _of(GuardReason.AWAITING_APPROVAL, (*noted, *today))), default=EXPIRES_SECONDS
    )


def _held(context: Context, row: Row, guards: Sequence[Guard], counted: list[Approval]) -> Iterator[Open]:
    if not _of(GuardReason.HELD, guards) or (held_by := hold(context)) is None:
        return
    if (resumption := find_resumption(context.snapshot.guards, row)) is not None:
        counted.append(resumption)
    else:
        yield Open(GuardReason.HELD, sentences.held(context.app, held_by), resumable=True)
