"""Derives the runs of an App's triggers for its status, and the Events of those that ended. It starts no run."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta

from dynamiq_operator.desired.base import JOB
from dynamiq_operator.desired.job import single_run_name
from dynamiq_operator.model import triggers
from dynamiq_operator.model.app_status import RUNS_KEPT, RunOutcome, TriggerRun
from dynamiq_operator.model.objects import App, format_time, parse_time
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.model.text import on_one_line
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.jobs import TriggerJob
from dynamiq_operator.plan.observed.pods import NO_IMAGE
from dynamiq_operator.plan.operations import Emit

MESSAGE_MAX = 200
MESSAGE_WITHIN = timedelta(seconds=10)
"""How long the outcome of an ended Job waits for its pod: the pod's termination message arrives with the pod's end."""
UNSEEN = timedelta(seconds=60)
"""How long after its start a Job may be missing from the informer cache. After that, a missing Job was deleted."""


def last_runs(context: Context) -> tuple[TriggerRun, ...]:
    """Returns the newest runs, newest first. An ended run stays in the status after its Job is deleted."""
    now = context.snapshot.now
    if JOB.kind in context.snapshot.children.denied:
        return tuple(context.app.status.triggers)
    known = {run.job: run for run in context.app.status.triggers}
    by_job: dict[str, TriggerRun] = {}
    for run in context.snapshot.children.runs:
        before = known.get(run.job)
        if run.made_at >= context.app.meta.created:
            by_job[run.job] = before if before is not None and before.ended_at else _shown(context, run, before)
    for job, run_before in known.items():
        if job not in by_job:
            is_kept = run_before.ended_at or _may_be_unseen(now, run_before)
            by_job[job] = run_before if is_kept else _deleted(now, run_before)
    for missed in _missed(context):
        by_job.setdefault(missed.job, missed)
    newest = sorted(by_job.values(), key=lambda run: (run.started_at, run.job), reverse=True)
    return tuple(newest[:RUNS_KEPT])


def events_of_ended(app: App, runs: tuple[TriggerRun, ...]) -> Iterator[Emit]:
    """Yields an Event for each run that has ended since the status was written."""
    known = {run.job for run in app.status.triggers if run.ended_at}
    for run in reversed(runs):
        if run.ended_at and run.job not in known:
            version = f", {run.workflow_version}" if run.workflow_version else ""
            text = f": {run.message}" if run.message else ""
            yield Emit(
                app,
                f"Trigger{run.outcome.value}",
                f"trigger {run.trigger} ({run.job}{version}){text}",
                key=f"run/{run.job}/{run.started_at}",
                warning=run.outcome is not RunOutcome.SUCCEEDED,
                slots=("TriggerEnded",),
            )


def run_times(context: Context) -> Iterator[float]:
    """Yields the seconds until time alone changes the status of a run."""
    runs, now = context.snapshot.children.runs, context.snapshot.now
    yield from ((run.ended_at + MESSAGE_WITHIN - now).total_seconds() for run in runs if run.ended_at and _awaits_message(now, run))
    seen = {run.job for run in runs}
    for known in context.app.status.triggers:
        if not known.ended_at and known.job not in seen and _may_be_unseen(now, known):
            yield (parse_time(known.started_at) + UNSEEN - now).total_seconds()


def _shown(context: Context, run: TriggerJob, before: TriggerRun | None) -> TriggerRun:
    shown = TriggerRun(
        trigger=run.trigger,
        job=run.job,
        started_at=format_time(run.made_at),
        outcome=RunOutcome.RUNNING,
        message=_hindered(context.snapshot.settings, run) or (before.message if before else None),
    )
    if run.ended_at is None or _awaits_message(context.snapshot.now, run):
        return shown
    message, flow_hash = _message_of(run)
    ended = {
        "ended_at": format_time(run.ended_at),
        "outcome": RunOutcome.FAILED if run.failed else RunOutcome.SUCCEEDED,
        "message": message or (shown.message if run.failed else None) or (f"its Job failed: {run.failed}" if run.failed else None),
        "workflow_version": _version(context, flow_hash),
    }
    return shown.model_copy(update=ended)


def _awaits_message(now: datetime, run: TriggerJob) -> bool:
    """Returns True if the Job has ended, and its pod is not known to have ended."""
    return bool(run.pod and not run.pod.ended and run.ended_at and now < run.ended_at + MESSAGE_WITHIN)


def _hindered(settings: Settings, run: TriggerJob) -> str | None:
    if run.pod is None or not run.pod.waits or run.pod.waits in ("ContainerCreating", "PodInitializing"):
        return None
    if run.pod.waits in NO_IMAGE:
        return f"its image {settings.trigger_image} cannot be pulled: see the operator's --trigger-image"[:MESSAGE_MAX]
    return f"its pod cannot start: {run.pod.waits}"[:MESSAGE_MAX]


def _message_of(run: TriggerJob) -> tuple[str | None, str | None]:
    """Returns the caller's message, as one line, and the hash of the flow that answered it."""
    if run.pod is None:
        return None, None
    try:
        answer = json.loads(run.pod.message)
        message, flow_hash = answer["message"], answer.get("workflowHash")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return (f"its pod ended with {run.pod.why}"[:MESSAGE_MAX] if run.failed and run.pod.why else None), None
    return on_one_line(str(message))[:MESSAGE_MAX], flow_hash if isinstance(flow_hash, str) else None


def _version(context: Context, flow_hash: str | None) -> str | None:
    if flow_hash is None:
        return None
    rows = [context.history.live, context.history.candidate, *reversed(context.history.rows)]
    deployed = (row.pinned.workflow_version for row in rows if row and row.pinned and row.pinned.workflow_hash == flow_hash)
    release = context.snapshot.sources.release_of(flow_hash)
    return next(deployed, None) or (release.version if release is not None else None)


def _may_be_unseen(now: datetime, run: TriggerRun) -> bool:
    return now < parse_time(run.started_at) + UNSEEN


def _deleted(now: datetime, run: TriggerRun) -> TriggerRun:
    ended = {"ended_at": format_time(now), "outcome": RunOutcome.FAILED, "message": "its Job was deleted before it had ended"}
    return run.model_copy(update=ended)


def _missed(context: Context) -> Iterator[TriggerRun]:
    """Yields the missed runs of triggers that run once: no operator could create their Jobs in time."""
    for trigger in context.app.spec.triggers:
        at = triggers.moment(trigger.run_at)
        if at is None or trigger.suspend or at < context.app.meta.created or context.snapshot.now <= at + triggers.GRACE:
            continue
        yield TriggerRun(
            trigger=trigger.name,
            job=single_run_name(context.app, trigger),
            started_at=format_time(at),
            ended_at=format_time(at + triggers.GRACE),
            outcome=RunOutcome.MISSED,
            message=f"it was due at {format_time(at)}, and did not run within {int(triggers.GRACE.total_seconds() // 60)} min",
        )
