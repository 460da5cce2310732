"""Decides how many pods pins have for their conversations. It makes none.

Only conversations with a turn lately need pods: one for ten times the runs that it executes at a time, up to the row's limit. The number
comes down from what it was. Background runs of these pins are executed by the same pods.

A deploy that lacks room takes those without a turn lately at once, and leaves one pod to each of the others. A pod that another client just
started stays for a minute: its turn may not be counted yet.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from math import ceil

from dynamiq_operator.desired.base import is_ending
from dynamiq_operator.desired.inputs import scale_of
from dynamiq_operator.desired.pins import Pins
from dynamiq_operator.desired.workload_state import WorkloadState
from dynamiq_operator.model.objects import Manifest
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.workloads.conversations import KEPT, conversing, keeps_conversations, row_of
from dynamiq_operator.plan.workloads.finishing_pods import lacks_deploy_room, pod_limit
from dynamiq_operator.plan.workloads.wanted import standby


def scaling(context: Context) -> Iterator[tuple[Manifest, int]]:
    """Yields the workloads of conversations, without the standby's, whose number of pods changes, with the new number."""
    kept = standby(context) if conversing(context) else None
    for label, pins in conversing(context).items():
        observed = context.workloads.get(label)
        if observed is None or label == kept or is_ending(observed):
            continue
        if (wanted := replicas(context, label, pins)) != _replicas(observed):
            yield observed, wanted


def standby_replicas(context: Context, label: str, wanted: int) -> int:
    """Returns how many pods a standby has to have that needs `wanted` for itself: it answers its conversations, too."""
    if not keeps_conversations(context):
        return wanted
    observed, own = context.workloads.get(label), conversing(context)
    if not context.snapshot.open_runs.is_known:
        return max(wanted, _replicas(observed))
    return max(wanted, replicas(context, label, own[label])) if label in own else wanted


def replicas(context: Context, label: str, pins: Pins | None) -> int:
    """Returns how many pods these pins have to have now."""
    observed, known_since = context.workloads.get(label), context.snapshot.open_runs.known_since
    if known_since is None:
        return _replicas(observed)
    needed = _needed(context, label, pins)
    if needed >= _replicas(observed) or lacks_deploy_room(context):
        return needed
    since = _stays_since(context, label, known_since)
    return needed if since is not None and context.snapshot.now - since >= KEPT else _replicas(observed)


def conversing_times(context: Context) -> Iterator[float]:
    """Yields the seconds until time alone may change these workloads, or how many pods they have."""
    open_runs, now = context.snapshot.open_runs, context.snapshot.now
    if open_runs.known_since is None or not keeps_conversations(context):
        return
    served = context.workloads.served_since(context.serving) if context.serving is not None else None
    moments = [served] if served is not None else []
    for label in conversing(context):
        each, since = open_runs.talks_of(label), _stays_since(context, label, open_runs.known_since)
        moments += [until for until, _ in each.before]
        moments += [moment for moment in (each.ended, since) if moment is not None]
        moments += [moment for moment in (open_runs.fewer_since(label, pods) for pods in _of_runs(context, label)) if moment is not None]
    yield from (seconds for moment in moments if (seconds := (moment + KEPT - now).total_seconds()) > 0)


def needs_row(context: Context, label: str, pins: Pins | None) -> bool:
    """Returns True if the row of pins has to be read: only it tells how many pods they may have."""
    return row_of(context, label) is None and _of_talks(context, label, pins) > 1


def _needed(context: Context, label: str, pins: Pins | None) -> int:
    talks, row = _of_talks(context, label, pins), row_of(context, label) or context.history.live
    most = scale_of(row.pinned).max_replicas or 1 if row is not None and row.pinned is not None else 1
    if lacks_deploy_room(context):
        talks = min(context.snapshot.open_runs.talks_of(label).lively, 1)
    return max(min(talks, most), _for_runs(context, label, pins))


def _of_talks(context: Context, label: str, pins: Pins | None) -> int:
    """Returns how many pods the conversations need, or needed a moment ago, whatever the limit."""
    most = context.snapshot.open_runs.talks_of(label).most_since(context.snapshot.now - KEPT)
    return ceil(most / pod_limit(context, pins).talks)


def _for_runs(context: Context, label: str, pins: Pins | None) -> int:
    """Returns how many pods the background runs need, or needed a moment ago."""
    open_runs, needed = context.snapshot.open_runs, pod_limit(context, pins).pods(context.snapshot.open_runs.of(label))
    fewer = ((pods, open_runs.fewer_since(label, pods)) for pods in _of_runs(context, label) if pods > needed)
    return max((pods for pods, since in fewer if since is not None and context.snapshot.now - since < KEPT), default=needed)


def _of_runs(context: Context, label: str) -> range:
    """Returns the numbers of pods of which it may be noted since when fewer are needed."""
    return range(1, max(context.snapshot.open_runs.fewer.get(label, {}), default=0) + 1)


def _stays_since(context: Context, label: str, known_since: datetime) -> datetime | None:
    """Returns since when so many pods are there and counts are known; None while pods are yet to be made."""
    observed, pods = context.workloads.get(label), context.snapshot.pods.observed
    made = [pod.created for pod in pods if pod.pins == label and not pod.deleting]
    if not made and (observed is None or WorkloadState.of(observed).failure is None):
        return None
    return max(known_since, *made)


def _replicas(observed: Manifest | None) -> int:
    """Returns the number of pods that a workload has to have now; 0 without one."""
    number: int = observed["spec"].get("replicas", 1) if observed is not None else 0
    return number
