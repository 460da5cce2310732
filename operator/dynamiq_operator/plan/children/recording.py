"""Decides when a workload's pods get a changed recorder or journal, or the key for callbacks: never by replacing a pod. It keeps the applied template.

The template is made anew only while the App has no pod. The other case is a `kubectl rollout restart` by a person, after the App showed
that its pods are not recorded, or take no background runs.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

from dynamiq_operator.desired.pod_template import checks_keys, journal_of, recorder_of, signs_callbacks
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.objects import App, Manifest, parse_time
from dynamiq_operator.plan.children import callback_key
from dynamiq_operator.plan.context import Context

RECORDED = "Recorded"
"""Condition type of the App: True if its pods send their runs to the operator's recorder."""
DURABLE = "Durable"
"""Condition type of the App: True if its pods take background runs from the operator's journal."""
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


def renews_template(context: Context, observed: Manifest) -> bool:
    """Returns True if the template is made anew for the recorder or the journal although its inputs are the same."""
    settings, template = context.snapshot.settings, observed["spec"]["template"]
    journal = settings.journal if checks_keys(template) else None  # a public App has no background runs
    changed = [RECORDED] if recorder_of(template) != settings.recorder else []
    changed += [DURABLE] if journal_of(template) != journal else []
    if signs_callbacks(template) != callback_key.is_mounted(context) and (_has_no_pod(observed) or _has_restarted_now(context, observed)):
        return True
    return bool(changed) and (_has_no_pod(observed) or _is_restarted(context.app, observed, changed))


def _has_no_pod(observed: Manifest) -> bool:
    return observed["spec"].get("replicas") == 0 and WorkloadState.of(observed).total == 0


def _is_restarted(app: App, observed: Manifest, changed: Collection[str]) -> bool:
    """Returns True if a person restarted the pods after the App showed one of these conditions as False."""
    at = _restarted_at(observed)
    shown = [each for each in app.status.conditions if each.type in changed and each.status == "False"]
    return at is not None and any(at >= parse_time(each.last_transition_time) for each in shown)


def _has_restarted_now(context: Context, observed: Manifest) -> bool:
    """Returns True if a person restarted the pods after the key for callbacks was made, and lately."""
    at, made = _restarted_at(observed), context.snapshot.secrets.callback_key.created
    return at is not None and made is not None and made <= at and context.snapshot.now - at <= callback_key.RESTARTED_WITHIN


def _restarted_at(observed: Manifest) -> datetime | None:
    return _time((observed["spec"]["template"]["metadata"].get("annotations") or {}).get(RESTARTED_AT))


def _time(text: object) -> datetime | None:
    """Returns the time that `kubectl` wrote; None if it is no time, such as after an edit."""
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None
