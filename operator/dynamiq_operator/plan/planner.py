"""The plan for one App: rows are completed, the newest one that can be is rolled out, children converge, statuses follow.

The order of the actions is what a crash between any two of them relies on: a row is pinned before anything runs it, its
outcome is written before any status that follows from it, a row is closed after its App's status tells of it, since it is
not watched from then on, and an Event is made before the transition that it tells of, since the same Event made twice is one.
"""

from __future__ import annotations

from collections.abc import Mapping

from dynamiq_operator.model import names
from dynamiq_operator.model.app import Rollout as RolloutPolicy
from dynamiq_operator.model.objects import App, Record
from dynamiq_operator.model.record import CLOSED, Phase, Result
from dynamiq_operator.plan import events
from dynamiq_operator.plan.children import access_keys, converge, variables
from dynamiq_operator.plan.records.deploy_spec import declared_rows
from dynamiq_operator.plan.history.lifecycle import History
from dynamiq_operator.plan.records.numbering import complete_rows, end_overtaken, end_row, waits_until
from dynamiq_operator.plan.records.retention import retention
from dynamiq_operator.plan.operations import Action, Emit, OwnRecord, Plan, SetAppStatus, SetRecordStatus
from dynamiq_operator.plan.rollout.evaluation import Rollout, Standing, judge
from dynamiq_operator.plan.snapshot import ChildKey, Problem, Snapshot
from dynamiq_operator.plan.status import conditions
from dynamiq_operator.plan.triggers import runs, schedules

RETRY_MISSING = 3.0
"""Seconds after which it is looked again for a key that a variable names."""
RETRY_HINDERED = 15.0
"""Seconds after which it is looked again at a name that was taken."""


def make_plan(snapshot: Snapshot) -> Plan:
    """What is to be done now for the App of this snapshot; pure, and empty where all is as it should be."""
    if snapshot.app is None:
        return _without_app(snapshot)
    if snapshot.app.meta.deleting:
        return Plan()
    return _for_app(snapshot, snapshot.app)


def _for_app(snapshot: Snapshot, app: App) -> Plan:
    if names.RESTORING_ANNOTATION in app.meta.annotations:
        return Plan()  # the pieces of a restore are still arriving: it is decided once, when all are there
    rows = complete_rows(snapshot, app, History.of(snapshot.records))
    history, overtaken = end_overtaken(snapshot, app, rows.history)
    history, ended, rollout = _roll_out(snapshot, app, history)
    converging = converge.child_actions(snapshot, app, history.target)
    ledger = snapshot.ledger.having(history.rows)
    last_sequence = rows.reserved or max(app.status.last_sequence or 0, ledger.highest)
    hindered = converge.problems(snapshot, app, history.target)
    idle = schedules.problems(snapshot, app, history.target)
    lacks = variables.missing(snapshot, app, history.target)
    status = conditions.app_status(snapshot, app, history, ledger, rows.waits, hindered, idle, last_sequence)
    write_status: tuple[Action, ...] = (SetAppStatus(app, status),) if status != app.status else ()
    reserving = rows.reserved is not None
    opening, closing = _record_statuses(snapshot, app, history, rows.waits, rollout)
    return Plan(
        actions=(
            *runs.tell(app, status.triggers),
            *(write_status if reserving else ()),
            *(OwnRecord(app, row) for row in snapshot.records if row.sequence and app.meta.uid not in row.meta.owners),
            *rows.actions,
            *declared_rows(app, ledger),
            *overtaken,
            *ended,
            *_hindrances(app, {**hindered, **idle}),
            *_lacking(app, lacks),
            *converging,
            *access_keys.telling(snapshot, app, history.target),
            *schedules.trigger_actions(snapshot, app, history.target),
            *opening,
            *(() if reserving else write_status),
            *closing,
            *retention(snapshot, app, history, ledger),
        ),
        look_again=_look_again(snapshot, app, rows.waits, rollout, {**hindered, **idle}, lacks),
    )


def _roll_out(snapshot: Snapshot, app: App, history: History) -> tuple[History, tuple[Action, ...], Rollout | None]:
    """Ends the candidate where its rollout has come to an end."""
    row = history.candidate
    if row is None:
        return history, (), None
    rollout = judge(snapshot, app, row, converged=not _changes(converge.child_actions(snapshot, app, row)))
    if rollout.standing is Standing.ROLLING:
        return history, (), rollout
    if rollout.standing is Standing.COMPLETE:
        ended, actions = end_row(snapshot, app, row, Result.SUCCEEDED, "its pods are ready")
    else:
        ended, actions = end_row(snapshot, app, row, Result.FAILED, rollout.cause.message if rollout.cause else "")
    return history.having(ended), actions, None


def _changes(actions: tuple[Action, ...]) -> bool:
    return any(not isinstance(action, Emit) for action in actions)


def _record_statuses(
    snapshot: Snapshot, app: App, history: History, waits: dict[str, str], rollout: Rollout | None
) -> tuple[tuple[Action, ...], tuple[Action, ...]]:
    """Of rows that are open, and of those that are closed by it: a new row reads Live before the one before it reads Superseded."""
    opening: list[Action] = []
    closing: list[Action] = []
    for row in reversed(history.rows):
        phase = history.phase(row)
        status = conditions.record_status(snapshot, row, phase, waits, rollout if row is history.candidate else None)
        if conditions.says_nothing_new(row, status):
            continue
        actions = closing if phase in CLOSED else opening
        if phase is Phase.SUPERSEDED and row.phase is Phase.LIVE and history.live is not None:
            actions += events.superseded(app, row, history.live)
        if row.name in waits:
            actions += events.waits(app, row, waits[row.name])
        actions.append(SetRecordStatus(row, status))
    return tuple(opening), tuple(closing)


def _hindrances(app: App, hindered: Mapping[ChildKey, Problem]) -> tuple[Action, ...]:
    known = " ".join(each.message for each in app.status.conditions if each.type in (conditions.CHILDREN, conditions.TRIGGERS))
    return tuple(events.hindered(app, problem.message) for problem in hindered.values() if problem.message not in known)


def _lacking(app: App, lacks: str) -> tuple[Action, ...]:
    known = {condition.type: condition.message for condition in app.status.conditions}.get(conditions.VARIABLES, "")
    said = conditions.holding(lacks) if lacks else known
    return (events.lacking(app, said),) if said != known else ()


def _look_again(
    snapshot: Snapshot, app: App, waits: dict[str, str], rollout: Rollout | None, hindered: Mapping[ChildKey, Problem], lacks: str
) -> float | None:
    times = [_seconds_left(snapshot, row, app.spec.rollout) for row in snapshot.records if row.name in waits]
    if rollout is not None and rollout.look_again is not None:
        times.append(rollout.look_again)
    if hindered:
        times.append(RETRY_HINDERED)
    times += [*schedules.look_again(snapshot, app), *runs.look_again(snapshot, app)]
    if lacks:
        times.append(RETRY_MISSING)
    return min(times, default=None)


def _seconds_left(snapshot: Snapshot, row: Record, policy: RolloutPolicy) -> float:
    return max((waits_until(row, policy) - snapshot.now).total_seconds(), 0.0)


def _without_app(snapshot: Snapshot) -> Plan:
    """Rows whose App is not there wait for it, without a number and without an end: an App's status keeps the numbers.

    So do rows that have ended and that a restore brought back before their App. One that has waited too long says so, and stays
    open: closed it would not be seen when its App comes.
    """
    policy = RolloutPolicy()
    actions: list[Action] = []
    left: list[float] = []
    for row in History.of(snapshot.records).rows:
        if row.meta.owners:
            continue  # it goes with the App that is gone
        message = f"App {row.spec.app} does not exist in namespace {row.meta.namespace}"
        if row.outcome is None and snapshot.now >= waits_until(row, policy):
            message = f"{message}, {policy.progress_deadline_seconds} s after the row was created"
            status = conditions.given_up_status(snapshot, row, message)
        else:
            status = conditions.record_status(snapshot, row, Phase.PENDING, {row.name: message}, None)
            left += [] if row.outcome else [_seconds_left(snapshot, row, policy)]
        if not conditions.says_nothing_new(row, status):
            actions += [*events.waits(None, row, message), SetRecordStatus(row, status)]
    return Plan(tuple(actions), min(left, default=None))
