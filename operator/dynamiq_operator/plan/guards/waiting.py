"""For what a waiting row waits now: what was noted when it was pinned and what is asked today, the stricter of the two, less what was said since."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from dynamiq_operator.model import freezes
from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.digests import canonical
from dynamiq_operator.model.guards import AfterFreeze, Guard, GuardReason, Released, RowKind, Waits
from dynamiq_operator.model.needs import in_order
from dynamiq_operator.model.objects import Approval, Record, format_time, parse_time
from dynamiq_operator.model.policy import EXPIRES_SECONDS
from dynamiq_operator.model.record import Pinned
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards import sentences
from dynamiq_operator.plan.guards.asked import applies, guards_of, passes_rules
from dynamiq_operator.plan.guards.hold import hold
from dynamiq_operator.plan.guards.kinds import kind_of
from dynamiq_operator.plan.guards.said import approved, resumed, uncounted

STAGGER = timedelta(seconds=60)
"""Within which rows are deployed whose policy says Deploy after a freeze, so that not all of them are at one moment."""


@dataclass(frozen=True)
class Open:
    """A guard that still holds. `changes_at`: when time alone may change it."""

    reason: GuardReason
    message: str
    until: datetime | None = None
    changes_at: datetime | None = None
    given: int | None = None
    needed: int | None = None
    resumable: bool = False


@dataclass(frozen=True)
class Standing:
    """How a waiting row stands: what still holds it, and the words that were counted for it. `expires`: when the first of them stops to."""

    open: tuple[Open, ...]
    counted: tuple[Approval, ...]
    expires: datetime | None = None

    @property
    def waits(self) -> Waits | None:
        """What its status says; None where nothing holds it."""
        if not self.open:
            return None
        first = self.open[0]
        counted = next((each for each in self.open if each.needed is not None), None)
        until = [each.until for each in self.open]
        return Waits(
            reason=first.reason,
            message=in_order([each.message for each in self.open])[:2048],
            until=format_time(max(each for each in until if each is not None)) if None not in until else None,
            approvals=counted.given if counted is not None else None,
            approvals_needed=counted.needed if counted is not None else None,
            resumable=True if any(each.resumable for each in self.open) else None,
        )

    @property
    def changes_at(self) -> datetime | None:
        times = (*(each.changes_at for each in self.open), self.expires)
        return min((each for each in times if each is not None), default=None)

    def released(self, pinned: Pinned, now: datetime) -> Released:
        """What is written of a row that nothing holds any more."""
        reasons = dict.fromkeys(guard.reason for guard in pinned.guards or ())
        return Released(
            at=format_time(now),
            guards=tuple(reasons)[:16],
            approvals=tuple(each.meta.name for each in self.counted)[:32] or None,
            by=tuple(sorted({each.spec.by for each in self.counted if each.spec.by}))[:32] or None,
        )


def standing(context: Context, row: Record, pinned: Pinned) -> Standing:
    """How a row stands that waits."""
    kind = kind_of(context, row, pinned)
    today = tuple(guards_of(context, row, pinned, kind))
    noted = pinned.guards or ()
    counted: list[Approval] = []
    passed = tuple(_passed(context, row, pinned, kind))
    found = (
        *_suspended(context),
        *_unknown(context, today),
        *_frozen(context, row, (*noted, *today, *passed), counted),
        *_soaking(context, row, (*noted, *today)),
        *_awaiting(context, row, noted, today, counted),
        *_held(context, row, (*noted, *today), counted),
    )
    approvals = [each for each in counted if each.spec.purpose is Purpose.APPROVE]
    expire = (each.meta.created + timedelta(seconds=_seconds(noted, today)) for each in approvals)
    return Standing(found, tuple({each.meta.name: each for each in counted}.values()), min(expire, default=None))


def _of(reason: GuardReason, guards: Iterable[Guard]) -> list[Guard]:
    return [guard for guard in guards if guard.reason is reason]


def _suspended(context: Context) -> Iterator[Open]:
    """By what the App says today alone: who takes it off may deploy."""
    if context.app.spec.suspend:
        yield Open(GuardReason.SUSPENDED, sentences.suspended(context.app))


def _unknown(context: Context, today: Sequence[Guard]) -> Iterator[Open]:
    if _of(GuardReason.UNKNOWN, today):
        yield Open(GuardReason.UNKNOWN, sentences.unknown(context.snapshot.guards.unknown))


def _frozen(context: Context, row: Record, guards: Sequence[Guard], counted: list[Approval]) -> Iterator[Open]:
    """A freeze holds until its end, and after it, where its policy says Hold, until somebody resumes the row."""
    windows = [(parse_time(each.until), each) for each in _of(GuardReason.FROZEN, guards) if each.until is not None]
    if not windows:
        return
    until, last = max(windows, key=lambda window: window[0])
    must_resume = any(each.after_freeze is not AfterFreeze.DEPLOY for _, each in windows)
    if context.now < until:
        yield Open(
            GuardReason.FROZEN, sentences.frozen(context.app, last, until, must_resume), None if must_resume else until + STAGGER, until
        )
    elif must_resume:
        if (word := resumed(context, row, until)) is None:
            yield Open(GuardReason.HELD, sentences.held_after_freeze(context.app, last, until), resumable=True)
        else:
            counted.append(word)
    elif context.now < (begins := until + _place(row) * STAGGER):
        yield Open(GuardReason.FROZEN, sentences.staggered(last, until), begins, begins)


def _passed(context: Context, row: Record, pinned: Pinned, kind: RowKind) -> Iterator[Guard]:
    """The freezes that were over before now, and that the row has waited through, whether it was pinned in them or before."""
    if passes_rules(row, pinned):
        return
    for policy in context.snapshot.guards.policies:
        over = freezes.last_end(policy.spec.freezes, parse_time(pinned.created_at), context.now) if applies(policy, kind) else None
        if over is not None:
            after = policy.spec.after_freeze or AfterFreeze.HOLD
            until = format_time(over.until)
            yield Guard(reason=GuardReason.FROZEN, policy=policy.meta.name, window=over.name, until=until, after_freeze=after)


def _place(row: Record) -> float:
    """A row's place among those that are deployed after a freeze, from 0 to 1."""
    return int(canonical(row.meta.uid)[-4:], 16) / 0x10000


def _soaking(context: Context, row: Record, guards: Sequence[Guard]) -> Iterator[Open]:
    ends = [(parse_time(each.until), each) for each in _of(GuardReason.SOAKING, guards) if each.until is not None]
    until, last = max(ends, key=lambda end: end[0], default=(None, None))
    if until is not None and last is not None and context.now < until:
        yield Open(GuardReason.SOAKING, sentences.soaking(row, last, until), until, until)


def _awaiting(context: Context, row: Record, noted: Sequence[Guard], today: Sequence[Guard], counted: list[Approval]) -> Iterator[Open]:
    """Approvals as the policies asked for them when the row was pinned and as they do today: more of them, younger ones, of fewer accounts."""
    asked = [*_of(GuardReason.AWAITING_APPROVAL, noted), *_of(GuardReason.AWAITING_APPROVAL, today)]
    if not asked:
        return
    needed = max(each.approvals or 1 for each in asked)
    seconds = _seconds(noted, today)
    accounts = frozenset.intersection(*(frozenset(each.service_accounts or ()) for each in asked))
    found = approved(context, row, seconds, accounts)
    counted += found
    if len(found) >= needed:
        return
    policies = sorted({each.policy for each in asked if each.policy})
    said = sentences.awaiting(context, row, len(found), needed, policies, uncounted(context, row, accounts))
    yield Open(GuardReason.AWAITING_APPROVAL, said, given=len(found), needed=needed)


def _seconds(noted: Sequence[Guard], today: Sequence[Guard]) -> int:
    """For how long an Approval counts."""
    return min(
        (each.expires_seconds or EXPIRES_SECONDS for each in _of(GuardReason.AWAITING_APPROVAL, (*noted, *today))), default=EXPIRES_SECONDS
    )


def _held(context: Context, row: Record, guards: Sequence[Guard], counted: list[Approval]) -> Iterator[Open]:
    if not _of(GuardReason.HELD, guards) or (by := hold(context)) is None:
        return
    if (word := resumed(context, row)) is not None:
        counted.append(word)
    else:
        yield Open(GuardReason.HELD, sentences.held(context.app, by), resumable=True)
