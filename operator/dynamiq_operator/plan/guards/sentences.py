"""The sentences about a waiting row. Every surface prints them unchanged, so that all of them agree."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from dynamiq_operator.model.guards import AfterFreeze, ApprovalWhen, Guard, RowOf
from dynamiq_operator.model.objects import App, Row, format_time
from dynamiq_operator.model.text import plugin_command

if TYPE_CHECKING:
    from dynamiq_operator.model.guard_objects import DeployPolicy
    from dynamiq_operator.model.policy import Promotion
    from dynamiq_operator.plan.observed.guards import ObservedGuards


def suspended(app: App) -> str:
    return f"App {app.meta.name} is suspended: someone who may deploy runs {_command(app, f'suspend {app.meta.name} --off')}"


def unknown(why: str) -> str:
    return f"{why}: until that can be read, only rollbacks and bypasses are deployed"


def frozen(app: App, guard: Guard, until: datetime, must_resume: bool) -> str:
    then = f", then someone who may deploy runs {_resume(app)}" if must_resume else ""
    return f"Frozen until {format_time(until)} (freeze {guard.window} of policy {guard.policy}){then}"


def held_after_freeze(app: App, guard: Guard, until: datetime) -> str:
    return f"Freeze {guard.window} of policy {guard.policy} ended at {format_time(until)}: someone who may deploy runs {_resume(app)}"


def staggered(guard: Guard, until: datetime) -> str:
    return f"Freeze {guard.window} of policy {guard.policy} ended at {format_time(until)}: this is deployed within a minute"


def soaking(row: Row, guard: Guard, until: datetime) -> str:
    source = row.spec.promoted_from
    where = f"live as App {source.app} in {source.namespace}" if source is not None else "live at its source"
    return f"Its version has to be {where} until {format_time(until)} (policy {guard.policy})"


def not_from_cluster(where: str, policy: str, clusters: Sequence[str]) -> str:
    """Returns why a version from another cluster is refused, for rows and for previews."""
    origins = f"only from {', '.join(clusters)}" if clusters else "from none"
    return f"it comes from {where}, but policy {policy} accepts versions of other clusters {origins} (promotion.clusters)"


def awaiting(
    app: App, guards: ObservedGuards, row: Row, counted: int, needed: int, policies: Sequence[str], uncounted: Sequence[str] = ()
) -> str:
    """Returns which approvals are missing and who can give them.

    `counted`: approvals that count. `uncounted`: sentences about those that do not.
    """
    people = "1 approval" if needed == 1 else f"{needed} approvals"
    of = f"policy {policies[0]}" if len(policies) == 1 else f"policies {', '.join(policies)}"
    if guards.approvals and guards.stamped_since is None:
        return f"Needs {people} ({of}), and none counts: no admission policy stamps who makes one (Kubernetes 1.36 or later, manifests/admission)"
    if row.pinned is not None and not row.pinned.created_by_verified:
        return f"Needs {people} ({of}), and none counts: the API server did not stamp who made the row, so the author is unknown"
    so_far = f", has {counted}" if counted else ""
    command = _command(app, f"approve {app.meta.name}")
    need = f"Needs {people} ({of}){so_far}: someone other than the author, with the role dynamiq-approver, runs {command}"
    return need + "".join(f". {each}" for each in uncounted)


def held(app: App, by: RowOf) -> str:
    return (
        f"Changes from Git are on hold after the rollback in #{by.sequence}. To apply this one, someone who may deploy runs {_resume(app)}"
    )


def git_on_hold(app: App) -> str:
    return f"Changes from Git are on hold. To apply them again: {_resume(app)}"


# Guards that would block a new deploy now.


def would_hold_awaiting(policy: DeployPolicy) -> str:
    count = policy.spec.approvals.count if policy.spec.approvals is not None else 0
    people = "someone else" if count == 1 else f"{count} others"
    is_conditional = policy.spec.approvals is not None and policy.spec.approvals.when is ApprovalWhen.BREAKING
    condition = ", if it may break callers or that is unknown" if is_conditional else ""
    return f"{people} would have to approve it (policy {policy.meta.name}){condition}"


def would_hold_frozen(policy: DeployPolicy, window: str, until: datetime) -> str:
    then = "" if policy.spec.after_freeze is AfterFreeze.DEPLOY else ", then someone who may deploy would have to resume it"
    return f"frozen until {format_time(until)} (freeze {window} of policy {policy.meta.name}){then}"


def would_soak(policy: str, promotion: Promotion) -> str:
    where = f"in {' or '.join(promotion.namespaces)}" if promotion.namespaces else "at its source"
    return f"a promoted version would have to be live {where} for {promotion.min_live_seconds} s (policy {policy})"


def would_hold_git(app: App, by: RowOf) -> str:
    return f"After the rollback in #{by.sequence}, changes from Git are on hold. To apply them again: {_resume(app)}"


def _command(app: App, command: str) -> str:
    return plugin_command(command, app.meta.namespace)


def _resume(app: App) -> str:
    return _command(app, f"resume {app.meta.name}")
