"""Lists the features that callers of an App would lose with another runtime, by the reports of pods. Pure."""

from __future__ import annotations

from dynamiq_operator.model.app_status import AppStatus
from dynamiq_operator.model.row import Pinned

FEATURES = {
    "run_fields": "session_id, user_id and other fields of a run",
    "run_events": "run events",
    "origins": "calls of pages (access.origins)",
    "files": "files with a run",
    "background": "background runs",
    "questions": "questions to a person",
    "callbacks": "callbacks of runs",
    "sessions": "conversations that stay on their version",
}
"""Names for people. A newer runtime may report others."""


def lost_features(status: AppStatus, now: Pinned | None, then: Pinned) -> tuple[str, ...]:
    """Returns a sentence for a runtime that is older than the live one, or whose features are unknown; empty if none are lost."""
    reported = {each.image: each.capabilities for each in status.runtimes}
    served = reported.get(now.runtime.image, ()) if now is not None else ()
    if now is None or now.runtime.image == then.runtime.image or not served:
        return ()
    known = reported.get(then.runtime.image)
    if known is None:
        # A newer runtime has not run yet either. Only a restored row certainly ran before.
        unknown = f"it is unknown if runtime {then.runtime.version} serves what callers use now: no pod of it reported to this operator"
        return (unknown,) if then.restores is not None else ()
    lost = ", ".join(FEATURES.get(each, each) for each in served if each not in known)
    return (f"runtime {then.runtime.version} is older than the live one, and does not serve: {lost}",) if lost else ()
