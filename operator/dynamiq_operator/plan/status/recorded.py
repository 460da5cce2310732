"""Derives the conditions of an App's recording and of its archive. Ready ignores them: runs and rows that wait for either block nothing."""

from __future__ import annotations

from dynamiq_operator.desired.pod_template import recorder_of
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import App
from dynamiq_operator.model.settings import Settings
from dynamiq_operator.plan.children.recording import RECORDED
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.archive import ArchiveAnswers
from dynamiq_operator.plan.sleep.state import serving_pods
from dynamiq_operator.plan.status.conditions import ARCHIVED, REDACTION, condition

_FROM_NOW = "deploy another version or run `kubectl rollout restart` to record their runs"
_ASLEEP = "the App has no pod: the next one sends its runs to the recorder"
_STAY = "rows beyond history.limit stay in the cluster"


def archived_condition(app: App, archive: ArchiveAnswers, settings: Settings) -> Condition | None:
    """Returns the condition Archived; None for an App without an archive."""
    history = app.spec.history
    if history is None or not history.archive:
        return None
    if settings.recorder is None:
        return condition(ARCHIVED, False, "NoRecorder", f"{_STAY}: the operator has no recorder, set --recorder")
    if archive.problem:
        return condition(ARCHIVED, False, "NotAcknowledged", f"{_STAY} until the archive has them: {archive.problem}")
    return condition(ARCHIVED, True, "HandedOver", "rows leave the cluster once the archive has them")


def redaction_condition(app: App, settings: Settings) -> Condition | None:
    """Returns the condition RedactionReady if pods cannot use a redaction pattern: they run, and record no content. Else None."""
    policy = app.spec.runs
    if settings.recorder is None or policy is None or not policy.content or policy.redact is None or not policy.redact.refused:
        return None
    return condition(REDACTION, False, "PatternRefused", f"no input, output or error text is recorded: {'; '.join(policy.redact.refused)}")


def recorded_condition(context: Context) -> Condition | None:
    """Returns the condition Recorded; None without a recorder, and for an App that serves nothing."""
    recorder, serving = context.snapshot.settings.recorder, context.serving_workload
    if recorder is None or serving is None:
        return None
    pods = serving_pods(context)
    others = [pod.recorder for pod in pods if pod.recorder != recorder]
    if not others:
        sends = bool(pods) or recorder_of(serving["spec"]["template"]) == recorder
        return condition(RECORDED, True, "PodsRecorded", f"its pods send their runs to {recorder}" if sends else _ASLEEP)
    moved = next((each for each in others if each is not None), None)
    if moved is not None:
        message = f"{len(others)} of {len(pods)} pods do not send their runs to {recorder} yet, but for example to {moved}: {_FROM_NOW}"
        return condition(RECORDED, False, "RecorderMoved", message)
    message = f"{len(others)} of {len(pods)} pods were made before the recorder was installed: {_FROM_NOW}"
    return condition(RECORDED, False, "PodsNotRestarted", message)
