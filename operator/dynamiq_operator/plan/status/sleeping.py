"""Derives an App's conditions of sleep: whether it sleeps, or else what keeps it awake."""

from __future__ import annotations

from collections.abc import Iterator

from dynamiq_operator.model.base import Condition
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.sleep import idle
from dynamiq_operator.plan.sleep.decisions import UNANSWERED, slice_problem
from dynamiq_operator.plan.sleep.hindrances import hindrance, sleeping_config
from dynamiq_operator.plan.sleep.state import Sleep, gate_slice, is_answered, sleep_of, wakes_in_vain
from dynamiq_operator.plan.status.conditions import ASLEEP, AVAILABLE, SLEEP, condition

NO_IDLE_TIME = "NoIdleTime"
_SILENT = "its runtime reports no idle time, so it never sleeps: deploy it on a Runtime that does, or as type server"


def sleep_condition(context: Context) -> Iterator[Condition]:
    """Yields the condition Asleep of a serverless App. Ready ignores it."""
    config = sleeping_config(context.history.live)
    if config is None:
        return
    state, blocking = sleep_of(context), hindrance(context)
    if state is Sleep.ASLEEP and (blocking is None or not blocking.wakes):
        yield condition(SLEEP, True, ASLEEP, "no pod runs: the next call wakes it")
    elif blocking is not None:
        yield condition(SLEEP, False, blocking.reason, blocking.message)
    elif (problem := slice_problem(context.snapshot.children, context.app)) is not None:
        yield condition(SLEEP, False, problem.reason.value, problem.message)
    elif _is_unanswered(context):
        yield condition(SLEEP, False, "GateSilent", "it stays awake: dynamiq-gate is ready, but none of its pods answers for this App yet")
    elif _is_silent(context):
        yield condition(SLEEP, False, NO_IDLE_TIME, _SILENT)
    else:
        yield condition(SLEEP, False, "InUse", f"it was called within the last {config.idle_seconds} s")


def available_though_asleep(context: Context) -> Condition | None:
    """Returns the condition Available of an App whose calls the gate answers or holds; None if pods decide it."""
    observed, state = context.serving_workload, sleep_of(context)
    if state not in (Sleep.ASLEEP, Sleep.WAKING):
        return None  # most Apps
    blocking = hindrance(context)
    if state is Sleep.ASLEEP and (blocking is None or not blocking.wakes):
        return condition(AVAILABLE, True, ASLEEP, "it is asleep: the next call wakes it")
    leads = gate_slice(context.snapshot.endpoints, context.app)
    if state is not Sleep.WAKING or leads is None or observed is None or wakes_in_vain(context, observed):
        return None
    held = condition(AVAILABLE, True, "Waking", "it is waking: dynamiq-gate queues calls until a pod is ready")
    return held if is_answered(context.snapshot.endpoints.gate, leads) else None


def _is_unanswered(context: Context) -> bool:
    leads = gate_slice(context.snapshot.endpoints, context.app)
    return (
        leads is not None and not is_answered(context.snapshot.endpoints.gate, leads) and context.snapshot.now - leads.changed >= UNANSWERED
    )


def _is_silent(context: Context) -> bool:
    """Returns True if a pod is known to report nothing. While reports are missing, the reason in the last status counts."""
    if idle.silent_pods(context.snapshot.pods):
        return True
    reason = next((each.reason for each in context.app.status.conditions if each.type == SLEEP), None)
    unknown = any(pod.uid not in context.snapshot.pods.activity for pod in idle.working_pods(context.snapshot.pods))
    return reason == NO_IDLE_TIME and unknown
