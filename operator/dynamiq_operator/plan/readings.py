"""Whose calls are to be read at the pods, and when next: only of Apps of which something is decided by them, and no sooner than they may have changed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from dynamiq_operator.model.objects import App
from dynamiq_operator.model.record import ConfigType
from dynamiq_operator.plan.children import standby
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import History
from dynamiq_operator.plan.observed.pods import Pod
from dynamiq_operator.plan.revert.watch import counts_runs
from dynamiq_operator.plan.sleep.decisions import readings_due
from dynamiq_operator.plan.snapshot import Snapshot

WATCHED_EVERY = timedelta(seconds=2)
"""While a version is watched, and while one is deployed over another whose rate of failures counts."""


def due(snapshot: Snapshot, app: App) -> Mapping[str, datetime]:
    """By uid, the pods whose activity is needed, with the time from which on it is to be read anew."""
    pods = [pod for pod in snapshot.pods if pod.container is not None and pod.container.running and pod.displaced is None]
    history = History.of(snapshot.records)
    if counts_runs(app, history, snapshot.now):
        return {pod.uid: _after(snapshot, pod, WATCHED_EVERY) for pod in pods}
    was_left, may_sleep = app.spec.rollout.switches and any(pod.standby for pod in pods), _may_sleep(history)
    if not was_left and not may_sleep:
        return {}  # most Apps, at no cost
    context = Context.of(snapshot, app)
    return {**(standby.readings_due(context) if was_left else {}), **(readings_due(context) if may_sleep else {})}


def _may_sleep(history: History) -> bool:
    """Whether it is worth looking how an App sleeps."""
    live = history.live.pinned if history.live is not None else None
    return live is not None and live.config.type is ConfigType.SERVERLESS


def _after(snapshot: Snapshot, pod: Pod, pause: timedelta) -> datetime:
    said = snapshot.activity.get(pod.uid)
    return said.at + pause if said is not None else snapshot.now
