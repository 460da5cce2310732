"""Decides whose calls to read at the pods, and when: only if a decision needs them, and once they may have changed. It reads no pod."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta

from dynamiq_operator.model.objects import App
from dynamiq_operator.plan.children import standby
from dynamiq_operator.plan.context import Context
from dynamiq_operator.plan.history.lifecycle import RowHistory
from dynamiq_operator.plan.observed.pods import ObservedPod
from dynamiq_operator.plan.revert.watch import counts_runs
from dynamiq_operator.plan.sleep.decisions import readings_due
from dynamiq_operator.plan.sleep.hindrances import sleeping_config
from dynamiq_operator.plan.snapshot import Snapshot
from dynamiq_operator.plan.status import runtimes

WATCHED_EVERY = timedelta(seconds=2)
"""Pause between readings while a version is watched, and during a deploy over a version whose failure rate counts."""


def due(snapshot: Snapshot, app: App) -> Mapping[str, datetime]:
    """Returns when to read each pod whose activity is needed, by uid."""
    pods = [pod for pod in snapshot.pods.observed if pod.container is not None and pod.container.running and pod.displaced is None]
    history = RowHistory.of(snapshot.rows.observed)
    if counts_runs(app, history, snapshot.now):
        return {pod.uid: _after(snapshot, pod, WATCHED_EVERY) for pod in pods}
    was_left, may_sleep = app.spec.rollout.switches and any(pod.standby for pod in pods), sleeping_config(history.live) is not None
    of_runtimes = dict(runtimes.readings_due(snapshot, app))
    if not was_left and not may_sleep:
        return of_runtimes  # most Apps: no context is made
    context = Context.of(snapshot, app)
    return {**of_runtimes, **(standby.readings_due(context) if was_left else {}), **(readings_due(context) if may_sleep else {})}


def _after(snapshot: Snapshot, pod: ObservedPod, pause: timedelta) -> datetime:
    activity = snapshot.pods.activity.get(pod.uid)
    return activity.at + pause if activity is not None else snapshot.now
