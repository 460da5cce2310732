"""Collects the problems of an App once in a plan, for its conditions, its Events and the time of the next reconcile."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from dynamiq_operator.desired.base import ChildKey
from dynamiq_operator.model.objects import App, parse_time
from dynamiq_operator.plan.children.manifests import child_problems
from dynamiq_operator.plan.children.variables import missing_variables
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ChildProblem
from dynamiq_operator.plan.operations import Emit
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.status.conditions import CHILDREN, RECONCILE_FAILED, TRIGGERS, VARIABLES
from dynamiq_operator.plan.status.failures import failure_of
from dynamiq_operator.plan.triggers.schedules import trigger_problems

RETRY_FIRST, RETRY_MOST = 3.0, 60.0
"""Seconds between two reads of a missing key, at first and at most. A change of the App causes a read in between."""


@dataclass(frozen=True)
class AppProblems:
    """The problems of an App. `variables`: what new pods would lack, as a sentence; empty if nothing."""

    children: Mapping[ChildKey, ChildProblem]
    triggers: Mapping[ChildKey, ChildProblem]
    variables: str

    @classmethod
    def of(cls, context: Context) -> AppProblems:
        return cls(child_problems(context), trigger_problems(context), missing_variables(context))


def problem_events(context: Context, problems: AppProblems) -> tuple[Emit, ...]:
    """Returns an Event for each problem that is in no condition of the App yet."""
    known = {condition.type: condition.message for condition in context.app.status.conditions}
    shown = f"{known.get(CHILDREN, '')} {known.get(TRIGGERS, '')}"
    not_made = {**problems.children, **problems.triggers}.values()
    emits = [events.hindered(context.app, problem.message) for problem in not_made if problem.message not in shown]
    if problems.variables and (lacks := held_back(problems.variables)) != known.get(VARIABLES, ""):
        emits.append(events.lacking(context.app, lacks))
    if (failure := failure_of(context)) is not None and failure.message != known.get(RECONCILE_FAILED, ""):
        emits.append(events.reconcile_failed(context.app, failure.message))
    return tuple(emits)


def retry_missing(app: App, now: datetime) -> float:
    """Returns the seconds until the next read of a missing key: a tenth of the time for which it has been missing."""
    unresolved = next((each for each in app.status.conditions if each.type == VARIABLES and each.status == "False"), None)
    seconds = (now - parse_time(unresolved.last_transition_time)).total_seconds() if unresolved is not None else 0.0
    return min(max(seconds / 10, RETRY_FIRST), RETRY_MOST)


def held_back(lacks: str) -> str:
    """Returns the message for an App whose new pods would lack something."""
    return f"{lacks}: until then no new pod is made"[:1024]
