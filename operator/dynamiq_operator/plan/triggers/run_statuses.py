"""Runs of triggers as the cluster shows them, Jobs and their pods, and what the App's status keeps and tells of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from dynamiq_operator.desired import triggers as desired
from dynamiq_operator.model import names, triggers
from dynamiq_operator.model.app import RUNS_KEPT, RunOutcome, TriggerRun
from dynamiq_operator.model.objects import App, Manifest, format_time, parse_time
from dynamiq_operator.model.plain import on_one_line
from dynamiq_operator.plan.operations import Emit

if TYPE_CHECKING:
    from dynamiq_operator.plan.history.lifecycle import History
    from dynamiq_operator.plan.snapshot import Snapshot

JOB_NAME_LABEL = "batch.kubernetes.io/job-name"
MESSAGE_MAX = 200
LAST_WORD = timedelta(seconds=10)
"""For so long a Job that has ended waits to be told of, while its pod does not read so yet: the pod's last word comes with it."""
UNSEEN = timedelta(seconds=60)
"""A Job that is not there so long after it began is gone: a moment after it began it may only not have been seen yet."""
_NO_IMAGE = frozenset({"ErrImagePull", "ImagePullBackOff", "InvalidImageName", "ErrImageNeverPull"})


@dataclass(frozen=True)
class CallerPod:
    """The pod of a run. `last_word`: its termination message. `why`: why it ended, in Kubernetes' words; `waits`: for what it waits."""

    job: str
    ended: bool
    last_word: str = ""
    why: str = ""
    waits: str = ""

    @classmethod
    def of(cls, raw: Mapping[str, Any]) -> CallerPod:
        status = raw.get("status") or {}
        state = next((each.get("state") or {} for each in status.get("containerStatuses") or ()), {})
        terminated = state.get("terminated") or {}
        why = status.get("reason") or (f"exit code {terminated['exitCode']}, {terminated.get('reason')}" if terminated else "")
        return cls(
            job=(raw["metadata"].get("labels") or {}).get(JOB_NAME_LABEL, ""),
            ended=status.get("phase") in ("Succeeded", "Failed"),
            last_word=terminated.get("message") or "",
            why=why,
            waits=(state.get("waiting") or {}).get("reason") or "",
        )


@dataclass(frozen=True)
class Run:
    """A Job that runs, or has run, a trigger. `failed`: why, in Kubernetes' words, empty where it has not."""

    job: str
    uid: str
    trigger: str
    made_at: datetime
    ended_at: datetime | None
    failed: str
    raw: Manifest
    pod: CallerPod | None = None

    @classmethod
    def of(cls, raw: Manifest, pod: CallerPod | None = None) -> Run:
        meta, status = raw["metadata"], raw.get("status") or {}
        ends = {each["type"]: each for each in status.get("conditions") or () if each.get("status") == "True"}
        end = ends.get("Failed") or ends.get("Complete")
        return cls(
            job=meta["name"],
            uid=meta.get("uid", ""),
            trigger=meta["labels"][names.TRIGGER_LABEL],
            made_at=parse_time(meta["creationTimestamp"]),
            ended_at=parse_time(status.get("completionTime") or end["lastTransitionTime"]) if end else None,
            failed=ends["Failed"].get("reason") or "Failed" if "Failed" in ends else "",
            raw=raw,
            pod=pod,
        )


def last_runs(snapshot: Snapshot, app: App, history: History) -> tuple[TriggerRun, ...]:
    """The newest runs as the App's status is to show them, the newest first. What it says of one that ended stays, since its Job does not."""
    known = {run.job: run for run in app.status.triggers}
    found: dict[str, TriggerRun] = {}
    for run in snapshot.runs:
        before = known.get(run.job)
        if run.made_at >= app.meta.created:
            found[run.job] = before if before is not None and before.ended_at else _shown(snapshot, history, run, before)
    for job, run_before in known.items():
        if job not in found:
            found[job] = run_before if run_before.ended_at or _may_be_unseen(snapshot, run_before) else _gone(snapshot, run_before)
    for missed in _missed(snapshot, app):
        found.setdefault(missed.job, missed)
    newest = sorted(found.values(), key=lambda run: (run.started_at, run.job), reverse=True)
    return tuple(newest[:RUNS_KEPT])


def tell(app: App, runs: tuple[TriggerRun, ...]) -> Iterator[Emit]:
    """An Event for each run that has ended since the status was written."""
    known = {run.job for run in app.status.triggers if run.ended_at}
    for run in reversed(runs):
        if run.ended_at and run.job not in known:
            version = f", {run.workflow_version}" if run.workflow_version else ""
            said = f": {run.message}" if run.message else ""
            yield Emit(
                app,
                f"Trigger{run.outcome.value}",
                f"trigger {run.trigger} ({run.job}{version}){said}",
                key=f"run/{run.job}/{run.started_at}",
                warning=run.outcome is not RunOutcome.SUCCEEDED,
            )


def look_again(snapshot: Snapshot, app: App) -> Iterator[float]:
    """Seconds after which time alone changes what is said of a run."""
    for run in snapshot.runs:
        if run.ended_at and _is_to_speak(snapshot, run):
            yield (run.ended_at + LAST_WORD - snapshot.now).total_seconds()
    seen = {run.job for run in snapshot.runs}
    for known in app.status.triggers:
        if not known.ended_at and known.job not in seen and _may_be_unseen(snapshot, known):
            yield (parse_time(known.started_at) + UNSEEN - snapshot.now).total_seconds()


def _shown(snapshot: Snapshot, history: History, run: Run, before: TriggerRun | None) -> TriggerRun:
    shown = TriggerRun(
        trigger=run.trigger,
        job=run.job,
        started_at=format_time(run.made_at),
        outcome=RunOutcome.RUNNING,
        message=_hindered(snapshot, run) or (before.message if before else None),
    )
    if run.ended_at is None or _is_to_speak(snapshot, run):
        return shown
    message, flow_hash = _last_word(run)
    ended = {
        "ended_at": format_time(run.ended_at),
        "outcome": RunOutcome.FAILED if run.failed else RunOutcome.SUCCEEDED,
        "message": message or (shown.message if run.failed else None) or (f"its Job failed: {run.failed}" if run.failed else None),
        "workflow_version": _version(snapshot, history, flow_hash),
    }
    return shown.model_copy(update=ended)


def _is_to_speak(snapshot: Snapshot, run: Run) -> bool:
    """Whether the Job reads as ended, and its pod not yet."""
    return bool(run.pod and not run.pod.ended and run.ended_at and snapshot.now < run.ended_at + LAST_WORD)


def _hindered(snapshot: Snapshot, run: Run) -> str | None:
    if run.pod is None or not run.pod.waits or run.pod.waits in ("ContainerCreating", "PodInitializing"):
        return None
    if run.pod.waits in _NO_IMAGE:
        return f"its image {snapshot.settings.trigger_image} cannot be pulled: see the operator's --trigger-image"[:MESSAGE_MAX]
    return f"its pod cannot start: {run.pod.waits}"[:MESSAGE_MAX]


def _last_word(run: Run) -> tuple[str | None, str | None]:
    """What the caller said, as one line, and the hash of the flow that answered it."""
    if run.pod is None:
        return None, None
    try:
        said = json.loads(run.pod.last_word)
        message, flow_hash = said["message"], said.get("workflowHash")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return (f"its pod ended with {run.pod.why}"[:MESSAGE_MAX] if run.failed and run.pod.why else None), None
    return on_one_line(str(message))[:MESSAGE_MAX], flow_hash if isinstance(flow_hash, str) else None


def _version(snapshot: Snapshot, history: History, flow_hash: str | None) -> str | None:
    if flow_hash is None:
        return None
    rows = [history.live, history.candidate, *reversed(history.rows)]
    deployed = (row.pinned.workflow_version for row in rows if row and row.pinned and row.pinned.workflow_hash == flow_hash)
    released = (version.version for version in snapshot.versions if version.flow_hash == flow_hash)
    return next(deployed, None) or next(released, None)


def _may_be_unseen(snapshot: Snapshot, run: TriggerRun) -> bool:
    return snapshot.now < parse_time(run.started_at) + UNSEEN


def _gone(snapshot: Snapshot, run: TriggerRun) -> TriggerRun:
    ended = {"ended_at": format_time(snapshot.now), "outcome": RunOutcome.FAILED, "message": "its Job was deleted before it had ended"}
    return run.model_copy(update=ended)


def _missed(snapshot: Snapshot, app: App) -> Iterator[TriggerRun]:
    """Runs of triggers that run once, whose time passed while nobody could make them."""
    for trigger in app.spec.triggers:
        at = triggers.moment(trigger.run_at)
        if at is None or trigger.suspend or at < app.meta.created or snapshot.now <= at + triggers.GRACE:
            continue
        yield TriggerRun(
            trigger=trigger.name,
            job=desired.once_name(app, trigger),
            started_at=format_time(at),
            ended_at=format_time(at + triggers.GRACE),
            outcome=RunOutcome.MISSED,
            message=f"it was to run at {format_time(at)}, and did not within {int(triggers.GRACE.total_seconds() // 60)} min",
        )
