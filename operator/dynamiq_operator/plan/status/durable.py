"""Derives the conditions of an App's background runs. Ready ignores them: callers are served without these runs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from dynamiq_operator.desired.pin_labels import SHORT, selected_pins
from dynamiq_operator.desired.pod_template import CONTAINER, journal_of
from dynamiq_operator.model.app_status import FINISHING_MOST, FinishingVersion
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import Manifest, format_time
from dynamiq_operator.model.text import plugin_command
from dynamiq_operator.plan.children.recording import DURABLE
from dynamiq_operator.plan.children.workload_inputs import finishing_keys
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.sleep.state import serving_pods
from dynamiq_operator.plan.status.conditions import condition
from dynamiq_operator.plan.status.runtimes import runtimes
from dynamiq_operator.plan.workloads.finishing import FINISHING, MOST, Finishing, awaits_counts, finishing, takes_runs, version_of
from dynamiq_operator.plan.workloads.wanted import lacks_room

SHOWN_FOR = timedelta(seconds=30)
"""How long counts stay in the status while only they change."""
TITLES_MOST = 5
BACKGROUND = "background"
"""The capability of a runtime that takes background runs."""
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
    reports = {each.image: BACKGROUND in each.capabilities for each in runtimes(context) if each.image in images}
    if lacking := sorted(each for each, able in reports.items() if not able):
        message = f"pods of {lacking[0]} take no background runs: deploy on a Runtime whose pods report the feature {BACKGROUND}"
        return condition(DURABLE, False, "RuntimeCannot", message)
    if reports.keys() != images:
        return condition(DURABLE, None, "NotReported", "no pod of its runtime has reported its features yet")
    return condition(DURABLE, True, "PodsTakeRuns", f"its pods take background runs from {journal}")


def finishing_status(context: Context) -> tuple[FinishingVersion, ...]:
    """Returns the earlier versions with open runs, the newest first. Counts alone are written at most once in SHOWN_FOR."""
    open_runs, shown = context.snapshot.open_runs, context.app.status.finishing
    found = [one for each in finishing(context) if each.count.total and (one := _version(context, each)) is not None]
    if not open_runs.is_known:
        found += [each for each in shown if each.pins[:SHORT] not in open_runs.counts]  # after a restart there are no counts
    now = tuple(sorted(found, key=lambda one: -one.sequence)[:FINISHING_MOST])
    if {each.pins for each in now} != {each.pins for each in shown}:
        return now
    return shown if open_runs.shown_since is None or context.snapshot.now - open_runs.shown_since < SHOWN_FOR else now


def shown_times(context: Context) -> Iterator[float]:
    """Yields the seconds until counts that have changed may be written."""
    if context.app.status.finishing:
        since = context.snapshot.open_runs.shown_since or context.snapshot.now
        yield max((since + SHOWN_FOR - context.snapshot.now).total_seconds(), SHOWN_FOR.total_seconds() / 3)


def finishing_condition(context: Context) -> Condition | None:
    """Returns the condition Finishing; None while all open runs are the live version's, and its pods take them.

    Its message has no counts, which change all the time.
    """
    open_runs = context.snapshot.open_runs
    if open_runs.counts and not takes_runs(context):
        return condition(FINISHING, True, "RunsOpen", _untaken(context))
    each = [one for one in finishing(context) if one.count.total or not open_runs.is_known]
    shown = next((shown for shown in context.app.status.conditions if shown.type == FINISHING), None)
    if not open_runs.is_known and not open_runs.is_away:
        return shown  # asked in a moment
    if not each:
        return shown if awaits_counts(context) and not takes_runs(context) else None  # a public App's runs are still there
    reason, why = _why_not(context, each)
    versions = (version_of(context, one.label) for one in each)
    titles = [f"{one.version} (#{one.sequence})" for one in versions if one is not None]
    more = f" and {len(titles) - TITLES_MOST} more" if len(titles) > TITLES_MOST else ""
    return condition(FINISHING, True, reason, f"background runs finish on {', '.join(titles[:TITLES_MOST])}{more}{why}")


def _version(context: Context, each: Finishing) -> FinishingVersion | None:
    version, count = version_of(context, each.label), each.count
    oldest = format_time(count.oldest) if count.oldest is not None else None
    counts = {"queued": count.queued, "running": count.running, "waiting": count.waiting, "held": count.held, "oldest": oldest}
    return version.model_copy(update=counts) if version is not None else None


def _why_not(context: Context, each: Sequence[Finishing]) -> tuple[str, str]:
    """Returns the reason, and why runs do not go on if they do not."""
    if not context.snapshot.open_runs.is_known:
        return "JournalAway", ": the journal does not answer, so its counts are old and nothing is deleted or scaled"
    if len(each) > MOST:
        return "TooManyVersions", f": {len(each)} versions have runs and {MOST} may have a pod, so those of {len(each) - MOST} wait"
    if any(one.observed is not None and _has_no_room(context, one.observed) for one in each):
        return "NoRoom", ": not all of their pods have room, so their runs wait"
    problems = context.snapshot.children.problems
    if (problem := next((problems[key] for key in sorted(finishing_keys(context)) if key in problems), None)) is not None:
        return "NotMade", f": {problem.message}"
    return "RunsOpen", ""


def _untaken(context: Context) -> str:
    cancel = plugin_command(f"cancel {context.app.meta.name} --all-open", context.app.meta.namespace)
    return (
        f"background runs are open, and a public App's pods take none: set spec.access.type to private again, or cancel them with {cancel}"
    )


def _has_no_room(context: Context, observed: Manifest) -> bool:
    label = selected_pins(observed["spec"]["selector"]["matchLabels"])
    unplaced = any(pod.unschedulable for pod in context.snapshot.pods.finishing if pod.pins == label and not pod.deleting)
    return unplaced or observed["spec"].get("replicas") == 0 or bool(lacks_room(observed))
