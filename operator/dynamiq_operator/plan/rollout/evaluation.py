"""Evaluates a deploy: it continues, is complete, or has failed, with its cause. Then ends its row."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from dynamiq_operator.desired.base import NETWORK_POLICY, SECRET, WORKLOAD
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.app_status import VARIABLES_HELD
from dynamiq_operator.model.guards import GuardReason, Waits
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.model.row import Pinned, Result
from dynamiq_operator.plan.children import convergence, manifests, variables
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.observed.causes import Cause, Gravity, find_cause
from dynamiq_operator.plan.observed.problems import ProblemReason
from dynamiq_operator.plan.operations import Operation
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.rollout import clock
from dynamiq_operator.plan.rows.outcomes import end_row, verify_row
from dynamiq_operator.plan.verification.result import VerificationResult, result_of
from dynamiq_operator.plan.workloads import environment
from dynamiq_operator.plan.workloads.verified import needs_switch
from dynamiq_operator.plan.workloads.wanted import lacks_room, room_note

WITHOUT_PROGRESS = timedelta(seconds=60)
"""How long pull errors and crash loops may last without progress."""
QUIET = timedelta(seconds=10)
"""How long a pod may be unready before a cause is reported that ends the rollout only at the deadline."""
UNMENTIONED = timedelta(seconds=60)
"""How long a rollout may wait for the cluster before that is reported: with a thousand deploys at once, each report is one more write."""


_NEEDS_SWITCH = (
    "its smoke test needs strategy Switch, and the App still has strategy Rolling, where callers reach each new pod at "
    "once: deploy it again once the App has strategy Switch"
)


class RolloutState(Enum):
    ROLLING = "rolling out"
    COMPLETE = "complete"
    BROKEN = "broken"


@dataclass(frozen=True)
class RolloutStatus:
    """The state of a rollout. `cause`: the obstacle, if one is visible. `requeue_after`: seconds after which time alone changes the state.

    `waits`: the guard of a verification in progress. `verification`: the seconds of a failed one.
    """

    state: RolloutState
    cause: Cause | None = None
    requeue_after: float | None = None
    waits: Waits | None = None
    verification: float | None = None


def end_rollout(context: Context) -> tuple[Step, RolloutStatus | None]:
    """Ends the candidate if its rollout is complete or broken, and returns its status while it continues."""
    row = context.history.candidate
    pinned = row.pinned if row is not None else None
    if row is None or pinned is None:
        return Step(context), None
    written: tuple[Operation, ...] = ()
    if (result := result_of(context)) is not None and result.passed is not None:
        row, written = verify_row(context.app, row, result.passed)
        context = context.having(row)
    status = evaluate(context, pinned)
    if status.state is RolloutState.ROLLING:
        return Step(context, written), status
    if status.state is RolloutState.COMPLETE:
        ended, operations = end_row(context, row, Result.SUCCEEDED, "its pods are ready")
    else:
        message, seconds = status.cause.message if status.cause else "", status.verification
        ended, operations = end_row(context, row, Result.FAILED, message, verification=seconds)
        written = (*written, *(events.verification_failed(context.app, row, message) if seconds is not None else ()))
    return Step(context.having(ended), (*written, *operations)), None


def evaluate(context: Context, pinned: Pinned) -> RolloutStatus:
    """Evaluates the rollout of the candidate, which has these pins and is the target."""
    state = WorkloadState.of(context.workload) if context.workload is not None and context.is_rolled else None
    if state is not None and convergence.are_ready(context):
        return RolloutStatus(RolloutState.COMPLETE)
    if needs_switch(context):
        return RolloutStatus(RolloutState.BROKEN, Cause(Gravity.AT_ONCE, "VerifyNeedsSwitch", _NEEDS_SWITCH))
    if (result := result_of(context)) is not None:
        return _verifying(result)
    cause = _refusal(context) or _no_room(context, state) or find_cause(context.pods, state)
    waited = context.snapshot.now - clock.running_since(context, pinned, state)
    waits_for = clock.standstill(context, state) if cause is None or (state is not None and cause.gravity is Gravity.UNTIL_DEADLINE) else ""
    return _standing(waits_for, waited) if waits_for else _running(context, cause, waited)


def _verifying(result: VerificationResult) -> RolloutStatus:
    """Returns the status of a rollout whose ready pods are being verified. Only the verification's own time limit counts."""
    if result.has_failed:
        cause = Cause(Gravity.AT_ONCE, "VerificationFailed", result.message)
        return RolloutStatus(RolloutState.BROKEN, cause, verification=result.seconds)
    cause = Cause(Gravity.UNTIL_DEADLINE, GuardReason.VERIFYING.value, result.message)
    waits = Waits(reason=GuardReason.VERIFYING, message=result.message, until=format_time(result.until))
    return RolloutStatus(RolloutState.ROLLING, cause, result.again, waits)


def _running(context: Context, cause: Cause | None, waited: timedelta) -> RolloutStatus:
    """Returns the status of a rollout without progress for `waited`, with its cause if one is visible."""
    deadline = timedelta(seconds=context.app.spec.rollout.progress_deadline_seconds)
    limit = _limit(cause, deadline)
    if waited < limit:
        reported = cause is not None and (cause.gravity > Gravity.UNTIL_DEADLINE or waited >= QUIET)
        changes_at = limit if reported or cause is None else min(QUIET, limit)
        return RolloutStatus(RolloutState.ROLLING, cause if reported else None, (changes_at - waited).total_seconds())
    silent = Cause(Gravity.UNTIL_DEADLINE, "NoProgress", f"no progress for {int(deadline.total_seconds())} s, and no pod shows why")
    return RolloutStatus(RolloutState.BROKEN, cause or silent)


def _standing(waits_for: str, waited: timedelta) -> RolloutStatus:
    """Returns the status of a rollout whose clock is stopped: the wait is reported after a while, and never ends the rollout."""
    if waited < UNMENTIONED:
        return RolloutStatus(RolloutState.ROLLING, None, (UNMENTIONED - waited).total_seconds())
    return RolloutStatus(
        RolloutState.ROLLING, Cause(Gravity.UNTIL_DEADLINE, "WaitingForCluster", f"{waits_for}; its deadline does not run")
    )


def _limit(cause: Cause | None, deadline: timedelta) -> timedelta:
    if cause is None or cause.gravity is Gravity.UNTIL_DEADLINE:
        return deadline
    return timedelta(0) if cause.gravity is Gravity.AT_ONCE else min(WITHOUT_PROGRESS, deadline)


def _no_room(context: Context, state: WorkloadState | None) -> Cause | None:
    """Returns the cause if a quota has no room for the new pods beside the serving ones; else None."""
    if state is None or not context.switches or context.label == context.serving or not (lacking := lacks_room(context.workload)):
        return None
    # Once other workloads were deleted to make room, only the deadline ends the rollout.
    is_made = len(context.workloads.of_pins) > 2 or room_note(context, context.label) is not None
    message = f"strategy Switch starts the new pods beside the live ones, and a quota of the namespace has no room for both: {lacking}"
    return Cause(Gravity.UNTIL_DEADLINE if is_made else Gravity.A_MINUTE, "NoRoom", message)


def _refusal(context: Context) -> Cause | None:
    """Returns why the target's workload itself cannot be made; None if it can."""
    problems = manifests.child_problems(context)
    app = context.app.meta.name
    for key in (context.flow_key, NETWORK_POLICY.key(app)):
        if (hindered := problems.get(key) if key is not None else None) is not None:
            return Cause(Gravity.UNTIL_DEADLINE, hindered.reason.value, f"no pod is made before this is mended: {hindered.message}")
    if not context.has_flow:
        return Cause(Gravity.UNTIL_DEADLINE, "FlowMissing", "its flow is in no ConfigMap and no WorkflowVersion")
    if (why := environment.not_approved(context)) is not None:
        return Cause(Gravity.UNTIL_DEADLINE, VARIABLES_HELD, why)
    if lacks := variables.missing_variables(context):
        return Cause(Gravity.AT_ONCE, variables.reason_of(lacks), lacks)
    problem = problems.get(WORKLOAD.key(app, context.label)) or problems.get(SECRET.key(app))
    if problem is None:
        return None
    gravity = Gravity.AT_ONCE if problem.reason is ProblemReason.REFUSED and not problem.may_pass else Gravity.UNTIL_DEADLINE
    return Cause(gravity, problem.reason.value, problem.message)
