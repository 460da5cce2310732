"""Lists the Approvals that count for a waiting row: those of its digest, stamped by the API server with their author.

These do not count: an Approval of another row, digest or purpose, one restored from a backup, and one that no API server stamped. To
approve, neither do those by the row's author, by a service account that some policy does not name, and expired ones.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.guard_objects import Approval
from dynamiq_operator.model.objects import Row
from dynamiq_operator.plan.guards.kinds import is_automation, is_service_account

if TYPE_CHECKING:
    from dynamiq_operator.plan.observed.guards import ObservedGuards

UNCOUNTED_MOST = 2
"""Accounts whose ineffective Approvals a waiting row names: a message has room for few."""


def valid_approvals(guards: ObservedGuards, row: Row, purpose: Purpose) -> Iterator[Approval]:
    """Yields the Approvals of this purpose that name the row's digest, oldest first."""
    pinned = row.pinned
    if guards.stamped_since is None or pinned is None:
        return
    for each in guards.approvals:
        spec = each.spec
        is_of_row = (spec.row, spec.digest, spec.purpose) == (row.name, pinned.digest, purpose)
        if is_of_row and not spec.restored and spec.by and each.meta.created > guards.stamped_since:
            yield each


def counted_approvals(
    guards: ObservedGuards, row: Row, now: datetime, seconds: int, service_accounts: frozenset[str]
) -> tuple[Approval, ...]:
    """Returns the approvals that count and are younger than `seconds`: the newest of each account."""
    newest: dict[str, Approval] = {}
    if row.pinned is not None and row.pinned.created_by_verified and row.spec.created_by:
        for each in valid_approvals(guards, row, Purpose.APPROVE):
            by = each.spec.by or ""
            counts = by != row.spec.created_by and (by in service_accounts or not is_service_account(by))
            if counts and now < each.meta.created + timedelta(seconds=seconds):
                newest[by] = each
    return tuple(newest.values())


def uncounted_reasons(guards: ObservedGuards, row: Row, service_accounts: frozenset[str]) -> list[str]:
    """Returns why Approvals have no effect, for the first UNCOUNTED_MOST accounts. kubectl creates such Approvals; our own commands refuse
    them.
    """
    return list(islice(_uncounted_reasons(guards, row, service_accounts), UNCOUNTED_MOST))


def _uncounted_reasons(guards: ObservedGuards, row: Row, service_accounts: frozenset[str]) -> Iterator[str]:
    for by in sorted({each.spec.by or "" for each in valid_approvals(guards, row, Purpose.APPROVE)}):
        if by == row.spec.created_by:
            yield f"The approval by {by} does not count: {by} is the author"
        elif is_service_account(by) and by not in service_accounts:
            yield f"The approval by {by} does not count: not every policy lists this service account"


def find_resumption(guards: ObservedGuards, row: Row, since: datetime | None = None) -> Approval | None:
    """Returns the first resumption of the row made at `since` or later; None if there is none. Resumptions by automation do not count."""
    resumptions = (
        each
        for each in valid_approvals(guards, row, Purpose.RESUME)
        if not is_automation(guards.policies, each.spec.by or "") and (since is None or each.meta.created >= since)
    )
    return next(resumptions, None)


def find_rejection(guards: ObservedGuards, row: Row) -> Approval | None:
    """Returns the first rejection of the row; None if there is none."""
    return next(valid_approvals(guards, row, Purpose.REJECT), None)


def find_withdrawal(guards: ObservedGuards, row: Row) -> Approval | None:
    """Returns the first withdrawal of the row by its verified author; None if there is none."""
    verified = row.pinned is not None and row.pinned.created_by_verified
    return next((each for each in valid_approvals(guards, row, Purpose.WITHDRAW) if verified and each.spec.by == row.spec.created_by), None)
