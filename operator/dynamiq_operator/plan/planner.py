"""Plans one App: completes rows, rolls out the newest one that can be, converges children, and writes statuses.

The order of operations is what makes a crash between any two of them harmless:

- A row is pinned before anything runs it.
- Its outcome is written before any status that follows from it.
- A row is closed after its App's status shows it, since closed rows are not watched.
- An Event is created before its transition, since the same Event created twice is one.

A failed operation stops only the groups that rely on it by these rules (`output.groups`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from dynamiq_operator.model import names
from dynamiq_operator.model.objects import App, Unreadable
from dynamiq_operator.plan.children.access_keys import annotate_pods, key_times
from dynamiq_operator.plan.children.convergence import converge_children
from dynamiq_operator.plan.children.standby import standby_annotations
from dynamiq_operator.plan.context import Context, Step
from dynamiq_operator.plan.observed.problems import ReconcileFailure
from dynamiq_operator.plan.operations import Group, Operation, Plan, SetAppStatus
from dynamiq_operator.plan.output import events, groups
from dynamiq_operator.plan.revert.revert_row import revert
from dynamiq_operator.plan.rollout.evaluation import RolloutStatus, end_rollout
from dynamiq_operator.plan.rows.admission import admit_rows, guard_times
from dynamiq_operator.plan.rows.deploy_spec import create_deploy_row
from dynamiq_operator.plan.rows.numbering import complete_rows, own_restored_rows, refused_rows, seconds_left
from dynamiq_operator.plan.rows.outcomes import end_overtaken
from dynamiq_operator.plan.rows.retention import delete_expired, rest_times
from dynamiq_operator.plan.sleep import decisions as sleep
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.status.app_problems import AppProblems, problem_events, retry_missing
from dynamiq_operator.plan.status.app_status import app_status
from dynamiq_operator.plan.status.failures import failure_of, failure_operations
from dynamiq_operator.plan.status.finishing import finishing_condition, finishing_events, gone_times, shown_times
from dynamiq_operator.plan.status.row_status import leave_rows, row_statuses, rows_of_unreadable_app, rows_without_app
from dynamiq_operator.plan.status.trial import trial_condition, trial_events, trial_times
from dynamiq_operator.plan.triggers import run_statuses, schedules
from dynamiq_operator.plan.verification.children import verification_operations
from dynamiq_operator.plan.workloads.conversing_pods import conversing_times
from dynamiq_operator.plan.workloads.finishing import finishing_times
from dynamiq_operator.plan.workloads.wanted import standby_seconds

RETRY_PROBLEMS = 15.0
"""Seconds between attempts where no event will arrive.

They are for children with an obstacle, such as a name in use, and for missing rows and flows.
"""


def make_plan(snapshot: Snapshot) -> Plan:
    """Returns the plan for the App of this snapshot; pure, and empty if observed and desired are equal."""
    app = snapshot.app or snapshot.unreadable_app
    if app is None:
        return rows_without_app(snapshot)
    if app.meta.deleting or names.RESTORING_ANNOTATION in app.meta.annotations:
        return Plan()  # a restore is in progress: the plan is made once all of its objects exist
    if snapshot.unreadable or snapshot.app is None:
        return _frozen(snapshot, app)
    return _plan(Context.of(snapshot, snapshot.app))


def _frozen(snapshot: Snapshot, app: App | Unreadable) -> Plan:
    """Returns a plan that changes nothing but conditions and row statuses: they show what is unreadable."""
    unread = "; ".join(each.message for each in snapshot.unreadable)
    failure = ReconcileFailure(
        "Unreadable", f"{unread}. Upgrade the operator, or correct the object: until then nothing of this App is changed"
    )
    rows = rows_of_unreadable_app(snapshot, app) if isinstance(app, Unreadable) else ()
    return Plan((*_group(groups.FAILURE, failure_operations(app, failure, snapshot.now)), *groups.row_statuses(rows)))


def _plan(observed: Context) -> Plan:
    """Returns the plan of an App that can be read.

    Each step goes on with the rows as the step before leaves them. All else is decided from the rows after the last one.
    """
    more_rows = observed.snapshot.rows.more
    numbered = complete_rows(observed)
    admitted = admit_rows(numbered.context)
    overtaken = end_overtaken(admitted.context)
    # While further rows wait for a number, it is unknown which row is the newest: nothing is rolled out.
    ended, rollout = end_rollout(overtaken.context) if not more_rows else (Step(overtaken.context), None)
    final = ended.context
    rows = groups.rows(
        (*own_restored_rows(observed), *numbered.operations, *admitted.operations, *ended.operations), numbered.context.reserved is not None
    )
    deployed = frozenset({groups.row_group(admitted.context.history.target), groups.row_group(final.history.target)})
    problems = AppProblems.of(final)
    first, last = _status_groups(final, problems, groups.ends(rows))
    statuses = row_statuses(final, rollout)
    shown = {groups.NUMBERS, groups.STATUS}
    return Plan(
        groups=(
            *leave_rows(observed.snapshot),
            *(_failure_group(final) if rows else ()),
            *first,
            *rows,
            *(_converging(final, rows, deployed) if not more_rows and final.lost is None else ()),
            # Overtaken rows end last: a rollback past a row that waits or is verified is as fast as any other.
            *groups.overtaken(overtaken.operations, final.history.target),
            *_group(groups.SESSIONS, _moved(final)),
            *groups.row_statuses(statuses.opening),
            *last,
            *groups.row_statuses(statuses.closing, {*shown, groups.row_status_group(final.history.live)}),
            *(_group(groups.RETENTION, delete_expired(final), shown) if final.lost is None else ()),
        ),
        requeue_after=_requeue_after(final, rollout, problems),
        backlog=more_rows,
    )


def _converging(context: Context, rows: tuple[Group, ...], deployed: frozenset[str]) -> tuple[Group, ...]:
    """Returns the groups that converge the App's children to its rows, and those that create rows for Git and for reverts."""
    deploy_rows, after = create_deploy_row(context), {groups.NUMBERS, *(row.name for row in rows)}
    return (
        *groups.children(
            (*converge_children(context), *standby_annotations(context), *annotate_pods(context), *verification_operations(context)),
            deployed,
        ),
        *_group(groups.DEPLOY_SPEC, deploy_rows, after),
        *(_group(groups.REVERT, revert(context), after) if not deploy_rows else ()),
        *groups.by_object(schedules.trigger_operations(context), deployed),
    )


def _status_groups(context: Context, problems: AppProblems, ends: frozenset[str]) -> tuple[tuple[Group, ...], tuple[Group, ...]]:
    """Returns the groups that write the App's status: those before all others, and those after what they follow from.

    A status that reserves sequences comes first. If it also shows the end of a row, it is written in two steps.
    """
    status = app_status(context, problems)
    write = (SetAppStatus(context.app, status),) if status != context.app.status else ()
    # Without a new status, the App's conditions already show all of these problems.
    new = (*problem_events(context, problems), *_condition_events(context)) if write else ()
    operations = (*run_statuses.events_of_ended(context.app, status.triggers), *new, *write)
    after = ends | {groups.row_group(context.history.target)}
    if context.reserved is None:
        return (), _group(groups.STATUS, operations, after)
    if not ends:
        return _group(groups.NUMBERS, operations), ()
    reservation = context.app.status.model_copy(update={"last_sequence": context.last_sequence})
    return _group(groups.NUMBERS, (SetAppStatus(context.app, reservation),)), _group(groups.STATUS, operations, after | {groups.NUMBERS})


def _condition_events(context: Context) -> tuple[Operation, ...]:
    return (*trial_events(context, trial_condition(context)), *finishing_events(context, finishing_condition(context)))


def _moved(context: Context) -> Iterator[Operation]:
    for each in context.snapshot.moved:
        yield from events.sessions_moved(context.app, context.history.live, each.message, each.key)


def _failure_group(context: Context) -> tuple[Group, ...]:
    """Returns the Event and condition of what failed before: they are written even if writing the rows fails."""
    failure = failure_of(context)
    return _group(groups.FAILURE, failure_operations(context.app, failure, context.snapshot.now)) if failure is not None else ()


def _group(name: str, operations: Iterable[Operation], after: Iterable[str] = ()) -> tuple[Group, ...]:
    grouped = tuple(operations)
    return (Group(name, grouped, frozenset(after)),) if grouped else ()


def _requeue_after(context: Context, rollout: RolloutStatus | None, problems: AppProblems) -> float | None:
    """Returns the seconds until time alone may change the plan; 0 if further rows wait, None if nothing waits for a time."""
    if context.snapshot.rows.more:
        return 0.0
    policy = context.app.spec.rollout
    waiting = [row for row in context.snapshot.rows.observed if row.name in context.waits]
    times = [seconds_left(row, policy, context.snapshot.now, context.in_flight_since) for row in waiting]
    # Closed rows are not watched, and a release of another workflow is no event of this App.
    if any(row.spec.restores for row in waiting) or (context.pinned is not None and not context.has_flow):
        times.append(RETRY_PROBLEMS)
    if rollout is not None and rollout.requeue_after is not None:
        times.append(rollout.requeue_after)
    in_the_way = (*problems.children.values(), *problems.triggers.values(), *refused_rows(context.snapshot.rows, context.history).values())
    times += [RETRY_PROBLEMS if problem.retry_in is None else problem.retry_in for problem in in_the_way]
    if problems.variables:
        times.append(retry_missing(context.app, context.snapshot.now))
    times += [seconds for seconds in [standby_seconds(context)] if seconds is not None]
    times += [*finishing_times(context), *conversing_times(context), *shown_times(context), *gone_times(context)]
    times += [
        *trial_times(context),
        *guard_times(context),
        *sleep.sleep_times(context),
        *key_times(context),
        *schedules.trigger_times(context.app, context.snapshot.now),
        *run_statuses.run_times(context),
        *rest_times(context),
    ]
    return min((seconds for seconds in times if seconds > 0), default=None)  # what is due now is in this plan
