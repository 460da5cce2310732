"""Whether an App's pods send their runs to the recorder. To install one, to move it or to take it away replaces no pod.

So the template that was applied stays. It is made anew where nobody notices, while the App has no pod, and where somebody restarts the pods
by `kubectl rollout restart`, after the App has said that they are not recorded.
"""

from __future__ import annotations

from datetime import datetime

from dynamiq_operator.desired.pod_template import recorder_of
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.objects import Manifest, parse_time
from dynamiq_operator.plan.context import Context

RECORDED = "Recorded"
"""Type of the App's condition that says whether its pods send their runs to the recorder that the operator was told of."""
RESTARTED_AT = "kubectl.kubernetes.io/restartedAt"


def renews_template(context: Context, observed: Manifest) -> bool:
    """Whether the template is made anew for the recorder, though its inputs are the same."""
    if recorder_of(observed["spec"]["template"]) == context.settings.recorder:
        return False
    return _has_no_pod(observed) or _is_restarted(context, observed)


def _has_no_pod(observed: Manifest) -> bool:
    return observed["spec"].get("replicas") == 0 and WorkloadState.of(observed).total == 0


def _is_restarted(context: Context, observed: Manifest) -> bool:
    """Whether somebody has asked for new pods since the App says that these are not recorded."""
    said = next((each for each in context.app.status.conditions if (each.type, each.status) == (RECORDED, "False")), None)
    at = _time((observed["spec"]["template"]["metadata"].get("annotations") or {}).get(RESTARTED_AT))
    return said is not None and at is not None and at >= parse_time(said.last_transition_time)


def _time(text: object) -> datetime | None:
    """What `kubectl` wrote, or whoever did; None where it is no time."""
    try:
        return parse_time(text) if isinstance(text, str) else None
    except ValueError:
        return None
