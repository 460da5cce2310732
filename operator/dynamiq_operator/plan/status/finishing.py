"""Derives what an App shows of earlier versions whose background runs or conversations go on: their counts, and the condition Finishing.

Ready ignores them: callers are served without these runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta

from dynamiq_operator.desired.pin_labels import SHORT
from dynamiq_operator.model.app_status import FINISHING_MOST, FinishingVersion
from dynamiq_operator.model.base import Condition
from dynamiq_operator.model.objects import format_time
from dynamiq_operator.model.text import plugin_command
from dynamiq_operator.plan.children.workload_inputs import finishing_keys
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.pods import NO_IMAGE, ObservedPod
from dynamiq_operator.plan.operations import Emit
from dynamiq_operator.plan.output import events
from dynamiq_operator.plan.status.conditions import condition
from dynamiq_operator.plan.workloads.conversations import keeps_conversations
from dynamiq_operator.plan.workloads.finishing import FINISHING, MOST, awaits_counts, finishing, takes_runs, version_of
from dynamiq_operator.plan.workloads.finishing_pods import Finishing, no_room_since
from dynamiq_operator.plan.workloads.holding import held_as_rejected

SHOWN_FOR = timedelta(seconds=30)
"""How long counts stay in the status while only they change."""
GONE = timedelta(minutes=5)
"""How long the image of a pod may fail to be pulled before it counts as gone."""
TITLES_MOST = 5
_FOR_A_PERSON = frozenset({"RuntimeGone", "Rejected", "NotMade"})
"""Reasons for which a person has to do something: each new message is an Event."""
_PASSING = frozenset({"NoRoom", "TooManyVersions", "RunsWait"})
"""Reasons that come and go with the runs: an Event an hour at most."""


def finishing_status(context: Context) -> tuple[FinishingVersion, ...]:
    """Returns the earlier versions with open runs or conversations, the newest first.

    Counts alone are written at most once in SHOWN_FOR.
    """
    open_runs, shown = context.snapshot.open_runs, context.app.status.finishing
    labels = dict.fromkeys((*(each.label for each in finishing(context) if each.count.total), *_talking(context)))
    found = [one for label in labels if (one := _version(context, label)) is not None]
    if not open_runs.is_known:
        # After a restart there are no counts.
        found += [each for each in shown if each.pins[:SHORT] not in open_runs.counts.keys() | open_runs.talks.keys()]
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
    shown = _shown(context)
    if not open_runs.is_known and not open_runs.is_away:
        return shown  # asked in a moment
    each = [one for one in finishing(context) if one.count.total or not open_runs.is_known]
    rejected = held_as_rejected(context)
    if not each and not rejected:
        return shown if awaits_counts(context) and not takes_runs(context) else None  # a public App's runs are still there
    reason, message = _why(context, each, rejected)
    return condition(FINISHING, True, reason, message)


def finishing_events(context: Context, shown: Condition | None) -> tuple[Emit, ...]:
    """Returns an Event if the App newly shows that runs wait, or why they do not go on."""
    before = _shown(context)
    if shown is None or (before is not None and before.message == shown.message):
        return ()
    if shown.reason in _FOR_A_PERSON:
        return (events.finishing(context.app, shown.reason, shown.message),)
    is_new = shown.reason in _PASSING and (before is None or before.reason != shown.reason)
    return (events.finishing_for_now(context.app, context.snapshot.now, shown.reason, shown.message),) if is_new else ()


def gone_times(context: Context) -> Iterator[float]:
    """Yields the seconds until an image that cannot be pulled counts as gone."""
    for pod in _without_image(context):
        yield ((pod.scheduled_at or pod.created) + GONE - context.snapshot.now).total_seconds()


def _talking(context: Context) -> Iterator[str]:
    """Yields the labels of pins with conversations that are neither live nor the target's."""
    if keeps_conversations(context):
        served = {pins.label for pins in (context.live_pins, context.target_pins) if pins is not None}
        yield from (label for label, each in context.snapshot.open_runs.talks.items() if each.total and label not in served)


def _version(context: Context, label: str) -> FinishingVersion | None:
    version, count = version_of(context, label), context.snapshot.open_runs.of(label)
    oldest = format_time(count.oldest) if count.oldest is not None else None
    counts = {"queued": count.queued, "running": count.running, "waiting": count.waiting, "held": count.held, "oldest": oldest}
    sessions = context.snapshot.open_runs.talks_of(label).total or None
    return version.model_copy(update={**counts, "sessions": sessions}) if version is not None else None


def _why(context: Context, each: Sequence[Finishing], rejected: Sequence[str]) -> tuple[str, str]:
    """Returns the reason and the message: why runs do not go on, if they do not."""
    where = f"background runs finish on {_titles(context, (one.label for one in each))}"
    if not context.snapshot.open_runs.is_known:
        return "JournalAway", f"{where}: the journal does not answer, so its counts are old and nothing is deleted or scaled"
    lists = (
        f"{plugin_command(f'runs {context.app.meta.name} --open', context.app.meta.namespace)} lists them; `restart-runs` or `cancel` each"
    )
    if gone := _gone(context):
        titles = _titles(context, dict.fromkeys(pod.pins for pod in gone))
        return "RuntimeGone", f"background runs of {titles} do not go on, since their image {_image(gone[0])} cannot be pulled: {lists}"
    if (stuck := _why_without_pods(context, each)) is not None:
        return stuck[0], f"{where}{stuck[1]}"
    if rejected:
        versions = "these versions were" if len(rejected) > 1 else "this version was"
        return "Rejected", f"runs of {_titles(context, rejected)} are held, since {versions} rejected: {lists}"
    if held := [one.label for one in each if one.count.held]:
        return "RunsHeld", f"runs of {_titles(context, held)} are held: {lists}"
    if not any(one.count.active for one in each):
        waits = f"background runs wait on {_titles(context, (one.label for one in each))}"
        return "RunsWait", f"{waits}: a person has to answer them, or their time has to come. They need no pod"
    return "RunsOpen", where


def _why_without_pods(context: Context, each: Sequence[Finishing]) -> tuple[str, str] | None:
    active = [one for one in each if one.count.active]
    if len(active) > MOST:
        return "TooManyVersions", f": more than {MOST} versions have runs that go on, so some of them wait"
    # One at 0 has made room for a deploy, or is scaled up in this plan.
    if any(no_room_since(context, one) is not None or _has_made_room(context, one) for one in active):
        return "NoRoom", ": not all of their pods have room, so their runs wait"
    problems = context.snapshot.children.problems
    if (problem := next((problems[key] for key in sorted(finishing_keys(context)) if key in problems), None)) is not None:
        return "NotMade", f": {problem.message}"
    return None


def _has_made_room(context: Context, one: Finishing) -> bool:
    return one.observed is not None and one.replicas == 0 and context.history.candidate is not None


def _titles(context: Context, labels: Iterable[str]) -> str:
    versions = (version_of(context, label) for label in labels)
    titles = [one.title for one in versions if one is not None]
    if not titles:
        return "earlier versions"
    return ", ".join(titles[:TITLES_MOST]) + (f" and {len(titles) - TITLES_MOST} more" if len(titles) > TITLES_MOST else "")


def _gone(context: Context) -> list[ObservedPod]:
    now = context.snapshot.now
    return [pod for pod in _without_image(context) if now - (pod.scheduled_at or pod.created) >= GONE]


def _without_image(context: Context) -> Iterator[ObservedPod]:
    for pod in context.snapshot.pods.finishing:
        if not pod.deleting and pod.container is not None and pod.container.waiting_reason in NO_IMAGE:
            yield pod


def _image(pod: ObservedPod) -> str:
    return pod.container.image if pod.container is not None else ""


def _shown(context: Context) -> Condition | None:
    return next((shown for shown in context.app.status.conditions if shown.type == FINISHING), None)


def _untaken(context: Context) -> str:
    cancel = plugin_command(f"cancel {context.app.meta.name} --all-open", context.app.meta.namespace)
    return (
        f"background runs are open, and a public App's pods take none: set spec.access.type to private again, or cancel them with {cancel}"
    )
