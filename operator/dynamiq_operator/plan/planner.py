"""The plan for one App: rows are completed, the newest one that can be is rolled out, children converge, statuses follow.

The order of the operations is what a crash between any two of them relies on: a row is pinned before anything runs it, its
outcome is written before any status that follows from it, a row is closed after its App's status tells of it, since it is
not watched from then on, and an Event is made before the transition that it tells of, since the same Event made twice is one.
An operation that fails holds up the groups that rely on it by these rules, and no others (`groups`).
"""

from __future__ import annotations

from collections.abc import Iterable

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Unreadable
from dynamiq_operator.plan import groups
from dynamiq_operator.plan.children.access_keys import annotate_pods, seconds_to_look
from dynamiq_operator.plan.children.convergence import converge_children
from dynamiq_operator.plan.children.standby import tell_pods
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.observed.problems import ReconcileFailure
from dynamiq_operator.plan.operations import Group, Operation, Plan, SetAppStatus
from dynamiq_operator.plan.records.deploy_spec import create_deploy_row
from dynamiq_operator.plan.records.numbering import complete_rows, own_restored_rows, refused_rows, seconds_left
from dynamiq_operator.plan.records.outcomes import end_overtaken
from dynamiq_operator.plan.records.release import guard_times, release_rows
from dynamiq_operator.plan.records.retention import delete_expired, seconds_to_rest
from dynamiq_operator.plan.revert.restore import take_back
from dynamiq_operator.plan.rollout.evaluation import RolloutStatus, end_rollout
from dynamiq_operator.plan.sleep import decisions as sleep
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.status.app_status import app_status
from dynamiq_operator.plan.status.failures import failure_of, tell_failure
from dynamiq_operator.plan.status.problems import AppProblems, problem_events, retry_missing
from dynamiq_operator.plan.status.row_status import leave_rows, row_statuses, rows_of_unreadable_app, rows_without_app
from dynamiq_operator.plan.status.trial import trial_condition, trial_events, trial_times
from dynamiq_operator.plan.triggers import run_statuses, schedules
from dynamiq_operator.plan.verification.children import verification_operations
from dynamiq_operator.plan.workloads.wanted import seconds_warm

RETRY_PROBLEMS = 15.0
"""Seconds after which it is looked whether what is in the way of a child is gone, such as a name that is taken, and whether a row or a
flow that is missing, and that no event tells of, has come."""


def make_plan(snapshot: Snapshot) -> Plan:
    """What is to be done now for the App of this snapshot; pure, and empty where observed and desired are equal."""
    app = snapshot.app or snapshot.unreadable_app
    if app is None:
        return rows_without_app(snapshot)
    if app.meta.deleting or names.RESTORING_ANNOTATION in app.meta.annotations:
        return Plan()  # the pieces of a restore are still arriving: the plan is made once, when all are there
    if snapshot.unreadable or snapshot.app is None:
        return _frozen(snapshot, app)
    return _plan(Context.of(snapshot, snapshot.app))


def _frozen(snapshot: Snapshot, app: App | Unreadable) -> Plan:
    """Nothing is changed that may follow from what cannot be read; the App says so, and rows that wait for an App say so."""
    unread = "; ".join(each.message for each in snapshot.unreadable)
    failure = ReconcileFailure(
        "Unreadable", f"{unread}. Until then nothing of this App is changed: upgrade the operator, or mend the object"
    )
    rows = rows_of_unreadable_app(snapshot, app) if isinstance(app, Unreadable) else ()
    return Plan((*_group(groups.FAILURE, tell_failure(app, failure, snapshot.now)), *groups.row_statuses(rows)))


def _plan(context: Context) -> Plan:
    """While further rows wait for a number nothing is rolled out: which row is the newest is not known yet."""
    completed = complete_rows(context)
    released = release_rows(completed.context)
    overtaken = end_overtaken(released.context)
    ended, rollout = end_rollout(overtaken.context) if not context.snapshot.more_rows else (Step(overtaken.context), None)
    context = ended.context  # the rows as they are once all this has been written: what follows is decided from them
    problems = AppProblems.of(context)
    rows = groups.rows(
        (*own_restored_rows(context), *completed.operations, *released.operations, *ended.operations), context.reserved is not None
    )
    deployed = frozenset({groups.row_group(context.target), groups.row_group(released.context.target)})
    first, last = _status_groups(context, problems, groups.ends(rows))
    statuses = row_statuses(context, rollout)
    told = {groups.NUMBERS, groups.STATUS, groups.row_status_group(context.history.live)}
    return Plan(
        groups=(
            *leave_rows(context.snapshot),
            *(_told_first(context) if rows else ()),
            *first,
            *rows,
            *(_converging(context, rows, deployed) if not context.snapshot.more_rows and context.lost is None else ()),
            # After it: a rollback past whatever waits, or is asked its cases, is as fast as any other.
            *groups.overtaken(overtaken.operations, context.target),
            *groups.row_statuses(statuses.opening),
            *last,
            *groups.row_statuses(statuses.closing, told),
            *(_group(groups.RETENTION, delete_expired(context), {groups.NUMBERS, groups.STATUS}) if context.lost is None else ()),
        ),
        requeue_after=_requeue_after(context, rollout, problems),
        backlog=context.snapshot.more_rows,
    )


def _converging(context: Context, rows: tuple[Group, ...], deployed: frozenset[str]) -> tuple[Group, ...]:
    """What brings the App to what is deployed, and to what Git asks for."""
    asked, after = create_deploy_row(context), {groups.NUMBERS, *(row.name for row in rows)}
    return (
        *groups.children(
            (*converge_children(context), *tell_pods(context), *annotate_pods(context), *verification_operations(context)), deployed
        ),
        *_group(groups.DEPLOY_SPEC, asked, after),
        *(_group(groups.REVERT, take_back(context), after) if not asked else ()),
        *groups.by_object(schedules.trigger_operations(context), deployed),
    )


def _status_groups(context: Context, problems: AppProblems, ends: frozenset[str]) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    """The App's status, written before everything else where it reserves sequences, and else after what it follows from.

    Where it reserves sequences and tells of an end as well, the two are written one after the other.
    """
    status = app_status(context, problems)
    write = (SetAppStatus(context.app, status),) if status != context.app.status else ()
    # Where the status is not written the App says all that there is to tell already, as much of it as a condition takes.
    new = (*problem_events(context, problems), *trial_events(context, trial_condition(context))) if write else ()
    told = (*run_statuses.events_of_ended(context.app, status.triggers), *new, *write)
    after = ends | {groups.row_group(context.target)}
    if context.reserved is None:
        return (), _group(groups.STATUS, told, after)
    if not ends:
        return _group(groups.NUMBERS, told), ()
    reservation = context.app.status.model_copy(update={"last_sequence": context.last_sequence})
    return _group(groups.NUMBERS, (SetAppStatus(context.app, reservation),)), _group(groups.STATUS, told, after | {groups.NUMBERS})


def _told_first(context: Context) -> tuple[Group, ...]:
    """What failed before, said whatever becomes of the rows: the App's whole status is not written before them."""
    failure = failure_of(context)
    return _group(groups.FAILURE, tell_failure(context.app, failure, context.now)) if failure is not None else ()


def _group(name: str, operations: Iterable[Operation], after: Iterable[str] = ()) -> tuple[Group, ...]:
    done = tuple(operations)
    return (Group(name, done, frozenset(after)),) if done else ()


def _requeue_after(context: Context, rollout: RolloutStatus | None, problems: AppProblems) -> float | None:
    """Seconds after which time alone may change the plan; 0 where further rows are to be looked at."""
    if context.snapshot.more_rows:
        return 0.0
    policy = context.app.spec.rollout
    waiting = [row for row in context.snapshot.records if row.name in context.waits]
    times = [seconds_left(row, policy, context.now, context.in_flight_since) for row in waiting]
    # Rows that are closed are not watched, nor is a release of another workflow than the App's an event of the App.
    if any(row.spec.restores for row in waiting) or (context.pinned is not None and not context.has_flow):
        times.append(RETRY_PROBLEMS)
    if rollout is not None and rollout.requeue_after is not None:
        times.append(rollout.requeue_after)
    in_the_way = (*problems.children.values(), *problems.triggers.values(), *refused_rows(context).values())
    times += [RETRY_PROBLEMS if problem.retry_in is None else problem.retry_in for problem in in_the_way]
    if problems.variables:
        times.append(retry_missing(context))
    times += [seconds for seconds in [seconds_warm(context)] if seconds is not None]
    times += [
        *trial_times(context),
        *guard_times(context),
        *sleep.seconds_to_look(context),
        *seconds_to_look(context),
        *schedules.trigger_times(context),
        *run_statuses.run_times(context),
        *seconds_to_rest(context),
    ]
    return min((seconds for seconds in times if seconds > 0), default=None)  # what is due now is in this plan, or waits for no time
