"""Decides when a workload's pods get a changed recorder: never by replacing a pod. It keeps the applied template.

The template is made anew only while the App has no pod. The other case is a `kubectl rollout restart` by a person, after the App showed
that its pods are not recorded.
"""

from __future__ import annotations

from datetime import datetime

from dynamiq_operator.desired.pod_template import recorder_of
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.objects import App, Manifest, parse_time
from dynamiq_operator.plan.context import Context

RECORDED = "Recorded"
"""Condition type of the App: True if its pods send their runs to the operator's recorder."""
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


def renews_template(context: Context, observed: Manifest) -> bool:
    """Returns True if the template is made anew for the recorder although its inputs are the same."""
    if recorder_of(observed["spec"]["template"]) == context.snapshot.settings.recorder:
        return False
    return _has_no_pod(observed) or _is_restarted(context.app, observed)


def _has_no_pod(observed: Manifest) -> bool:
    return observed["spec"].get("replicas") == 0 and WorkloadState.of(observed).total == 0


def _is_restarted(app: App, observed: Manifest) -> bool:
    """Returns True if a person restarted the pods after the App showed that they are not recorded."""
    not_recorded = next((each for each in app.status.conditions if (each.type, each.status) == (RECORDED, "False")), None)
    at = _time((observed["spec"]["template"]["metadata"].get("annotations") or {}).get(RESTARTED_AT))
    return not_recorded is not None and at is not None and at >= parse_time(not_recorded.last_transition_time)


def _time(text: object) -> datetime | None:
    """Returns the time that `kubectl` wrote; None if it is no time, such as after an edit."""
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None
