"""The plan for one App: rows are completed, the newest one that can be is rolled out, children converge, statuses follow.

The order of the operations is what a crash between any two of them relies on: a row is pinned before anything runs it, its
outcome is written before any status that follows from it, a row is closed after its App's status tells of it, since it is
not watched from then on, and an Event is made before the transition that it tells of, since the same Event made twice is one.
An operation that fails holds up the groups that rely on it by these rules, and no others (`groups`).
"""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.model import names
from dynamiq_operator.plan import groups
from dynamiq_operator.plan.children.access_keys import annotate_pods
from dynamiq_operator.plan.children.convergence import converge_children
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.operations import Group, Operation, Plan, SetAppStatus
from dynamiq_operator.plan.records.deploy_spec import create_deploy_row
from dynamiq_operator.plan.records.numbering import complete_rows, own_restored_rows, seconds_left
from dynamiq_operator.plan.records.outcomes import end_overtaken
from dynamiq_operator.plan.records.retention import delete_expired
from dynamiq_operator.plan.rollout.evaluation import RolloutStatus, end_rollout
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.status.app_status import app_status
from dynamiq_operator.plan.status.problems import AppProblems, problem_events
from dynamiq_operator.plan.status.row_status import row_statuses, rows_without_app
from dynamiq_operator.plan.triggers import run_statuses, schedules

RETRY_MISSING = 3.0
"""Seconds after which a key that a variable names, and that is missing, is read again."""
RETRY_PROBLEMS = 15.0
"""Seconds after which a child that could not be made is tried again."""


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
    rows = groups.rows((*own_restored_rows(context), *completed.operations, *ended.operations), context.reserved is not None)
    deployed = frozenset({groups.row_group(context.target), groups.row_group(completed.context.target)})
    first, last = _status_groups(context, problems, groups.ends(rows))
    statuses = row_statuses(context, rollout)
    told = {groups.NUMBERS, groups.STATUS, groups.row_status_group(context.history.live)}
    return Plan(
        groups=(
            *first,
            *rows,
            *groups.overtaken(overtaken.operations, context.target),
            *_group(groups.DEPLOY_SPEC, create_deploy_row(context), {groups.NUMBERS, *(row.name for row in rows)}),
            *groups.children((*converge_children(context), *annotate_pods(context)), deployed),
            *groups.by_object(schedules.trigger_operations(context), deployed),
            *groups.row_statuses(statuses.opening),
            *last,
            *groups.row_statuses(statuses.closing, told),
            *_group(groups.RETENTION, delete_expired(context), {groups.NUMBERS, groups.STATUS}),
        ),
        requeue_after=_requeue_after(context, rollout, problems),
    )


def _status_groups(context: Context, problems: AppProblems, ends: frozenset[str]) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    """The App's status, written before everything else where it reserves sequences, and else after what it follows from.

    Where it reserves sequences and tells of an end as well, the two are written one after the other.
    """
    status = app_status(context, problems)
    write = (SetAppStatus(context.app, status),) if status != context.app.status else ()
    told = (*run_statuses.events_of_ended(context.app, status.triggers), *problem_events(context, problems), *write)
    after = ends | {groups.row_group(context.target)}
    if context.reserved is None:
        return (), _group(groups.STATUS, told, after)
    if not ends:
        return _group(groups.NUMBERS, told), ()
    reservation = context.app.status.model_copy(update={"last_sequence": context.last_sequence})
    return _group(groups.NUMBERS, (SetAppStatus(context.app, reservation),)), _group(groups.STATUS, told, after | {groups.NUMBERS})


def _group(name: str, operations: Iterable[Operation], after: Iterable[str] = ()) -> tuple[Group, ...]:
    done = tuple(operations)
    return (Group(name, done, frozenset(after)),) if done else ()


def _requeue_after(context: Context, rollout: RolloutStatus | None, problems: AppProblems) -> float | None:
    """Seconds after which time alone may change the plan."""
    policy = context.app.spec.rollout
    since = context.in_flight_since
    times = [seconds_left(row, policy, context.now, since) for row in context.snapshot.records if row.name in context.waits]
    if rollout is not None and rollout.requeue_after is not None:
        times.append(rollout.requeue_after)
    if problems.children or problems.triggers:
        times.append(RETRY_PROBLEMS)
    if problems.variables:
        times.append(RETRY_MISSING)
    times += [*schedules.trigger_times(context), *run_statuses.run_times(context)]
    return min(times, default=None)
