"""Plans an App's triggers: a CronJob for each active schedule, and one Job for each moment that has come.

The runs of a CronJob outlive it, for example when it is replaced. The App then owns them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from dynamiq_operator.desired import child_kinds, cron_job, job
from dynamiq_operator.desired.base import CRON_JOB, JOB, ChildKey, is_ending, key_of
from dynamiq_operator.desired.drift import manifest_digest
from dynamiq_operator.desired.inputs import Inputs, hold_of
from dynamiq_operator.model import cron, names, triggers
from dynamiq_operator.model.app import Trigger
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.children.convergence import converge_to
from dynamiq_operator.plan.children.manifests import denied_problems, digests_of, made_of, still_hindering
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.children import ObservedChildren
from dynamiq_operator.plan.observed.problems import ChildProblem
from dynamiq_operator.plan.operations import Operation, OwnChild, RunOnce
from dynamiq_operator.plan.workloads import environment


def trigger_operations(context: Context) -> tuple[Operation, ...]:
    """Returns the operations that converge CronJobs and Jobs to the App's triggers; nothing runs for an App that serves nothing."""
    app, children = context.app, context.snapshot.children
    due = [(manifest, manifest_digest(manifest)) for manifest in _due(context)] if JOB.kind not in children.denied else []
    return (
        *converge_to(context, _scheduled(context), of_triggers=True),
        *(RunOnce(app, manifest, digest) for manifest, digest in due if not children.holds_back(key_of(manifest), digest)),
        *_own_orphaned(context),
    )


def trigger_problems(context: Context) -> Mapping[ChildKey, ChildProblem]:
    """Returns what prevents desired CronJobs and Jobs from being made."""
    children = context.snapshot.children
    if any(child_kinds.child_kind(kind).of_triggers for kind in children.denied):
        jobs = ((JOB.kind, f"of trigger {trigger.name}") for trigger in active(context.app, context.snapshot.now))
        return denied_problems(children, (*_scheduled(context), *jobs))
    if not any(child_kinds.child_kind(kind).of_triggers for kind, _ in children.problems):
        return {}
    return still_hindering(children, digests_of((*_scheduled(context).values(), *_due(context))))


def invalid(app: App) -> dict[str, str]:
    """Returns why triggers can never run as they are written, by name of the trigger."""
    return {trigger.name: why for trigger in app.spec.triggers if (why := why_not(trigger))}


def active(app: App, now: datetime) -> list[Trigger]:
    """Returns the triggers that are neither suspended nor expired."""
    return [trigger for trigger in app.spec.triggers if triggers.status(trigger.as_json(), now) is triggers.Status.ACTIVE]


def trigger_times(app: App, now: datetime) -> Iterator[float]:
    """Yields the seconds until each moment at which a trigger starts, ends or is missed."""
    for trigger in app.spec.triggers:
        if trigger.suspend:
            continue
        for at in _times(trigger):
            if at >= now:
                yield (at - now).total_seconds()


def _times(trigger: Trigger) -> Iterator[datetime]:
    if (ends := triggers.moment(trigger.expires_at)) is not None:
        yield ends
    if (at := triggers.moment(trigger.run_at)) is not None:
        yield at
        yield at + triggers.GRACE


def _scheduled(context: Context) -> dict[ChildKey, Manifest]:
    if context.history.target is None:
        return {}
    scheduled = [trigger for trigger in active(context.app, context.snapshot.now) if trigger.schedule is not None and not why_not(trigger)]
    schedules = {_cron_job_name(context.app, context.snapshot.children, trigger): trigger for trigger in scheduled}
    return made_of(
        Inputs(environment.app_as_served(context), context.snapshot.settings, pinned=context.pinned, schedules=schedules), of_triggers=True
    )


def _cron_job_name(app: App, children: ObservedChildren, trigger: Trigger) -> str:
    """Returns the plain name of a CronJob, or another one if a CronJob of another App has that. An existing CronJob keeps its name."""
    plain = CRON_JOB.key(app.meta.name, trigger.name)
    apart = CRON_JOB.kind, names.trigger_apart(app.meta.name, trigger.name)
    problem = children.problems.get(plain)
    is_taken = apart in children.observed or (problem is not None and bool(problem.other_app))
    return apart[1] if is_taken and plain not in children.observed else plain[1]


def _due(context: Context) -> Iterator[Manifest]:
    """Yields the missing Jobs of moments that have come. An App created after such a moment, for example by a restore, gets none."""
    if context.history.target is None:
        return
    made = {run.job for run in context.snapshot.children.runs} | {run.job for run in context.app.status.triggers}
    for trigger in context.app.spec.triggers:
        at = triggers.moment(trigger.run_at)
        if (
            at is None
            or trigger.suspend
            or why_not(trigger)
            or not context.app.meta.created <= at <= context.snapshot.now <= at + triggers.GRACE
        ):
            continue
        if job.single_run_name(context.app, trigger) not in made:
            yield job.single_run(environment.app_as_served(context), trigger, context.snapshot.settings, hold_of(context.pinned))


def _own_orphaned(context: Context) -> Iterator[OwnChild]:
    """Yields the adoption of runs that outlived their CronJob."""
    for run in context.snapshot.children.runs:
        owners = run.raw["metadata"].get("ownerReferences")
        if not owners and not is_ending(run.raw) and run.made_at >= context.app.meta.created:
            yield OwnChild(context.app, run.raw)


def why_not(trigger: Trigger) -> str | None:
    """Returns why a trigger can never run as it is written; None if it can."""
    for field, text in (("runAt", trigger.run_at), ("expiresAt", trigger.expires_at)):
        if text is not None and triggers.moment(text) is None:
            return f"{field} {text} is not a time"
    if trigger.schedule is not None:
        if trigger.timezone and trigger.timezone not in triggers.zones():
            return f"there is no time zone {trigger.timezone}: use an IANA name, such as Europe/Berlin"
        try:
            cron.parse(cron_job.schedule(trigger))
        except cron.CronError as error:
            return f"schedule {trigger.schedule}: {error}"
    return _why_not_input(trigger)


def _why_not_input(trigger: Trigger) -> str | None:
    if trigger.input is None:
        return None
    try:
        value = json.loads(trigger.input)
    except (ValueError, RecursionError) as error:
        return f"input is not JSON: {error}" if isinstance(error, json.JSONDecodeError) else "input is not JSON"
    if trigger.input_transformer is None and not isinstance(value, dict):
        return "input is not an object: use one, or make one of it by inputTransformer"
    return None
