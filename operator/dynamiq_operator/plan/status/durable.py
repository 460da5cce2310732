"""Derives the condition Durable: whether an App's pods take background runs, and keep conversations if they are to. Ready ignores it: callers are served without them."""

from __future__ import annotations

from dynamiq_operator.desired.pod_template import CONTAINER, journal_of
from dynamiq_operator.model.base import Condition
from dynamiq_operator.plan.children.recording import DURABLE
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.sleep.state import serving_pods
from dynamiq_operator.plan.status.conditions import condition
from dynamiq_operator.plan.status.runtimes import runtimes

BACKGROUND = "background"
"""The capability of a runtime that takes background runs."""
SESSIONS = "sessions"
"""The capability of a runtime that keeps conversations on the version that they began on."""
_FROM_NOW = "deploy another version or run `kubectl rollout restart` for background runs"


def durable_condition(context: Context) -> Condition | None:
    """Returns the condition Durable; None without a journal, for a public App, and for an App that serves nothing."""
    journal, serving = context.snapshot.settings.journal, context.serving_workload
    if journal is None or serving is None or not context.app.spec.is_private:
        return None
    pods = serving_pods(context)
    others = [pod.journal for pod in pods if pod.journal != journal]
    if others:
        moved = next((each for each in others if each is not None), None)
        why = f"have the journal {moved}, not {journal}" if moved is not None else "were made before the journal was installed"
        reason = "JournalMoved" if moved is not None else "PodsNotRestarted"
        return condition(DURABLE, False, reason, f"{len(others)} of {len(pods)} pods {why}: {_FROM_NOW}")
    if not pods and journal_of(serving["spec"]["template"]) != journal:
        return condition(DURABLE, False, "PodsNotRestarted", f"the App's pods do not know the journal: {_FROM_NOW}")
    image = next((each["image"] for each in serving["spec"]["template"]["spec"]["containers"] if each["name"] == CONTAINER), "")
    images = {pod.container.image for pod in pods if pod.container is not None} or {image}
    reports = {each.image: each.capabilities for each in runtimes(context) if each.image in images}
    if lacking := sorted(image for image, able in reports.items() if BACKGROUND not in able):
        message = f"pods of {lacking[0]} take no background runs: deploy on a Runtime whose pods report the feature {BACKGROUND}"
        return condition(DURABLE, False, "RuntimeCannot", message)
    if reports.keys() != images:
        return condition(DURABLE, None, "NotReported", "no pod of its runtime has reported its features yet")
    if context.app.spec.sessions is not None and (lacking := sorted(image for image, able in reports.items() if SESSIONS not in able)):
        message = (
            f"its pods take background runs, but those of {lacking[0]} keep no conversation on its version: "
            f"deploy on a Runtime whose pods report the feature {SESSIONS}"
        )
        return condition(DURABLE, False, "KeepsNoSessions", message)
    return condition(DURABLE, True, "PodsTakeRuns", f"its pods take background runs from {journal}")
