"""What a row is to a policy: Git's, a rollback, a promotion, or another deploy by hand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from dynamiq_operator.model.guards import RowKind
from dynamiq_operator.model.objects import DeployPolicy, Record
from dynamiq_operator.model.policy import AUTOMATION_GROUPS
from dynamiq_operator.model.record import Pinned, Source

if TYPE_CHECKING:
    from dynamiq_operator.plan.context import Context

_SERVICE_ACCOUNT = "system:serviceaccount:"


def kind_of(context: Context, record: Record, pinned: Pinned) -> RowKind:
    """The kind of a row that has, or gets, these pins. What automation makes is Git's, whatever it asks."""
    if pinned.source is Source.REVERT:
        return RowKind.ROLLBACK
    if pinned.source is Source.APP or is_automation(context.snapshot.guards.policies, record.spec.created_by or ""):
        return RowKind.GIT
    if record.spec.is_rollback:
        return RowKind.ROLLBACK
    return RowKind.PROMOTION if record.spec.promoted_from is not None else RowKind.DEPLOY


def is_automation(policies: Iterable[DeployPolicy], user: str) -> bool:
    """Whether this user's rows are held as Git's are: as the policies of the namespace say, else of the GitOps tools' usual namespaces."""
    said = [policy.spec.automation for policy in policies if policy.spec.automation is not None]
    groups = {group for each in said for group in each.groups} if said else set(AUTOMATION_GROUPS)
    return any(user in each.users for each in said) or bool(groups & _groups(user))


def is_service_account(user: str) -> bool:
    return user.startswith(_SERVICE_ACCOUNT)


def _groups(user: str) -> set[str]:
    """The groups that the name of a service account tells; of other users none are known."""
    if not is_service_account(user):
        return set()
    namespace = user.removeprefix(_SERVICE_ACCOUNT).partition(":")[0]
    return {"system:serviceaccounts", f"system:serviceaccounts:{namespace}"}
