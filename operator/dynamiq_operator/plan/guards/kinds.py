"""Classifies a row for policies: from Git, a rollback, a promotion, or another manual deploy."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dynamiq_operator.model.guards import AUTOMATION_GROUPS, RowKind
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.row import Pinned, Source

if TYPE_CHECKING:
    from dynamiq_operator.model.guard_objects import DeployPolicy
    from dynamiq_operator.plan.observed.guards import ObservedGuards

_SERVICE_ACCOUNT = "system:serviceaccount:"


def kind_of(guards: ObservedGuards, row: Row, pinned: Pinned) -> RowKind:
    """Returns the kind of a row that has, or will get, these pins. Every row made by automation is from Git, whatever it deploys."""
    if pinned.source is Source.REVERT:
        return RowKind.ROLLBACK
    if pinned.source is Source.APP or is_automation(guards.policies, row.spec.created_by or ""):
        return RowKind.GIT
    if row.spec.is_rollback:
        return RowKind.ROLLBACK
    return RowKind.PROMOTION if row.spec.promoted_from is not None else RowKind.DEPLOY


def is_automation(policies: Iterable[DeployPolicy], user: str) -> bool:
    """Returns True if the rows of this user count as from Git.

    The policies of the namespace name these users and groups; without them, the usual namespaces of GitOps tools count.
    """
    automations = [policy.spec.automation for policy in policies if policy.spec.automation is not None]
    groups = {group for each in automations for group in each.groups} if automations else set(AUTOMATION_GROUPS)
    return any(user in each.users for each in automations) or bool(groups & _groups(user))


def is_service_account(user: str) -> bool:
    return user.startswith(_SERVICE_ACCOUNT)


def _groups(user: str) -> set[str]:
    """Returns the groups that the name of a service account implies; empty for other users, whose groups are unknown."""
    if not is_service_account(user):
        return set()
    namespace = user.removeprefix(_SERVICE_ACCOUNT).partition(":")[0]
    return {"system:serviceaccounts", f"system:serviceaccounts:{namespace}"}
