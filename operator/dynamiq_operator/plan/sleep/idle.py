"""Whether an App's pods have had nothing to do for long enough, as they say themselves, and when to ask them next."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.observed.activity import Activity
from dynamiq_operator.plan.observed.pods import Pod

FRESH = timedelta(seconds=15)
"""How old what a pod said may be for anything to be decided by it."""
JUST_NOW = timedelta(seconds=3)
"""The same where its pods are to go: a call that came since has no more time than a pod that ends."""
AGAIN = timedelta(seconds=30)
"""When pods that are idle and do not go to sleep for some other reason are asked again."""
IDLE_MOST = 2 * 86400.0
"""Seconds, more than `idleSeconds` can be."""


def working_pods(context: Context) -> tuple[Pod, ...]:
    """Pods that calls may be at, those that are kept warm among them: what is on its way out finishes what it has by itself."""
    return tuple(pod for pod in context.snapshot.pods if not pod.deleting and pod.displaced is None)


def are_idle(context: Context, seconds: int, since: datetime | None = None) -> bool:
    """Whether every pod says that it has been idle for so long, and said so lately; with `since`, after that, and just now.

    What is not known is not idle.
    """
    pods = working_pods(context)
    return bool(pods) and all(_is_idle(context, context.snapshot.activity.get(pod.uid), seconds, since) for pod in pods)


def silent_pods(context: Context) -> tuple[Pod, ...]:
    """Pods that were asked again and again and say nothing of their calls."""
    return tuple(pod for pod in working_pods(context) if pod.uid in context.snapshot.silent)


def next_readings(context: Context, pods: Iterable[Pod], seconds: int, since: datetime | None) -> Mapping[str, datetime]:
    """By uid, when each of `pods` is to be asked: all of them when the last one may have been idle for long enough, and not before `since`.

    Those that have said so since then are asked again after a while: they never say it at the same moment.
    """
    known = {pod.uid: context.snapshot.activity.get(pod.uid) for pod in pods}
    at = max((said.at + timedelta(seconds=seconds - _idle(said)) for said in known.values() if said is not None), default=None)
    if at is None or (since is not None and since > at):
        at = since
    return {uid: context.now if said is None else _due(said, at, context.now) for uid, said in known.items()}


def _due(said: Activity, at: datetime | None, now: datetime) -> datetime:
    if at is None or said.at < at:
        return at or now
    return said.at + AGAIN


def _idle(said: Activity) -> float:
    return 0.0 if said.in_flight else min(said.idle_seconds or 0.0, IDLE_MOST)


def _is_idle(context: Context, said: Activity | None, seconds: int, since: datetime | None) -> bool:
    if said is None or said.in_flight or said.idle_seconds is None or said.idle_seconds < seconds:
        return False
    if since is None:
        return context.now - said.at <= FRESH
    return context.now - said.at <= JUST_NOW and said.at >= since
