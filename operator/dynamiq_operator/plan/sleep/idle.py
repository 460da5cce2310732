"""Decides from the reports of an App's pods whether they have been idle for long enough, and when to read them next. It reads no pod."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from dynamiq_operator.plan.observed.activity import Activity
from dynamiq_operator.plan.observed.pods import ObservedPod, ObservedPods

FRESH = timedelta(seconds=15)
"""The age up to which a pod's report decides anything."""
JUST_NOW = timedelta(seconds=3)
"""The same before pods end: a call that arrived since then has only the time in which a pod terminates."""
AGAIN = timedelta(seconds=30)
"""Pause between readings of idle pods that stay awake for another reason."""
IDLE_MOST = 2 * 86400.0
"""Seconds. `idleSeconds` is always less."""


def working_pods(pods: ObservedPods) -> tuple[ObservedPod, ...]:
    """Returns the pods that may have calls, standby pods included. Terminating and displaced pods finish their calls by themselves."""
    return tuple(pod for pod in pods.observed if not pod.deleting and pod.displaced is None)


def are_idle(pods: ObservedPods, now: datetime, seconds: int, since: datetime | None = None) -> bool:
    """Returns True if every pod reported lately that it has been idle for `seconds`.

    With `since`, the report has to be newer than that, and at most JUST_NOW old. A pod without a report is not idle.
    """
    working = working_pods(pods)
    return bool(working) and all(_is_idle(pods.activity.get(pod.uid), now, seconds, since) for pod in working)


def silent_pods(pods: ObservedPods) -> tuple[ObservedPod, ...]:
    """Returns the pods that repeatedly failed to report their calls."""
    return tuple(pod for pod in working_pods(pods) if pod.uid in pods.silent)


def next_readings(
    activity: Mapping[str, Activity], pods: Iterable[ObservedPod], now: datetime, seconds: int, since: datetime | None
) -> Mapping[str, datetime]:
    """Returns when to read each of `pods`, by uid: all when the last one may have been idle for long enough, and not before `since`.

    Pods that reported since then are read again after AGAIN: pods never report at the same moment.
    """
    known = {pod.uid: activity.get(pod.uid) for pod in pods}
    at = max((each.at + timedelta(seconds=seconds - _idle(each)) for each in known.values() if each is not None), default=None)
    if at is None or (since is not None and since > at):
        at = since
    return {uid: now if each is None else _due(each, at, now) for uid, each in known.items()}


def _due(activity: Activity, at: datetime | None, now: datetime) -> datetime:
    if at is None or activity.at < at:
        return at or now
    return activity.at + AGAIN


def _idle(activity: Activity) -> float:
    return 0.0 if activity.in_flight else min(activity.idle_seconds or 0.0, IDLE_MOST)


def _is_idle(activity: Activity | None, now: datetime, seconds: int, since: datetime | None) -> bool:
    if activity is None or activity.in_flight or activity.idle_seconds is None or activity.idle_seconds < seconds:
        return False
    if since is None:
        return now - activity.at <= FRESH
    return now - activity.at <= JUST_NOW and activity.at >= since
