"""What people said of a row that waits, as far as it counts: by an Approval of the row's digest, stamped with who made it.

What counts for nothing: an Approval of another row or digest, of another purpose, one that a backup brought back, one that no API server
stamped, and, to approve, one of the row's own author, of a service account that no policy names, and one that is too old.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING

from dynamiq_operator.model.approval import Purpose
from dynamiq_operator.model.objects import Approval, Record
from dynamiq_operator.plan.guards.kinds import is_automation, is_service_account

if TYPE_CHECKING:
    from dynamiq_operator.plan.context import Context

UNCOUNTED_MOST = 2
"""Accounts of whose Approvals a waiting row says that they have no effect: a message has room for few."""


def words(context: Context, row: Record, purpose: Purpose) -> Iterator[Approval]:
    """What was said of what this row pins, oldest first."""
    observed, pinned = context.snapshot.guards, row.pinned
    if observed.stamped_since is None or pinned is None:
        return
    for each in observed.approvals:
        spec = each.spec
        is_of_row = (spec.row, spec.digest, spec.purpose) == (row.name, pinned.digest, purpose)
        if is_of_row and not spec.restored and spec.by and each.meta.created > observed.stamped_since:
            yield each


def approved(context: Context, row: Record, seconds: int, service_accounts: frozenset[str]) -> tuple[Approval, ...]:
    """Who has agreed, by Approvals that are no older than `seconds`: the newest of each."""
    found: dict[str, Approval] = {}
    if row.pinned is not None and row.pinned.created_by_verified and row.spec.created_by:
        for each in words(context, row, Purpose.APPROVE):
            by = each.spec.by or ""
            may = by != row.spec.created_by and (by in service_accounts or not is_service_account(by))
            if may and context.now < each.meta.created + timedelta(seconds=seconds):
                found[by] = each
    return tuple(found.values())


def uncounted(context: Context, row: Record, service_accounts: frozenset[str]) -> list[str]:
    """Returns why Approvals have no effect, for the first accounts that made such a one: kubectl, unlike our surfaces, refuses none."""
    return list(islice(_uncounted(context, row, service_accounts), UNCOUNTED_MOST))


def _uncounted(context: Context, row: Record, service_accounts: frozenset[str]) -> Iterator[str]:
    for by in sorted({each.spec.by or "" for each in words(context, row, Purpose.APPROVE)}):
        if by == row.spec.created_by:
            yield f"The approval by {by} does not count: {by} is the author"
        elif is_service_account(by) and by not in service_accounts:
            yield f"The approval by {by} does not count: not every policy lists this service account"


def resumed(context: Context, row: Record, since: datetime | None = None) -> Approval | None:
    """The word that lets a row go on that was held, said at `since` or later, and not by what is held itself."""
    found = (
        each
        for each in words(context, row, Purpose.RESUME)
        if not is_automation(context.snapshot.guards.policies, each.spec.by or "") and (since is None or each.meta.created >= since)
    )
    return next(found, None)


def rejected(context: Context, row: Record) -> Approval | None:
    """The word by which a row is never deployed."""
    return next(words(context, row, Purpose.REJECT), None)


def withdrawn(context: Context, row: Record) -> Approval | None:
    """The word of its author, who does not want it any more."""
    verified = row.pinned is not None and row.pinned.created_by_verified
    return next((each for each in words(context, row, Purpose.WITHDRAW) if verified and each.spec.by == row.spec.created_by), None)
