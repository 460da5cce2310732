"""Derives an App's conditions of its strategy: the standby, and a change of strategy in progress."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from dynamiq_operator.desired.base import WORKLOAD
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.plan.children.standby import unaware_pods
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.causes import find_cause
from dynamiq_operator.plan.status.conditions import STRATEGY_CHANGING, WARM, condition
from dynamiq_operator.plan.workloads.wanted import conversion, noted_pins, standby, standby_seconds

_UNAWARE = (
    "its runtime does not close the connections of callers, so who keeps one open to the ClusterIP stays at that version: "
    "deploy a runtime image of this version of Dynamiq"
)


def strategy_conditions(context: Context) -> Iterator[Condition]:
    """Yields the conditions; none for an App that stays under strategy Rolling."""
    if context.app.spec.rollout.switches:
        yield _warm(context)
    changing = _changing(context)
    if changing is not None:
        yield condition(STRATEGY_CHANGING, True, *changing)


def _warm(context: Context) -> Condition:
    label = standby(context)
    observed = context.workloads.get(label)
    if label is None or observed is None:
        warm = context.app.spec.rollout.warm
        why = "keepWarm.replicas is 0" if warm.replicas == 0 else "no version was replaced yet, or its time is over"
        return condition(WARM, False, "NothingWarm", f"there is no standby: {why}; a rollback starts its pods first")
    state, pins, seconds = WorkloadState.of(observed), noted_pins(context.workloads, label), standby_seconds(context)
    version = pins.version if pins is not None else observed["metadata"]["name"]
    if state.replicas == 0:
        return condition(WARM, False, "NothingWarm", f"standby {version} sleeps like the live version; a rollback starts its pods first")
    until = f", until {format_time(context.snapshot.now + timedelta(seconds=seconds))}" if seconds is not None else ""
    if state.available < state.replicas or not state.observed:
        return condition(WARM, False, "NotReady", f"{version} is the standby{until}, but not all of its {state.replicas} pods are ready")
    unaware = f"; {_UNAWARE}" if unaware_pods(context) else ""
    return condition(
        WARM, True, "KeptWarm", f"{version} is the standby{until}: {state.replicas} pod{'' if state.replicas == 1 else 's'}{unaware}"
    )


def _changing(context: Context) -> tuple[str, str] | None:
    """Returns the reason and message of a strategy change in progress; None if there is none."""
    strategy = context.app.spec.rollout.strategy.value
    if context.history.live is None or context.serving is None or context.switches is context.app.spec.rollout.switches:
        return None
    if context.history.candidate is not None:
        return "WaitsForDeploy", f"the App changes to strategy {strategy} once the deploy that is under way has ended"
    other = conversion(context)
    observed = context.workloads.get(other)
    state = WorkloadState.of(observed) if observed is not None else None
    begun = f"the App changes to strategy {strategy}: new pods of the live version start beside those that serve, and replace them"
    problem = context.snapshot.children.problems.get(WORKLOAD.key(context.app.meta.name, other or ""))
    if problem is not None and observed is None:
        return problem.reason.value, f"{begun}; until then nothing changes for callers: {problem.message}"
    cause = find_cause((pod for pod in context.snapshot.pods.observed if pod.pins == other), state)
    if cause is not None:
        return cause.reason, f"{begun}; until then nothing changes for callers: {cause.message}"
    return "Converting", begun
