"""What is planned for an App's triggers: a CronJob for each schedule that is to run, and one Job for each moment that has come.

A CronJob is there only while its trigger is to run, and is made anew when its times change: Kubernetes would run at once what one seems
to have missed while it was suspended, or before it was changed. Its runs outlive it and are owned by the App from then on.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime

from dynamiq_operator.desired import triggers as desired
from dynamiq_operator.desired.base import CRON_JOB, JOB, is_ending, is_owned
from dynamiq_operator.model import cron, triggers
from dynamiq_operator.model.app import Trigger
from dynamiq_operator.model.objects import App, Manifest
from dynamiq_operator.plan.children.convergence import converge
from dynamiq_operator.plan.children.manifests import key_of, manifest_digest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.problems import ChildKey, ChildProblem, Hindrance
from dynamiq_operator.plan.operations import Action, DeleteChild, OwnChild, RunOnce


def trigger_actions(context: Context) -> tuple[Action, ...]:
    """What brings CronJobs and Jobs to what the App's triggers ask; nothing runs for an App that serves nothing."""
    actions: list[Action] = []
    wanted = {key_of(each): each for each in _cron_jobs(context)}
    for key, manifest in wanted.items():
        observed = context.snapshot.children.get(key)
        if observed is None or desired.same_times(observed, manifest):
            actions += converge(context, key, manifest)
        elif not is_ending(observed):
            actions.append(DeleteChild(observed, keep_dependents=True))
    actions += [
        DeleteChild(observed, keep_dependents=True)
        for key, observed in context.snapshot.children.items()
        if key[0] == CRON_JOB.kind and key not in wanted and is_owned(observed, context.app) and not is_ending(observed)
    ]
    actions += [
        RunOnce(context.app, manifest, manifest_digest(manifest)) for manifest in _due(context) if not _is_refused(context, manifest)
    ]
    actions += [
        OwnChild(context.app, run.raw)
        for run in context.snapshot.runs
        if not run.raw["metadata"].get("ownerReferences") and not is_ending(run.raw) and run.made_at >= context.app.meta.created
    ]
    return tuple(actions)


def trigger_problems(context: Context) -> Mapping[ChildKey, ChildProblem]:
    """What keeps CronJobs and Jobs that are wanted from being made."""
    found = {key: problem for key, problem in context.snapshot.problems.items() if key[0] in (CRON_JOB.kind, JOB.kind)}
    if not found:
        return {}
    manifests = (*_cron_jobs(context), *_due(context))
    wanted = {key_of(each): each for each in manifests}
    return {
        key: problem
        for key, problem in found.items()
        if key in wanted and (problem.hindrance is not Hindrance.REFUSED or problem.digest == manifest_digest(wanted[key]))
    }


def invalid(app: App) -> dict[str, str]:
    """By trigger, why it can never run as it is written."""
    return {trigger.name: why for trigger in app.spec.triggers if (why := why_not(trigger))}


def active(context: Context) -> list[Trigger]:
    """Those that are to run, or would be."""
    return [trigger for trigger in context.app.spec.triggers if _status(trigger, context.now) is triggers.Status.ACTIVE]


def requeue_times(context: Context) -> Iterator[float]:
    """Seconds after which a trigger's time comes or has passed."""
    for trigger in context.app.spec.triggers:
        if trigger.suspend:
            continue
        for at in _times(trigger):
            if at >= context.now:
                yield (at - context.now).total_seconds()


def _times(trigger: Trigger) -> Iterator[datetime]:
    if (ends := triggers.moment(trigger.expires_at)) is not None:
        yield ends
    if (at := triggers.moment(trigger.run_at)) is not None:
        yield at
        yield at + triggers.GRACE


def _cron_jobs(context: Context) -> Iterator[Manifest]:
    if context.target is None:
        return
    for trigger in active(context):
        if trigger.schedule is not None and not why_not(trigger):
            yield desired.cron_job(context.app, trigger, context.settings)


def _due(context: Context) -> Iterator[Manifest]:
    """Runs whose one moment has come, and that nobody has made: an App that was made after it, as by a restore, has none."""
    if context.target is None:
        return
    made = {run.job for run in context.snapshot.runs} | {run.job for run in context.app.status.triggers}
    for trigger in context.app.spec.triggers:
        at = triggers.moment(trigger.run_at)
        if at is None or trigger.suspend or why_not(trigger) or not context.app.meta.created <= at <= context.now <= at + triggers.GRACE:
            continue
        if desired.once_name(context.app, trigger) not in made:
            yield desired.run_once(context.app, trigger, context.settings)


def _is_refused(context: Context, manifest: Manifest) -> bool:
    problem = context.snapshot.problems.get((JOB.kind, manifest["metadata"]["name"]))
    return problem is not None and (problem.hindrance is not Hindrance.REFUSED or problem.digest == manifest_digest(manifest))


def _status(trigger: Trigger, now: datetime) -> triggers.Status:
    return triggers.status(trigger.as_json(), now)


def why_not(trigger: Trigger) -> str | None:
    """Why a trigger can never run as it is written; None where it can."""
    for field, text in (("runAt", trigger.run_at), ("expiresAt", trigger.expires_at)):
        if text is not None and triggers.moment(text) is None:
            return f"{field} {text} is no time"
    if trigger.schedule is not None:
        if trigger.timezone and trigger.timezone not in triggers.zones():
            return f"there is no time zone {trigger.timezone}: use an IANA name, such as Europe/Berlin"
        try:
            cron.check(desired.schedule(trigger))
        except cron.CronError as error:
            return f"schedule {trigger.schedule}: {error}"
    return _why_not_input(trigger)


def _why_not_input(trigger: Trigger) -> str | None:
    if trigger.input is None:
        return None
    try:
        given = json.loads(trigger.input)
    except (ValueError, RecursionError) as error:
        return f"input is not JSON: {error}" if isinstance(error, json.JSONDecodeError) else "input is not JSON"
    if trigger.input_transformer is None and not isinstance(given, dict):
        return "input is not an object, which a run's input is: use one, or make one of it by inputTransformer"
    return None
