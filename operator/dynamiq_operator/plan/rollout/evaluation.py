"""Where a rollout stands: named first, with its reason, then acted upon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from dynamiq_operator.desired import workload as workloads
from dynamiq_operator.desired.base import SECRET, WORKLOAD
from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Record, parse_time
from dynamiq_operator.plan.children import converge, variables
from dynamiq_operator.plan.rollout.causes import Cause, Gravity, find_cause
from dynamiq_operator.plan.snapshot import Hindrance, Snapshot, WorkloadState

WITHOUT_PROGRESS = timedelta(seconds=60)
"""How long pull errors and crash loops may go on without progress."""
QUIET = timedelta(seconds=10)
"""For so long a pod that is not ready yet is nothing to speak of."""


class Standing(Enum):
    ROLLING = "rolling out"
    COMPLETE = "complete"
    BROKEN = "broken"


@dataclass(frozen=True)
class Rollout:
    """`cause` is what is in the way, if it can be seen; `look_again` the seconds after which time alone changes the standing."""

    standing: Standing
    cause: Cause | None = None
    look_again: float | None = None


def judge(snapshot: Snapshot, app: App, row: Record, *, converged: bool) -> Rollout:
    """Where the rollout of a pinned row stands. `converged`: every child is as the row wants it."""
    if row.pinned is None:
        return Rollout(Standing.ROLLING)
    observed = snapshot.workload_of(row)
    wanted = workloads.inputs(app, row.pinned)
    state = WorkloadState.of(observed) if observed is not None and workloads.runs(observed, wanted) else None
    if converged and state is not None and state.complete:
        return Rollout(Standing.COMPLETE)
    cause = _refusal(snapshot, app, row) or find_cause((pod for pod in snapshot.pods if pod.template == wanted), state)
    began = parse_time(row.pinned.created_at)
    since = max(began, state.progressed_at) if state and state.progressed_at else began
    deadline = timedelta(seconds=app.spec.rollout.progress_deadline_seconds)
    limit = _limit(cause, deadline)
    waited = snapshot.now - since
    if waited < limit and not (state and state.deadline_exceeded):
        telling = cause is not None and (cause.gravity > Gravity.UNTIL_DEADLINE or waited >= QUIET)
        next_look = limit if telling or cause is None else min(QUIET, limit)
        return Rollout(Standing.ROLLING, cause if telling else None, (next_look - waited).total_seconds())
    silent = Cause(
        Gravity.UNTIL_DEADLINE, "NoProgress", f"no progress for {app.spec.rollout.progress_deadline_seconds} s, and no pod says why"
    )
    return Rollout(Standing.BROKEN, cause or silent)


def _limit(cause: Cause | None, deadline: timedelta) -> timedelta:
    """How long a rollout may go without progress while this is in its way."""
    if cause is None or cause.gravity is Gravity.UNTIL_DEADLINE:
        return deadline
    return timedelta(0) if cause.gravity is Gravity.AT_ONCE else min(WITHOUT_PROGRESS, deadline)


def _refusal(snapshot: Snapshot, app: App, row: Record) -> Cause | None:
    """Why the row's workload itself cannot be made."""
    if not converge.has_flow(snapshot, row):
        return Cause(Gravity.UNTIL_DEADLINE, "FlowMissing", "its flow is in no ConfigMap and no WorkflowVersion")
    if lacks := variables.missing(snapshot, app, row):
        return Cause(Gravity.AT_ONCE, variables.MISSING, lacks)
    problems = converge.problems(snapshot, app, row)
    wanted = (WORKLOAD.kind, names.workload(app.meta.name, row.name)), (SECRET.kind, names.access_keys(app.meta.name))
    problem = next((problems[key] for key in wanted if key in problems), None)
    if problem is None:
        return None
    gravity = Gravity.AT_ONCE if problem.hindrance is Hindrance.REFUSED else Gravity.UNTIL_DEADLINE
    return Cause(gravity, problem.hindrance.value, problem.message)
