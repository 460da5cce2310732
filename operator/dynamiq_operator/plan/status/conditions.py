"""Statuses: what is so of an App and of a row, each condition with its reason, and Ready derived from them once."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from dynamiq_operator.desired import exposure, workload
from dynamiq_operator.model.app import AppStatus, FailedRow, LiveRow
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import App, Record, format_time
from dynamiq_operator.model.record import Phase, RecordStatus, Result
from dynamiq_operator.plan import events
from dynamiq_operator.plan.children import converge, variables
from dynamiq_operator.plan.records.deploy_spec import override, taken
from dynamiq_operator.plan.history.ledger import Ledger
from dynamiq_operator.plan.history.lifecycle import History
from dynamiq_operator.plan.rollout.causes import Cause, Gravity, find_cause
from dynamiq_operator.plan.rollout.evaluation import Rollout
from dynamiq_operator.plan.snapshot import ChildKey, Problem, Snapshot, WorkloadState
from dynamiq_operator.plan.triggers import runs, schedules

READY, LIVE, AVAILABLE, CHILDREN, PROGRESSING = "Ready", "Live", "Available", "ChildrenApplied", "Progressing"
TRIGGERS, OVERRIDDEN, VARIABLES = "TriggersReady", "DeploySpecOverridden", "VariablesResolved"
DEPENDENTS = (LIVE, CHILDREN, AVAILABLE)
"""What Ready needs, in the order in which the first that is not so is named."""


def app_status(
    snapshot: Snapshot,
    app: App,
    history: History,
    ledger: Ledger,
    waits: Mapping[str, str],
    hindered: Mapping[ChildKey, Problem],
    idle: Mapping[ChildKey, Problem],
    last_sequence: int,
) -> AppStatus:
    """The App's whole status."""
    live = history.live
    failed = _failed(app, history)
    said = [
        _live(live, failed),
        _children(hindered),
        _available(snapshot, app, history),
        _progressing(snapshot, app, history, waits, failed),
        *_variables(snapshot, app, history),
        *([_triggers(snapshot, app, history, idle)] if app.spec.triggers else []),
        *([_overridden(app, history, ledger)] if app.spec.deploy is not None else []),
    ]
    return AppStatus(
        observed_generation=app.meta.generation,
        last_sequence=last_sequence or None,
        live=_live_row(live),
        failed=failed,
        hostname=exposure.hostname(app, snapshot.settings),
        triggers=runs.last_runs(snapshot, app, history),
        conditions=_dated(snapshot, app.status.conditions, app.meta.generation, [_ready(said), *said]),
    )


def record_status(snapshot: Snapshot, row: Record, phase: Phase, waits: Mapping[str, str], rollout: Rollout | None) -> RecordStatus:
    """A row's whole status. It has no Ready: a failed row of the past must not hang a GitOps wait."""
    said = Condition(type="Succeeded", status="Unknown", reason="Progressing", message="", last_transition_time="")
    if row.outcome is not None and phase is not Phase.PENDING:
        status = "True" if row.outcome.result is Result.SUCCEEDED else "False"
        said = said.model_copy(update={"status": status, "reason": row.outcome.result.value, "message": row.outcome.reason})
    elif phase is Phase.PENDING:
        said = said.model_copy(update={"reason": "Waiting", "message": waits.get(row.name, "")})
    elif rollout is not None and rollout.cause is not None:
        said = said.model_copy(update={"reason": rollout.cause.reason, "message": rollout.cause.message[:1024]})
    return RecordStatus(
        phase=phase,
        observed_generation=row.meta.generation if row.outcome and phase is not Phase.PENDING else 0,
        conditions=_dated(snapshot, row.status.conditions, None, [said]),
    )


def given_up_status(snapshot: Snapshot, row: Record, message: str) -> RecordStatus:
    """Of a row whose App has not come in time. GitOps tools take it for done, as they do each row that failed."""
    said = Condition(type="Succeeded", status="False", reason="AppMissing", message=message, last_transition_time="")
    return RecordStatus(
        phase=Phase.PENDING,
        observed_generation=row.meta.generation,
        conditions=_dated(snapshot, row.status.conditions, None, [said]),
    )


def says_nothing_new(row: Record, wanted: RecordStatus) -> bool:
    """Whether the row reads as `wanted` already: the schema's default says that a row is under way, so nobody need write it."""
    if row.status == wanted:
        return True
    under_way = wanted.phase is Phase.PROGRESSING and all(not condition.message for condition in wanted.conditions)
    return under_way and row.status.phase is Phase.PROGRESSING and not row.status.conditions


def holding(lacks: str) -> str:
    """What is said of an App whose new pods would lack something."""
    return f"{lacks}: until then no new pod is made"[:1024]


def _condition(type_: str, holds: bool, reason: str, message: str) -> Condition:
    return Condition(type=type_, status="True" if holds else "False", reason=reason, message=message[:2048], last_transition_time="")


def _ready(said: Sequence[Condition]) -> Condition:
    by_type = {condition.type: condition for condition in said}
    lacking = next((by_type[type_] for type_ in DEPENDENTS if by_type[type_].status != "True"), None)
    if lacking is not None:
        return _condition(READY, False, lacking.reason, lacking.message)
    return _condition(READY, True, "Serving", by_type[LIVE].message)


def _live(live: Record | None, failed: FailedRow | None) -> Condition:
    if live is not None:
        return _condition(LIVE, True, "Serving", f"{events.title(live)} is live")
    if failed is not None:
        return _condition(
            LIVE, False, "DeployFailed", f"the deploy {failed.row} failed, and there is nothing to return to: {failed.reason}"
        )
    return _condition(LIVE, False, "NotDeployed", "nothing has been deployed yet: create a Deployment (ddep) that names this App")


def _children(hindered: Mapping[ChildKey, Problem]) -> Condition:
    if not hindered:
        return _condition(CHILDREN, True, "Applied", "all that the App needs is in place")
    first = min(hindered)
    return _condition(CHILDREN, False, hindered[first].hindrance.value, "; ".join(hindered[key].message for key in sorted(hindered)))


def _available(snapshot: Snapshot, app: App, history: History) -> Condition:
    observed = snapshot.workload_of(history.target)
    if observed is None:
        if history.target is not None and not converge.has_flow(snapshot, history.target):
            title = events.title(history.target)
            return _condition(
                AVAILABLE, False, "FlowMissing", f"the flow of {title} is in no ConfigMap and no WorkflowVersion: restore either"
            )
        if lacks := variables.missing(snapshot, app, history.target):
            return _condition(AVAILABLE, False, variables.MISSING, holding(lacks))
        return _condition(AVAILABLE, False, "NoWorkload", "there is no workload yet")
    state = WorkloadState.of(observed)
    if state.available:
        return _condition(AVAILABLE, True, "PodsReady", "pods are ready to answer")
    cause = find_cause(snapshot.pods, state)
    if cause is None or cause.reason == "NotReady":
        return _condition(AVAILABLE, False, "NoPodReady", "no pod is ready to answer")
    return _condition(AVAILABLE, False, cause.reason, cause.message)


def _variables(snapshot: Snapshot, app: App, history: History) -> Iterator[Condition]:
    """Not one that Ready needs: while a key is missing the App serves with the variables that it had."""
    if history.target is None or not variables.references(app):
        return
    if lacks := variables.missing(snapshot, app, history.target):
        yield _condition(VARIABLES, False, variables.MISSING, holding(lacks))
    else:
        yield _condition(VARIABLES, True, "Resolved", "every key that variables name was there when the pods began")


def _progressing(snapshot: Snapshot, app: App, history: History, waits: Mapping[str, str], failed: FailedRow | None) -> Condition:
    waiting = next((row for row in reversed(history.rows) if row.name in waits), None)
    if history.candidate is not None and (waiting is None or waiting.sequence < history.candidate.sequence):
        return _condition(PROGRESSING, True, "Deploying", f"{events.title(history.candidate)} is being deployed")
    if waiting is not None:
        return _condition(PROGRESSING, True, "Waiting", f"{events.title(waiting)} waits: {waits[waiting.name]}")
    if (cause := _ailing(snapshot, app, history.live)) is not None and history.live is not None:
        return _condition(PROGRESSING, False, cause.reason, f"not all pods of {events.title(history.live)} serve: {cause.message}")
    if failed is not None:
        return _condition(PROGRESSING, False, "DeployFailed", f"the deploy {failed.row} (#{failed.sequence}) failed: {failed.reason}")
    return _condition(PROGRESSING, False, "Settled", "no deploy is under way")


def _ailing(snapshot: Snapshot, app: App, live: Record | None) -> Cause | None:
    """Why pods of the live row do not serve, such as those of changed variables, while others may: what gets over itself is not told."""
    if live is None or live.pinned is None or all(pod.ready for pod in snapshot.pods):
        return None
    wanted = workload.inputs(app, live.pinned)
    cause = find_cause((pod for pod in snapshot.pods if pod.template == wanted), None)
    return cause if cause is not None and cause.gravity > Gravity.UNTIL_DEADLINE else None


def _overridden(app: App, history: History, ledger: Ledger) -> Condition:
    if (name := taken(app, ledger)) is not None:
        said = (
            f"row {name}, made by hand, has the name of the row that spec.deploy asks for: change spec.deploy.message, and it gets another"
        )
        return _condition(OVERRIDDEN, True, "NameTaken", said)
    found = override(app, ledger, history.target)
    if found is None:
        return _condition(OVERRIDDEN, False, "AsDeclared", "no row made by hand is newer than what spec.deploy asks")
    declared, instead = found
    asked = declared.asked.get("workflowVersion", "the newest version")
    return _condition(
        OVERRIDDEN,
        True,
        "NewerRow",
        f"spec.deploy asks {asked} (#{declared.sequence}, {declared.name}), and {events.title(instead)}, made by hand, runs in its place until spec.deploy changes",
    )


def _triggers(snapshot: Snapshot, app: App, history: History, idle: Mapping[ChildKey, Problem]) -> Condition:
    """Whether each that is to run will; callers of the App are served all the same, so Ready does not depend on it."""
    if wrong := schedules.invalid(app):
        return _condition(TRIGGERS, False, "Invalid", "; ".join(f"trigger {name}: {why}" for name, why in wrong.items()))
    if idle:
        first = min(idle)
        return _condition(TRIGGERS, False, idle[first].hindrance.value, "; ".join(idle[key].message for key in sorted(idle)))
    if history.target is None:
        return _condition(TRIGGERS, False, "NotDeployed", "no trigger runs before something is deployed")
    names = ", ".join(trigger.name for trigger in schedules.active(snapshot, app))
    return _condition(TRIGGERS, True, "Scheduled", f"active: {names}" if names else "none of the triggers is active")


def _failed(app: App, history: History) -> FailedRow | None:
    """The newest row above the live one that failed; one that has been closed, and is no longer watched, is kept from before."""
    after = history.live.sequence if history.live else 0
    for row in reversed(history.rows):
        if row.outcome is not None and row.outcome.result is Result.FAILED and row.sequence > after:
            return FailedRow(row=row.name, sequence=row.sequence, reason=row.outcome.reason)
    kept = app.status.failed
    return kept if kept is not None and kept.sequence > after else None


def _live_row(live: Record | None) -> LiveRow | None:
    if live is None or live.pinned is None:
        return None
    return LiveRow(
        row=live.name, sequence=live.sequence, workflow_version=live.pinned.workflow_version, runtime=live.pinned.runtime.version
    )


def _dated(snapshot: Snapshot, before: Sequence[Condition], generation: int | None, said: Sequence[Condition]) -> tuple[Condition, ...]:
    known = {condition.type: condition for condition in before}
    now = format_time(snapshot.now)
    return tuple(
        condition.model_copy(
            update={
                "last_transition_time": old.last_transition_time
                if (old := known.get(condition.type)) and old.status == condition.status
                else now,
                "observed_generation": generation,
            }
        )
        for condition in said
    )
