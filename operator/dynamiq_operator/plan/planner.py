"""The plan for one App: rows are completed, the newest one that can be is rolled out, children converge, statuses follow.

The order of the actions is what a crash between any two of them relies on: a row is pinned before anything runs it, its
outcome is written before any status that follows from it, a row is closed after its App's status tells of it, since it is
not watched from then on, and an Event is made before the transition that it tells of, since the same Event made twice is one.
"""

from __future__ import annotations

from dynamiq_operator.model import names
from dynamiq_operator.plan.children.access_keys import annotate_pods, seconds_to_look
from dynamiq_operator.plan.children.convergence import converge_children
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.operations import Plan, SetAppStatus
from dynamiq_operator.plan.records.deploy_spec import create_deploy_row
from dynamiq_operator.plan.records.numbering import complete_rows, own_restored_rows, seconds_left
from dynamiq_operator.plan.records.outcomes import end_overtaken
from dynamiq_operator.plan.records.retention import delete_expired
from dynamiq_operator.plan.rollout.evaluation import RolloutStatus, end_rollout
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.status.app_status import app_status
from dynamiq_operator.plan.status.problems import AppProblems, problem_events, retry_missing
from dynamiq_operator.plan.status.row_status import row_statuses, rows_without_app
from dynamiq_operator.plan.triggers import run_statuses, schedules

RETRY_PROBLEMS = 15.0
"""Seconds after which a child that could not be made is tried again, and a row, or a flow, that is missing and that no event tells of is looked for."""


def make_plan(snapshot: Snapshot) -> Plan:
    """What is to be done now for the App of this snapshot; pure, and empty where observed and desired are equal."""
    if snapshot.app is None:
        return rows_without_app(snapshot)
    if snapshot.app.meta.deleting:
        return Plan()
    if names.RESTORING_ANNOTATION in snapshot.app.meta.annotations:
        return Plan()  # the pieces of a restore are still arriving: the plan is made once, when all are there
    return _plan(Context.of(snapshot, snapshot.app))


def _plan(context: Context) -> Plan:
    completed = complete_rows(context)
    overtaken = end_overtaken(completed.context)
    ended, rollout = end_rollout(overtaken.context)
    context = ended.context  # the rows as they are once all this has been written: what follows is decided from them
    problems = AppProblems.of(context)
    status = app_status(context, problems)
    app_statuses = (SetAppStatus(context.app, status),) if status != context.app.status else ()
    reserves_sequences = context.reserved is not None
    rows = row_statuses(context, rollout)
    return Plan(
        operations=(
            *run_statuses.events_of_ended(context.app, status.triggers),
            *(app_statuses if reserves_sequences else ()),
            *own_restored_rows(context),
            *completed.operations,
            *create_deploy_row(context),
            *overtaken.operations,
            *ended.operations,
            *problem_events(context, problems),
            *converge_children(context),
            *annotate_pods(context),
            *schedules.trigger_operations(context),
            *rows.opening,
            *(() if reserves_sequences else app_statuses),
            *rows.closing,
            *delete_expired(context),
        ),
        requeue_after=_requeue_after(context, rollout, problems),
    )


def _requeue_after(context: Context, rollout: RolloutStatus | None, problems: AppProblems) -> float | None:
    """Seconds after which time alone may change the plan."""
    policy = context.app.spec.rollout
    waiting = [row for row in context.snapshot.records if row.name in context.waits]
    times = [seconds_left(row, policy, context.now) for row in waiting]
    # Rows that are closed are not watched, nor is a release of another workflow than the App's an event of the App.
    if any(row.spec.restores for row in waiting) or (context.pinned is not None and not context.has_flow):
        times.append(RETRY_PROBLEMS)
    if rollout is not None and rollout.requeue_after is not None:
        times.append(rollout.requeue_after)
    if problems.children or problems.triggers:
        times.append(RETRY_PROBLEMS)
    if problems.variables:
        times.append(retry_missing(context))
    times += [*seconds_to_look(context), *schedules.trigger_times(context), *run_statuses.run_times(context)]
    return min(times, default=None)
