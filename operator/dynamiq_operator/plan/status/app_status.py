"""Derives an App's status: its live and failed rows, the runs of its triggers, and its conditions. It decides nothing else."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from dynamiq_operator.desired import exposure
from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.desired.inputs import scale_of
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.app_status import PROGRESSING, VARIABLES_HELD, AppStatus, FailedRow, LastGood, LiveRow
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import Row
from dynamiq_operator.model.row import Result, Source
from dynamiq_operator.model.settings import ImagePolicy
from dynamiq_operator.plan.children import variables
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.guards import sentences
from dynamiq_operator.plan.guards.hold import hold, shown_hold
from dynamiq_operator.plan.guards.now import standing_guards
from dynamiq_operator.plan.observed.causes import Cause, Gravity, find_cause
from dynamiq_operator.plan.observed.problems import ChildProblem
from dynamiq_operator.plan.revert.comparing import noted_trial
from dynamiq_operator.plan.revert.revert_row import good_row
from dynamiq_operator.plan.rows.deploy_spec import create_deploy_row, name_taken, override
from dynamiq_operator.plan.sleep.hindrances import sleeping_config
from dynamiq_operator.plan.status.app_problems import AppProblems, held_back
from dynamiq_operator.plan.status.conditions import (
    AVAILABLE,
    CHILDREN,
    LIVE,
    ONE_POD,
    OVERRIDDEN,
    TRIGGERS,
    VARIABLES,
    condition,
    dated,
    ready,
)
from dynamiq_operator.plan.status.durable import durable_condition
from dynamiq_operator.plan.status.failures import LOST, failed_condition, failure_of, lost_message
from dynamiq_operator.plan.status.finishing import finishing_condition, finishing_status
from dynamiq_operator.plan.status.recorded import archived_condition, recorded_condition, redaction_condition
from dynamiq_operator.plan.status.runtimes import runtimes
from dynamiq_operator.plan.status.sleeping import available_though_asleep, sleep_condition
from dynamiq_operator.plan.status.strategy import strategy_conditions
from dynamiq_operator.plan.status.trial import trial_condition
from dynamiq_operator.plan.triggers import run_statuses, schedules
from dynamiq_operator.plan.verification.requests import request_of
from dynamiq_operator.plan.workloads import environment

_ONE_POD = "only one pod serves this App, so it is down while its node is drained: set autoscaling.minReplicas of the config to 2"
_CHANGED_WHILE_LOST = "the App was changed while its live row is missing: the change is compared once that row is restored"
_NO_POD_READY = condition(AVAILABLE, False, "NoPodReady", "no pod is ready to answer")


def app_status(context: Context, problems: AppProblems) -> AppStatus:
    """Returns the App's whole status."""
    app, settings, failed = context.app, context.snapshot.settings, _failed(context)
    possible = (
        trial_condition(context),
        recorded_condition(context),
        durable_condition(context),
        finishing_condition(context),
        archived_condition(app, context.snapshot.archive, settings),
        redaction_condition(app, settings),
    )
    conditions = [
        _live(context, failed),
        _children(problems.children),
        _available(context, problems.variables),
        _progressing(context, failed),
        *sleep_condition(context),
        *_variables(context, problems.variables),
        *([_triggers(context, problems.triggers)] if app.spec.triggers else []),
        *([_overridden(context)] if app.spec.deploy is not None else []),
        *_variables_held(context),
        *strategy_conditions(context),
        *(each for each in possible if each is not None),
        *([failed_condition(failure)] if (failure := failure_of(context)) is not None else []),
    ]
    return AppStatus(
        observed_generation=app.meta.generation,
        last_sequence=context.last_sequence or None,
        live=_live_row(context),
        failed=failed,
        last_good=_last_good(context),
        trial=noted_trial(context),
        holds=shown_hold(context) if not context.snapshot.guards.outdated else None,
        guards=standing_guards(context),
        hostname=exposure.hostname(app, settings),
        url=exposure.url(app, settings),
        image_policy=settings.image_policy if settings.image_policy is not ImagePolicy.ANY else None,
        triggers=run_statuses.last_runs(context),
        runtimes=runtimes(context),
        finishing=finishing_status(context),
        settings=app.status.settings,  # written by the controller's settings recorder: no plan relies on it
        conditions=dated([ready(conditions), *conditions], app.status.conditions, context.snapshot.now, app.meta.generation),
    )


def _live_row(context: Context) -> LiveRow | None:
    live, known = context.history.live, context.app.status.live
    if known is not None and known.sequence > (live.sequence if live is not None else 0):
        return known  # the row was deleted: only the status still shows what the App serves
    if live is None or live.pinned is None:
        return None
    return LiveRow(
        row=live.name, sequence=live.sequence, workflow_version=live.pinned.workflow_version, runtime=live.pinned.runtime.version
    )


def _last_good(context: Context) -> LastGood | None:
    """Returns the last good row, chosen once for each live row, as it goes live."""
    live, status = context.history.live, context.app.status
    if live is None or not context.switches or not context.app.spec.rollout.switches:
        return None
    # For a row that went live under an older operator, the standby stays as it is: an upgrade ends no pod.
    if status.live is not None and status.live.row == live.name:
        return status.last_good
    if not context.ledger.known or context.history.candidate is not None:
        return None
    good = good_row(context.ledger, context.snapshot.guards)
    return LastGood(live=live.sequence, row=good.name, pair=good.pair) if good is not None else LastGood(live=live.sequence)


def _failed(context: Context) -> FailedRow | None:
    """Returns the newest failed row above the live one. A closed row is not watched: it is kept from the last status."""
    after = context.history.live.sequence if context.history.live else 0
    for row in reversed(context.history.rows):
        if row.outcome is not None and row.outcome.result is Result.FAILED and row.sequence > after and not _never_began(row):
            return FailedRow(row=row.name, sequence=row.sequence, reason=row.outcome.reason)
    kept = context.app.status.failed
    return kept if kept is not None and kept.sequence > after else None


def _never_began(row: Row) -> bool:
    """Returns True if a row ended while it waited, for example rejected: nothing was rolled out that could have failed."""
    return row.pinned is not None and bool(row.pinned.guards) and row.spec.released is None


def _live(context: Context, failed: FailedRow | None) -> Condition:
    if context.lost is not None:
        return condition(LIVE, False, LOST, lost_message(context.lost))
    if context.history.live is not None:
        return condition(LIVE, True, "Serving", f"{context.history.live.title} is live")
    if failed is not None:
        return condition(LIVE, False, "DeployFailed", f"the deploy {failed.row} failed, and nothing was live before: {failed.reason}")
    return condition(LIVE, False, "NotDeployed", "nothing has been deployed yet: create a Deployment (ddep) that names this App")


def _children(problems: Mapping[ChildKey, ChildProblem]) -> Condition:
    if problems:
        return _not_made(CHILDREN, problems)
    return condition(CHILDREN, True, "Applied", "all that the App needs is in place")


def _available(context: Context, lacks: str) -> Condition:
    if (asleep := available_though_asleep(context)) is not None:
        return asleep
    if context.serving_workload is None:
        if context.history.target is not None and not context.has_flow and context.flow_key not in context.snapshot.children.problems:
            title = context.history.target.title
            return condition(
                AVAILABLE, False, "FlowMissing", f"the flow of {title} is in no ConfigMap and no WorkflowVersion: restore either"
            )
        if lacks:
            return condition(AVAILABLE, False, variables.reason_of(lacks), held_back(lacks))
        if (why := environment.not_approved(context)) is not None:
            return condition(AVAILABLE, False, VARIABLES_HELD, why)
        if context.history.target is None:
            return condition(AVAILABLE, False, "NoWorkload", "there is no workload yet")
        return _NO_POD_READY  # the same condition as once the workload exists, which saves a write
    state = WorkloadState.of(context.serving_workload)
    if state.available:
        row = context.history.live if context.switches and context.history.live is not None else context.history.target
        # A serverless App has one pod while it has few calls, and the gate holds calls if that pod ends.
        has_one_pod = row is not None and row.pinned is not None and scale_of(row.pinned).min_replicas == 1
        alone = has_one_pod and sleeping_config(context.history.live) is None
        return (
            condition(AVAILABLE, True, ONE_POD, _ONE_POD) if alone else condition(AVAILABLE, True, "PodsReady", "pods are ready to answer")
        )
    serving = context.serving if context.switches and context.serving is not None else context.label
    cause = find_cause((pod for pod in context.snapshot.pods.observed if pod.pins == serving), state)
    if cause is None or cause.reason == "NotReady":
        return _NO_POD_READY
    return condition(AVAILABLE, False, cause.reason, cause.message)


def _progressing(context: Context, failed: FailedRow | None) -> Condition:
    history, waits = context.history, context.waits
    waiting = next((row for row in reversed(history.rows) if row.name in waits), None)
    if history.candidate is not None and (waiting is None or waiting.sequence < history.candidate.sequence):
        if request_of(context) is not None:
            message = f"{history.candidate.title} is being smoke-tested before a caller reaches its pods"
            return condition(PROGRESSING, True, "Verifying", message)
        return condition(PROGRESSING, True, "Deploying", f"{history.candidate.title} is being deployed")
    if context.lost is None and create_deploy_row(context):
        # Otherwise GitOps tools, which wait for the change, would see it as done before it has begun.
        return condition(PROGRESSING, True, "Deploying", "a row for spec.deploy is being created")
    guarded = next((row for row in reversed(history.rows) if row.name in context.guarded), None)
    if guarded is not None and (waiting is None or waiting.sequence < guarded.sequence):
        guard = context.guarded[guarded.name]
        return condition(PROGRESSING, False, guard.reason.value, f"{guarded.title} waits: {guard.message}")
    if waiting is not None:
        return condition(PROGRESSING, True, "Waiting", f"{waiting.title} waits: {waits[waiting.name]}")
    if history.live is not None and (cause := _cause_of_live(context)) is not None:
        return condition(PROGRESSING, False, cause.reason, f"not all pods of {history.live.title} serve: {cause.message}")
    if failed is not None:
        return condition(PROGRESSING, False, "DeployFailed", f"the deploy {failed.row} (#{failed.sequence}) failed: {failed.reason}")
    return condition(PROGRESSING, False, "Settled", "no deploy is under way")


def _cause_of_live(context: Context) -> Cause | None:
    """Returns why pods of the live row do not serve, such as those with changed variables. A cause that may pass is left out."""
    if all(pod.ready for pod in context.snapshot.pods.observed):
        return None
    cause = find_cause(context.pods, None)
    return cause if cause is not None and cause.gravity > Gravity.UNTIL_DEADLINE else None


def _variables(context: Context, lacks: str) -> Iterator[Condition]:
    """Yields the condition of missing variables. Ready ignores it: while a key is missing the App serves with its earlier variables."""
    if context.history.target is None or not (lacks or variables.references(context.app)):
        return
    if lacks:
        yield condition(VARIABLES, False, variables.reason_of(lacks), held_back(lacks))
    else:
        yield condition(VARIABLES, True, "Resolved", "every key that variables name existed when the pods started")


def _variables_held(context: Context) -> Iterator[Condition]:
    """Yields the condition VariablesHeld, only while it is True: the App's environment differs from its pods' and waits for a row."""
    if context.lost is not None:  # compared again once the row is restored; until then a change of the App must stay visible
        shown = [each for each in context.app.status.conditions if each.type == VARIABLES_HELD]
        is_changed = context.holds_variables and context.app.status.observed_generation != context.app.meta.generation
        yield from shown or ([condition(VARIABLES_HELD, True, LOST, _CHANGED_WHILE_LOST)] if is_changed else [])
    elif (held := environment.why_held(context)) is not None:
        yield condition(VARIABLES_HELD, True, *held)


def _triggers(context: Context, problems: Mapping[ChildKey, ChildProblem]) -> Condition:
    """Returns the condition of the App's triggers. Ready ignores it: callers are served without them."""
    if wrong := schedules.invalid(context.app):
        return condition(TRIGGERS, False, "Invalid", "; ".join(f"trigger {name}: {why}" for name, why in wrong.items()))
    if problems:
        return _not_made(TRIGGERS, problems)
    if context.history.target is None:
        return condition(TRIGGERS, False, "NotDeployed", "no trigger runs before the first deploy")
    active = ", ".join(trigger.name for trigger in schedules.active(context.app, context.snapshot.now))
    return condition(TRIGGERS, True, "Scheduled", f"active: {active}" if active else "none of the triggers is active")


def _overridden(context: Context) -> Condition:
    if (name := name_taken(context)) is not None:
        message = f"change spec.deploy.message: somebody created row {name}, which has the name that the row of spec.deploy would get"
        return condition(OVERRIDDEN, True, "NameTaken", message)
    running = override(context)
    if running is None:
        return condition(OVERRIDDEN, False, "AsDeclared", "no manual row is newer than the row of spec.deploy")
    last, instead = running
    version = last.content.get("workflowVersion", "the newest version")
    request = f"spec.deploy has {version} (#{last.sequence}, {last.name})"
    if instead.pinned is not None and instead.pinned.source is Source.REVERT:
        return condition(OVERRIDDEN, True, "Reverted", f"{request}, but {instead.title} reverted a version and runs{_until(context)}")
    runs = f"{instead.title}, deployed manually, runs" if instead.sequence > last.sequence else f"{instead.title} runs"
    return condition(
        OVERRIDDEN, True, "NewerRow" if instead.sequence > last.sequence else "Waits", f"{request}, but {runs}{_until(context)}"
    )


def _until(context: Context) -> str:
    """Returns how long the running row stays in place of `spec.deploy`."""
    if shown_hold(context) is not None:
        return f". {sentences.git_on_hold(context.app)}"
    return " until spec.deploy changes" if not context.guarded and hold(context) is None else ""


def _not_made(type_: str, problems: Mapping[ChildKey, ChildProblem]) -> Condition:
    keys = sorted(problems)
    return condition(type_, False, problems[keys[0]].reason.value, "; ".join(problems[key].message for key in keys))
