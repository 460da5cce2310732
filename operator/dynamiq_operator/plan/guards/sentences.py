"""What is said of a row that waits. Every surface prints these sentences as they are, so that all say the same words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from dynamiq_operator.model.guards import AfterFreeze, Guard, RowOf
from dynamiq_operator.model.objects import App, DeployPolicy, Record, format_time
from dynamiq_operator.model.policy import Promotion

if TYPE_CHECKING:
    from dynamiq_operator.plan.context import Context


def suspended(app: App) -> str:
    return f"App {app.meta.name} is suspended: nothing of it is deployed before `kubectl dynamiq suspend {app.meta.name} --off`"


def unknown(why: str) -> str:
    return f"{why}: until that can be read, only rollbacks and bypasses are deployed"


def frozen(guard: Guard, until: datetime, must_resume: bool) -> str:
    then = ", and then it waits until somebody resumes it" if must_resume else ""
    return f"nothing is deployed before {format_time(until)} (freeze {guard.window} of policy {guard.policy}){then}"


def held_after_freeze(app: App, guard: Guard, until: datetime) -> str:
    return (
        f"freeze {guard.window} of policy {guard.policy} was over at {format_time(until)}: it waits until somebody resumes it, by "
        f"`kubectl dynamiq resume {app.meta.name}`"
    )


def staggered(guard: Guard, until: datetime) -> str:
    return f"freeze {guard.window} of policy {guard.policy} was over at {format_time(until)}: it is deployed within a minute"


def soaking(row: Record, guard: Guard, until: datetime) -> str:
    source = row.spec.promoted_from
    where = f"live as App {source.app} in {source.namespace}" if source is not None else "live at its source"
    return f"its version has to be {where} until {format_time(until)} (policy {guard.policy})"


def not_from_cluster(where: str, policy: str, clusters: Sequence[str]) -> str:
    """Of a row, and of what is asked for now."""
    taken = f"from {', '.join(clusters)} alone" if clusters else "from none"
    return f"it comes from {where}, and of other clusters policy {policy} takes versions {taken} (promotion.clusters)"


def awaiting(context: Context, row: Record, given: int, needed: int, policies: Sequence[str]) -> str:
    people = "1 approval" if needed == 1 else f"{needed} approvals"
    of = f"policy {policies[0]}" if len(policies) == 1 else f"policies {', '.join(policies)}"
    if context.snapshot.guards.approvals and context.snapshot.guards.stamped_since is None:
        return f"it awaits {people} ({of}), and none counts: no admission policy stamps who makes one (Kubernetes 1.36 or later, manifests/admission)"
    if row.pinned is not None and not row.pinned.created_by_verified:
        return f"it awaits {people} ({of}), and none counts: the API server did not stamp who made the row, so nobody can be told from its author"
    there = f", {given} of them is there" if given == 1 else f", {given} of them are there" if given else ""
    return f"it awaits {people} ({of}){there}: `kubectl dynamiq approve {context.app.meta.name}`, by who may, and did not make the row"


def held(app: App, by: RowOf) -> str:
    return (
        f"row {by.row} (#{by.sequence}) went back, and what Git asks for waits: `kubectl dynamiq resume {app.meta.name}` deploys it, a deploy by "
        "hand of another version takes its place"
    )


# What would hold a deploy that is asked for now.


def would_hold_awaiting(policy: DeployPolicy) -> str:
    count = policy.spec.approvals.count if policy.spec.approvals is not None else 0
    people = "somebody else" if count == 1 else f"{count} others"
    return f"{people} would have to approve it (policy {policy.meta.name})"


def would_hold_frozen(policy: DeployPolicy, window: str, until: datetime) -> str:
    then = "" if policy.spec.after_freeze is AfterFreeze.DEPLOY else ", and then it would wait until somebody resumes it"
    return f"nothing is deployed before {format_time(until)} (freeze {window} of policy {policy.meta.name}){then}"


def would_soak(policy: str, asked: Promotion) -> str:
    where = f"in {' or '.join(asked.namespaces)}" if asked.namespaces else "at its source"
    return f"a promoted version would have to be live {where} for {asked.min_live_seconds} s (policy {policy})"


def would_hold_git(app: App, by: RowOf) -> str:
    return f"row {by.row} (#{by.sequence}) went back: what Git asks for would wait until `kubectl dynamiq resume {app.meta.name}`"
